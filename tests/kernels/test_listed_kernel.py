"""Rung 2: passes over listed entries against einsum on the dense tensor."""

import numpy as np
import pytest
from helpers import LOSSES, full, interior_points, random_factors, short
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gcp import Poisson, custom_loss
from gcp.kernels.listed import listed_pass, ordering, power_sums, radix
from gcp.kernels.shared import reference, vector
from gcp.kernels.shared.columns import CellColumns, EntryColumns

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)


def make_listing(shape, rng, share=0.6, x=None, weighted=False, zeros=False):
    """A sorted listing of some cells of a random tensor, and dense arrays of x, w and z."""
    listed_cells = rng.random(shape) < share
    listed_cells.flat[rng.integers(listed_cells.size)] = True
    x = rng.poisson(2.0, shape).astype(float) if x is None else x
    w = np.where(listed_cells, rng.integers(0, 3, shape) if weighted else 1.0, 0.0).astype(float)
    z = np.where(listed_cells, rng.random(shape) if zeros else 1.0, 0.0)
    subs = np.argwhere(listed_cells)
    order = tuple(sorted(range(len(shape)), key=lambda n: (-shape[n], n)))
    subs = subs[np.lexsort([subs[:, n] for n in reversed(order)])]
    at = tuple(subs.T)
    listing = listed_pass.Listing(
        shape,
        order,
        np.ascontiguousarray(subs[:, order].astype(np.uint32)),
        EntryColumns(x[at], w[at] if weighted else None),
        z[at] if zeros else None,
    )
    return listing, x, w, z


def dense_truth(loss, x, w, z, factors, effects, zero):
    """Value and gradients by einsum."""
    m = full(factors)
    for n, e in enumerate(effects):
        m = m + e.reshape([-1 if k == n else 1 for k in range(m.ndim)])
    a, b = zero
    value = np.sum(w * loss.value(x, m)) - np.sum(z * (a * m + b * m**2))
    y = w * loss.deriv(x, m) - z * (a + 2 * b * m)
    sums = [y.sum(axis=tuple(k for k in range(m.ndim) if k != n)) for n in range(m.ndim)]
    return value, reference.mttkrps(y, factors), sums if effects else []


def assert_same(got, expected, rtol):
    assert_allclose(got[0], expected[0], rtol=rtol, atol=rtol)
    assert [len(part) for part in got[1:]] == [len(part) for part in expected[1:]]
    for a, b in zip([*got[1], *got[2]], [*expected[1], *expected[2]], strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=rtol, atol=rtol * max(np.abs(b).max(initial=0), 1.0))


@QUICK
@given(
    shape=shapes,
    rank=st.integers(0, 9),
    dtype=st.sampled_from([np.float32, np.float64]),
    weighted=st.booleans(),
    zeros=st.booleans(),
    with_effects=st.booleans(),
    n_threads=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_pass_equals_einsum(shape, rank, dtype, weighted, zeros, with_effects, n_threads, seed):
    rng = np.random.default_rng(seed)
    listing, x, w, z = make_listing(shape, rng, weighted=weighted, zeros=zeros)
    factors = random_factors(shape, rank, rng, positive=True)
    effects = [rng.uniform(0.1, 1.0, n) for n in shape] if with_effects or rank == 0 else []
    zero = (0.7, 0.3) if zeros else (0.0, 0.0)
    loss = Poisson()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed_pass, "THREAD_ENTRIES", 1)
        got = listed_pass.loss_and_mttkrps(
            listing, loss.formula, factors, np.dtype(dtype), n_threads, effects=effects, zero=zero
        )
    expected = dense_truth(loss, x, w, z, factors, effects, zero)
    assert_same(got, expected, rtol=1e-4 if dtype == np.float32 else 1e-10)
    assert all(g.dtype == dtype for g in got[1])


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_every_loss_over_many_runs(loss, rng):
    shape = (23, 17, 11)  # several runs of entries, the last one short
    x = interior_points(loss, int(np.prod(shape)), rng)[0].reshape(shape)
    listing, x, w, z = make_listing(shape, rng, x=x, weighted=True)
    factors = random_factors(shape, 3, rng, positive=loss.model_domain.low == 0)
    got = listed_pass.loss_and_mttkrps(listing, loss.formula, factors, np.dtype(float), 2)
    assert_same(got, dense_truth(loss, x, w, z, factors, [], (0.0, 0.0)), rtol=1e-9)


def test_formulas_that_do_not_compile_give_the_same(rng):
    from scipy.special import j0

    shape = (7, 6, 5)
    listing, x, w, z = make_listing(shape, rng, weighted=True, zeros=True)
    factors = random_factors(shape, 2, rng, positive=True)
    effects = [rng.uniform(0.1, 1.0, n) for n in shape]
    # m - x log m with a term in x alone that only SciPy knows
    plain = custom_loss(lambda x, m: m - x * np.log(m) + j0(x), lambda x, m: 1 - x / m, name="by-scipy")
    assert not plain.formula.compiled
    got = listed_pass.loss_and_mttkrps(
        listing, plain.formula, factors, np.dtype(float), 2, effects=effects, zero=(0.5, 0.2)
    )
    expected = dense_truth(Poisson(eps=1e-300), x, w, z, factors, effects, (0.5, 0.2))
    shift = np.sum(w * j0(x))
    assert_same(got, (expected[0] + shift, *expected[1:]), rtol=1e-9)


def test_nan_under_weight_zero_stays_there(rng):
    listing, *_ = make_listing((6, 5, 4), rng, weighted=True)
    hidden = np.where(listing.w == 0, np.nan, listing.x)
    factors = random_factors((6, 5, 4), 2, rng, positive=True)
    one, two = (
        listed_pass.loss_and_mttkrps(
            listed_pass.Listing(listing.shape, listing.order, listing.subs, EntryColumns(x, listing.w)),
            Poisson().formula,
            factors,
            np.dtype(float),
            1,
        )
        for x in (listing.x, hidden)
    )
    assert one[0] == two[0]
    assert all(np.array_equal(a, b) for a, b in zip(one[1], two[1], strict=True))


def test_same_bits_on_every_run_with_the_same_threads(rng):
    shape = (40, 30, 50)
    listing, *_ = make_listing(shape, rng)
    factors = random_factors(shape, 5, rng, positive=True)
    for n_threads in (1, 2, 3):
        first, *others = (
            listed_pass.loss_and_mttkrps(listing, Poisson().formula, factors, np.dtype(float), n_threads)
            for _ in range(4)
        )
        for other in others:
            assert first[0] == other[0]
            assert all(np.array_equal(a, b) for a, b in zip(first[1], other[1], strict=True))


def test_a_slice_with_almost_all_entries_is_shared_too(rng):
    # cuts at slices would leave a thread without work: then each adds up gradients of its own
    shape = (3, 2, 1000)
    x = np.ones(shape)
    subs = np.argwhere(x)[:, [2, 0, 1]].astype(np.uint32)
    subs[:, 0] = np.where(np.arange(len(subs)) < 5900, 7, subs[:, 0])
    subs = np.unique(subs, axis=0)
    listing = listed_pass.Listing(
        shape, (2, 0, 1), np.repeat(subs, 10, axis=0), EntryColumns(np.ones(10 * len(subs)))
    )
    factors = random_factors(shape, 2, rng, positive=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed_pass, "THREAD_ENTRIES", 1)
        one, three = (
            listed_pass.loss_and_mttkrps(listing, Poisson().formula, factors, np.dtype(float), n)
            for n in (1, 3)
        )
    assert_same(three, one, rtol=1e-12)


@QUICK
@given(shape=shapes, rank=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_linear_maps_are_adjoint(shape, rank, seed):
    # <J d, y> = <d, J' y>, J d by einsum at the listed entries
    rng = np.random.default_rng(seed)
    listing, *_ = make_listing(shape, rng)
    factors, direction = random_factors(shape, rank, rng), random_factors(shape, rank, rng)
    moved = sum(
        full([direction[k] if k == n else factors[k] for k in range(len(shape))]) for n in range(len(shape))
    )
    subs = listing.subs[:, np.argsort(listing.order)]
    y = rng.normal(size=len(subs))
    left = y @ moved[tuple(subs.T)]
    back, _ = listed_pass.mttkrps(listing, y, factors, (), np.dtype(float))
    right = sum(np.vdot(d, g) for d, g in zip(direction, back, strict=True))
    assert_allclose(left, right, rtol=1e-9, atol=1e-9)
    found = listed_pass.model_values(listing, factors, (), np.dtype(float))
    assert_allclose(found, full(factors)[tuple(subs.T)], rtol=1e-12, atol=1e-12)


# --- sorting -----------------------------------------------------------------------------------------------


@QUICK
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    n=st.integers(0, 40),
    large=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_orders_are_those_of_lexsort(shape, n, large, seed):
    rng = np.random.default_rng(seed)
    sizes = tuple(10**12 * s for s in shape) if large else shape  # too long to count
    subs = np.stack([rng.integers(s, size=n) for s in sizes], axis=1)
    order = tuple(rng.permutation(len(shape)).tolist())
    expected = np.lexsort([subs[:, k] for k in reversed(order)])
    found, permutation = radix.sorted_rows(subs, sizes, order, 2)
    assert np.array_equal(np.arange(n) if permutation is None else permutation, expected)
    assert np.array_equal(found, subs[expected][:, order])
    if not large:
        permutation, first = ordering.grouped(subs, 0, sizes[0])
        assert np.array_equal(permutation, np.argsort(subs[:, 0], kind="stable"))
        assert np.array_equal(np.diff(first), np.bincount(subs[:, 0], minlength=sizes[0]))


# --- sums over all cells -----------------------------------------------------------------------------------


@QUICK
@given(
    shape=shapes,
    rank=st.integers(0, 4),
    with_effects=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_moments_are_sums_over_all_cells(shape, rank, with_effects, weighted, seed):
    rng = np.random.default_rng(seed)
    factors = random_factors(shape, rank, rng)
    effects = [rng.normal(size=n) for n in shape] if with_effects or rank == 0 else []
    u = [rng.random(n) for n in shape]
    w = full([v[:, None] for v in u]) if weighted else np.ones(shape)
    m = full(factors) if rank else np.zeros(shape)
    for n, e in enumerate(effects):
        m = m + e.reshape([-1 if k == n else 1 for k in range(m.ndim)])
    a, b = 0.4, -1.3
    cells = CellColumns(u if weighted else None)
    value, grad, effect_grad = power_sums.polynomial((a, b), factors, effects, cells)
    y = w * (a + 2 * b * m)
    assert_allclose(value, np.sum(w * (a * m + b * m**2)), rtol=1e-9, atol=1e-9)
    for n, (g, truth) in enumerate(zip(grad, reference.mttkrps(y, factors), strict=True)):
        assert_allclose(g, truth, rtol=1e-9, atol=1e-9 * max(1, np.abs(truth).max(initial=0)))
        if effects:
            sums = y.sum(axis=tuple(k for k in range(len(shape)) if k != n))
            assert_allclose(effect_grad[n], sums, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("with_effects", [False, True])
def test_a_slice_of_the_moments_is_a_quadratic_in_its_row(with_effects, rng):
    shape, mode, row = (4, 3, 5), 1, 2
    factors, effects = random_factors(shape, 2, rng), [rng.normal(size=n) for n in shape]
    effects = effects if with_effects else []
    a, b = 0.4, 1.3
    sums = power_sums.of_rows((a, b), factors, effects, mode)
    unknowns = np.append(factors[mode][row], effects[mode][row]) if effects else factors[mode][row]
    found = sums.linear.sum(axis=0) @ unknowns + 0.5 * unknowns @ sums.quadratic @ unknowns
    found += sums.constant / shape[mode]  # which is the same in every row
    m = full(factors)
    for n, e in enumerate(effects):
        m = m + e.reshape([-1 if k == n else 1 for k in range(3)])
    assert_allclose(found, np.sum(a * m[:, row] + b * m[:, row] ** 2), rtol=1e-10)


# --- vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_padded_to_whole_vectors_and_aligned(dtype):
    dtype = np.dtype(dtype)
    for width in range(70):
        padded = vector.padded(width, dtype)
        assert padded >= max(width, 1)
        assert padded % vector.lanes(dtype) == 0
        assert padded - max(width, 1) < vector.lanes(dtype)
    array = vector.zeros(5, vector.padded(10, dtype), dtype)
    assert array.dtype == dtype
    assert not array.any()
    assert array.ctypes.data % 32 == 0
    assert array.strides[0] % 32 == 0
