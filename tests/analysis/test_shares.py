"""What components explain, alone and uniquely: closed forms, and a computation cell by cell."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import analysis


def test_orthogonal_components_share_as_their_squares(rng):
    """A matrix whose columns have mean 0: component k explains its singular value squared, alone and uniquely."""
    x = rng.normal(size=(12, 8))
    x -= x.mean(axis=0)
    x -= x.mean(axis=1, keepdims=True)
    result = gcp.fit_gcp(x, 3, random_state=0, tol=1e-12, solver="als")
    u, s, v = np.linalg.svd(x)
    result = replace(result, weights=s[:3], factors=[u[:, :3], v[:3].T])
    found = analysis.component_shares(result, x)
    expected = s[:3] ** 2 / np.sum(s**2)
    assert_allclose(found.alone, expected, rtol=1e-9)
    assert_allclose(found.unique, expected, rtol=1e-9)
    assert_allclose(found.explained, expected.sum(), rtol=1e-9)


@pytest.mark.parametrize("loss", ["poisson", "bernoulli-logit", "gamma"])
def test_cell_by_cell(loss, rng):
    x, _ = gcp.simulate((6, 5, 4), 2, loss, random_state=0)
    mask = rng.random(x.shape) < 0.8
    result = gcp.fit_gcp(x, 2, loss=loss, mask=mask, l2_reg=0.1, random_state=0)
    found = analysis.component_shares(result, x, mask=mask)
    m = result.model_values()[mask]
    parts = [
        replace(result, weights=result.weights * (np.arange(2) == r)).model_values()[mask] for r in (0, 1)
    ]
    deviance = lambda m: result.loss.deviance(x.values[mask], m).sum()  # noqa: E731
    null = analysis.deviance(result, x, mask=mask).null_deviance
    for r in (0, 1):
        without = m - parts[r] + parts[r].mean()
        assert_allclose(found.unique[r], (deviance(without) - deviance(m)) / null, rtol=1e-6)
        alone = m - parts[1 - r] + parts[1 - r].mean()
        assert_allclose(found.alone[r], 1 - deviance(alone) / null, rtol=1e-6)
    assert_allclose(found.explained, result.deviance_explained(x, mask=mask), rtol=1e-9)


def test_sparse_data_and_main_effects(rng):
    x = rng.poisson(0.4, (8, 7, 6)).astype(float)
    sparse = gcp.SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    result = gcp.fit_gcp(sparse, 2, loss="poisson", random_state=0)
    for a, b in zip(
        analysis.component_shares(result, sparse), analysis.component_shares(result, x), strict=True
    ):
        assert_allclose(a, b, rtol=1e-9)
    effects = gcp.fit_gcp(x, 1, main_effects=True, random_state=0)
    found = analysis.component_shares(effects, x)
    assert_allclose(found.alone[0], found.explained)  # the effects stay


def test_without_components_or_variation(rng):
    effects = gcp.fit_gcp(rng.normal(size=(4, 3)), 0, main_effects=True, random_state=0)
    with pytest.raises(gcp.ParameterError, match="main effects alone"):
        analysis.component_shares(effects, np.ones((4, 3)))
    constant = gcp.fit_gcp(np.ones((4, 3)), 1, random_state=0)
    assert np.isnan(analysis.component_shares(constant, np.ones((4, 3))).explained)
