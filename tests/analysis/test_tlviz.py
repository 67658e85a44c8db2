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
