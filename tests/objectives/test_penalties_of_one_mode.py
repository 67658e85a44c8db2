"""Penalties of one mode. Truths: Whittaker smoothers, ridges and thresholds by NumPy, integrals, equal models."""

import json
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

import gcp
from gcp import DenseTensor, ModeLabels, ObservedTensor, ParameterError, SparseTensor, fit_gcp
from gcp.base.alignment import Alignment
from gcp.objectives.description import ProblemDescription
from gcp.penalties import FactorQuadratic, Graph, Lasso, Near, Penalty, Ridge, Smooth

SIZE = 25
OTHER = np.array([[1.0], [2.0], [0.5]])
RING = np.roll(np.eye(SIZE), 1, axis=1) + np.roll(np.eye(SIZE), -1, axis=1)
FIRST = np.diff(np.eye(SIZE), axis=0)
SECOND = np.diff(np.eye(SIZE), 2, axis=0)


def normal_matrix(matrix, strength, weights=OTHER):
    """Of the squares of data - a b' with a free, and a penalty in units of the Gaussian loss's curvature, 2."""
    return np.sum(weights**2) * np.eye(len(matrix)) + strength * np.mean(weights**2) * matrix


def curve(rng, noise=0.3):
    x = np.outer(1.5 + np.sin(np.arange(SIZE) / 4), OTHER) + noise * rng.normal(size=(SIZE, 3))
    return x, x @ OTHER[:, 0]


def of_fixed(x, penalties, **options):
    """The first factor beside the other one, which is fixed."""
    init = [np.ones((len(x), 1)), OTHER]
    return fit_gcp(x, 1, penalties=penalties, init=init, fixed_modes=[1], tol=1e-15, **options)


def near_matrix(centre):
    return np.eye(SIZE) - np.outer(centre, centre) / (centre @ centre)


CENTRE = np.cos(np.arange(SIZE) / 9.0)
QUADRATICS = {
    "ridge": (Ridge(0, 4.0), np.eye(SIZE), 4.0),
    "weak ridge": (Ridge(0, 0.2), np.eye(SIZE), 0.2),
    "smooth": (Smooth(0, 6.0), SECOND.T @ SECOND, 6.0),
    "smooth, order 1": (Smooth("mode_0", 6.0, order=1), FIRST.T @ FIRST, 6.0),
    "smooth, cyclic": (Smooth(0, 5.0, order=1, cyclic=True), 2 * np.eye(SIZE) - RING, 5.0),
    "smooth, cyclic, order 2": (
        Smooth(0, 5.0, cyclic=True),
        (2 * np.eye(SIZE) - RING) @ (2 * np.eye(SIZE) - RING),
        5.0,
    ),
    "graph": (Graph(0, csr_array(0.5 * RING), 3.0), 2 * np.eye(SIZE) - RING, 1.5),
    "near": (Near(-2, CENTRE, 7.0), near_matrix(CENTRE), 7.0),
}


@pytest.mark.parametrize("name", QUADRATICS)
def test_beside_a_fixed_factor_it_is_a_whittaker_smoother_or_ridge(name, rng):
    penalty, matrix, strength = QUADRATICS[name]
    x, target = curve(rng)
    found = of_fixed(x, [penalty])
    expected = np.linalg.solve(normal_matrix(matrix, strength), target)
    assert_allclose(found.fitted_factors[0][:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["weak ridge", "smooth", "graph", "near"])
def test_standard_errors_are_of_the_penalised_information(name, rng):
    penalty, matrix, strength = QUADRATICS[name]
    x, target = curve(rng, 0.1)
    found = of_fixed(x, [penalty])
    inverse = np.linalg.inv(normal_matrix(matrix, strength))
    a, freedom = inverse @ target, np.trace(inverse) * np.sum(OTHER**2)
    variance = np.sum((x - np.outer(a, OTHER)) ** 2) / (x.size - freedom)
    errors = gcp.analysis.standard_errors(found, x)
    assert_allclose(errors.dispersion, variance, rtol=1e-6)
    norm = np.linalg.norm(a)
    turned = (np.eye(SIZE) - np.outer(a, a) / norm**2) / norm  # of a unit-norm column in the entries
    expected = np.sqrt(variance * np.diag(turned @ inverse @ turned.T))
    assert_allclose(errors.factors[0][:, 0], expected, rtol=1e-5)
    with pytest.raises(
        ParameterError, match="bias_correction=True is for estimates without penalties of one"
    ):
        gcp.analysis.standard_errors(found, x, bias_correction=True)


def test_a_lasso_is_a_threshold(rng):
    x = np.outer(np.maximum(rng.normal(size=SIZE), 0), OTHER) + 0.2 * rng.normal(size=(SIZE, 3))
    unit = 2 * x.std()  # the root mean square slope about the mean
    found = of_fixed(x, [Lasso(0, 1.5)], bounds={0: (0, None)})
    pull = 1.5 * unit * np.sqrt(np.mean(OTHER**2)) / 2
    expected = np.maximum(x @ OTHER[:, 0] - pull, 0) / np.sum(OTHER**2)
    assert_allclose(found.fitted_factors[0][:, 0], expected, atol=1e-7)
    assert (expected == 0).sum() > 3
    with pytest.raises(ParameterError, match=r"nonnegative factor: use bounds=\(0, None\), of this mode"):
        of_fixed(x, [Lasso(0, 1.5)])


SHAPE = (6, 5, 4)


def every(rng):
    links = rng.random((6, 6))
    return [
        Ridge(0, 0.7),
        Smooth(0, 0.7),
        Smooth(0, 0.7, order=1, cyclic=True),
        Graph(0, links + links.T, 0.7),
        Near(0, rng.normal(size=(6, 2)), 0.7),
        Lasso(0, 0.7),
    ]


def test_rescaling_does_not_change_the_value(rng):
    factors = random_factors(SHAPE, 3, rng, positive=True)
    scales = rng.uniform(0.01, 100.0, (3, 3))
    scales /= np.prod(scales, axis=0) ** (1 / 3)
    equal = [a * s for a, s in zip(factors, scales, strict=True)]
    for penalty in every(rng):
        assert_allclose(penalty.value(equal), penalty.value(factors), rtol=1e-10)


@dataclass(frozen=True)
class Roughness(Penalty):
    """(strength / 2) * sum of squared second differences along the first mode: what rescaling evades."""

    strength: float

    def value(self, factors):
        return 0.5 * self.strength * float(np.sum(np.diff(factors[0], 2, axis=0) ** 2))

    def add_grad(self, factors, grad):
        d = np.diff(np.eye(len(factors[0])), 2, axis=0)
        grad[0] += self.strength * d.T @ (d @ factors[0])

    def quadratic(self, mode, factors):
        d = np.diff(np.eye(len(factors[0])), 2, axis=0)
        strengths = np.full(factors[mode].shape[1], self.strength if mode == 0 else 0.0)
        return FactorQuadratic(strengths, None, d.T @ d if mode == 0 else None)


def test_a_plain_penalty_is_evaded_and_this_is_not(rng):
    x = full([np.sin(np.arange(30) / 5)[:, None], *random_factors((6, 5), 1, rng)])
    x += 0.5 * rng.normal(size=x.shape)
    rough = {}
    for name, given in (("none", []), ("plain", [Roughness(500.0)]), ("ours", [Smooth(0, 500.0)])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gcp.ConvergenceWarning)
            found = fit_gcp(x, 1, penalties=given, random_state=0, n_iter_max=200)
        rough[name] = np.sum(np.diff(found.factors[0], 2, axis=0) ** 2)
        if given:
            assert found.penalty < (1e-2 if name == "plain" else 1e9) * found.objective
    assert rough["plain"] > 0.9 * rough["none"]
    assert rough["ours"] < 0.1 * rough["none"]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_roughness_is_the_integral_of_squared_derivatives_at_unequal_distances(order, rng):
    where = np.cumsum(rng.uniform(0.5, 1.5, 4000))
    where *= (len(where) - 1) / (where[-1] - where[0])
    values = np.sin(where / 40.0)[:, None]
    derivative = {1: np.cos, 2: np.sin, 3: np.cos}[order]
    fine = np.linspace(where[0], where[-1], 400_001)
    integral = np.trapezoid((derivative(fine / 40.0) / 40.0**order) ** 2, fine)
    assert_allclose(2 * Smooth(0, 1.0, order, coordinates=where).value([values]), integral, rtol=0.01)
    mixed = rng.permutation(4000)
    again = Smooth(0, 1.0, order, coordinates=where[mixed]).value([values[mixed]])
    assert_allclose(2 * again, integral, rtol=0.01)
    line = (where[:, None] / 4000) ** np.arange(order)
    assert Smooth(0, 1.0, order, coordinates=where).value([line]) < 1e-12


def test_labels_that_are_dates_say_how_far_positions_are(rng):
    x, _ = curve(rng)
    weeks = pd.date_range("2024-01-01", periods=SIZE, freq="7D")
    gaps = np.delete(np.arange(SIZE), [4, 5, 11])
    data = xr.DataArray(x, dims=("week", "site"), coords={"week": weeks})
    found = fit_gcp(data[gaps], 1, penalties=[Smooth("week", 5.0)], random_state=0, tol=1e-14)
    (kept,) = found.problem.penalties.of_components
    assert_allclose(kept.coordinates, gaps)
    own = Smooth(0, 5.0, unit=kept.unit, coordinates=gaps.astype(float))
    assert_allclose(found.penalty, own.value(found.fitted_factors), rtol=1e-10)
    order = rng.permutation(len(gaps))
    again = fit_gcp(data[gaps][order], 1, penalties=[Smooth("week", 5.0)], random_state=0, tol=1e-14)
    assert_allclose(again.objective, found.objective, rtol=1e-8)
    texts = data.assign_coords(week=weeks.strftime("%d.%m."))
    even = fit_gcp(texts[gaps], 1, penalties=[Smooth("week", 5.0)], random_state=0)
    assert even.problem.penalties.of_components[0].coordinates is None
    with pytest.raises(ParameterError, match="two positions of the mode have the same label"):
        fit_gcp(data.assign_coords(week=np.zeros(SIZE)), 1, penalties=[Smooth("week", 5.0)])


@pytest.mark.parametrize(
    "where",
    [
        np.array([0, 24, 72, 96, 240]).astype("m8[h]"),
        np.array([0, 24, 72, 96, 240]).astype("m8[h]").astype("m8[ns]"),
        np.array(["1200-01-01", "1200-01-02", "1200-01-04", "1200-01-05", "1200-01-11"], "M8[D]"),
    ],
    ids=lambda where: f"{where.dtype} {where[0]}",
)
def test_durations_and_early_dates_are_coordinates(where):
    labels = ModeLabels(["day", "site"], [where, None])
    data = DenseTensor(np.arange(10.0).reshape(5, 2), labels=labels)
    found = fit_gcp(data, 1, penalties=[Smooth("day", 1.0)], random_state=0, n_iter_max=1)
    steps = np.array([0, 1, 3, 4, 10]) / 1.5  # the median of 1, 2, 1, 6
    assert_allclose(found.problem.penalties.of_components[0].coordinates, steps)


def test_dates_that_are_missing_are_no_coordinates():
    where = np.array(["2024-01-01", "NaT", "2024-01-04"], "M8[D]")
    data = DenseTensor(np.ones((3, 2)), labels=ModeLabels(["day", "site"], [where, None]))
    with pytest.raises(ParameterError, match="labels of the mode must be finite"):
        fit_gcp(data, 1, penalties=[Smooth("day", 1.0)])


def test_numbers_in_texts_are_refused_unless_they_stand_evenly_in_order():
    def of(texts):
        labels = ModeLabels(["year", "site"], [texts, None])
        return DenseTensor(np.arange(8.0).reshape(4, 2), labels=labels)

    for texts in (["1", "10", "2", "3"], ["1990", "1991", "1993", "1994"]):
        with pytest.raises(ParameterError, match=f"texts of numbers \\({texts[0]}, .*label it by numbers"):
            fit_gcp(of(texts), 1, penalties=[Smooth("year", 1.0)])
    for texts in (["1990", "1991", "1992", "1993"], ["Jan", "Feb", "Mar", "Apr"]):
        found = fit_gcp(of(texts), 1, penalties=[Smooth("year", 1.0)], random_state=0, n_iter_max=1)
        assert found.problem.penalties.of_components[0].coordinates is None


def test_positions_without_data_get_what_the_penalty_prefers(rng):
    x, _ = curve(rng)
    x[8:11] = np.nan
    found = of_fixed(x, [Smooth(0, 6.0)])
    known = np.isfinite(x[:, 0])
    normal = np.diag(known * np.sum(OTHER**2)) + 6.0 * np.mean(OTHER**2) * SECOND.T @ SECOND
    expected = np.linalg.solve(normal, np.nan_to_num(x) @ OTHER[:, 0])
    assert_allclose(found.fitted_factors[0][:, 0], expected, rtol=1e-5)
    assert found.unknown == {}
    assert np.isfinite(gcp.analysis.standard_errors(found, x).factors[0]).all()
    parts = np.zeros((SIZE, SIZE))
    parts[9, 12] = parts[12, 9] = 1.0
    found = of_fixed(x, [Graph(0, parts, 1.0)])
    assert_allclose(found.fitted_factors[0][9], found.fitted_factors[0][12], rtol=1e-6)
    assert found.unknown["mode_0"].tolist() == [8, 10]


@pytest.mark.parametrize("loss", ["gaussian", "gamma"])
def test_strengths_do_not_depend_on_the_unit_of_the_data(loss, rng):
    x = full(random_factors((12, 5, 4), 2, rng, positive=True)) * rng.gamma(5.0, size=(12, 5, 4))
    options = {"loss": loss, "random_state": 0, "tol": 1e-13, "n_iter_max": 5000}
    if loss == "gaussian":
        options["bounds"] = (0, None)
    given = [Smooth(0, 5.0), Lasso(1, 2.0), Ridge(2, 1.0)]
    one, other = (fit_gcp(scale * x, 2, penalties=given, **options) for scale in (1.0, 1024.0))
    assert_allclose(other.model_values(), 1024.0 * one.model_values(), rtol=1e-3)
    free = fit_gcp(x, 2, **options)
    assert np.abs(free.model_values() / one.model_values() - 1).max() > 0.1


def test_strengths_count_cells(rng):
    """The same data twice along another mode are twice the data: as under half the strength."""
    x = full(random_factors((12, 5, 4), 2, rng)) + rng.normal(size=(12, 5, 4))
    init = random_factors((12, 5, 4), 2, rng)
    double = [init[0], np.concatenate([init[1]] * 2), init[2]]
    twice = fit_gcp(np.concatenate([x, x], axis=1), 2, penalties=[Smooth(0, 8.0)], init=double, tol=1e-13)
    half = fit_gcp(x, 2, penalties=[Smooth(0, 4.0)], init=init, tol=1e-13)
    assert_allclose(twice.model_values()[:, :5], half.model_values(), atol=1e-4)


def labelled_counts(rng, sizes=(16, 6, 5)):
    x = rng.poisson(full(random_factors(sizes, 2, rng, positive=True)))
    coords = {"month": np.arange(sizes[0]), "site": [f"s{k}" for k in range(sizes[1])]}
    coords["kind"] = np.arange(sizes[2])
    return xr.DataArray(x.astype(float), dims=("month", "site", "kind"), coords=coords)


def penalties_of(sites, rng):
    links = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) == 1
    table = pd.DataFrame(links.astype(float), index=sites, columns=sites)
    table = table.iloc[rng.permutation(6), rng.permutation(6)]
    return [Smooth("month", 20.0), Graph("site", table, 1.0), Lasso("kind", 0.2), Ridge("site", 0.5)]


def test_all_kinds_of_data_have_the_same_minimum(rng):
    data = labelled_counts(rng)
    given = penalties_of(data.site.values, rng)
    x, labels = data.values, ModeLabels(data.dims, [data[name].values for name in data.dims])
    options = {"loss": "poisson", "penalties": given, "init": random_factors(x.shape, 2, rng, positive=True)}
    options["tol"] = 1e-12
    whole = fit_gcp(data, 2, **options)
    assert whole.converged
    assert whole.n_iter < 200
    assert_allclose(
        whole.penalty, sum(p.value(whole.fitted_factors) for p in whole.problem.penalties.of_components)
    )
    kinds = [
        SparseTensor(np.argwhere(x), x[x > 0], x.shape, labels=labels),
        ObservedTensor(np.argwhere(x >= 0), x.ravel(), x.shape, labels=labels),
        gcp.partition(data, 3),
        data.astype(np.float32),
    ]
    for kind in kinds:
        assert_allclose(fit_gcp(kind, 2, **options).objective, whole.objective, rtol=1e-6)
    turned = data.transpose("kind", "month", "site")
    options["init"] = [options["init"][n] for n in (2, 0, 1)]
    assert_allclose(fit_gcp(turned, 2, **options).objective, whole.objective, rtol=1e-6)


def test_rows_are_refitted_under_the_penalties_of_other_modes(rng):
    data = labelled_counts(rng)
    options = {"loss": "poisson", "random_state": 0, "tol": 1e-14, "n_iter_max": 5000}
    given = [Smooth("month", 20.0), Ridge("site", 2.0), Lasso("kind", 0.5)]
    found = fit_gcp(data, 2, penalties=given, **options)
    for mode in ("site", "kind"):
        own = found.factors[found.labels.number(mode)]
        assert_allclose(found.transform(data, mode).rows, own, atol=1e-4)
        without = replace(found, problem=ProblemDescription())
        assert np.abs(without.transform(data, mode).rows - own).max() > 1e-3
    # nothing is known of where new months are: their rows are what their data say
    without = replace(found, problem=ProblemDescription())
    ridged = fit_gcp(data, 2, penalties=[Smooth("month", 20.0)], **options)
    rows = ridged.transform(data, "month").rows
    assert_allclose(
        rows, replace(ridged, problem=ProblemDescription()).transform(data, "month").rows, atol=1e-6
    )


def test_files_keep_penalties_and_older_files_are_read(tmp_path, rng):
    data = labelled_counts(rng)
    given = [*penalties_of(data.site.values, rng), Near("kind", np.ones((5, 1)), 0.1)]
    found = fit_gcp(data, 2, loss="poisson", penalties=given, random_state=0)
    assert found.settings["penalties"] == [
        "Smooth('month', 20.0)",
        "Graph('site', ..., 1.0)",
        "Lasso('kind', 0.2)",
        "Ridge('site', 0.5)",
        "Near('kind', ..., 0.1)",
    ]
    found.save(tmp_path / "a.npz")
    again = gcp.load(tmp_path / "a.npz")
    assert again.problem.penalties == found.problem.penalties
    assert_allclose(again.transform(data, "site").rows, found.transform(data, "site").rows)
    old = {"penalties": [{"class": "Ridge", "fields": {"strength": 0.5}}], "effects_ridge": 0.0}
    rest = {"fixed_modes": [], "tied_modes": [], "effect_modes": [], "bounds": None, "estimated": []}
    read = ProblemDescription.from_json(json.loads(json.dumps(old | rest)), {})
    assert read.penalties.of_components == (Ridge(None, 0.5),)


def test_models_in_another_order_keep_their_penalties(rng):
    data = labelled_counts(rng)
    given = [*penalties_of(data.site.values, rng), Near("kind", rng.random((5, 2)), 0.1)]
    found = fit_gcp(data, 2, loss="poisson", penalties=given, random_state=0)
    orders = rng.permutation(5), rng.permutation(16), rng.permutation(6)
    moved = Alignment((2, 0, 1), orders).of_model(found)
    for own, other in zip(
        found.problem.penalties.of_components, moved.problem.penalties.of_components, strict=True
    ):
        assert_allclose(other.value(moved.fitted_factors), own.value(found.fitted_factors))
    rows = found.transform(data[:, :3], "site").rows
    assert_allclose(moved.transform(data[:, :3], "site").rows, rows, rtol=1e-5)


def test_components_stay_in_the_order_of_the_centre(rng):
    factors = random_factors((20, 6, 5), 2, rng, positive=True)
    x = full([factors[0] * [1.0, 5.0], *factors[1:]]) + 0.1 * rng.normal(size=(20, 6, 5))
    centre = factors[0] * [300.0, -0.2]
    found = fit_gcp(x, 2, penalties=[Near(0, centre, 500.0)], random_state=0)
    assert found.weights[0] < found.weights[1]
    cosines = np.abs(found.factors[0].T @ (factors[0] / np.linalg.norm(factors[0], axis=0)))
    assert (np.diag(cosines) > 0.999).all()
    with pytest.raises(ParameterError, match="the centre has 2 columns, the model 1 components"):
        fit_gcp(x, 1, penalties=[Near(0, centre, 500.0)])


def test_tied_modes_main_effects_and_float32(rng):
    x = rng.poisson(full([random_factors((8, 5), 2, rng, positive=True)[k] for k in (0, 0, 1)]) + 0.1)
    given = [Smooth(2, 50.0), Ridge(0, 1.0), Graph(1, np.ones((8, 8)), 0.2)]
    tied = fit_gcp(x, 2, loss="poisson", tied_modes=[(0, 1)], penalties=given, random_state=0)
    assert tied.converged
    assert_allclose(tied.factors[0], tied.factors[1])
    free, bounds = gcp.build_objective(x, "poisson", penalties=given), tied.fitted_factors
    value, grad = free.value_and_grad(bounds)
    assert_allclose(value, tied.objective)
    slope = (grad[0] + grad[1])[bounds[0] > 1e-6]
    assert np.abs(slope).max() < 1e-2
    effects = fit_gcp(x, 2, loss="poisson", main_effects=True, penalties=given, random_state=0)
    assert effects.converged
    assert_allclose(
        effects.penalty, sum(p.value(effects.fitted_factors) for p in effects.problem.penalties.of_components)
    )


def test_estimated_parameters_have_penalties_in_their_units(rng):
    mean = full(random_factors((8, 5, 4), 1, rng, positive=True))
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + mean))
    loss = gcp.NegativeBinomial(r="estimate")
    found = fit_gcp(x, 1, loss=loss, penalties=[Smooth(0, 5.0)], random_state=0)
    again = fit_gcp(x, 1, loss=found.loss, penalties=[Smooth(0, 5.0)], init=found, random_state=0)
    assert_allclose(again.objective, found.objective, rtol=1e-6)
    assert_allclose(again.penalty, found.penalty, rtol=1e-2)


def test_held_out_cells_choose_a_strength_that_halves_the_error():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 40)
    bumps = 0.02 + np.exp(-0.5 * ((time[:, None] - [0.3, 0.7]) / 0.12) ** 2)
    mean = full([bumps, *(rng.gamma(1.0, size=(n, 2)) for n in (12, 10))])
    x = rng.poisson(0.15 * mean / mean.mean())
    given = [(), *([Smooth("time", s)] for s in (30.0, 1000.0))]
    data = xr.DataArray(x, dims=("time", "a", "b"))
    options = {"n_splits": 2, "n_starts": 1, "random_state": 0}
    choice = gcp.select_rank(data, [2], "poisson", penalties=given, **options)
    best = min((row for row in choice.table if row.rank), key=lambda row: row.loss)
    assert [p.strength for p in best.penalties] == [1000.0]
    assert "Smooth('time', 1000.0)" in choice.summary()
    units = {p.unit for row in choice.table for p in row.penalties}
    assert len(units) == 1  # those of all data, not of each split
    errors = []
    for penalties in ((), best.penalties):
        found = fit_gcp(data, 2, loss="poisson", penalties=penalties, random_state=0, n_starts=2).factors[0]
        unit = bumps / np.linalg.norm(bumps, axis=0)
        rows, columns = linear_sum_assignment(-np.abs(unit.T @ found))
        errors.append(np.linalg.norm(unit[:, rows] - found[:, columns]))
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Smooth(1.5, 1.0), "mode must be the name or the number of a mode"),
        (lambda: Smooth(0, -1.0), "strength must be a finite number from 0"),
        (lambda: Smooth(0, 1.0, order=0), "order must be an integer >= 1"),
        (lambda: Smooth(0, 1.0, cyclic="yes"), "cyclic must be True or False"),
        (lambda: Graph(0, np.ones((2, 3)), 1.0), r"must be square, of shape \(I, I\)"),
        (lambda: Graph(0, [[0, 1], [0, 0]], 1.0), "must be symmetric"),
        (lambda: Graph(0, [[0, -1], [-1, 0]], 1.0), "finite numbers from 0"),
        (lambda: Near(None, [1.0], 1.0), "Near is of one mode"),
        (lambda: Near(0, [np.inf], 1.0), "must be finite numbers"),
        (lambda: Smooth("weak", 1.0), "Unknown mode 'weak': expected 0 to 2, or one of month, site, kind"),
        (lambda: Smooth("kind", 1.0, order=5), "differences of order 5 need more than 5"),
        (lambda: Graph("month", RING, 1.0), "the matrix is of 25 positions, the mode 'month' has 16"),
        (lambda: Near("site", np.ones((5, 1)), 1.0), "the centre has 5 rows, the mode 'site' 6 positions"),
        (
            lambda: Graph("site", pd.DataFrame(np.ones((6, 6)), list("abcdef"), list("abcdef")), 1.0),
            "rows must have the labels of mode 'site': only one side has a, b, c",
        ),
        (
            lambda: Near("site", pd.DataFrame(np.ones((6, 1)), index=list("abcdef")), 1.0),
            "centre of Near of mode 1",
        ),
    ],
)
def test_what_is_wrong_is_said(make, message, rng):
    with pytest.raises(ParameterError, match=message):
        fit_gcp(labelled_counts(rng), 2, loss="poisson", penalties=[make()], n_iter_max=1)


def test_summaries_name_penalties(rng):
    data = labelled_counts(rng)
    given = [Smooth("month", 2.5, order=1), Ridge("site", 0.25)]
    found = fit_gcp(data, 1, loss="poisson", penalties=given, l2_reg=0.125, random_state=0, n_iter_max=2)
    words = "l2_reg 0.125, Smooth('month', 2.5, order=1), Ridge('site', 0.25)"
    assert found.summary().facts["penalties"] == words
    assert words in repr(found)
    assert fit_gcp(data, 1, random_state=0, n_iter_max=1, loss="poisson").summary().facts["penalties"] == ""
    ridges = {"factors": 0.0, "main_effects": 3.0}
    found = fit_gcp(data, 1, main_effects=True, l2_reg=ridges, random_state=0, n_iter_max=1, loss="poisson")
    assert found.summary().facts["penalties"] == "l2_reg of main effects 3"


def test_dates_in_texts_are_refused_because_their_distances_would_not_count():
    days = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-03-09", "2024-02-01"], tz="Europe/Paris")
    x = xr.DataArray(np.ones((4, 2)), coords={"day": days, "s": ["a", "b"]}, dims=("day", "s"))
    with pytest.raises(ParameterError, match="tz_convert"):
        fit_gcp(x.to_series(), 1, loss="poisson", penalties=[Smooth("day", 1.0)])
    plain = x.assign_coords(day=days.tz_convert(None)).to_series()
    assert fit_gcp(plain, 1, loss="poisson", penalties=[Smooth("day", 1.0)], random_state=0).converged
