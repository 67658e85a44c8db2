"""Comparison of models against brute force over permutations, TensorLy, and hand-made degeneracies."""

from itertools import permutations

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose
from tensorly.cp_tensor import CPTensor
from tensorly.metrics import congruence_coefficient

from gcp import ObservedTensor, ParameterError, SparseTensor, fit_gcp, simulate
from gcp.analysis import align, congruence, core_consistency, degeneracies, factor_match_score

SHAPE = (6, 5, 4)


def model(rng, rank=3, shape=SHAPE):
    return rng.uniform(0.5, 3, rank), random_factors(shape, rank, rng)


def by_definition(one, other, weights):
    """The score from its formula, over all permutations."""
    (v, a), (w, b) = one, other
    v = v * np.prod([np.linalg.norm(f, axis=0) for f in a], axis=0)
    w = w * np.prod([np.linalg.norm(f, axis=0) for f in b], axis=0)
    best = 0.0
    for order in permutations(range(len(v)), len(w)):
        total = 0.0
        for k, j in enumerate(order):
            term = 1 - abs(v[j] - w[k]) / max(v[j], w[k]) if weights else 1.0
            for f, g in zip(a, b, strict=True):
                term *= abs(f[:, j] @ g[:, k]) / np.linalg.norm(f[:, j]) / np.linalg.norm(g[:, k])
            total += term
        best = max(best, total / len(w))
    return best


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("ranks", [(3, 3), (4, 2)])
def test_the_score_is_the_best_over_permutations(weights, ranks, rng):
    one, other = model(rng, ranks[0]), model(rng, ranks[1])
    found = factor_match_score(one, other, weights=weights)
    assert_allclose(found.score, by_definition(one, other, weights))
    assert_allclose(factor_match_score(other, one, weights=weights).score, found.score)
    assert_allclose(found.similarities.mean(), found.score)


def test_a_model_is_itself_in_any_order_sign_and_scale(rng):
    weights, factors = model(rng)
    order = np.array([2, 0, 1])
    a, b, c = (f[:, order] for f in factors)
    same = CPTensor((weights[order] / 2, [-a, 4 * b, -c / 2]))
    found = factor_match_score(same, (weights, factors))
    assert_allclose(found.score, 1.0)
    np.testing.assert_array_equal(order[found.first], found.second)
    assert_allclose(np.sort(np.abs(congruence(same, (weights, factors))), axis=1)[:, -1], 1.0)
    halved = factor_match_score((weights / 2, factors), (weights, factors))
    assert_allclose(halved.score, 0.5)
    assert_allclose(factor_match_score((weights / 2, factors), (weights, factors), weights=False).score, 1.0)


def test_one_mode_agrees_with_tensorly(rng):
    one, other = model(rng), model(rng)
    expected, order = congruence_coefficient(one[1][1], other[1][1])
    found = factor_match_score(one, other, modes=[1])
    assert_allclose(found.score, expected)
    pairs = dict(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert [pairs[k] for k in range(3)] == list(order) or [pairs[k] for k in np.argsort(order)] == [0, 1, 2]


def test_aligned_models_have_the_same_entries(rng):
    weights, factors = model(rng)
    order, signs = [1, 2, 0], np.array([-1.0, 1.0, -1.0])
    other = weights[order], [factors[0][:, order] * signs, factors[1][:, order] * signs, factors[2][:, order]]
    back_weights, back = align(other, (weights, factors))
    assert_allclose(back_weights, weights)
    for a, b in zip(back, factors, strict=True):
        assert_allclose(a, b)
    noisy = weights, [a + 0.1 * rng.normal(size=a.shape) for a in factors]
    turned = (noisy[0], [-noisy[1][0], *noisy[1][1:]])  # an odd number of signs cannot be mended
    aligned = align(turned, (weights, factors))
    assert_allclose(full(aligned[1], aligned[0]), full(turned[1], turned[0]))
    assert isinstance(align(CPTensor(other), (weights, factors)), CPTensor)


def test_results_stay_results_and_extra_components_come_last():
    data, truth = simulate((10, 9, 8), 2, random_state=0)
    rng = np.random.default_rng(0)
    signs = (-1, -1, 1)
    start = [
        np.column_stack([5 * rng.normal(size=len(a)), sign * a[:, 1], a[:, 0]])
        for a, sign in zip(truth.factors, signs, strict=True)
    ]
    result = fit_gcp(data, 3, init=start, n_iter_max=0)
    found = align(result, truth)
    assert type(found) is type(result)
    assert_allclose(found.model_values(), result.model_values())
    match = factor_match_score(found, truth, weights=False)
    assert match.first.tolist() == [0, 1]
    assert match.score > 0.99
    for a, b in zip(found.factors, truth.factors, strict=True):
        assert (np.sum(a[:, :2] * b, axis=0) > 0).all()


def test_components_that_are_switched_off_match_nothing(rng):
    weights, factors = model(rng)
    weights = weights.copy()
    weights[1] = 0
    factors[0][:, 1] = 0
    found = factor_match_score((weights, factors), (weights, factors))
    assert_allclose(found.score, 2 / 3)
    assert (congruence((weights, factors), (weights, factors))[1] == 0).all()


def test_degenerate_pairs_are_found(rng):
    weights, factors = model(rng)
    assert degeneracies((weights, factors)) == []
    for n, a in enumerate(factors):
        a[:, 2] = (-1 if n == 0 else 1) * (a[:, 0] + 0.05 * rng.normal(size=len(a)))
    (found,) = degeneracies((weights, factors))
    assert (found.first, found.second) == (0, 2)
    assert -1 < found.congruence < -0.85


def test_congruence_is_the_cosine_of_rank_one_tensors(rng):
    """Signs of weights included, which other packages leave negative; so pairs that cancel by them are found."""
    models = []
    for weights in ([2.0, -3.0, 0.0], [-1.0, 4.0]):
        factors = random_factors((4, 3, 5), len(weights), rng)
        models.append((np.array(weights), factors))
    flat = [
        [full([a[:, [r]] for a in factors], weights[[r]]).ravel() for r in range(len(weights))]
        for weights, factors in models
    ]
    dots = [[a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300) for b in flat[1]] for a in flat[0]]
    assert_allclose(congruence(*models), dots, atol=1e-12)
    twice = [np.repeat(a[:, :1], 2, axis=1) for a in models[0][1]]
    (found,) = degeneracies((np.array([1.0, -0.9]), twice))
    assert_allclose(found.congruence, -1)


# --- core consistency --------------------------------------------------------------------------------------


def by_least_squares(x, weights, factors):
    """The core from the normal regression on all products of columns."""
    rank = len(weights)
    design = np.einsum("ap,bq,cr->abcpqr", weights * factors[0], *factors[1:]).reshape(x.size, rank**3)
    core = np.linalg.lstsq(design, x.ravel(), rcond=None)[0].reshape((rank,) * 3)
    unit = np.zeros((rank,) * 3)
    unit[np.arange(rank), np.arange(rank), np.arange(rank)] = 1
    return 100 * (1 - np.sum((core - unit) ** 2) / rank)


@pytest.mark.parametrize("loss", ["gaussian", "poisson"])
def test_core_consistency_is_the_regression(loss, rng):
    data, _ = simulate((9, 8, 7), 2, loss, random_state=0)
    for rank in (2, 3):
        result = fit_gcp(data, rank, loss=loss, random_state=0, n_iter_max=200)
        x = np.asarray(data.values, dtype=float)
        expected = by_least_squares(x, result.weights, result.factors)
        assert_allclose(core_consistency(result, data), expected, rtol=1e-5, atol=1e-5)


def test_right_and_wrong_ranks(rng):
    factors = random_factors((12, 11, 10), 2, rng)
    x = full(factors) + 0.05 * rng.normal(size=(12, 11, 10))
    right = fit_gcp(x, 2, random_state=0)
    assert core_consistency(right, x) > 99
    wrong = fit_gcp(x, 4, random_state=0)
    assert core_consistency(wrong, x) < 60
    known = rng.random(x.shape) < 0.7
    listed = ObservedTensor(np.argwhere(known), x[known], x.shape)
    fitted = fit_gcp(listed, 2, random_state=0)
    assert core_consistency(fitted, listed) > 99
    assert_allclose(core_consistency(fitted, x, mask=known), core_consistency(fitted, listed))


def test_main_effects_and_sparse_data(rng):
    factors = random_factors((12, 11, 10), 2, rng, positive=True)
    counts = rng.poisson(3 * full(factors)).astype(float)
    sparse = SparseTensor(np.argwhere(counts), counts[counts > 0], counts.shape)
    result = fit_gcp(sparse, 2, loss="poisson", random_state=0)
    assert_allclose(core_consistency(result, sparse), core_consistency(result, counts))
    effects = fit_gcp(full(factors) + 5.0 + rng.normal(size=(12, 1, 1)), 2, main_effects=True, random_state=0)
    assert core_consistency(effects, effects.model_values()) > 99.9


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (3, None, "Expected a FitResult"),
        ((np.ones(2), [np.ones((3, 2)), np.ones((3, 1))]), None, "as many columns"),
        ((np.ones(1), [np.ones((3, 1))]), (np.ones(1), [np.ones((4, 1))]), "shapes"),
        ((np.ones(1), []), None, "Expected"),
    ],
)
def test_refusals(one, other, message):
    with pytest.raises(ParameterError, match=message):
        factor_match_score(one, one if other is None else other)


def test_more_refusals(rng):
    weights, factors = model(rng)
    with pytest.raises(ParameterError, match="modes"):
        factor_match_score((weights, factors), (weights, factors), modes=[7])
    x = rng.normal(size=SHAPE)
    additive = fit_gcp(x, 0, main_effects=True)
    with pytest.raises(ParameterError, match="at least one component"):
        core_consistency(additive, x)
    assert factor_match_score(additive, additive).score == 1.0
