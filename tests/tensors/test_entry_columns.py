"""Scales, offsets and groups of entries, in every kind of tensor.

Truths: the sum of w f(x, s m + o) by einsum, its derivatives by central differences, least squares by NumPy, and
identities of the Poisson loss.
"""

import pickle

import numpy as np
import pytest
from helpers import central_difference, full, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import BernoulliLogit, DenseTensor, Gaussian, ObservedTensor, Poisson, SparseTensor, custom_loss
from gcp.base.alignment import Alignment
from gcp.objectives import fingerprint
from gcp.objectives.terms.main_effects import MainEffects
from gcp.tensors.intake.coerce import as_tensor
from gcp.tensors.parts.sources import source_of
from gcp.tensors.parts.streamed import streamed
from gcp.tensors.rearranged import rearranged
from gcp.tensors.samplers import Controlled, sampler_for

SHAPES = ((7,), (4, 3), (3, 4, 2), (2, 3, 2, 2))
LOSSES = (Poisson(), BernoulliLogit())  # with a closed form for zeros, and without
KINDS = ("dense", "observed", "sparse", "parts", "sparse parts", "streamed", "batch", "sparse batch")


def outer(vectors):
    return full([v[:, None] for v in vectors])


def made(kind, x, w, scale, offset):
    """A tensor with the product of vectors as scales and offsets."""
    s, o = (None if vectors is None else outer(vectors) for vectors in (scale, offset))
    columns = {name: a for name, a in (("scale", s), ("offset", o)) if a is not None}
    if kind.startswith("sparse"):
        subs = np.argwhere((x != 0) | (w != 1))
        at = tuple(subs.T)
        tensor = SparseTensor(subs, x[at], x.shape, w[at])
        tensor = tensor.with_columns(scale=scale, offset=offset)
    elif kind == "streamed":
        return streamed(source_of(x), 9000, weights=[w], columns=columns)
    elif kind in ("observed", "batch"):
        subs = np.argwhere(w >= 0)
        tensor = ObservedTensor(subs, x.reshape(-1), x.shape, w.reshape(-1))
        known = tuple(tensor.subs.T)
        tensor = tensor.with_columns(**{name: a[known] for name, a in columns.items()})
    else:
        tensor = DenseTensor(x, entry_weights=w).with_columns(**columns)
    if kind.endswith("parts"):
        return gcp.partition(tensor, 2)
    if kind.endswith("batch"):  # of all entries, once each
        batch = sampler_for(tensor, "auto").draw(10 * x.size, np.random.default_rng(0))
        return batch.sorted()
    return tensor


def model(factors, effects):
    m = full(factors)
    for n, e in enumerate(effects):
        m = m + e.reshape([-1 if k == n else 1 for k in range(m.ndim)])
    return m


def total(loss, x, w, s, o, factors, effects):
    """The truth."""
    return np.sum(w * loss.value(x, s * model(factors, effects) + o))


def numeric_gradients(function, arrays):
    """Central differences of a function of some arrays in each of their numbers."""
    found = []
    for k, a in enumerate(arrays):
        g = np.empty(a.shape)
        for index in np.ndindex(a.shape):

            def along(t, k=k, index=index):
                def at(number):
                    moved = [b.copy() for b in arrays]
                    moved[k][index] = number
                    return function(moved)

                return np.array([at(number) for number in np.atleast_1d(t)])

            g[index] = central_difference(along, a[index])[0]
        found.append(g)
    return found


def problem(shape, loss, rng, dtype=float):
    x = (rng.integers(0, 2, shape) if loss.name == "bernoulli-logit" else rng.poisson(1.0, shape)).astype(
        dtype
    )
    w = rng.integers(0, 3, shape).astype(float)
    w.flat[0] = x.flat[0] = 1.0
    scale, offset = ([rng.uniform(0.5, 2.0, n) for n in shape] for _ in range(2))
    factors = [a.astype(dtype).astype(float) for a in random_factors(shape, 2, rng, positive=True)]
    effects = [rng.uniform(0.1, 1.0, n) for n in shape]
    return x, w, scale, offset, factors, effects


def assert_close(found, truth, rtol):
    for g, h in zip(found, truth, strict=True):
        assert_allclose(g, h, rtol=rtol, atol=rtol * max(1.0, np.abs(h).max(initial=0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_value_and_gradients_are_those_of_f_at_s_m_plus_o(kind, loss, rng):
    for shape in SHAPES:
        for dtype in (float, np.float32) if len(shape) == 3 else (float,):
            x, w, scale, offset, factors, effects = problem(shape, loss, rng, dtype)
            tensor = made(kind, x, w, scale, offset)
            s, o, n, tol = outer(scale), outer(offset), len(shape), 1e-6 if dtype is float else 1e-3
            for shifts in ([], effects):
                value, grad, effect_grad = tensor.loss_and_mttkrps(loss.formula, factors, 1, shifts)
                assert_allclose(value, total(loss, x, w, s, o, factors, shifts), rtol=1e-3 * tol)
                truth = numeric_gradients(
                    lambda a, n=n, x=x, w=w, s=s, o=o: total(loss, x, w, s, o, a[:n], a[n:]),
                    [*factors, *shifts],
                )
                assert_close([*grad, *effect_grad], truth, tol)


@pytest.mark.parametrize("given", ["scale", "offset", "both"])
@pytest.mark.parametrize("kind", ["dense", "parts", "streamed"])
def test_curvature_sums_are_those_of_f_at_s_m_plus_o(kind, given, rng):
    loss = BernoulliLogit()
    formula = loss.formula._replace(weight=None)
    for shape in SHAPES:
        x, w, scale, offset, factors, effects = problem(shape, loss, rng)
        s = outer(scale) if given != "offset" else np.ones(shape)
        o = outer(offset) if given != "scale" else np.zeros(shape)
        parts = scale if given != "offset" else None, offset if given != "scale" else None
        tensor, m = made(kind, x, w, *parts), model(factors, effects)
        value, grad, *_, marginals = tensor.loss_mttkrps_and_marginals(formula, factors, 1, effects)
        assert_allclose(value, total(loss, x, w, s, o, factors, effects), rtol=1e-9)

        def slope(t, x=x, s=s, o=o):
            return central_difference(lambda u: loss.value(x, s * u + o), t)

        curvature = w * central_difference(slope, m)
        for n, marginal in enumerate(marginals):
            others = tuple(k for k in range(len(shape)) if k != n)
            assert_allclose(marginal, curvature.sum(axis=others), rtol=1e-4, atol=1e-8)
        assert_close(grad, made(kind, x, w, *parts).loss_and_mttkrps(formula, factors, 1, effects)[1], 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_ones_and_zeros_are_as_good_as_no_columns(kind, rng):
    shape = SHAPES[2]
    x, w, *_, factors, effects = problem(shape, Poisson(), rng)
    ones, nulls = ([number * np.ones(n) for n in shape] for number in (1.0, 0.0))
    plain, other = made(kind, x, w, None, None), made(kind, x, w, ones, nulls)
    for loss in LOSSES:
        found, truth = (t.loss_and_mttkrps(loss.formula, factors, 1, effects) for t in (other, plain))
        assert_allclose(found[0], truth[0], rtol=1e-13)
        assert_close([*found[1], *found[2]], [*truth[1], *truth[2]], 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_exposures_make_counts_of_rates(kind, rng):
    # s m - x log(s m) = s (m - (x / s) log m) - x log s: of rates x / s with weights s, but for a constant
    x, w, scale, _, factors, _ = problem(SHAPES[2], Poisson(), rng)
    loss, s = Poisson(eps=1e-300), outer(scale)
    counts, rates = made(kind, x, w, scale, None), DenseTensor(x / s, entry_weights=w * s)
    found, truth = (t.loss_and_mttkrps(loss.formula, factors, 1) for t in (counts, rates))
    assert_allclose(found[0], truth[0] - np.sum(w * x * np.log(s)), rtol=1e-12)
    assert_close(found[1], truth[1], 1e-10)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_columns_that_are_no_products(loss, rng):
    shape = SHAPES[2]
    x, w, _, _, factors, effects = problem(shape, loss, rng)
    s, o = rng.uniform(0.5, 2.0, shape), rng.uniform(0.0, 2.0, shape)
    dense = DenseTensor(x, entry_weights=w).with_columns(scale=s, offset=o)
    observed = ObservedTensor(np.argwhere(w), x[w > 0], shape, w[w > 0])
    observed = observed.with_columns(scale=s[tuple(observed.subs.T)], offset=o[tuple(observed.subs.T)])
    slabs = streamed(source_of(x), 9000, weights=[w], columns={"scale": s, "offset": o})
    again = observed.to_dense()
    truth = numeric_gradients(lambda a: total(loss, x, w, s, o, a[:3], a[3:]), [*factors, *effects])
    for tensor in (dense, observed, slabs, again, gcp.partition(observed, 2)):
        for n_threads in (1, 2):
            value, *grads = tensor.loss_and_mttkrps(loss.formula, factors, n_threads, effects)
            assert_allclose(value, total(loss, x, w, s, o, factors, effects), rtol=1e-9)
            assert_close([*grads[0], *grads[1]], truth, 1e-6)


def test_formulas_that_do_not_compile_know_scales_and_offsets(rng):
    plain = custom_loss(lambda x, m: (x - m) ** 2 / (1 + x), lambda x, m: 2 * (m - x) / (1 + x), name="plain")
    formula = plain.formula._replace(compiled=False)
    x, w, scale, offset, factors, effects = problem(SHAPES[2], Poisson(), rng)
    s, o = outer(scale), outer(offset)
    truth = numeric_gradients(lambda a: total(plain, x, w, s, o, a[:3], a[3:]), [*factors, *effects])
    for kind in ("dense", "observed", "sparse"):
        tensor = made(kind, x, w, scale, offset)
        value, *grads = tensor.loss_and_mttkrps(formula, factors, 1, effects)
        assert_allclose(value, total(plain, x, w, s, o, factors, effects), rtol=1e-9)
        assert_close([*grads[0], *grads[1]], truth, 1e-6)
    *_, marginals = made("dense", x, w, scale, offset).loss_mttkrps_and_marginals(
        formula, factors, 1, effects
    )
    assert_allclose(marginals[1], (w * s**2 * 2 / (1 + x)).sum(axis=(0, 2)), rtol=1e-9)


# --- zeros of sparse data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*LOSSES, Gaussian()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("mask", [False, True])
def test_sparse_data_are_as_good_as_dense_ones_with_the_zeros(loss, mask, rng):
    shape = (4, 3, 5)
    x, _, scale, offset, factors, effects = problem(shape, loss, rng)
    x *= rng.random(shape) < 0.4
    x.flat[0] = 1.0
    modes = [np.ones(n) for n in shape]
    if mask:
        modes[1][2] = 0.0
    sparse = SparseTensor(
        np.argwhere(x), x[x != 0], shape, mode_weights=modes, missing=[[3, 0, 0], [0, 1, 1]]
    )
    sparse = sparse.with_columns(scale=scale, offset=[offset[0], None, offset[2]])
    offset[1] = np.ones(3)
    w = outer(modes)
    w[3, 0, 0] = w[0, 1, 1] = 0.0
    dense = DenseTensor(x, entry_weights=w).with_columns(scale=outer(scale), offset=outer(offset))
    for shifts in ([], effects):
        found, truth = (t.loss_and_mttkrps(loss.formula, factors, 1, shifts) for t in (sparse, dense))
        assert_allclose(found[0], truth[0], rtol=1e-12)
        assert_close([*found[1], *found[2]], [*truth[1], *truth[2]], 1e-11)
    assert_allclose(sparse.to_dense().columns.scale, outer(scale), rtol=1e-14)
    assert_allclose(sparse.to_dense().columns.offset, outer(offset), rtol=1e-14)


@pytest.mark.parametrize("name", ["uniform", "stratified", "semi-stratified"])
def test_batches_of_sparse_data_have_the_columns_of_their_cells(name, rng):
    shape = (4, 3, 5)
    x, _, scale, offset, *_ = problem(shape, Poisson(), rng)
    tensor = SparseTensor(np.argwhere(x), x[x != 0], shape).with_columns(scale=scale, offset=offset)
    listing = sampler_for(tensor, name).draw(200, rng).sorted().listing
    at = tuple(listing.subs[:, listing.order.index(n)] for n in range(3))
    assert_allclose(listing.columns.scale, outer(scale)[at], rtol=1e-14)
    assert_allclose(listing.columns.offset, outer(offset)[at], rtol=1e-14)


def test_controlled_samples_of_all_zeros_give_the_value_of_all_cells(rng):
    shape = (4, 3, 5)
    loss = BernoulliLogit()
    x, _, scale, offset, factors, effects = problem(shape, loss, rng)
    tensor = SparseTensor(np.argwhere(x), x[x != 0], shape).with_columns(scale=scale, offset=offset)
    controlled = Controlled(tensor, is_nonnegative=False)
    sample = controlled.sample(1000, 0.3, rng)
    value, grad, _ = sample.loss_and_mttkrps(loss.formula, factors, 1, effects)
    truth = total(loss, x, np.ones(shape), outer(scale), outer(offset), factors, effects)
    assert_allclose(value, truth, rtol=1e-12)
    assert_close(grad, tensor.loss_and_mttkrps(loss.formula, factors, 1, effects)[1], 1e-10)


# --- row-wise Newton steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "observed", "sparse"])
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_a_gaussian_step_solves_every_row_by_least_squares(kind, shape, rng):
    shape = tuple(2 * n for n in shape)
    x, w, scale, offset, factors, _ = problem(shape, Poisson(), rng)
    s, o = outer(scale), outer(offset)
    tensor = made(kind, x, w + 1.0, scale, offset)
    rows = gcp.build_objective(tensor, "gaussian", l2_reg=0.3).row_wise()
    infinite = np.full((1, 2), -np.inf), np.full((1, 2), np.inf)
    for mode in range(len(shape)):
        before = [a.copy() for a in factors]
        value, _ = rows.update(mode, factors, *infinite, 1.0)
        others = [n for n in range(len(shape)) if n != mode]
        cells = np.stack(np.meshgrid(*(np.arange(shape[n]) for n in others), indexing="ij"), -1)
        z = np.prod([before[n][cells[..., k]] for k, n in enumerate(others)], axis=0).reshape(-1, 2)
        for i in range(shape[mode]):
            si, oi, xi, wi = (np.take(a, i, axis=mode).reshape(-1) for a in (s, o, x, w + 1.0))
            design = si[:, None] * z
            normal = 2 * design.T @ (wi[:, None] * design) + 0.3 * np.eye(2)
            truth = np.linalg.solve(normal, 2 * design.T @ (wi * (xi - oi)))
            assert_allclose(factors[mode][i], truth, rtol=1e-6, atol=1e-7)
        penalty = 0.15 * sum(np.sum(a**2) for a in factors)
        expected = total(Gaussian(), x, w + 1.0, s, o, factors, []) + penalty
        assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["dense", "observed", "sparse"])
def test_row_wise_steps_reach_the_minimum_of_counts_with_exposures(kind, rng):
    shape = (5, 6, 4)
    x, w, scale, offset, _, _ = problem(shape, Poisson(), rng)
    w = w + 1.0
    effects = MainEffects((0, 1, 2), 2)
    tensor = made(kind, x, w, scale, offset)
    if kind == "sparse":
        modes = [rng.uniform(0.5, 2.0, n) for n in shape]
        tensor, w = tensor.weighted(tensor.entry_weights, modes), w * outer(modes)
    objective = gcp.build_objective(tensor, Poisson()).with_effects(effects)
    loss = objective.loss
    rows = objective.row_wise()
    factors = effects.joined(random_factors(shape, 2, rng, positive=True), [np.full(n, 0.3) for n in shape])
    low, high = np.zeros((1, factors[0].shape[1])), np.full((1, factors[0].shape[1]), np.inf)

    def truth(mode, a):
        moved = [*factors[:mode], a, *factors[mode + 1 :]]
        parts = effects.components(moved), effects.vectors(moved)
        return total(loss, x, w, outer(scale), outer(offset), *parts)

    before = np.inf
    for _ in range(60):
        value, _ = rows.update(2, factors, low, high, 1.0)
        assert value <= before + 1e-9 * abs(value)
        before = value
        assert_allclose(value, truth(2, factors[2]), rtol=1e-10)
    column = 2 + effects.modes.index(2)
    (slope,) = numeric_gradients(lambda a: truth(2, a[0]), [factors[2]])
    for k in (0, 1, column):
        free = factors[2][:, k] > 1e-6
        assert_allclose(slope[free, k], 0, atol=1e-4)
        assert np.all(slope[~free, k] > -1e-4)


# --- columns travel ----------------------------------------------------------------------------------------

SHAPE = (4, 5, 3)
NUMBERS = np.arange(60).reshape(SHAPE)
"""Of every cell: its scale is one more, its offset a half of it, its group the number itself."""


def numbered(kind):
    labels = gcp.ModeLabels(["a", "b", "c"], [["p", "q", "r", "s"], list("vwxyz"), [1, 2, 3]])
    x, w = (NUMBERS * 7) % 11 + 1.0, NUMBERS % 4 + 0.5
    x[1, 2, 0] = np.nan
    columns = {"scale": NUMBERS + 1.0, "offset": NUMBERS / 2, "group": NUMBERS}
    if kind == "dense":
        return DenseTensor(x, entry_weights=w, labels=labels).with_columns(**columns)
    subs = np.random.default_rng(0).permutation(np.argwhere(NUMBERS % 7))
    at = tuple(subs.T)
    tensor = ObservedTensor(subs, x[at], SHAPE, w[at], labels)
    return tensor.with_columns(**{name: a[tuple(tensor.subs.T)] for name, a in columns.items()})


def check_numbers(tensor, first=(0, 0, 0), order=None):
    """Every known entry carries what its cell did, found by its data, its weight and its place."""
    if isinstance(tensor, DenseTensor):
        known = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights > 0
        subs, columns = np.argwhere(known), tensor.columns.at(known)
    else:
        subs, columns = tensor.subs, tensor.columns
    assert len(subs)
    cells = subs.astype(int) + first if order is None else order(subs)
    number = NUMBERS[tuple(cells.T)]
    assert np.array_equal(columns.scale, number + 1.0)
    assert np.array_equal(columns.offset, number / 2)
    assert np.array_equal(columns.group, number)
    assert np.array_equal(columns.x, (number * 7) % 11 + 1.0)


@pytest.mark.parametrize("kind", ["dense", "observed"])
def test_columns_stay_with_their_entries(kind, rng):
    tensor = numbered(kind)
    check_numbers(tensor)
    check_numbers(pickle.loads(pickle.dumps(tensor)))
    check_numbers(tensor.in_double())
    check_numbers(tensor.with_values(tensor.values.copy()))
    check_numbers(tensor.with_columns(offset=tensor.columns.offset))
    mask = [None, np.array([True, False, True, True, False]), None]
    whole = mask[1][None, :, None] if kind == "dense" else mask
    check_numbers(as_tensor(tensor, mask=whole))
    check_numbers(as_tensor(tensor, entry_weights=np.full(tensor.values.shape, 2.0)))
    cells = SparseTensor(np.argwhere(NUMBERS % 2), np.ones(30), SHAPE)
    check_numbers(as_tensor(tensor, mask=cells))
    if kind == "observed":
        check_numbers(tensor.to_dense())
        check_numbers(pickle.loads(pickle.dumps(tensor.to_dense())))
    split = gcp.hold_out(tensor, 0.3, random_state=0)
    check_numbers(split.train)
    check_numbers(split.test)


@pytest.mark.parametrize("kind", ["dense", "observed"])
def test_columns_move_with_modes_and_positions(kind):
    tensor = numbered(kind)
    positions = [np.array([2, 0]), np.array([3, 0, 1, 2]), np.array([4, 2, 1])]
    given = Alignment((2, 0, 1), tuple(positions))
    found = rearranged(tensor, given)
    assert found.shape == (2, 4, 3)

    def order(subs):
        return np.stack(
            [positions[1][subs[:, 1]], positions[2][subs[:, 2]], positions[0][subs[:, 0]]], axis=1
        )

    check_numbers(found, order=order)


@pytest.mark.parametrize("kind", ["dense", "observed"])
@pytest.mark.parametrize("mode", range(3))
def test_columns_are_cut_with_their_entries(kind, mode):
    tensor = numbered(kind)
    parted = gcp.partition(tensor, 3, mode=mode)
    for part, (a, _) in zip(parted.engine.parts, parted.cuts.ranges, strict=True):
        check_numbers(part, [a if n == mode else 0 for n in range(3)])
    for first, group in tensor.groups(mode):
        rows = np.repeat(np.arange(len(group.first) - 1), np.diff(group.first)) + first
        of_modes = dict(zip((mode, *group.others), (rows, *group.subs.T), strict=True))
        number = NUMBERS[of_modes[0], of_modes[1], of_modes[2]]
        assert np.array_equal(group.columns.scale, number + 1.0)
        assert np.array_equal(group.columns.offset, number / 2)
        assert np.array_equal(group.columns.group, number)


@pytest.mark.parametrize("kind", ["dense", "observed"])
def test_columns_are_drawn_with_their_entries(kind, rng):
    tensor = numbered(kind)
    for batch in (sampler_for(tensor).draw(25, rng), sampler_for(tensor).draw(25, rng).sorted()):
        listing = batch.listing
        number = NUMBERS[tuple(listing.subs[:, listing.order.index(n)] for n in range(3))]
        assert np.array_equal(listing.columns.scale, number + 1.0)
        assert np.array_equal(listing.columns.offset, number / 2)
        assert np.array_equal(listing.columns.group, number)


def test_columns_are_read_with_their_slabs():
    x = (NUMBERS * 7) % 11 + 1.0
    columns = {"scale": NUMBERS + 1.0, "offset": NUMBERS / 2, "group": NUMBERS}
    tensor = streamed(source_of(x), 9000, columns=columns)
    tensor = as_tensor(tensor, mask=NUMBERS != 7)
    assert tensor.engine.n_parts > 1
    assert tensor.is_affine
    for part, (a, _) in zip(tensor.engine.parts, tensor.cuts.ranges, strict=True):
        check_numbers(part, [a if n == tensor.cuts.mode else 0 for n in range(3)])


def test_sparse_data_keep_the_columns_of_positions(rng):
    scale = [rng.uniform(0.5, 2.0, n) for n in SHAPE]
    x = np.where(NUMBERS % 3, 0, NUMBERS)
    plain = SparseTensor(np.argwhere(x), x[x > 0], SHAPE, missing=[[0, 0, 1]])
    tensor = plain.with_columns(scale=scale, offset=[None, scale[1], None])

    def check(found, places=((0, slice(None)), (1, slice(None)), (2, slice(None)))):
        of_modes = [scale[mode][index] for mode, index in places]
        assert_allclose(outer(found.zeros.scale), outer(of_modes), rtol=1e-14)
        order, subs = found.listing.order, found.listing.subs
        at = tuple(subs[:, order.index(n)] for n in range(3))
        assert_allclose(found.listing.columns.scale, outer(of_modes)[at], rtol=1e-14)
        assert found.listing.columns.offset is not None

    for found in (
        tensor,
        pickle.loads(pickle.dumps(tensor)),
        tensor.in_double(),
        tensor.without(np.array([[1, 1, 1]]), 2.0),
        tensor.with_values(tensor.values + 1),
        tensor.with_columns(scale=scale),
        as_tensor(tensor, mask=[None, np.arange(5) > 1, None]),
        as_tensor(tensor, entry_weights=np.full(len(tensor.values), 2.0)),
        gcp.hold_out(tensor, 0.3, random_state=0).train,
    ):
        check(found)
    parted = gcp.partition(tensor, 2, mode=1)
    for part, (a, b) in zip(parted.engine.parts, parted.cuts.ranges, strict=True):
        check(part, ((0, slice(None)), (1, slice(a, b)), (2, slice(None))))
    known = tensor.nonzeros()
    assert_allclose(known.columns.scale, outer(scale)[tuple(known.subs.T)], rtol=1e-14)
    cells = SparseTensor(np.argwhere(NUMBERS % 2), np.ones(30), SHAPE)
    known = as_tensor(tensor, mask=cells)
    assert_allclose(known.columns.scale, outer(scale)[tuple(known.subs.T)], rtol=1e-14)
    held = gcp.hold_out(tensor, 0.3, random_state=0).test
    assert_allclose(held.columns.scale, outer(scale)[tuple(held.subs.T)], rtol=1e-14)


def test_columns_that_do_not_fit_are_refused():
    dense = DenseTensor(np.ones((2, 3)))
    with pytest.raises(gcp.DataError, match=r"scale has shape \(4,\): expected \(2, 3\)"):
        dense.with_columns(scale=np.ones(4))
    with pytest.raises(gcp.DataError, match="offset must hold real, finite numbers"):
        dense.with_columns(offset=np.array([1.0, np.nan, 0.0]))
    with pytest.raises(gcp.DataError, match="group must hold whole numbers"):
        dense.with_columns(group=np.ones((2, 3)))
    sparse = SparseTensor([[0, 1]], [2.0], (2, 3))
    with pytest.raises(gcp.DataError, match="scale of a SparseTensor has 1 items: expected one per mode, 2"):
        sparse.with_columns(scale=[np.ones(2)])


def test_alternating_least_squares_refuse_scales():
    tensor = DenseTensor(np.ones((3, 4)))
    gcp.build_objective(tensor, "gaussian").least_squares()
    with pytest.raises(gcp.ParameterError, match="scales or offsets of entries"):
        gcp.build_objective(tensor.with_columns(scale=2.0), "gaussian").least_squares()


def test_checkpoints_know_data_by_all_columns():
    def known_by(tensor):
        return fingerprint.of_data(tensor, Poisson())["data"]

    dense = numbered("dense")
    assert known_by(dense) == known_by(numbered("dense"))
    sparse = SparseTensor([[0, 1], [1, 2]], [2, 1], (2, 3))
    ones, twos = [np.ones(2), np.ones(3)], [np.ones(2), np.full(3, 2.0)]
    for tensors in (
        [dense, *(dense.with_columns(**{name: 3}) for name in ("scale", "offset", "group"))],
        [sparse, sparse.with_columns(scale=ones), sparse.with_columns(scale=twos)],
    ):
        assert len({known_by(tensor) for tensor in tensors}) == len(tensors)


def test_files_refuse_columns_that_they_would_lose(tmp_path):
    with pytest.raises(gcp.DataError, match="scales or groups"):
        gcp.write_tensor(tmp_path / "a.npz", numbered("observed"))
    assert not list(tmp_path.iterdir())
