"""The estimator against the function behind it, and scikit-learn's own tools where it is installed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import GCP, ConvergenceWarning, ParameterError, SparseTensor, fit_gcp, simulate


@pytest.fixture
def counts():
    return np.asarray(simulate((20, 8, 6), 2, "poisson", scale=4.0, random_state=0)[0].values, dtype=float)


def test_it_is_fit_gcp(counts):
    model = GCP(2, loss="poisson", random_state=0, l2_reg=0.1)
    rows = model.fit_transform(counts)
    expected = fit_gcp(counts, 2, loss="poisson", random_state=0, l2_reg=0.1)
    assert_allclose(rows, expected.factors[0], rtol=0)
    assert_allclose(model.weights_, expected.weights, rtol=0)
    assert model.n_iter_ == expected.n_iter


def test_a_fit_that_is_cut_short_warns_once(counts):
    with pytest.warns(ConvergenceWarning, match="^fit_gcp did not converge: .*n_iter_max") as seen:
        model = GCP(2, loss="poisson", random_state=0, n_iter_max=1).fit(counts)
    assert len(seen) == 1
    assert not model.result_.converged
    with pytest.warns(ConvergenceWarning, match="^fit_gcp did not converge: ") as seen:
        fit_gcp(counts, 2, loss="poisson", random_state=0, n_iter_max=1)
    assert [found.filename for found in seen] == [__file__]


def test_new_samples(counts):
    model = GCP(2, loss="poisson", random_state=0, tol=1e-13).fit(counts[:15])
    rows = model.transform(counts[15:])
    assert rows.shape == (5, 2)
    m = np.einsum("ar,br,cr->abc", rows * model.weights_, *model.factors_[1:])
    value = model.result_.loss.value(counts[15:], m).mean()
    assert_allclose(model.score(counts[15:]), -value)
    assert_allclose(model.transform(counts[:15]), model.factors_[0], atol=1e-3)


def test_another_mode_sparse_data_and_main_effects(counts):
    sparse = SparseTensor(np.argwhere(counts), counts[counts > 0], counts.shape)
    model = GCP(2, loss="poisson", mode=2, random_state=0, main_effects=True).fit(sparse)
    assert model.transform(sparse).shape == (6, 2)
    assert_allclose(model.score(sparse), model.result_.score(sparse), rtol=1e-4)


def test_parameters(counts):
    model = GCP(3, loss="poisson", random_state=1)
    assert repr(model) == "GCP(rank=3, loss='poisson', random_state=1)"
    assert model.set_params(rank=2).rank == 2
    assert GCP(**model.get_params()).get_params() == model.get_params()
    with pytest.raises(ParameterError, match="no parameter 'ranks'"):
        model.set_params(ranks=2)
    with pytest.raises(ParameterError, match="not fitted"):
        model.transform(counts)
    with pytest.raises(ParameterError, match="Unknown mode 7"):
        GCP(1, mode=7).fit(counts)


def test_scikit_learns_tools(counts):
    base = pytest.importorskip("sklearn.base")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.validation import check_is_fitted

    model = GCP(2, loss="poisson", random_state=0)
    copy = base.clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(copy)
    check_is_fitted(copy.fit(counts))
    pipeline = make_pipeline(model, StandardScaler())
    assert pipeline.fit_transform(counts).shape == (20, 2)


NOT_FOR_TENSORS = {
    "check_dtype_object": "objects are no numbers; the message says how to convert them",
    "check_estimators_empty_data_messages": "an empty tensor is told its shape, not that it has no features",
    "check_n_features_in_after_fitting": "as above: data of another shape are told the shape",
    "check_fit1d": "a vector is a tensor of one mode",
    "check_fit2d_predict1d": "what has another shape than the fit's is told the shape, not to be made a column",
}


def test_scikit_learns_checks():
    """All of them on matrices, tensors of two modes, but for those above."""
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    found = checks.check_estimator(
        GCP(1, random_state=0), expected_failed_checks=NOT_FOR_TENSORS, on_skip=None, on_fail=None
    )
    failed = {check["check_name"]: check["exception"] for check in found if check["status"] == "failed"}
    assert not failed
    assert sum(check["status"] == "passed" for check in found) > 35
