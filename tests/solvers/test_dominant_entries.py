"""Rung 5: entries that outweigh all others. Truth: a component of their own, beside a fit of the others alone."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import ObservedTensor, SparseTensor, build_objective, fit_gcp, get_loss
from gcp.objectives.dominant_entries import dominant_entries

SHAPE = (12, 10, 8)
LOSSES = ("gaussian", "poisson", "negative-binomial", "beta-divergence")


def drawn(name):
    rng = np.random.default_rng(0)
    a = [rng.gamma(1.0, 1.0, (n, 2)) + 0.05 for n in SHAPE]
    m, loss = np.einsum("ir,jr,kr->ijk", *a), get_loss(name)
    x = m + rng.normal(size=SHAPE) if name == "gaussian" else loss.sample(m, rng)
    return np.maximum(x, 0.01) if name == "beta-divergence" else x.astype(float)


def formed(kind, x):
    known = ~np.isnan(x)
    if kind == "listed":
        return ObservedTensor(np.argwhere(known), x[known], x.shape)
    if kind == "sparse":
        return SparseTensor(np.argwhere(x != 0), x[x != 0], x.shape)
    return x


@pytest.mark.parametrize("kind", ["dense", "listed"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_single_huge_entry_does_not_hide_the_others(name, kind):
    x = drawn(name)
    x[3, 2, 1] = np.nan
    without = fit_gcp(formed(kind, x), 1, loss=name, random_state=0)
    bound = without.objective - without.saturated_objective
    for size, seed in [(1e4, 0), (1e4, 1), (1e5, 2), (1e6, 0), (1e9, 0), (1e9, 1)]:
        x[3, 2, 1] = size
        result = fit_gcp(formed(kind, x), 2, loss=name, random_state=seed)
        assert result.objective - result.saturated_objective <= bound + 1e-12 * size**2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_two_huge_entries_get_two_components(sign):
    x = drawn("gaussian")
    x[3, 2, 1] = x[5, 5, 5] = np.nan
    without = fit_gcp(x, 1, random_state=0)
    x[3, 2, 1], x[5, 5, 5] = 1e6, sign * 3e5
    for seed in range(3):
        assert fit_gcp(x, 3, random_state=seed).objective <= without.objective


@pytest.mark.parametrize("kind", ["dense", "listed", "sparse"])
def test_dominant_entries_are_those_that_outweigh_all_smaller_ones(kind):
    x = drawn("poisson")
    others = x.copy()
    x[3, 2, 1], x[5, 5, 5], others[3, 2, 1], others[5, 5, 5] = 1e8, 1e5, np.nan, np.nan
    objective = build_objective(formed(kind, x), "poisson")
    assert dominant_entries(objective.tensor, objective.survey, 0) is None
    found = dominant_entries(objective.tensor, objective.survey, 4)
    assert found.subscripts == [(3, 2, 1), (5, 5, 5)]
    assert found.values == [1e8, 1e5]
    assert_allclose([found.mean, found.std], [np.nanmean(others), np.nanstd(others)], rtol=1e-9)


def test_weights_count_in_dominant_entries():
    x, w = drawn("gaussian"), np.ones(SHAPE)
    x[3, 2, 1], x[5, 5, 5] = 1e6, 1e8
    w[5, 5, 5] = 0.0
    w[0] = 2.0
    objective = build_objective(x, "gaussian", entry_weights=w)
    found = dominant_entries(objective.tensor, objective.survey, 1)
    assert found.subscripts == [(3, 2, 1)]
    w[3, 2, 1] = 0.0
    mean = np.average(x, weights=w)
    assert_allclose(
        [found.mean, found.std], [mean, np.sqrt(np.average((x - mean) ** 2, weights=w))], rtol=1e-9
    )


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_ordinary_data_have_no_dominant_entries(rank):
    rng = np.random.default_rng(1)
    for x in (drawn("gaussian"), drawn("poisson"), rng.pareto(1.5, SHAPE), rng.lognormal(0, 2, SHAPE)):
        objective = build_objective(x, "gaussian")
        assert dominant_entries(objective.tensor, objective.survey, rank - 1) is None
