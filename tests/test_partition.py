"""Tensors in parts in this process: sums over the parts against the whole tensor, and what is refused."""

import functools
import gc
import itertools
import pickle
import sys
import weakref

import numpy as np
import pytest
from helpers import full
from numpy.testing import assert_allclose

import gcp
from gcp.kernels.shared import reference
from gcp.tensors.parts.local_engine import LocalEngine
from gcp.tensors.parts.splitting import balanced

SHAPE = (13, 7, 9)


def kinds():
    rng = np.random.default_rng(0)
    x = rng.poisson(2.0, SHAPE).astype(float)
    holes = np.where(rng.random(SHAPE) < 0.2, np.nan, x)
    holes[3] = np.nan  # a slice of nothing
    subs = np.argwhere(x > 3)
    own = rng.uniform(0.5, 2.0, len(subs))
    modes = [np.arange(n) % 4 != 1 for n in SHAPE]
    return {
        "dense": gcp.DenseTensor(x),
        "float32": gcp.DenseTensor(x.astype(np.float32)),
        "fortran": gcp.DenseTensor(np.asfortranarray(x)),
        "missing": gcp.DenseTensor(holes),
        "weighted": gcp.DenseTensor(x, entry_weights=rng.random(SHAPE)),
        "sparse": gcp.SparseTensor(subs, x[x > 3], SHAPE, own, missing=[[0, 0, 0], [5, 5, 5], [12, 6, 8]]),
        "masked sparse": gcp.SparseTensor(subs, x[x > 3], SHAPE, mode_weights=modes),
        "observed": gcp.ObservedTensor(subs, x[x > 3], SHAPE, own),
    }


KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["poisson", "negative-binomial", "gaussian"])
def test_sums_over_parts_are_those_of_the_whole(kind, loss, rng):
    whole = KINDS[kind]
    factors = [rng.uniform(0.1, 1.0, (n, 3)).astype(whole.dtype) for n in SHAPE]
    expected = gcp.build_objective(whole, loss, l2_reg=0.1)
    value, gradients = expected.value_and_grad(factors)
    close = {"rtol": 1e-11, "atol": 1e-11} if whole.dtype == np.float64 else {"rtol": 2e-4, "atol": 1e-3}
    for mode, parts in itertools.product(range(3), (1, 2, 5)):
        objective = gcp.build_objective(gcp.partition(whole, parts, mode=mode), loss, l2_reg=0.1)
        found, own = objective.value_and_grad(factors)
        assert_allclose(found, value, rtol=1e-12 if whole.dtype == np.float64 else 1e-6)
        for g, h in zip(own, gradients, strict=True):
            assert g.dtype == h.dtype
            assert_allclose(g, h, **close)
        assert_allclose(objective.null_value, expected.null_value, rtol=1e-9)
        assert objective.survey.mean == pytest.approx(expected.survey.mean, rel=1e-12)


@pytest.mark.parametrize("kind", ["dense", "missing", "weighted"])
def test_main_effects_and_curvature_of_parts_are_those_of_the_whole(kind, rng):
    whole, formula = KINDS[kind], gcp.get_loss("poisson-log").formula
    factors = [rng.standard_normal((n, 2)) for n in SHAPE]
    effects = [rng.standard_normal(n) for n in SHAPE]
    expected = whole.loss_mttkrps_and_marginals(formula, factors, 1, effects)
    for mode in range(3):
        found = gcp.partition(whole, 4, mode=mode).loss_mttkrps_and_marginals(formula, factors, 1, effects)
        assert_allclose(found[0], expected[0], rtol=1e-12)
        for ours, theirs in zip(found[1:], expected[1:], strict=True):
            for g, h in zip(ours, theirs, strict=True):
                assert_allclose(g, h, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "observed"])
def test_gradients_are_those_of_the_sum_of_squares_by_einsum(kind, rng):
    whole, formula = KINDS[kind], gcp.get_loss("gaussian").formula
    tensor = gcp.partition(whole, 3)
    factors = [rng.standard_normal((n, 2)) for n in SHAPE]
    stored = whole if kind == "dense" else whole.to_dense()
    w = np.ones(SHAPE) if stored.entry_weights is None else stored.entry_weights.astype(float)
    rest = full(factors) - np.where(w > 0, stored.values, 0.0)
    value, grad, _ = tensor.loss_and_mttkrps(formula, factors)
    assert value == pytest.approx(np.sum(w * rest**2), rel=1e-12)
    for g, truth in zip(grad, reference.mttkrps(2 * w * rest, factors), strict=True):
        assert_allclose(g, truth, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("solver", ["auto", "lbfgsb", "plbfgs"])
def test_a_fit_of_parts_ends_where_that_of_the_whole_does(solver):
    whole = KINDS["missing"]
    options = {"loss": "poisson", "solver": solver, "random_state": 0, "tol": 1e-14, "main_effects": True}
    expected = gcp.fit_gcp(whole, 2, **options)
    found = gcp.fit_gcp(gcp.partition(whole, 3), 2, **options)
    assert found.objective == pytest.approx(expected.objective, rel=1e-10)
    assert found.settings["partition"] == {"mode": 0, "sizes": [4, 5, 4], "kind": "dense"}
    again = gcp.fit_gcp(gcp.partition(whole, 3), 2, **options)
    assert again.objective == found.objective


@pytest.mark.parametrize("kind", ["dense", "weighted", "sparse", "observed"])
def test_samples_of_parts_have_the_whole_as_their_expectation(kind, rng):
    from gcp.objectives.views.sampled import Sampling

    whole = KINDS[kind]
    factors = [rng.uniform(0.1, 1.0, (n, 2)) for n in SHAPE]
    value, gradients = gcp.build_objective(whole, "poisson").value_and_grad(factors)
    objective = gcp.build_objective(gcp.partition(whole, 3), "poisson")
    draws = 400
    found = [
        objective.sampled(Sampling(samples=60, value_samples=60), _seeds(k)).value_and_grad(factors)
        for k in range(draws)
    ]
    values = np.array([one[0] for one in found])
    assert abs(values.mean() - value) < 5 * values.std() / np.sqrt(draws)
    for n, expected in enumerate(gradients):
        own = np.array([one[1][n] for one in found])
        error = np.abs(own.mean(axis=0) - expected)
        assert (error <= 6 * own.std(axis=0) / np.sqrt(draws) + 1e-9).all()


def _seeds(k):
    return np.random.SeedSequence(k, spawn_key=(0,)), np.random.SeedSequence(k, spawn_key=(1,))


def test_adam_of_parts_repeats_itself_and_ends_at_the_optimum():
    tensor = gcp.partition(KINDS["sparse"], 3)
    options = {"loss": "poisson", "random_state": 0, "solver": gcp.Adam(epoch_iters=100, n_iter_max=8)}
    one, two = (gcp.fit_gcp(tensor, 2, **options) for _ in range(2))
    assert one.objective == two.objective
    exact = gcp.fit_gcp(tensor, 2, loss="poisson", random_state=0, solver="lbfgsb")
    assert one.objective < 1.1 * exact.objective


def test_a_fit_of_parts_goes_on_from_a_checkpoint(tmp_path):
    tensor, path = gcp.partition(KINDS["missing"], 3), tmp_path / "fit.npz"
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 30}
    expected = gcp.fit_gcp(tensor, 2, **options)

    def stop(state):
        if state.iteration == 9:
            raise KeyboardInterrupt

    gcp.fit_gcp(tensor, 2, **options, checkpoint=path, checkpoint_every=0, callback=stop)
    assert gcp.fit_gcp(tensor, 2, **options, checkpoint=path).objective == expected.objective
    other = gcp.DenseTensor(np.where(np.isnan(KINDS["missing"].values), 1.0, KINDS["missing"].values))
    with pytest.raises(gcp.DataError, match="other data"):
        gcp.fit_gcp(gcp.partition(other, 3), 2, **options, checkpoint=path)


@pytest.mark.parametrize(
    ("known", "work", "parts"),
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], 4),
        ([1, 0, 0, 1], [1, 0, 0, 9], 2),
        ([0, 0, 1, 1, 0], [5, 5, 5, 5, 5], 2),
        ([1] * 10, [100, *[1] * 9], 3),
        ([1] * 10, [*[1] * 9, 100], 3),
        ([0, 1, 0], [1, 1, 1], 1),
    ],
)
def test_every_part_has_a_known_entry(known, work, parts):
    known = np.array(known, bool)
    sizes = balanced(known, np.array(work, float), parts)
    assert len(sizes) == parts
    assert sum(sizes) == len(known)
    ends = np.cumsum([0, *sizes])
    assert all(known[a:b].any() for a, b in itertools.pairwise(ends))


def test_cuts_share_the_work():
    rng = np.random.default_rng(0)
    subs = np.stack([np.minimum(rng.geometric(0.05, 20_000) - 1, 199), rng.integers(0, 50, 20_000)], axis=1)
    tensor = gcp.SparseTensor(subs, np.ones(20_000), (200, 50), aggregate="sum")
    sizes = gcp.partition(tensor, 4).engine.facts()
    listed = [facts.n_stored for facts in sizes]
    assert max(listed) < 1.4 * min(listed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "number of parts"),
        ({"parts": 0}, "parts must be an integer >= 1"),
        ({"parts": 50}, "only 13 positions"),
        ({"parts": 2, "mode": 3}, "Unknown mode 3: expected 0 to 2"),
        ({"parts": 2, "mode": True}, "Unknown mode True"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(gcp.ParameterError, match=message):
        gcp.partition(KINDS["dense"], **arguments)


def test_what_needs_one_piece_says_so():
    tensor = gcp.partition(KINDS["dense"], 2)
    result = gcp.fit_gcp(tensor, 1, random_state=0)
    with pytest.raises(gcp.ParameterError, match="in parts already"):
        gcp.partition(tensor, 2)
    with pytest.raises(gcp.DataError, match="one piece"):
        gcp.hold_out(tensor, 0.1)
    with pytest.raises(gcp.DataError, match="one piece"):
        gcp.analysis.anomalies(result, tensor)
    with pytest.raises(gcp.DataError, match="give mask and weights"):
        gcp.fit_gcp(tensor, 1, mask=np.ones(SHAPE, bool))
    for solver in ("als", "rows", "sampled-rows"):
        with pytest.raises(gcp.ParameterError, match=r"parts|unlisted zeros"):
            gcp.fit_gcp(tensor, 1, solver=solver)
    with pytest.raises(gcp.ParameterError, match="svd"):
        gcp.fit_gcp(tensor, 1, init="svd")


def test_the_first_bad_datum_is_named_as_in_the_whole():
    x = np.ones(SHAPE)
    x[8, 2, 3] = x[11, 0, 0] = -1.0
    for data in (x, gcp.partition(x, 4)):
        with pytest.raises(gcp.DomainError, match=r"-1.0 at subscript \(8, 2, 3\), and 1 more"):
            gcp.fit_gcp(data, 1, loss="poisson")


def test_result_evaluations_take_parts():
    whole = KINDS["missing"]
    result = gcp.fit_gcp(whole, 2, loss="poisson", random_state=0)
    tensor = gcp.partition(whole, 3)
    assert result.deviance_explained(tensor) == pytest.approx(result.deviance_explained(whole), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_that_has_travelled_gives_the_same_bits_and_is_sent_once(kind, rng):
    whole = KINDS[kind]
    objective = gcp.build_objective(whole, "poisson")
    factors = [rng.uniform(0.1, 1.0, (n, 2)).astype(whole.dtype) for n in SHAPE]
    value, gradients = objective.value_and_grad(factors)
    text = pickle.dumps(whole, protocol=5)
    found, own = gcp.build_objective(pickle.loads(text), "poisson").value_and_grad(factors)
    assert found == value
    for g, h in zip(own, gradients, strict=True):
        assert np.array_equal(g, h)
    if isinstance(whole, gcp.DenseTensor):
        weights = 0 if whole.entry_weights is None else whole.entry_weights.nbytes
        assert len(text) < whole.values.nbytes + weights + 2000
        assert sys.getsizeof(whole) >= whole.values.nbytes + weights
        assert np.array_equal(pickle.loads(text).values, whole.values, equal_nan=True)


def test_parts_go_when_their_tensor_goes():
    tensor = gcp.partition(KINDS["sparse"], 3)
    parts = [weakref.ref(part) for part in tensor.engine.parts]
    solver = gcp.Adam(epoch_iters=5, n_iter_max=2, polish=False)
    gcp.fit_gcp(tensor, 2, loss="poisson", random_state=0, solver=solver)
    del tensor
    gc.collect()
    assert not any(part() for part in parts)


@pytest.mark.parametrize("parts", [2, 8, 9, 20, 70])
def test_sums_have_the_order_of_a_tree(parts, rng):
    """That of an engine of workers: eight terms one after the other, then as many of these sums."""
    terms = [[10.0 ** rng.uniform(-8, 8, 3)] for _ in range(parts)]
    level = [term[0] for term in terms]
    while len(level) > 1:
        level = [functools.reduce(np.add, level[k : k + 8]) for k in range(0, len(level), 8)]
    engine = LocalEngine([gcp.DenseTensor(np.ones((1, 1)))] * parts)
    sums, _ = engine.total(lambda part, shared, own, threads: (own, []), (), None, terms, 1)
    assert np.array_equal(sums[0], level[0])


def test_slices_without_weight_are_no_part_of_their_own():
    shape = (4, 3)
    weights = np.repeat([1.0, 1.0, 0.0, 0.0], 3)
    subs = np.argwhere(np.ones(shape))
    tensor = gcp.SparseTensor(subs, np.arange(1.0, 13.0), shape, weights)
    assert gcp.partition(tensor, 2, mode=np.int64(0)).cuts.sizes == (1, 3)
    with pytest.raises(gcp.ParameterError, match="only 2 positions"):
        gcp.partition(tensor, 3)
