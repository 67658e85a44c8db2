"""Rung 2: the fused pass against einsum, over shapes, memory layouts, dtypes, weights, blocks and threads."""

import sys
import tracemalloc

import numpy as np
import pytest
from helpers import LOSSES, compiled, full, interior_points, random_factors, short
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gcp import BernoulliLogit, Gamma, Gaussian, Poisson
from gcp.base.compiler.jit import instruction, jit
from gcp.base.compiler.values import INT, Number
from gcp.kernels.dense import dense_pass, fused, layout
from gcp.kernels.shared import products, reference
from gcp.losses.formula import Formula
from gcp.tensors.dense import DenseTensor

QUICK = settings(max_examples=30, deadline=None, derandomize=True)
DTYPES = (bool, np.int8, np.uint8, np.int64, np.float16, np.float32, np.float64)
MEMORY = ("C", "F", "transposed", "strided", "reversed", "broadcast", "inner-strided")


def in_memory(array, how, rng):
    """The same entries laid out in another way (broadcast: constant along the first mode)."""
    if how == "F":
        return np.asfortranarray(array)
    if how == "transposed":
        order = rng.permutation(array.ndim)
        return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    if how == "strided":
        store = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)
        store[::2] = array
        return store[::2]
    if how == "inner-strided":
        store = np.zeros((*array.shape[:-1], 3 * array.shape[-1]), array.dtype)
        store[..., ::3] = array
        return store[..., ::3]
    if how == "reversed":
        return np.ascontiguousarray(array[::-1, ...])[::-1, ...]
    if how == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    return array


def brute_force(loss, data, factors, weights=None):
    """Loss and gradients by einsum over the whole model tensor."""
    data, m = np.asarray(data, dtype=float), full(factors)
    w = np.ones(data.shape) if weights is None else np.asarray(weights, dtype=float)
    y = w * loss.deriv(data, m)
    letters = "abcdefgh"[: data.ndim]
    grads = []
    for n in range(data.ndim):
        terms = [letters + "Y", *(letters[k] + "Z" for k in range(data.ndim) if k != n)]
        terms[0] = letters
        operands = [y, *(factors[k] for k in range(data.ndim) if k != n)]
        if data.ndim == 1:
            grads.append(np.outer(y, np.ones(factors[0].shape[1])))
        else:
            grads.append(np.einsum(",".join(terms) + "->" + letters[n] + "Z", *operands))
    return float(np.sum(w * loss.value(data, m))), grads


def assert_same(got, expected, rtol=1e-10):
    """Values and gradients agree, the gradients on the scale of their largest entry."""
    scale = max(max(np.abs(g).max() for g in expected[1]), 1e-300)
    assert_allclose(got[0], expected[0], rtol=rtol, atol=rtol)
    for a, b in zip(got[1], expected[1], strict=True):
        assert_allclose(a, b, rtol=rtol, atol=rtol * scale)


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=6).map(tuple)


@QUICK
@given(
    shape=shapes,
    rank=st.integers(1, 4),
    memory=st.sampled_from(MEMORY),
    dtype=st.sampled_from(DTYPES),
    weighted=st.booleans(),
    n_threads=st.integers(1, 3),
    small=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_fused_pass_equals_einsum(shape, rank, memory, dtype, weighted, n_threads, small, seed):
    rng = np.random.default_rng(seed)
    data = in_memory(rng.integers(0, 2, shape).astype(dtype), memory, rng)
    weights = in_memory(rng.integers(0, 3, shape).astype(float), memory, rng) if weighted else None
    if weighted and not weights.any():
        return
    factors = random_factors(shape, rank, rng, positive=True)
    with pytest.MonkeyPatch.context() as patch:
        if small:  # many tiles, and a thread for a handful of entries
            patch.setattr(fused, "ROW_BYTES", 256)
            patch.setattr(dense_pass, "THREAD_ENTRIES", 1)
        got = DenseTensor(data, entry_weights=weights).loss_and_mttkrps(Poisson().formula, factors, n_threads)
    single = data.dtype in (np.float16, np.float32)
    assert_same(got, brute_force(Poisson(), data, factors, weights), rtol=2e-5 if single else 1e-10)
    assert all(g.dtype == (np.float32 if single else np.float64) for g in got[1])


@QUICK
@given(shape=shapes, rank=st.integers(1, 3), memory=st.sampled_from(MEMORY), seed=st.integers(0, 2**31))
def test_linear_maps_are_adjoint(shape, rank, memory, seed):
    # <J d, y> = <d, J' y>, J d by the product rule in einsum
    rng = np.random.default_rng(seed)
    factors, direction = random_factors(shape, rank, rng), random_factors(shape, rank, rng)
    y = in_memory(rng.normal(size=shape), memory, rng)
    moved = sum(
        full([direction[k] if k == n else factors[k] for k in range(len(shape))]) for n in range(len(shape))
    )
    back = dense_pass.mttkrps(y, factors)
    left, right = np.vdot(moved, y), sum(np.vdot(d, b) for d, b in zip(direction, back, strict=True))
    assert_allclose(left, right, rtol=1e-10, atol=1e-10)


@QUICK
@given(shape=shapes, rank=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_model_values_are_the_sum_of_outer_products(shape, rank, seed):
    factors = random_factors(shape, rank, np.random.default_rng(seed))
    assert_allclose(dense_pass.model_values(factors, shape), full(factors), rtol=1e-12, atol=1e-12)


def test_reference_by_hand():
    a, b = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    y = np.array([[1.0, 10.0], [100.0, 1000.0]])
    assert reference.model_values([a, b]).tolist() == [[3, 5], [6, 10]]
    assert reference.mttkrps(y, [a, b])[0].tolist() == [[53], [5300]]
    assert reference.mttkrps(y, [a, b])[1].tolist() == [[201], [2010]]


@pytest.mark.parametrize(
    "shape", [(300, 400), (17, 40, 3, 21), (5, 70_000), (70_000, 5), (200_000,), (2,) * 16]
)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_many_blocks_of_the_real_size(shape, n_threads, rng):
    data, factors = rng.normal(size=shape), random_factors(shape, 3, rng)
    m = full(factors)
    value, grads, _ = DenseTensor(data).loss_and_mttkrps(Gaussian().formula, factors, n_threads)
    expected = reference.mttkrps(2 * (m - data), factors) if len(shape) < 10 else None
    assert_allclose(value, np.sum((data - m) ** 2), rtol=1e-11)
    if expected is None:  # too many modes for einsum in passing: check the slope along one direction
        direction = random_factors(shape, 3, rng)
        step = 1e-5
        values = [
            np.sum((data - full([a + s * d for a, d in zip(factors, direction, strict=True)])) ** 2)
            for s in (step, -step)
        ]
        slope = sum(np.vdot(g, d) for g, d in zip(grads, direction, strict=True))
        assert_allclose(slope, (values[0] - values[1]) / (2 * step), rtol=1e-5)
        return
    assert_same((0.0, grads), (0.0, expected), rtol=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_loss_through_the_kernel(loss, dtype, rng):
    shape = (6, 5, 4)
    x = interior_points(loss, 120, rng)[0].reshape(shape).astype(dtype)
    weights = rng.uniform(0, 2, shape)
    factors = [a.astype(dtype) for a in random_factors(shape, 2, rng, positive=loss.model_domain.low == 0)]
    got = DenseTensor(x, entry_weights=weights).loss_and_mttkrps(loss.formula, factors, 1)
    expected = brute_force(loss, x, [a.astype(float) for a in factors], weights)
    assert_same(got, expected, rtol=1e-10 if dtype == np.float64 else 2e-4)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_float32_is_as_good_as_its_inputs(loss, rng):
    # the truth: the same float32 numbers evaluated in float64
    shape = (40, 30, 50)
    x = interior_points(loss, 60_000, rng)[0].reshape(shape).astype(np.float32)
    factors = random_factors(shape, 3, rng, positive=loss.model_domain.low == 0)
    factors = [(0.7 * a).astype(np.float32) for a in factors]
    (value, grads, _, marginals), truth = (
        DenseTensor(x.astype(dtype)).loss_mttkrps_and_marginals(
            loss.formula, [a.astype(dtype) for a in factors], 1
        )
        for dtype in (np.float32, np.float64)
    )
    m = reference.model_values([a.astype(float) for a in factors])
    assert abs(value - truth[0]) <= 1e-7 * np.abs(loss.value(x, m)).sum()
    for got, expected in zip([*grads, *marginals], [*truth[1], *truth[3]], strict=True):
        assert np.abs(got - expected).max() <= 2e-6 * np.abs(expected).max()


@instruction(lambda array: array.ctypes.data)
def address(code, array):
    return Number(INT, code.get(f"ptrtoint ptr {array.data} to i64"))


@jit
def scratch(columns, like):
    array = products.blank(products.room(7, columns, like), 7, columns)
    return address(array), array.shape[0], array.shape[1], array.itemsize


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [32, 96, 512])
def test_scratch_rows_are_aligned_and_not_a_page_apart(dtype, columns):
    place, rows, width, size = scratch(columns, np.zeros((1, 1), dtype))
    assert (rows, size, width & -32) == (7, np.dtype(dtype).itemsize, columns)
    assert place % 64 == width * size % 64 == 0
    assert width * size % 4096 != 0


def test_value_of_float32_data_is_summed_in_float64():
    # 4e6 entries of 1 + 2**-12: a float32 sum would stall far away
    data = np.full((2000, 2000), 1 + 2.0**-12, np.float32)
    value, *_ = DenseTensor(data).loss_and_mttkrps(
        Gaussian().formula, [np.zeros((2000, 1), np.float32)] * 2, 1
    )
    assert_allclose(value, 4e6 * (1 + 2.0**-12) ** 2, rtol=1e-7)


@pytest.mark.parametrize("memory", MEMORY)
def test_nothing_is_modified(memory, rng):
    shape = (4, 5, 6)
    values = rng.uniform(1, 2, shape)
    values[values > 1.9] = np.nan
    data = in_memory(values, memory, rng)
    weights = rng.integers(0, 2, shape).astype(float)
    factors = random_factors(shape, 2, rng, positive=True)
    copies = [data.copy(), weights.copy(), *(a.copy() for a in factors)]
    tensor = DenseTensor(data, entry_weights=weights)
    list(tensor.blocks())
    tensor.loss_and_mttkrps(Gamma().formula, factors, 2)
    dense_pass.mttkrps(np.nan_to_num(data), factors)
    for now, before in zip([data, weights, *factors], copies, strict=True):
        assert np.array_equal(now, before, equal_nan=True)


def test_read_only_data_are_accepted(rng):
    data = rng.normal(size=(3, 4))
    data.flags.writeable = False
    factors = random_factors((3, 4), 2, rng)
    assert_same(
        DenseTensor(data).loss_and_mttkrps(Gaussian().formula, factors, 1),
        brute_force(Gaussian(), data, factors),
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_neither_model_nor_derivative_is_stored_whole(weighted, rng):
    shape = (160, 160, 160)
    data, factors = rng.normal(size=shape), random_factors(shape, 5, rng)
    mask = rng.random(shape) > 0.5 if weighted else None
    tensor = DenseTensor(data, mask=mask)
    tensor.loss_and_mttkrps(Gaussian().formula, factors, 1)  # compile first
    tracemalloc.start()
    tensor.loss_and_mttkrps(Gaussian().formula, factors, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data.nbytes / 5


@pytest.mark.parametrize("memory", ["C", "F", "transposed", "strided"])
def test_whole_layouts_are_read_without_a_copy(memory, rng):
    data = in_memory(rng.normal(size=(12, 13, 14)), memory, rng)
    assert np.shares_memory(DenseTensor(data)._layout.matrix, data)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_threads_do_not_lose_what_others_add(is_compiled, rng):
    """One long fast mode, whose gradient all threads fill."""
    data, factors = rng.normal(size=(3, 60_000)), [rng.normal(size=(n, 10)) for n in (3, 60_000)]
    tensor = DenseTensor(data)
    formula = Gaussian().formula._replace(compiled=is_compiled)
    residual = 2.0 * (factors[0] @ factors[1].T - data)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(10):
            _, grad, _ = tensor.loss_and_mttkrps(formula, factors, 8)
            assert_allclose(grad[0], residual @ factors[1], rtol=1e-6, atol=1e-6)
            assert_allclose(grad[1], residual.T @ factors[0], rtol=1e-9, atol=1e-9)
    finally:
        sys.setswitchinterval(interval)


def test_broadcast_weights_are_not_expanded_for_long_rows(monkeypatch):
    data = np.ones((4000, 5), np.uint8)
    monkeypatch.setattr(layout, "SMALL_BYTES", 100_000)  # the data alone are smaller
    weighted = DenseTensor(data, entry_weights=np.full((1, 5), 2.0))
    assert weighted._layout.weights.strides[0] == 0
    assert DenseTensor(data)._layout.matrix.shape == (5, 4000)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_short_rows_of_small_data_are_turned_into_long_ones(n_threads, monkeypatch, rng):
    data, weights = rng.normal(size=(5, 201, 61)), rng.uniform(size=(5, 201, 61))
    factors = [rng.normal(size=(n, 3)) for n in data.shape]
    turned = DenseTensor(data, entry_weights=weights)
    monkeypatch.setattr(layout, "SMALL_BYTES", 0)
    kept = DenseTensor(data, entry_weights=weights)
    assert turned._layout.matrix.shape == (61, 1005)
    assert np.shares_memory(kept._layout.matrix, data)
    residual, specs = full(factors) - data, ("abc,br,cr->ar", "abc,ar,cr->br", "abc,ar,br->cr")
    for tensor in (turned, kept):
        value, grad, _, marginals = tensor.loss_mttkrps_and_marginals(Gaussian().formula, factors, n_threads)
        assert_allclose(value, np.sum(weights * residual**2), rtol=1e-12)
        for mode, spec in enumerate(specs):
            others = [n for n in range(3) if n != mode]
            expected = np.einsum(spec, 2.0 * weights * residual, *(factors[n] for n in others))
            assert_allclose(grad[mode], expected, rtol=1e-9, atol=1e-9)
            assert_allclose(marginals[mode], 2.0 * weights.sum(axis=tuple(others)), rtol=1e-12)
    position = int(np.ravel_multi_index((60, 2, 7), (61, 5, 201)))
    assert turned.subscript(position) == (2, 7, 60)


@pytest.mark.parametrize("memory", MEMORY)
def test_positions_of_blocks_lead_back_to_subscripts(memory, rng, monkeypatch):
    monkeypatch.setattr(layout, "CHUNK_ENTRIES", 7)
    data = in_memory(np.arange(60.0).reshape(3, 4, 5), memory, rng)
    tensor = DenseTensor(data)
    seen = 0
    for block in tensor.blocks():
        for offset, x in enumerate(block.x):
            assert data[tensor.subscript(block.first + offset)] == x
            seen += 1
    assert seen == 60


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_same_bits_on_every_run(n_threads, rng, monkeypatch):
    monkeypatch.setattr(dense_pass, "THREAD_ENTRIES", 100)
    tensor = DenseTensor(rng.normal(size=(20, 21, 22)))
    factors = random_factors((20, 21, 22), 4, rng)
    first, *others = [tensor.loss_and_mttkrps(Gaussian().formula, factors, n_threads) for _ in range(5)]
    for other in others:
        assert first[0] == other[0]
        assert all(np.array_equal(a, b) for a, b in zip(first[1], other[1], strict=True))


def scaled_square(k):
    def f(x, m):
        return k * (x - m) * (x - m)

    def df(x, m):
        return 2.0 * k * (m - x)

    return Formula(f, df, df)


def default_square(k):
    def f(x, m, k=k):
        return k * (x - m) * (x - m)

    def df(x, m, k=k):
        return 2.0 * k * (m - x)

    return Formula(f, df, df)


@pytest.mark.parametrize("make", [scaled_square, default_square], ids=["closure", "default argument"])
def test_compiled_code_is_not_reused_for_formulas_with_other_numbers(make):
    # The cache on disk knows a formula by its code; two formulas with equal code may still differ.
    totals = []
    for k in (1.0, 3.0):
        totals.append(compiled(make(k), np.zeros(4), np.ones(4))[2])
    assert totals == [4.0, 12.0]


def test_helpers_of_a_formula_are_part_of_what_is_cached(tmp_path):
    totals = []
    for name, body in (("one", "return t"), ("other", "return 3.0 * t")):
        path = tmp_path / f"{name}.py"
        text = f"def helper(t):\n    {body}\ndef f(x, m):\n    return helper((x - m) * (x - m))\n"
        path.write_text(text)
        scope = {}
        exec(compile(text, path, "exec"), scope)
        formula = Formula(scope["f"], scope["f"], scope["f"])
        totals.append(compiled(formula, np.zeros(4), np.ones(4))[2])
    assert totals == [4.0, 12.0]


@QUICK
@given(
    shape=shapes,
    rank=st.integers(1, 3),
    weighted=st.booleans(),
    n_threads=st.integers(1, 3),
    small=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_marginals_are_the_slice_sums_of_the_weighted_curvature(
    shape, rank, weighted, n_threads, small, seed
):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=shape)
    weights = rng.integers(0, 3, shape) + 0.5 if weighted else None
    factors = random_factors(shape, rank, rng)
    formula = BernoulliLogit().formula._replace(weight=None)  # then the second derivative is meant
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(fused, "ROW_BYTES", 256)
            patch.setattr(dense_pass, "THREAD_ENTRIES", 1)
        tensor = DenseTensor(data, entry_weights=weights)
        value, grads, _, marginals = tensor.loss_mttkrps_and_marginals(formula, factors, n_threads)
    curvature = BernoulliLogit().curvature(data, reference.model_values(factors))
    curvature = curvature if weights is None else weights * curvature
    for mode, marginal in enumerate(marginals):
        others = tuple(n for n in range(len(shape)) if n != mode)
        assert_allclose(marginal, curvature.sum(axis=others), rtol=1e-10, atol=1e-12)
    assert_same((value, grads), brute_force(BernoulliLogit(), data, factors, weights), rtol=1e-10)
