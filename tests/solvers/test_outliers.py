"""Rung 5: data far off under Huber's loss. Truth: the end of a fit without them, which they must not worsen."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import Huber, ObservedTensor, SparseTensor, build_objective, fit_gcp, get_loss
from gcp.objectives.bulk import Bulk

SHAPE = (10, 8, 6)


def planted(seed):
    rng = np.random.default_rng(seed)
    a = [rng.normal(size=(n, 2)) for n in SHAPE]
    return np.einsum("ir,jr,kr->ijk", *a) + 0.3 * rng.normal(size=SHAPE)


def listed(x):
    known = ~np.isnan(x)
    return ObservedTensor(np.argwhere(known), x[known], SHAPE)


@pytest.mark.parametrize("kind", ["dense", "listed"])
@pytest.mark.parametrize("huge", [1e4, -1e6, 1e9, 1e12])
def test_a_value_far_off_ends_no_worse_than_one_that_is_missing(huge, kind):
    x = planted(1)
    x[0, 0, 0] = np.nan
    form = listed if kind == "listed" else np.asarray
    ignoring = fit_gcp(form(x), 2, loss="huber", random_state=0)
    x[0, 0, 0] = huge
    result = fit_gcp(form(x), 2, loss="huber", random_state=0)
    model = [ignoring.factors[0] * ignoring.weights, *ignoring.factors[1:]]
    value, _ = build_objective(form(x), "huber").value_and_grad(model)
    assert result.converged
    assert result.objective <= value + 1e-9 * (abs(huge) + value)
    assert_allclose(result.model_values(), ignoring.model_values(), atol=0.2)


def test_the_bulk_is_all_data_but_those_far_off():
    x, loss = planted(0), Huber(0.5)
    x[0, 1, 2] = np.nan
    for data in (x, listed(x)):
        whole = build_objective(data, loss)
        assert whole.bulk == Bulk(whole.survey.mean, whole.survey.std)
    y = x.copy()
    y[3, 2, 1], y[5, 5, 5] = 1e9, -1e8
    near = np.delete(y.ravel(), np.flatnonzero(np.isnan(y.ravel()) | (np.abs(y.ravel()) > 1e6)))
    for data in (y, listed(y)):
        found = build_objective(data, loss).bulk
        assert_allclose([found.mean, found.std], [near.mean(), near.std()], rtol=1e-9)
        assert_allclose(found.beyond, 2 * 0.5 * 1.1e9, rtol=1e-3)
    assert build_objective(y, "gaussian").beyond == 0
    sparse = np.where(np.random.default_rng(0).random(SHAPE) < 0.5, 0.0, np.nan_to_num(y))
    sparse[3, 2, 1] = 1e9
    one, other = (
        build_objective(data, loss).bulk
        for data in (sparse, SparseTensor(np.argwhere(sparse), sparse[sparse != 0], SHAPE))
    )
    assert_allclose([other.mean, other.std, other.beyond], [one.mean, one.std, one.beyond], rtol=1e-9)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", ["dense", "listed"])
@pytest.mark.parametrize(
    "name", ["gaussian", "poisson", "negative-binomial", "gamma", "rayleigh", "beta-divergence", "huber"]
)
def test_weights_over_many_powers_of_ten(name, kind):
    """Truth: exact data, which any weights leave exact; and a common factor of the weights, which changes nothing."""
    rng = np.random.default_rng(2)
    a = [rng.integers(1, 5, n).astype(float) for n in SHAPE]
    x, loss = np.einsum("i,j,k->ijk", *a), get_loss(name)
    weights = 10.0 ** rng.uniform(-12, 12, SHAPE)

    def fit(w):
        if kind == "listed":
            data = ObservedTensor(np.argwhere(x > 0), x.ravel(), SHAPE, w.ravel())
            return fit_gcp(data, 1, loss=loss, random_state=0)
        return fit_gcp(x, 1, loss=loss, random_state=0, entry_weights=w)

    result = fit(weights)
    heavy = weights > 1e-6 * weights.max()
    assert_allclose(result.model_values().reshape(SHAPE)[heavy], loss.saturated(x)[heavy], rtol=1e-3)
    assert_allclose(fit(weights * 2.0**10).model_values(), result.model_values(), rtol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "listed"])
@pytest.mark.parametrize("span", [1e5, 1e7])
def test_data_far_beyond_delta_are_followed_over_powers_of_ten(span, kind):
    rng = np.random.default_rng(0)
    a = [rng.gamma(1.0, 1.0, (n, 2)) + 0.05 for n in SHAPE]
    a[0] *= np.logspace(0, np.log10(span), SHAPE[0])[:, None]
    m = np.einsum("ir,jr,kr->ijk", *a)
    x = m + rng.normal(size=SHAPE)
    truth = Huber().value(x, m).sum()
    for seed in range(2):
        assert (
            fit_gcp(listed(x) if kind == "listed" else x, 2, loss="huber", random_state=seed).objective
            <= truth
        )
