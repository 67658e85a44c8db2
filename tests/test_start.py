"""Where fits begin: the model's mean matches the data's; given models are kept; seeds decide alone."""

import numpy as np
import pytest
import tensorly as tl
from helpers import LOSSES, full, random_factors, short
from numpy.testing import assert_allclose

from gcp import Gaussian, Huber, ParameterError, Poisson, fit_gcp

SHAPE = (12, 10, 8)


def begin(data, rank=3, **options):
    """The model at the start, unchanged."""
    return fit_gcp(data, rank, n_iter_max=0, **({"random_state": 0} | options))


def data_of(loss, level, rng):
    """Data whose mean is about `level` (a probability for binary losses)."""
    if loss.data_domain.high == 1:
        return (rng.random(SHAPE) < level).astype(int)
    if np.isfinite(loss.data_domain.high):  # categories
        return rng.integers(loss.data_domain.low, loss.data_domain.high + 1, SHAPE)
    if loss.data_domain.integer:
        return np.maximum(rng.poisson(level, SHAPE), int(loss.data_domain.low))
    if loss.data_domain.low == 0:
        return rng.gamma(2.0, level / 2, SHAPE)
    return rng.normal(level, 0.1 * level, SHAPE)


LEVELS = {True: (0.02, 0.3, 0.5, 0.9, 0.99), False: (0.03, 0.5, 1.0, 20.0, 3000.0)}


OF_MEANS = [loss for loss in LOSSES if not loss.name.startswith(("hurdle", "ordinal"))]
"""The mean of a hurdle is that of its gate, too; that of categories has no level to move."""


@pytest.mark.parametrize(
    ("loss", "level"),
    [(loss, level) for loss in OF_MEANS for level in LEVELS[loss.data_domain.high == 1]],
    ids=lambda value: short(value) if hasattr(value, "name") else str(value),
)
@pytest.mark.parametrize("rank", [1, 4])
def test_random_start_has_the_mean_of_the_data(loss, level, rank, rng):
    data = data_of(loss, level, rng)
    means = [begin(data, rank, loss=loss, random_state=k).predict().mean() for k in range(3)]
    # Under a log or logit link the spread of m moves the mean; a factor of 2 is 0.7 in m.
    assert_allclose(np.log2(means / data.mean()), 0, atol=1)


@pytest.mark.parametrize("loss", [Poisson(), Gaussian(), Huber()], ids=short)
def test_identity_links_match_the_mean_exactly(loss, rng):
    data = rng.poisson(4.0, SHAPE)
    assert_allclose(begin(data, loss=loss).predict().mean(), data.mean(), rtol=1e-6)


@pytest.mark.parametrize("mean", [-5.0, 0.0, 0.01])
def test_gaussian_start_follows_negative_and_vanishing_means(mean, rng):
    data = rng.normal(mean, 1.0, SHAPE)
    assert_allclose(begin(data).predict().mean(), data.mean(), atol=1e-6)


def test_only_observed_entries_count_for_the_mean(rng):
    data = rng.poisson(4.0, SHAPE).astype(float)
    mask = np.ones(SHAPE, bool)
    mask[0, 1:] = False  # something is known of every position
    data[~mask] = 1e9
    assert_allclose(begin(data, loss="poisson", mask=mask).predict().mean(), data[mask].mean(), rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_starts_are_finite_in_the_domain_and_without_zero_columns(loss, rng):
    for data in (data_of(loss, 0.4, rng), np.ones(SHAPE, int)):
        for init in ("random", "svd"):
            start = begin(data, loss=loss, init=init)
            assert np.isfinite(start.model_values()).all()
            if loss.model_domain.low == 0:
                assert min(a.min() for a in start.factors) >= 0
                is_zero = float(loss.link(data.mean())) == 0  # then so is the best model
                assert start.weights.min() > 0 or is_zero


def test_svd_start_of_a_matrix_spans_the_singular_vectors(rng):
    data = rng.normal(size=(9, 7))
    u, s, vt = np.linalg.svd(data)
    expected = (u[:, :2] * s[:2]) @ vt[:2]
    assert_allclose(begin(data, 2, init="svd").model_values(), expected, atol=1e-8)


def test_svd_start_has_the_weights_of_least_squares(rng):
    data = full(random_factors(SHAPE, 3, rng))
    start = begin(data, init="svd")
    rest = data - start.model_values()
    for r in range(3):  # the residual is orthogonal to every component
        component = full([a[:, [r]] for a in start.factors])
        assert abs(np.vdot(rest, component)) < 1e-8 * np.linalg.norm(data)
    assert np.linalg.norm(rest) < 0.9 * np.linalg.norm(data)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_svd_starts_serve_every_loss_with_missing_entries(loss, rng):
    data = data_of(loss, 0.6, rng).astype(float)
    data[rng.random(SHAPE) < 0.2] = np.nan
    start = begin(data, 2, loss=loss, init="svd")
    assert np.isfinite(start.objective)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 2, 2, 2)])
@pytest.mark.parametrize("rank", [1, 6])
@pytest.mark.parametrize("init", ["random", "svd"])
def test_starts_for_every_number_of_modes_and_ranks_above_the_sizes(shape, rank, init, rng):
    start = begin(rng.normal(2, 1, shape), rank, init=init)
    assert start.rank == rank
    assert start.shape == shape
    assert np.isfinite(start.objective)


# --- given models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, [2.0, 0.5], [-3.0, 1.0], [-1.0, -2.0], [0.0, 1.0]])
def test_given_models_are_the_start_whatever_their_weights(weights, rng):
    factors = random_factors(SHAPE, 2, rng)
    expected = full(factors, None if weights is None else np.array(weights))
    w = None if weights is None else np.array(weights)
    for init in ((w, factors), tl.cp_tensor.CPTensor((w, factors)), *([factors] if weights is None else [])):
        start = begin(rng.normal(size=SHAPE), 2, init=init)
        assert_allclose(start.model_values(), expected, rtol=1e-12, atol=1e-12)


def test_given_factors_of_a_matrix_are_not_taken_for_weights(rng):
    a, b = random_factors((4, 3), 2, rng)
    start = begin(rng.normal(size=(4, 3)), 2, init=[a, b])
    assert_allclose(start.model_values(), a @ b.T)


@pytest.mark.parametrize("weights", [[2.0, 0.5], [-3.0, 1.0]])
def test_weights_survive_when_some_modes_are_fixed(weights, rng):
    factors = random_factors(SHAPE, 2, rng)
    for fixed in [(0,), (0, 2), (0, 1, 2)]:
        start = begin(rng.normal(size=SHAPE), 2, init=(np.array(weights), factors), fixed_modes=fixed)
        assert_allclose(start.model_values(), full(factors, np.array(weights)), rtol=1e-12, atol=1e-12)


def test_negative_weights_survive_tied_modes(rng):
    a, c = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
    weights = np.array([-2.0, 3.0])
    start = begin(rng.normal(size=(5, 5, 4)), 2, init=(weights, [a, a, c]), tied_modes=[(0, 1)])
    assert_allclose(start.model_values(), full([a, a, c], weights), rtol=1e-12, atol=1e-12)


def test_a_negative_weight_of_wholly_symmetric_even_modes_is_refused(rng):
    a = rng.normal(size=(5, 2))  # w a a' with w < 0 is no b b'
    with pytest.raises(ParameterError, match=r"init.*negative"):
        begin(rng.normal(size=(5, 5)), 2, init=(np.array([-1.0, 1.0]), [a, a]), tied_modes=[(0, 1)])


def test_a_negative_weight_of_three_tied_modes_is_kept(rng):
    a, weights = rng.normal(size=(5, 2)), np.array([-2.0, 1.0])
    start = begin(rng.normal(size=(5, 5, 5)), 2, init=(weights, [a, a, a]), tied_modes=[(0, 1, 2)])
    assert_allclose(start.model_values(), full([a, a, a], weights), rtol=1e-12, atol=1e-12)


def test_given_models_are_moved_into_the_bounds(rng):
    factors = random_factors(SHAPE, 2, rng, positive=True)
    for a in factors:  # not so many that other signs would suit the bounds better
        a[0] = -0.01
    start = begin(rng.poisson(2.0, SHAPE), 2, loss="poisson", init=factors)
    assert_allclose(start.model_values(), full([np.maximum(a, 0) for a in factors]), atol=1e-12)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("hosvd", "Unknown init 'hosvd'"),
        (3, "init must be"),
        (np.ones((2, 2)), "init must be"),
        ([np.ones((4, 2))], "1 factors"),
        ([np.ones((4, 2)), np.ones((3, 3))], r"mode 1 has shape \(3, 3\)"),
        ([np.ones((3, 2)), np.ones((4, 2))], "mode 0"),
        ([np.ones(4), np.ones(3)], "mode 0"),
        ([np.full((4, 2), np.nan), np.ones((3, 2))], "NaN"),
        ((np.ones(3), [np.ones((4, 2)), np.ones((3, 2))]), "weights"),
        ((np.array([1, np.inf]), [np.ones((4, 2)), np.ones((3, 2))]), "weights"),
        ([[["a"]], [["b"]]], "numeric"),
    ],
)
def test_bad_models_are_named(init, message):
    with pytest.raises(ParameterError, match=message):
        fit_gcp(np.ones((4, 3)), 2, init=init)


# --- seeds -------------------------------------------------------------------------------------------------


def test_start_k_does_not_depend_on_the_number_of_starts(rng):
    data = rng.normal(size=SHAPE)
    few = fit_gcp(data, 2, n_starts=2, random_state=5, n_iter_max=3)
    many = fit_gcp(data, 2, n_starts=4, random_state=5, n_iter_max=3)
    assert [s["objective"] for s in few.starts] == [s["objective"] for s in many.starts[:2]]
    assert len({s["objective"] for s in many.starts}) == 4


def test_several_svd_starts_are_not_the_same_fit_again(rng):
    result = fit_gcp(rng.normal(size=SHAPE), 3, init="svd", n_starts=3, random_state=0, n_iter_max=5)
    assert len({s["objective"] for s in result.starts}) == 3


def test_other_seeds_give_other_starts(rng):
    data = rng.normal(size=SHAPE)
    one, two = begin(data, random_state=1), begin(data, random_state=2)
    assert one.objective != two.objective


def test_given_init_serves_the_first_start_only(rng):
    factors = random_factors(SHAPE, 2, rng)
    data = full(factors)
    result = fit_gcp(data, 2, init=factors, n_starts=3, n_iter_max=0, random_state=0)
    assert result.starts[0]["objective"] == pytest.approx(0, abs=1e-12)
    assert all(s["objective"] > 1e-3 for s in result.starts[1:])
