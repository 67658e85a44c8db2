"""tensorly-viz takes results as they are, and says the same."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import analysis

pytestmark = pytest.mark.filterwarnings("ignore")
tlviz = pytest.importorskip("tlviz")


@pytest.fixture(scope="module")
def fits():
    data = gcp.simulate((12, 10, 8), 3, "gaussian", scale=2.0, random_state=0)[0]
    return data, [gcp.fit_gcp(data, rank, random_state=0) for rank in (1, 2, 3, 4)]


@pytest.mark.parametrize("weights", [True, False])
def test_factor_match_score(fits, weights):
    _, (*_, first, _) = fits
    other = gcp.fit_gcp(fits[0], 3, random_state=7, n_iter_max=5)
    expected = tlviz.factor_tools.factor_match_score(first.cp, other.cp, consider_weights=weights)
    assert_allclose(analysis.factor_match_score(first, other, weights=weights).score, expected, rtol=1e-12)


def test_core_consistency_and_fit(fits):
    data, results = fits
    for result in results:
        expected = tlviz.model_evaluation.core_consistency(result.cp, data.values)
        assert_allclose(analysis.core_consistency(result, data), expected, rtol=1e-8, atol=1e-6)
        fit = tlviz.model_evaluation.fit(result.cp, data.values)
        residual = np.sum((data.values - result.model_values()) ** 2)
        assert_allclose(fit, 1 - residual / np.sum(data.values**2), rtol=1e-10)


def test_degeneracy_is_the_least_congruence(fits):
    result = fits[1][-1]
    assert_allclose(analysis.congruence(result, result).min(), tlviz.factor_tools.degeneracy_score(result.cp))


def test_its_pictures_take_our_models(fits):
    pytest.importorskip("matplotlib").use("Agg")
    _, axes = tlviz.visualisation.components_plot(fits[1][2].cp)
    assert len(axes) == 3


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_leverage_and_residual_of_positions(fits, mode):
    data, (*_, result, _) = fits
    found = analysis.outliers(result, data, mode)
    assert_allclose(found.leverage, tlviz.outliers.compute_leverage(result.factors[mode]), rtol=1e-9)
    squares = tlviz.outliers.compute_slabwise_sse(result.model_values(), data.values, False, mode)
    assert_allclose(found.deviance, squares / (data.values.size / data.shape[mode]), rtol=1e-9)
    assert_allclose(found.leverage.sum(), 3)


def test_core(fits):
    """Of a model itself, the core is the unit core; of data, the one that least squares find."""
    data, (*_, result, _) = fits
    assert_allclose(analysis.core_tensor(result, result.model_values())[np.diag_indices(3, 3)], 1, rtol=1e-8)
    core = analysis.core_tensor(result, data)
    a, b, c = (result.factors[0] * result.weights, *result.factors[1:])
    design = np.einsum("ir,js,kt->ijkrst", a, b, c).reshape(-1, 27)
    expected = np.linalg.lstsq(design, data.values.ravel(), rcond=None)[0]
    assert_allclose(core.ravel(), expected, rtol=1e-7, atol=1e-9)
