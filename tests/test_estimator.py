"""The estimator against the function behind it, and scikit-learn's own tools where it is installed."""

import inspect
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import gcp
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
    assert_allclose(
        m.sum(axis=(1, 2)), counts[15:].sum(axis=(1, 2)), rtol=1e-4
    )  # as of a Poisson fit with weights
    assert_allclose(model.transform(counts[:15]), model.factors_[0], atol=1e-3)


def test_another_mode_sparse_data_and_main_effects(counts):
    sparse = SparseTensor(np.argwhere(counts), counts[counts > 0], counts.shape)
    model = GCP(2, loss="poisson", mode=2, random_state=0, main_effects=True).fit(sparse)
    assert model.transform(sparse).shape == (6, 2)
    dense = GCP(2, loss="poisson", mode=2, random_state=0, main_effects=True).fit(counts)
    assert_allclose(model.score(sparse), dense.score(counts), rtol=0.3)  # other cells of the same samples


def test_its_parameters_are_those_of_the_function():
    own, of_fit = (dict(inspect.signature(each).parameters) for each in (GCP, fit_gcp))
    assert own.pop("mode").default == 0
    assert own.pop("rank").default == 1
    # what `fit` takes, and what only coupled tensors have
    of_data = ("data", "mask", "entry_weights", "exposure", "offset", "trials", "weights")
    for name in ("rank", *of_data):
        del of_fit[name]
    assert {name: each.default for name, each in own.items()} == {
        name: each.default for name, each in of_fit.items()
    }


def test_all_of_them_reach_the_fit(counts, tmp_path):
    start = fit_gcp(counts, 2, loss="poisson", random_state=1).factors
    options = {
        "loss": "poisson",
        "init": start,
        "fixed_modes": [1],
        "bounds": (0, 3.0),
        "penalties": [gcp.penalties.Ridge(None, 0.1)],
        "callback": lambda state: state.iteration >= 5,
        "checkpoint": tmp_path / "state.npz",
        "solver": gcp.LBFGSB(memory=3),
    }
    found = GCP(2, **options).fit(counts).result_
    assert (tmp_path / "state.npz").exists()
    del options["checkpoint"]
    expected = fit_gcp(counts, 2, **options)
    assert found.objective == expected.objective
    assert found.status == "callback"
    assert_allclose(found.factors[1], start[1])


def test_the_samples_mode_by_a_name_given_with_it(counts):
    model = GCP(2, modes=["trial", "neuron", "time"], mode="neuron", loss="poisson", random_state=0).fit(
        counts
    )
    assert model.transform(counts[:, :3]).shape == (3, 2)
    assert model.result_.labels.names == ("trial", "neuron", "time")


def test_the_score_is_of_cells_that_rows_have_not_seen():
    x = np.einsum("ar,br,cr->abc", *(np.random.default_rng(0).normal(size=(n, 2)) for n in (12, 7, 6)))
    model = GCP(2, random_state=0, tol=1e-14).fit(x[:8])
    assert model.score(x[8:]) == pytest.approx(0.0, abs=1e-9)  # what is of rank 2 can be foretold
    noise = np.random.default_rng(1).normal(size=(300, 3, 2))
    full = GCP(6, random_state=0).fit(noise)  # six numbers to say six cells: nothing is foretold
    assert full.result_.deviance_explained(noise) > 0.999
    assert full.score(noise) < -(noise**2).mean()


def test_cells_that_the_user_drew_by_the_same_seed(counts):
    gaps = np.where(np.random.default_rng(0).random(counts.shape) < 0.3, np.nan, counts)
    model = GCP(2, loss="poisson", random_state=0).fit(gaps)
    assert model.score(gaps) == pytest.approx(model.score(counts), rel=0.3)


def test_samples_without_cells_do_not_stand_in_for_others(counts):
    gap = counts.copy()
    gap[3] = np.nan
    model = GCP(2, loss="poisson", random_state=0)
    rows = model.fit_transform(gap)
    assert_allclose(rows, model.transform(gap), atol=1e-3)
    first = model.score(counts[:4])
    model.result_.unknown.clear()  # of the samples of the fit, which are not these
    assert model.score(counts[:4]) == pytest.approx(first, rel=1e-6)


def test_back_from_rows_to_data():
    x = np.random.default_rng(0).normal(size=(9, 5))
    model = GCP(2, random_state=0, tol=1e-14).fit(x)
    new = np.random.default_rng(1).normal(size=(4, 5))
    directions = np.linalg.svd(x)[2][:2]  # of a matrix, the truncated singular value decomposition
    assert_allclose(model.inverse_transform(model.transform(new)), new @ directions.T @ directions, atol=1e-5)
    assert model.components_.shape == (2, 5)


def test_back_along_another_mode_under_a_link(counts):
    model = GCP(2, mode=1, loss="poisson-log", random_state=0, main_effects=[0, 2], l2_reg=0.1).fit(counts)
    result = model.result_
    rows = model.transform(counts[:, 3:6])
    found = model.inverse_transform(rows)
    assert found.shape == (20, 3, 6)
    m = np.tensordot(model.components_, rows, (0, 1)).transpose(0, 2, 1) + result.intercept
    m += result.main_effects["mode_0"][:, None, None] + result.main_effects["mode_2"]
    assert_allclose(found, np.exp(m))
    assert_allclose(model.inverse_transform(result.factors[1]), result.predict())
    with pytest.raises(ParameterError, match=r"shape \(3, 1\): expected rows .* \(n, 2\)"):
        model.inverse_transform(rows[:, :1])
    with pytest.raises(ParameterError, match="main effects of 'mode_1'"):
        model.set_params(main_effects=True).fit(counts).inverse_transform(rows)


def test_parameters_of_samples_are_not_those_of_other_rows(counts):
    """r of the first samples would be taken for that of any three."""
    model = GCP(1, loss=gcp.NegativeBinomial(r="estimate", by=0), random_state=0, n_iter_max=5)
    rows = model.fit_transform(counts)
    with pytest.raises(
        ParameterError, match="one r for each position of 'mode_0', and new positions have none"
    ):
        model.inverse_transform(rows[5:8])
    model = model.set_params(loss=gcp.NegativeBinomial(r="estimate", by=1)).fit(counts)
    assert_allclose(model.inverse_transform(model.factors_[0][5:8]), model.result_.predict()[5:8])


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
    assert pipeline.get_feature_names_out().tolist() == ["gcp0", "gcp1"]
    assert_allclose(
        pipeline.inverse_transform(pipeline.transform(counts)),
        model.inverse_transform(model.transform(counts)),
    )
    assert "poisson" in model._repr_html_()


def test_rows_as_a_table(counts):
    """With the labels of the samples, whichever mode is theirs."""
    sklearn = pytest.importorskip("sklearn")
    places = [f"p{k}" for k in range(8)]
    table = pd.DataFrame(counts[:, :, 0], columns=places).rename_axis(columns="place")
    model = GCP(2, mode=1, loss="poisson", random_state=0).set_output(transform="pandas")
    for rows in (model.fit_transform(table), model.transform(table), model.transform(table.iloc[::-1])):
        assert rows.index.tolist() == places
        assert rows.index.name == "place"
        assert rows.columns.tolist() == ["gcp0", "gcp1"]
    assert model.transform(table[["p5", "p1"]]).index.tolist() == ["p5", "p1"]
    assert model.transform(table.to_numpy()[:, :3]).index.tolist() == [0, 1, 2]
    assert isinstance(model.set_output(transform="default").transform(table), np.ndarray)
    del model._sklearn_output_config
    with sklearn.config_context(transform_output="pandas"):
        assert model.transform(table).index.tolist() == places


def test_the_rank_is_chosen_by_scikit_learn():
    """As it was planted; by the cells that rows are fitted to, the largest would be."""
    selection = pytest.importorskip("sklearn.model_selection")
    x = np.asarray(simulate((24, 6, 5), 2, "poisson", scale=5.0, random_state=0)[0].values, dtype=float)

    def by_cells_seen(model, samples, y=None):
        return -model.result_.loss.value(samples, model.inverse_transform(model.transform(samples))).mean()

    model, grid = GCP(loss="poisson", random_state=0), {"rank": [1, 2, 3, 5]}
    search = selection.GridSearchCV(
        model, grid, cv=3, scoring={"own": None, "seen": by_cells_seen}, refit="own"
    )
    search.fit(x)
    assert search.best_params_ == {"rank": 2}
    assert np.argmax(search.cv_results_["mean_test_seen"]) == 3
    assert search.transform(x).shape == (24, 2)
    folds = selection.cross_val_score(search.best_estimator_, x, cv=3)
    assert_allclose(folds.mean(), search.best_score_)


def test_processes_and_files(counts):
    joblib = pytest.importorskip("joblib")
    model = GCP(2, loss="poisson", random_state=0).fit(counts)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.transform(counts[:3]), model.transform(counts[:3]), rtol=0)
    jobs = (joblib.delayed(GCP(2, loss="poisson", random_state=0).fit_transform)(counts) for _ in range(2))
    for rows in joblib.Parallel(n_jobs=2, prefer="threads")(jobs):
        assert_allclose(rows, model.factors_[0], rtol=0)


WITHOUT = """
import sys
sys.modules["sklearn"] = None
import numpy as np
import gcp
model = gcp.GCP(2, random_state=0)
assert model.get_params()["rank"] == 2
x = np.random.default_rng(0).normal(size=(6, 4))
rows = gcp.GCP(**model.set_params(rank=1).get_params()).fit_transform(x)
assert model.fit(x).inverse_transform(rows).shape == (6, 4)
print(model, model.get_feature_names_out(), model.score(x) < 0)
"""


def test_it_does_not_need_scikit_learn():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout == "GCP(rank=1, random_state=0) ['gcp0'] True\n"


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
