"""Designed factors. Truths: SciPy's splines, NumPy's least squares, planted models, the fit without a design."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.interpolate import BSpline

import gcp
from gcp import designs
from gcp.objectives.designs.linear_maps import Undetermined, is_identity, nearest, orthogonal
from gcp.testing.agreement import central_difference

DAYS = np.datetime64("2020-01-06") + np.arange(0, 7 * 60, 7)


def rows(basis, coordinates, new=None):
    settled = basis.settled(np.asarray(coordinates), len(coordinates), "mode")
    found = settled.of_labels(np.asarray(coordinates if new is None else new), "mode")
    return found.toarray() if sparse.issparse(found) else found


# --- bases -------------------------------------------------------------------------------------------------


def test_bsplines_are_scipys_between_the_least_and_the_largest_coordinate():
    x = np.array([3.0, 3.5, 4.7, 9.0, 11.0])
    found = rows(designs.bspline(6), x)
    knots = np.concatenate([[3.0] * 3, np.linspace(3, 11, 4), [11.0] * 3])
    for k in range(6):
        single = BSpline(knots, np.eye(6)[k], 3)
        assert_allclose(found[:, k], single(x), atol=1e-14)
    assert_allclose(found.sum(axis=1), 1, atol=1e-14)


def test_distances_count_not_positions():
    line = rows(designs.bspline(2, degree=1), [0.0, 1.0, 10.0])
    assert_allclose(line[:, 1], [0, 0.1, 1], atol=1e-15)
    dates = np.array(["2021-01-01", "2021-01-02", "2021-01-11"], "M8[D]")
    assert_allclose(rows(designs.bspline(2, degree=1), dates), line, atol=1e-13)
    assert_allclose(rows(designs.bspline(2, degree=1), dates.astype("M8[ns]")), line, atol=1e-13)


def test_cyclic_splines_join_and_repeat():
    hours = np.arange(24)
    basis = designs.bspline(8, cyclic=True)
    assert_allclose(rows(basis, hours, [24, 25.5, -1]), rows(basis, hours, [0, 1.5, 23]), atol=1e-13)
    near = rows(basis, hours, [-1e-6, 1e-6])
    assert_allclose(near[0], near[1], atol=1e-5)  # continuous over midnight
    assert_allclose(rows(basis, hours).sum(axis=1), 1, atol=1e-14)


def test_monotone_columns_increase_from_0_to_1_beside_a_constant():
    found = rows(designs.monotone(7), np.linspace(2, 5, 50))
    assert (found[:, 0] == 1).all()
    assert (np.diff(found[:, 1:], axis=0) >= -1e-15).all()
    assert_allclose(found[0, 1:], 0, atol=1e-15)
    assert_allclose(found[-1, 1:], 1, atol=1e-14)


def test_waves_have_their_period_in_days_of_dates():
    found = rows(designs.fourier(7, 2), DAYS, [np.datetime64("2020-01-08"), np.datetime64("2033-02-09")])
    assert_allclose(found[0], found[1], atol=1e-9)  # both a Wednesday
    assert_allclose(found[0, 1] ** 2 + found[0, 2] ** 2, 1)


def test_groups_and_features_are_matched_by_label():
    frame = pd.DataFrame({"age": [3.0, 1.0, 2.0], "sex": [True, False, True]}, index=["c", "a", "b"])
    assert_allclose(rows(designs.features(frame), ["a", "b"]), [[1, 0], [2, 1]])
    by_label = designs.groups(pd.Series(["x", "y", "x"], index=["c", "a", "b"]))
    assert_allclose(rows(by_label, ["a", "b", "c"]), [[0, 1], [1, 0], [1, 0]])
    assert_allclose(rows(designs.groups({"c": "x", "a": "y"}), ["a", "c"]), [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: designs.bspline(3), "n must be an integer >= 4"),
        (lambda: designs.monotone(1), "n must be an integer >= 2"),
        (lambda: designs.fourier(0.0, 1), "period must be a finite number > 0"),
        (lambda: designs.bspline(5, ends=(2, 1)), "ends must be a pair"),
        (lambda: designs.groups(["a", None]), "a position has no group"),
        (lambda: designs.features(pd.DataFrame({"a": ["x"]})), "is not made of numbers"),
        (lambda: designs.features(pd.DataFrame({"a": [np.nan]})), "holds NaN"),
        (lambda: designs.features(pd.DataFrame([[1, 2]], columns=["a", "a"])), "two columns are called 'a'"),
        (lambda: rows(designs.bspline(4), ["a", "b"]), "needs coordinates that are numbers or dates"),
        (lambda: rows(designs.bspline(4), [1.0, np.nan]), "a coordinate is missing"),
        (lambda: rows(designs.bspline(4), [2.0, 2.0]), "at least two different coordinates"),
        (lambda: rows(designs.bspline(4), [1.0, 2.0], [3.0]), "lies beyond the ends"),
        (
            lambda: rows(designs.bspline(4, ends=(0, 9)), DAYS),
            "the ends of .* are numbers, but the mode has dates",
        ),
        (lambda: rows(designs.fourier(7, 1), DAYS, [3]), "needs coordinates that are dates"),
        (
            lambda: rows(designs.groups(["x", "y"]), ["a", "b", "c"]),
            "has 2 rows, but the mode has 3 positions",
        ),
    ],
)
def test_what_no_basis_can_be_made_of(make, words):
    with pytest.raises(gcp.ParameterError, match=words):
        make()


# --- the linear algebra ------------------------------------------------------------------------------------


def test_nearest_coefficients_are_numpys(rng):
    z, a = rng.normal(size=(9, 4)), rng.normal(size=(9, 2))
    expected = np.linalg.lstsq(z, a)[0]
    assert_allclose(nearest(z, a), expected, atol=1e-12)
    assert_allclose(nearest(sparse.csr_array(z), a), expected, atol=1e-12)


def test_an_orthogonal_map_has_the_span_of_its_design(rng):
    z = rng.normal(size=(20, 4)) @ np.diag([1, 1e6, 1e-6, 1])
    z = np.column_stack([z, z[:, 0] + 3 * z[:, 3]])
    q = orthogonal(z)
    assert_allclose(q.T @ q, 20 * np.eye(4), atol=1e-10)
    assert_allclose(q @ np.linalg.lstsq(q, z)[0], z, rtol=1e-8)


def test_rows_are_undetermined_that_no_combination_of_known_rows_makes():
    z = np.array([[1.0, 0, 0, 0], [0, 1, 1, 0]])
    new = np.array([[2.0, 3, 3, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    for matrix in (z, sparse.csr_array(z)):
        assert Undetermined.by(matrix).touches(new).tolist() == [False, True, True]
        assert Undetermined.by(matrix).rank == 2


def test_the_identity_is_seen():
    assert is_identity(np.eye(3))
    assert is_identity(sparse.eye_array(3).tocsr())
    assert not is_identity(np.eye(3)[:, ::-1])


# --- fits --------------------------------------------------------------------------------------------------


def test_a_design_of_the_identity_changes_nothing(rng):
    x = rng.normal(size=(6, 5, 4))
    plain = gcp.fit_gcp(x, 2, loss="gaussian", random_state=0)
    for z in (np.eye(6), sparse.eye_array(6)):
        found = gcp.fit_gcp(x, 2, loss="gaussian", random_state=0, design={0: z})
        for a, b in zip(plain.factors, found.factors, strict=True):
            assert np.array_equal(a, b)
        assert plain.objective == found.objective
        assert_allclose(found.coefficients["mode_0"], found.factors[0], atol=1e-14)


def test_a_designed_gaussian_matrix_is_numpys_reduced_rank_regression(rng):
    x, z = rng.normal(size=(30, 8)), rng.normal(size=(30, 4))
    q, _ = np.linalg.qr(z)
    u, s, v = np.linalg.svd(q.T @ x, full_matrices=False)
    best = q @ (u[:, :2] * s[:2]) @ v[:2]  # the nearest of rank 2 in the span of Z
    solver = gcp.PreconditionedLBFGS(tol=0.0, gradient_tol=1e-10)
    found = gcp.fit_gcp(x, 2, loss="gaussian", design={0: z}, random_state=0, solver=solver)
    assert_allclose(found.model_values(), best, atol=1e-6)
    assert_allclose(z @ found.coefficients["mode_0"], found.factors[0], atol=1e-12)


def test_gradient_and_hessian_in_coefficients_are_differences(rng):
    from gcp.objectives.free import FreeFactors
    from gcp.objectives.problem import Problem

    x, z = rng.poisson(2.0, (7, 4, 3)).astype(float), rng.normal(size=(7, 3))
    problem = Problem.of(x, 2, gcp.get_loss("poisson-log"), design={0: z})
    start = [0.3 * rng.normal(size=(size, 2)) for size in x.shape]
    free = FreeFactors(problem.objective, problem.parametrisation, start)
    variables = [0.3 * rng.normal(size=(size, 2)) for size in (3, 4, 3)]
    shapes = [c.shape for c in variables]
    cuts = np.cumsum([c.size for c in variables])[:-1]

    def parts(v):
        return [p.reshape(s) for p, s in zip(np.split(v, cuts), shapes, strict=True)]

    def gradient(v):
        return np.concatenate([g.ravel() for g in free.value_and_grad(parts(v))[1]])

    at = np.concatenate([c.ravel() for c in variables])
    hessian = free.hessian(variables)
    for k in range(0, at.size, 3):
        line = np.eye(at.size)[k]
        slope = central_difference(lambda t: free.value_and_grad(parts(at + t * line))[0], 0.0)  # noqa: B023
        assert_allclose(gradient(at)[k], slope, rtol=1e-6, atol=1e-7)
        bend = (gradient(at + 1e-5 * line) - gradient(at - 1e-5 * line)) / 2e-5
        assert_allclose(hessian[k], bend, rtol=1e-5, atol=1e-5)


def planted(rng, n=30):
    """Users with features by weeks with a year's wave, and their expected numbers."""
    frame = pd.DataFrame({"one": 1.0, "age": rng.normal(size=n)}, index=[f"u{k}" for k in range(n)])
    waves = rows(designs.fourier(364, 1), DAYS)
    c, d, b = rng.uniform(0.3, 0.8, (2, 1)), np.array([[1.0], [0.5], [0.3]]), np.array([[1.0], [1.4]])
    return frame, np.einsum("ir,jr,kr->ijk", frame.to_numpy() @ c, waves @ d, b), (c, d, b)


LISTS = {
    "dense": lambda x, labels: gcp.DenseTensor(x, labels=labels),
    "observed": lambda x, labels: gcp.ObservedTensor(np.argwhere(x == x), x.ravel(), x.shape, labels=labels),
    "sparse": lambda x, labels: gcp.SparseTensor(np.argwhere(x), x[x > 0], x.shape, labels=labels),
    "parts": lambda x, labels: gcp.partition(gcp.DenseTensor(x, labels=labels), 2),
}


@pytest.mark.parametrize("kind", LISTS)
def test_waves_predict_the_next_year_and_features_new_users(kind, rng):
    frame, m, (c, d, b) = planted(rng)
    labels = gcp.ModeLabels(["user", "week", "k"], [frame.index, DAYS, None])
    data = LISTS[kind](rng.poisson(np.exp(m)).astype(float), labels)
    design = {"user": frame.sample(frac=1, random_state=0), "week": designs.fourier(364, 1)}
    found = gcp.fit_gcp(data, 1, loss="poisson-log", design=design, random_state=0)
    assert found.converged
    later = DAYS[-1] + np.arange(7, 200, 7)
    new = pd.DataFrame({"age": [0.5, -0.5], "one": [1.0, 1.0]}, index=["x", "y"])
    truth = np.einsum(
        "ir,jr,kr->ijk", new[["one", "age"]].to_numpy() @ c, rows(designs.fourier(364, 1), DAYS, later) @ d, b
    )
    assert_allclose(np.log(found.predict_at({"user": new, "week": later})), truth, atol=0.12)
    assert found.predict_at({"week": [str(later[0])], "k": [1]}).shape == (30, 1, 1)


def test_all_kinds_of_data_have_one_minimum(rng):
    frame, m, _ = planted(rng, 12)
    x = rng.poisson(np.exp(m)).astype(float)
    labels = gcp.ModeLabels(["user", "week", "k"], [frame.index, DAYS, None])
    design = {"user": frame, "week": designs.bspline(5)}
    every = [
        gcp.fit_gcp(make(x, labels), 1, loss="poisson-log", design=design, random_state=0)
        for make in LISTS.values()
    ]
    for found in every[1:]:
        assert_allclose(found.objective, every[0].objective, rtol=1e-7)
        assert_allclose(found.model_values(), every[0].model_values(), atol=1e-3)


def test_monotone_factors_increase_within_bounds(rng):
    dose = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0])
    x = rng.poisson(np.outer(1 + dose / (dose + 1), [3.0, 8.0, 5.0])[:, :, None] * np.ones(4))
    data = gcp.DenseTensor(x, labels=gcp.ModeLabels(["dose", "b", "c"], [dose, None, None]))
    for options in (
        {"loss": "poisson"},
        {"loss": "gaussian", "bounds": {"dose": (0, None)}, "solver": "lbfgsb"},
    ):
        found = gcp.fit_gcp(data, 2, design={"dose": designs.monotone(5)}, random_state=0, **options)
        assert (found.coefficients["dose"] >= 0).all()
        assert (np.diff(found.fitted_factors[0], axis=0) >= -1e-12).all()
        assert (np.diff(found.factors[0], axis=0) >= -1e-12).all()


def test_bounds_other_than_0_hold_where_rows_are_averages(rng):
    x = rng.normal(size=(20, 6)) + 2
    found = gcp.fit_gcp(
        x, 1, loss="gaussian", design={0: designs.bspline(5)}, bounds={0: (0.5, 1.5)}, random_state=0
    )
    assert found.fitted_factors[0].min() >= 0.5
    assert found.fitted_factors[0].max() <= 1.5


def test_a_position_without_data_has_the_value_of_its_design(rng):
    frame, m, _ = planted(rng)
    x = m + 0.01 * rng.normal(size=m.shape)
    mask = np.ones(x.shape, bool)
    mask[4], mask[:, 10:14] = False, False
    design = {0: frame.to_numpy(), 1: designs.bspline(8)}
    found = gcp.fit_gcp(x, 1, loss="gaussian", mask=mask, design=design, random_state=0)
    assert found.unknown == {}
    assert_allclose(found.model_values(), m, atol=0.1)


def test_a_group_without_data_is_unknown_and_predicted_by_the_mean_row(rng):
    x = rng.normal(size=(6, 5, 3)) + 3
    x[4:] = np.nan
    design = {0: designs.groups(["a", "b", "a", "b", "c", "c"])}
    found = gcp.fit_gcp(x, 1, loss="gaussian", design=design, random_state=0)
    assert found.unknown["mode_0"].tolist() == [4, 5]
    assert_allclose(found.coefficients["mode_0"][2], 0)
    mean = np.einsum("r,r,jr,kr->jk", found.weights, found.factors[0][:4].mean(axis=0), *found.factors[1:])
    assert_allclose(found.predict_at({0: ["c"]})[0], mean, atol=1e-12)
    assert_allclose(found.predict([[5, 1, 2]]), mean[1, 2])
    assert_allclose(found.predict_at({0: ["b"]})[0], found.predict()[1])


def test_transform_tells_new_positions_by_their_labels(rng):
    frame, m, _ = planted(rng)
    known = frame.iloc[:20]
    labels = gcp.ModeLabels(["user", "week", "k"], [known.index, DAYS, None])
    found = gcp.fit_gcp(
        gcp.DenseTensor(m[:20], labels=labels), 1, loss="gaussian", design={"user": frame}, random_state=0
    )
    new = gcp.DenseTensor(
        m[25:], labels=gcp.ModeLabels(["user", "week", "k"], [frame.index[25:], DAYS, None])
    )
    rows_of_new = found.transform(new, "user").rows
    size = (m[25:, 0, 0] / found.model_values()[0, 0, 0])[:, None] * found.factors[0][0]
    assert_allclose(rows_of_new, size, rtol=1e-5)
    with pytest.raises(gcp.ParameterError, match="tells new positions by their labels"):
        found.transform(m[25:], 0)
    with pytest.raises(gcp.ParameterError, match="bounds do nothing"):
        found.transform(new, 0, bounds=(0, 1))


def test_tied_modes_share_one_design(rng):
    z = rng.normal(size=(8, 3))
    a = z @ rng.normal(size=(3, 1))
    x = a @ a.T
    options = {"loss": "gaussian", "tied_modes": [(0, 1)], "random_state": 0}
    found = gcp.fit_gcp(x, 1, design={1: z}, **options)
    assert_allclose(found.model_values(), x, atol=1e-3)
    assert_allclose(z @ found.coefficients["mode_0"], found.factors[0], atol=1e-10)
    assert np.array_equal(found.factors[0], found.factors[1])
    both = gcp.fit_gcp(x, 1, design={0: z, 1: z}, **options)
    assert np.array_equal(both.factors[0], found.factors[0])
    with pytest.raises(gcp.ParameterError, match="tied to one with another design"):
        gcp.fit_gcp(x, 1, design={0: z, 1: 2 * z}, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"design": [1]}, "design must say which mode has which"),
        ({"design": {"x": np.eye(4)}}, "design must name modes"),
        ({"design": {0: np.ones((3, 2))}}, "has 3 rows, but the mode has 4 positions"),
        ({"design": {0: np.zeros((4, 2))}}, "is 0 everywhere"),
        ({"design": {0: np.full((4, 2), np.inf)}}, "holds NaN or infinite numbers"),
        ({"design": {0: np.ones(4)}}, "a matrix with a row for each position"),
        (
            {"design": {0: np.eye(4)[:, :2]}, "main_effects": True},
            "main_effects cannot be had together with a design",
        ),
        (
            {"design": {0: np.eye(4)[:, :2]}, "fixed_modes": [0], "init": [np.ones((4, 1)), np.ones((3, 1))]},
            "is fixed",
        ),
        ({"design": {0: -np.ones((4, 1))}, "bounds": (0, None)}, "a design keeps bounds at 0 alone"),
        (
            {"design": {0: designs.fourier(4, 1)}, "loss": "poisson"},
            "^design of mode 0: .*; losses of nonnegative models have such bounds",
        ),
        ({"design": {0: np.eye(4)[:, :2]}, "solver": "als"}, "a linear map of its variable"),
        ({"design": {0: np.eye(4)[:, :2], "mode_0": np.ones((4, 1))}}, "is named twice"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(gcp.ParameterError, match=words):
        gcp.fit_gcp(np.arange(12.0).reshape(4, 3), 1, **{"loss": "gaussian"} | options)


def test_a_start_from_a_result_begins_at_its_coefficients(rng):
    frame, m, _ = planted(rng)
    design = {0: frame.to_numpy(), 1: designs.fourier(52, 2)}
    x = m + 0.1 * rng.normal(size=m.shape)
    first = gcp.fit_gcp(x, 2, loss="gaussian", design=design, random_state=0)
    again = gcp.fit_gcp(x, 2, loss="gaussian", design=design, init=first)
    assert_allclose(again.trace["objective"][0], first.objective, rtol=1e-9)


def test_random_starts_are_made_of_coefficients(rng):
    from gcp.objectives.problem import Problem
    from gcp.solvers import get_solver
    from gcp.solvers.starts.search import Search

    z = rng.normal(size=(20, 3))
    for loss in ("gaussian", "poisson-log"):
        problem = Problem.of(rng.poisson(3.0, (20, 5, 4)), 2, gcp.get_loss(loss), design={0: z})
        start = Search(problem, "random", get_solver("auto"), 1, 0).start(0)[0]
        assert_allclose(z @ np.linalg.lstsq(z, start)[0], start, atol=1e-10)
        assert np.linalg.matrix_rank(start) == 2


def test_a_checkpoint_tells_designs_apart_and_goes_on_to_the_same_bits(tmp_path, rng):
    x = rng.poisson(3.0, (20, 6, 4)).astype(float)
    options = {"loss": "poisson-log", "random_state": 0, "design": {0: designs.bspline(5)}}
    path = tmp_path / "state"
    with pytest.warns(gcp.ConvergenceWarning):
        gcp.fit_gcp(x, 2, **options, checkpoint=path, n_iter_max=3)
    on = gcp.fit_gcp(x, 2, **options, checkpoint=path)
    whole = gcp.fit_gcp(x, 2, **options)
    assert all(np.array_equal(a, b) for a, b in zip(on.factors, whole.factors, strict=True))
    with pytest.raises(gcp.DataError, match="other design"):
        gcp.fit_gcp(x, 2, **options | {"design": {0: designs.bspline(6)}}, checkpoint=path)


def test_a_saved_result_predicts_the_same(tmp_path, rng):
    frame, m, _ = planted(rng)
    labels = gcp.ModeLabels(["user", "week", "k"], [frame.index, DAYS, None])
    every = [
        {"user": frame, "week": designs.bspline(6)},
        {"user": sparse.csr_array(frame.to_numpy()), "week": designs.monotone(4)},
        {"user": designs.groups(["a", "b"] * 15), "week": designs.fourier(364, 1)},
    ]
    for design in every:
        found = gcp.fit_gcp(
            gcp.DenseTensor(m, labels=labels), 1, loss="gaussian", design=design, random_state=0
        )
        found.save(tmp_path / "r.npz")
        read = gcp.load(tmp_path / "r.npz")
        assert read == found
        at = {"week": DAYS[:3] + np.timedelta64(2, "D")}
        assert np.array_equal(read.predict_at(at), found.predict_at(at))
        assert all(np.array_equal(read.coefficients[k], c) for k, c in found.coefficients.items())


def test_coefficients_follow_the_components(rng):
    frame, m, _ = planted(rng)
    x = m + 0.3 * rng.normal(size=m.shape)
    found = gcp.fit_gcp(x, 2, loss="gaussian", design={0: frame.to_numpy()}, random_state=0)
    other = gcp.fit_gcp(x, 2, loss="gaussian", design={0: frame.to_numpy()}, random_state=5)
    matched = gcp.analysis.align(other, found)
    assert_allclose(frame.to_numpy() @ matched.coefficients["mode_0"], matched.factors[0], atol=1e-10)


def test_the_estimator_and_select_rank_take_designs(rng):
    _, m, _ = planted(rng)
    x = m + 0.1 * rng.normal(size=m.shape)
    design = {1: designs.fourier(52, 1)}
    rows_of_fit = gcp.GCP(1, design=design, random_state=0).fit_transform(x)
    direct = gcp.fit_gcp(x, 1, loss="gaussian", design=design, random_state=0)
    assert_allclose(rows_of_fit, direct.factors[0])
    choice = gcp.select_rank(
        x, [1], "gaussian", weight_reg=0.0, design=design, n_splits=1, n_starts=1, random_state=0
    )
    assert_allclose(choice.result.model_values(), direct.model_values(), atol=1e-4)


def test_features_without_names_and_sparse_ones_are_designs(rng):
    z = rng.normal(size=(12, 3)) * (rng.random((12, 3)) < 0.6)
    x = z @ rng.normal(size=(3, 1)) @ rng.normal(size=(1, 5))
    for design in (z, sparse.coo_array(z), pd.DataFrame(z, columns=list("abc"))):
        found = gcp.fit_gcp(x, 1, loss="gaussian", design={0: design}, random_state=0)
        assert_allclose(found.model_values(), x, atol=1e-4)
        assert_allclose(found.predict_at({0: z[:2]}), x[:2], atol=1e-4)
    assert found.settings["design"] == {"mode_0": "features(a, b, c)"}


def test_columns_that_are_called_by_numbers_are_found_in_any_order(rng):
    frame = pd.DataFrame(rng.normal(size=(6, 2)), columns=[1, 2])
    found = gcp.fit_gcp(rng.normal(size=(6, 4)), 1, loss="gaussian", design={0: frame}, random_state=0)
    assert_allclose(found.predict_at({0: frame[[2, 1]]}), found.predict())
    assert_allclose(found.predict_at({0: {2: [3.0], 1: [0.5]}}), found.predict_at({0: [[0.5, 3.0]]}))


def test_times_in_a_zone_are_not_taken_for_numbers(rng):
    """xarray gives them as nanoseconds, of which a week has many."""
    days = pd.date_range("2024-01-01", periods=12, tz="Europe/Paris")
    data = xr.DataArray(rng.normal(size=(12, 4)), dims=("day", "site"), coords={"day": days})
    with pytest.raises(gcp.ParameterError, match=r"found <U\d+ \(2024-01-01 00:00:00\+01:00"):
        gcp.fit_gcp(data, 1, loss="gaussian", design={"day": designs.fourier(7, 1)})
    plain = data.assign_coords(day=days.tz_localize(None))
    found = gcp.fit_gcp(plain, 1, loss="gaussian", design={"day": designs.fourier(7, 1)}, random_state=0)
    assert_allclose(found.predict_at({"day": days[3:5]}), found.predict()[3:5])
    by_text = gcp.fit_gcp(data, 1, loss="gaussian", random_state=0)
    assert_allclose(by_text.predict({"day": days[3], "site": 1}), by_text.predict()[3, 1])


def test_float32_stays_float32(rng):
    x = rng.poisson(3.0, (20, 6, 4)).astype(np.float32)
    found = gcp.fit_gcp(x, 1, loss="poisson", design={0: designs.bspline(5)}, random_state=0)
    assert {a.dtype for a in found.factors} == {np.dtype(np.float32)}
    double = gcp.fit_gcp(x.astype(float), 1, loss="poisson", design={0: designs.bspline(5)}, random_state=0)
    assert_allclose(found.predict(), double.predict(), rtol=1e-3)


@pytest.mark.parametrize("loss", ["gaussian", "poisson-log", "bernoulli-logit", "poisson"])
def test_a_second_pass_over_lists_has_the_curvatures_of_dense_data(loss, rng):
    from gcp.objectives.views.curvature import curved_pass

    x = rng.integers(0, 2, (6, 5, 4)).astype(float)
    formula = gcp.get_loss(loss).with_scale(1.0).formula
    factors = [rng.uniform(0.2, 1, (size, 2)) for size in x.shape]
    dense = curved_pass(gcp.DenseTensor(x), formula, factors, 1, ())
    for kind in ("observed", "sparse") if formula.zero is None or loss == "gaussian" else ("observed",):
        found = curved_pass(LISTS[kind](x, None), formula, factors, 1, ())
        for one, other in zip(found[3], dense[3], strict=True):
            assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_lists_with_designs_end_where_dense_data_do(seed, rng):
    z, waves = (
        np.column_stack([np.ones(25), rng.normal(size=25)]),
        rows(designs.fourier(26, 2), np.arange(52)),
    )
    c = [0.6 * rng.normal(size=(size, 2)) for size in (2, 5, 4)]
    x = rng.poisson(np.exp(np.einsum("ir,jr,kr->ijk", z @ c[0], waves @ c[1], c[2]))).astype(float)
    options = {"loss": "poisson-log", "design": {0: z, 1: designs.fourier(26, 2)}, "random_state": seed}
    dense = gcp.fit_gcp(x, 2, **options)
    for kind in ("observed", "sparse"):
        found = gcp.fit_gcp(LISTS[kind](x, None), 2, **options)
        assert found.converged
        assert_allclose(found.objective, dense.objective, rtol=1e-6)
