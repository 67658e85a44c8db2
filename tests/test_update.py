"""Updates by new positions of a mode.

Truths: sums over entries and least squares by NumPy, SciPy's minimiser of the same sum, fits of all data at once,
planted models, and the same stream in another process.
"""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import LOSSES, full, interior_points, random_factors, short
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import gcp
from gcp import DataError, DenseTensor, ModeLabels, ObservedTensor, ParameterError, SparseTensor, fit_gcp
from gcp.analysis import factor_match_score
from gcp.base.labels import appended
from gcp.objectives.refit_rows import with_rows

TIGHT = {"n_iter_max": 500, "tol": 1e-14}
MODES = ["place", "kind", "day"]


def of_kind(kind, x):
    if kind == "sparse":
        return SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    if kind == "observed":
        return ObservedTensor(np.argwhere(np.ones(x.shape)), x.ravel(), x.shape)
    return np.asarray(x, dtype=float)


def planted(loss, n_days, rng, sizes=(9, 7), rank=2):
    """Data of a planted model, and its factors."""
    shape = (*sizes, n_days)
    draw = rng.normal if loss in ("gaussian", "bernoulli-logit") else lambda size: rng.gamma(1.0, 1.0, size)
    factors = [draw(size=(n, rank)) for n in shape]
    m = full(factors)
    if loss == "poisson":
        return rng.poisson(m).astype(float), factors
    if loss == "gamma":
        return rng.gamma(4.0, m / 4.0), factors
    if loss == "gaussian":
        return m + 0.5 * rng.normal(size=shape), factors
    return (rng.random(shape) < 1 / (1 + np.exp(-m))).astype(float), factors


def fitted(x, loss, **options):
    own = {"modes": MODES[3 - x.ndim :], "random_state": 0, "n_starts": 3, "tol": 1e-10, "n_iter_max": 3000}
    return fit_gcp(x, 2, loss=loss, **own | options)


# --- what is remembered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "observed"])
@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if loss.is_standard and loss.formula.compiled], ids=short
)
def test_expansions_are_sums_over_entries(loss, kind, rng):
    shape = (4, 5, 3)
    x, m = interior_points(loss, np.prod(shape), rng)
    low = loss.model_domain.low >= 0
    factors = [np.abs(a) + 0.3 if low else a for a in random_factors(shape, 2, rng)]
    x, m = x.reshape(shape), full(factors)
    objective = gcp.build_objective(of_kind(kind, x), loss)
    loss = objective.loss
    _, grad = objective.value_and_grad(factors)
    bend = np.abs(loss.curvature(x, m))
    for n, rest in enumerate([(1, 2), (0, 2), (0, 1)]):
        found = objective.row_wise().expansion(n, factors)
        assert_allclose(found.gradient, grad[n], rtol=1e-9, atol=1e-9 * np.abs(grad[n]).max())
        k = np.einsum("ir,jr->ijr", *(factors[other] for other in rest))
        own = np.einsum("nij,ijr,ijs->nrs", np.moveaxis(bend, n, 0), k, k)
        assert_allclose(found.curvature, own, rtol=1e-8, atol=1e-10 * np.abs(own).max())


@pytest.mark.parametrize("loss", ["poisson", "gaussian", "bernoulli-poisson"])
def test_expansions_of_sparse_data_count_the_zeros(loss, rng):
    x = rng.binomial(1, 0.3, (4, 5, 3)).astype(float)
    factors = [np.abs(a) + 0.1 for a in random_factors(x.shape, 2, rng)]
    dense, sparse = (gcp.build_objective(of_kind(kind, x), loss).row_wise() for kind in ("dense", "sparse"))
    for n in range(3):
        one, other = dense.expansion(n, factors), sparse.expansion(n, factors)
        assert_allclose(one.gradient, other.gradient, rtol=1e-7, atol=1e-7)
        assert_allclose(one.curvature, other.curvature, rtol=1e-7, atol=1e-9)


# --- what an update is ---------------------------------------------------------------------------------------------


def test_a_matrix_is_updated_by_least_squares(rng):
    """The expansion of squares in the rows of one mode is exact: these solve for all data, at the others' rows."""
    x, _ = planted("gaussian", 30, rng, sizes=(12,))
    result = fitted(x[:, :20], "gaussian", modes=["place", "day"])
    for day in range(20, 30, 2):
        result = result.update(x[:, day : day + 2], "day", history=x[:, :20] if day == 20 else None, **TIGHT)
    days = result.fitted_factors[1]
    solved = np.linalg.lstsq(days, x.T, rcond=None)[0].T
    assert_allclose(result.fitted_factors[0], solved, rtol=1e-6, atol=1e-8)
    assert_allclose(days[28:], np.linalg.lstsq(solved, x[:, 28:], rcond=None)[0].T, rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"l2_reg": 2.0}, {"penalties": [gcp.penalties.Ridge("kind", 3.0)]}], ids=str
)
@pytest.mark.parametrize("loss", ["poisson", "gaussian", "bernoulli-logit", "gamma"])
def test_the_sum_is_at_its_minimum(loss, options, rng):
    """SciPy finds no lower value of the loss, the penalty of a row and the expansion, from where the update ended."""
    x, _ = planted(loss, 24, rng)
    result = fitted(x[:, :, :20], loss, **options).update(x[:, :, 20:22], "day", history=x[:, :, :20])
    after = result.update(x[:, :, 22:], "day", **TIGHT)
    objective = gcp.build_objective(x[:, :, 22:], loss)
    remembered = result.memory.total()
    low = loss in ("poisson", "gamma")
    ridge = _ridge_of(result, x[:, :, 22:])
    start = [after.fitted_factors[0], after.fitted_factors[1], after.fitted_factors[2][22:]]
    ends = np.cumsum([a.size for a in start])[:-1]

    def value(flat):
        factors = [part.reshape(a.shape) for part, a in zip(np.split(flat, ends), start, strict=True)]
        found, grad = objective.value_and_grad(factors)
        for n in (0, 1):
            own = remembered[n]
            away = factors[n] - own.centre
            pull = np.einsum("irs,is->ir", own.curvature, away)
            found += np.sum(away * (own.gradient + pull / 2))
            grad[n] = grad[n] + own.gradient + pull
        for n in range(3):
            found += 0.5 * np.sum(ridge[n] * factors[n] ** 2)
            grad[n] = grad[n] + ridge[n] * factors[n]
        return found, np.concatenate([g.ravel() for g in grad])

    flat = np.concatenate([a.ravel() for a in start])
    bounds = [(0 if low else None, None)] * len(flat)
    best = minimize(
        value, flat, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9}
    )
    size = abs(objective.null_value - objective.saturated_value)
    assert value(flat)[0] - best.fun < 1e-7 * size


def _ridge_of(result, new):
    """By mode, the strengths (R,) of the ridge on a row that penalties mean beside rows as the update begins with."""
    factors = list(result.fitted_factors)
    rows = result.transform(new, "day").rows * np.linalg.norm(factors[2], axis=0)
    factors[2] = np.concatenate([factors[2], rows])
    return [result.problem.penalties.of_rows(n, factors)[0] for n in range(3)]


@pytest.mark.parametrize("loss", ["poisson", "gaussian", "bernoulli-logit", "gamma"])
@pytest.mark.parametrize("has_history", [True, False])
def test_a_stream_ends_near_the_fit_of_all_data(loss, has_history, rng):
    x, _ = planted(loss, 80, rng, sizes=(15, 12))
    whole = fitted(x, loss)
    first = fitted(x[:, :, :30], loss)
    result = first.update(x[:, :, 30:31], "day", history=x[:, :, :30] if has_history else None)
    for day in range(31, 80):
        result = result.update(x[:, :, day : day + 1])
    best = whole.null_objective - whole.objective

    def gap(model):
        return (-model.score(x) * x.size - whole.objective) / best

    rows = first.transform(x[:, :, 30:], "day").rows
    grown = with_rows(first, 2, np.concatenate([first.factors[2], rows]))
    unmoved = replace(result, weights=grown.weights, factors=grown.factors, fitted_factors=[], row_bounds=[])
    assert gap(result) < 0.01
    assert gap(result) < 0.35 * gap(unmoved)
    assert result.shape == (15, 12, 80)


@pytest.mark.parametrize("loss", ["poisson", "gaussian", "bernoulli-odds"])
def test_kinds_of_data_say_the_same(loss, rng):
    x = planted("bernoulli-logit" if loss == "bernoulli-odds" else loss, 24, rng)[0]
    result = fitted(x[:, :, :20], loss)
    found = [
        result.update(of_kind(kind, x[:, :, 20:]), "day", history=of_kind(kind, x[:, :, :20]), **TIGHT)
        for kind in ("dense", "sparse", "observed")
    ]
    for other in found[1:]:
        assert_allclose(other.model_values(), found[0].model_values(), rtol=1e-5, atol=1e-7)
        assert other.objective == pytest.approx(found[0].objective, rel=1e-9)


def test_fixed_factors_stay(rng):
    x, factors = planted("poisson", 24, rng)
    result = fitted(
        x[:, :, :20], "poisson", init=[*factors[:2], factors[2][:20]], fixed_modes=["kind"], n_starts=1
    )
    after = result.update(x[:, :, 20:], "day", history=x[:, :, :20])
    assert_allclose(after.factors[1], result.factors[1], rtol=1e-12)
    assert np.abs(after.factors[0] - result.factors[0]).max() > 1e-4


def test_bounds_of_the_fit_hold(rng):
    x, _ = planted("gaussian", 24, rng)
    result = fitted(x[:, :, :20], "gaussian", bounds={"kind": (0, None), "place": (-0.5, 0.5)}, n_starts=1)
    after = result.update(x[:, :, 20:], "day", history=x[:, :, :20])
    assert after.fitted_factors[1].min() >= 0
    assert np.abs(after.fitted_factors[0]).max() <= 0.5


def test_facts_are_sums_over_fit_and_updates(rng):
    x, _ = planted("gaussian", 24, rng)
    first = fitted(x[:, :, :20], "gaussian", l2_reg=0.1)
    after = first.update(x[:, :, 20:], "day")
    new = replace(after, factors=[*after.factors[:2], after.factors[2][20:]], unknown={})
    own = -new.score(x[:, :, 20:]) * x[:, :, 20:].size
    ridge = 0.05 * sum(np.sum(a**2) for a in after.fitted_factors)
    assert after.penalty == pytest.approx(ridge, rel=1e-9)
    assert after.objective == pytest.approx(first.objective - first.penalty + own + ridge, rel=1e-9)
    assert after.total_weight == x.size
    null = sum(np.sum((part - part.mean()) ** 2) for part in (x[:, :, :20], x[:, :, 20:]))
    assert after.training_deviance_explained == pytest.approx(1 - (after.objective - ridge) / null, rel=1e-6)
    assert after.forecast(1, "day", random_state=0).dispersion == pytest.approx(0.25, rel=0.3)


def test_exposures_and_trials_go_with_the_data(rng):
    """A model of rates is refreshed by counts beside their exposures, of which the history has some of its own."""
    _, factors = planted("poisson", 24, rng)
    m, people = full(factors), rng.uniform(1, 50, (9, 7, 24))
    x = rng.poisson(m * people).astype(float)
    first = fitted(x[:, :, :20], "poisson", exposure=people[:, :, :20])
    history = {"data": x[:, :, :20], "exposure": people[:, :, :20]}
    after = first.update(x[:, :, 20:], "day", exposure=people[:, :, 20:], history=history)
    whole = fitted(x, "poisson", exposure=people)
    assert_allclose(after.predict(), whole.predict(), rtol=0.02, atol=0.01)
    assert after.predict(exposure=people)[:, :, 20:].sum() == pytest.approx(x[:, :, 20:].sum(), rel=1e-3)
    with pytest.raises(DataError, match="fitted with an exposure"):
        first.update(x[:, :, 20:], "day", history=history)
    with pytest.raises(ParameterError, match=r"history, given as a dict, has data, .*: found data, people"):
        first.update(x[:, :, 20:], "day", history={"data": x[:, :, :20], "people": people[:, :, :20]})


def test_weights_and_masks_count(rng):
    """A weight of 2 is the day twice, one of 0 is a cell that is not there."""
    x, _ = planted("poisson", 24, rng)
    first = fitted(x[:, :, :20], "poisson")
    known = rng.random((9, 7, 4)) < 0.7
    masked = first.update(x[:, :, 20:], "day", mask=known, **TIGHT)
    weighted = first.update(x[:, :, 20:], "day", entry_weights=1.0 * known, **TIGHT)
    missing = first.update(np.where(known, x[:, :, 20:], np.nan), "day", **TIGHT)
    for other in (weighted, missing):
        assert_allclose(other.model_values(), masked.model_values(), rtol=1e-9)
    assert masked.total_weight == 9 * 7 * 20 + known.sum()
    doubled = first.update(x[:, :, 20:21], "day", entry_weights=2.0, **TIGHT)
    again = ObservedTensor(np.argwhere(np.ones((9, 7, 1))), x[:, :, 20].ravel(), (9, 7, 1), np.full(63, 2.0))
    assert_allclose(first.update(again, "day", **TIGHT).model_values(), doubled.model_values(), rtol=1e-9)


# --- labels --------------------------------------------------------------------------------------------------------


def labelled(x, days, places=None):
    coords = [np.array(places or [f"p{k}" for k in range(x.shape[0])]), None, np.array(days)]
    return DenseTensor(x, labels=ModeLabels(MODES, coords))


def test_labels_decide_in_any_order(rng):
    x, _ = planted("poisson", 24, rng)
    result = fit_gcp(labelled(x[:, :, :20], range(20)), 2, loss="poisson", random_state=0)
    straight = result.update(
        labelled(x[:, :, 20:], range(20, 24)), "day", history=labelled(x[:, :, :20], range(20))
    )
    turned = rng.permutation(9)
    places = [f"p{k}" for k in turned]
    other = result.update(
        labelled(x[turned][:, :, 20:], range(20, 24), places),
        "day",
        history=labelled(x[turned][:, :, 19::-1], range(19, -1, -1), places),
    )
    assert_allclose(other.model_values(), straight.model_values(), rtol=1e-9)
    assert other.labels.coords[2].tolist() == list(range(24))


def test_labels_that_are_lacking_are_missing(rng):
    x, _ = planted("poisson", 24, rng)
    x[0, :, 20:] = np.nan
    history = labelled(x[:, :, :20], range(20))
    result = fit_gcp(history, 2, loss="poisson", random_state=0)
    masked = result.update(labelled(x[:, :, 20:], range(20, 24)), "day", history=history)
    lacking = labelled(x[1:, :, 20:], range(20, 24), [f"p{k}" for k in range(1, 9)])
    short_ = result.update(lacking, "day", history=history, unlisted="missing")
    assert_allclose(short_.model_values(), masked.model_values(), rtol=1e-9)
    assert "lack 1 of 'place', which counts as missing" in short_.message


def sparse_days(x, days, places):
    return SparseTensor(np.argwhere(x), x[x != 0], x.shape, labels=ModeLabels(MODES, [places, None, days]))


def labelled_as(kind, x, days, places):
    labels = ModeLabels(MODES, [places, None, days])
    if kind == "sparse":
        return SparseTensor(np.argwhere(x), x[x != 0], x.shape, labels=labels)
    return DenseTensor(x, labels=labels)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_data_that_lack_labels_have_to_say_what_is_there(kind, rng):
    x, _ = planted("poisson", 24, rng)
    x[0, :, 20:] = 0
    names = [f"p{k}" for k in range(9)]
    history = labelled_as(kind, x[:, :, :20], list(range(20)), names)
    result = fit_gcp(history, 2, loss="poisson", random_state=0)
    turned = rng.permutation(np.arange(1, 9))
    lacking = labelled_as(kind, x[turned][:, :, 20:], list(range(20, 24)), [names[k] for k in turned])
    with pytest.raises(ParameterError, match=r"lack 1 labels of mode 'place'.*'p0'.*unlisted=\"zero\""):
        result.update(lacking, "day", history=history)
    whole = result.update(labelled_as(kind, x[:, :, 20:], list(range(20, 24)), names), "day", history=history)
    zero = result.update(lacking, "day", history=history, unlisted="zero")
    assert_allclose(zero.model_values(), whole.model_values(), rtol=1e-9)
    missing = result.update(lacking, "day", history=history, unlisted="missing")
    assert missing.predict()[0, :, 20:].sum() > 1.2 * zero.predict()[0, :, 20:].sum()


def test_a_new_user_on_a_new_day(rng):
    """The rows of a label that is new in another mode are those of a fit that knew it from the beginning."""
    x, _ = planted("poisson", 60, rng, sizes=(10, 12))
    names = [f"p{k}" for k in range(10)]
    result = fit_gcp(
        labelled(x[:9, :, :40], range(40), names[:9]), 2, loss="poisson", random_state=0, n_starts=3
    )
    result = result.update(labelled(x[:, :, 40:], range(40, 60), names), "day", **TIGHT)
    assert result.shape == (10, 12, 60)
    assert result.labels.coords[0].tolist() == names
    known = x.copy()
    known[9, :, :40] = np.nan
    whole = fit_gcp(known, 2, loss="poisson", random_state=0, n_starts=3)
    seen = np.isfinite(known)
    assert_allclose(result.predict()[9, :, 40:].sum(), x[9, :, 40:].sum(), rtol=0.02)
    size = whole.null_objective - whole.objective
    assert (-result.score(known) - -whole.score(known)) * seen.sum() < 0.01 * size
    assert result.message.startswith("20 new positions of 'day' and 1 new of 'place' in ")


def test_positions_of_which_nothing_is_known_are_unknown(rng):
    x, _ = planted("poisson", 24, rng)
    result = fitted(x[:, :, :20], "poisson")
    x[:, :, 21] = np.nan
    after = result.update(x[:, :, 20:], "day")
    assert {name: at.tolist() for name, at in after.unknown.items()} == {"day": [21]}
    assert after.factors[2][21].tolist() == [0.0, 0.0]


# --- forgetting ----------------------------------------------------------------------------------------------------


def drifting(rng, n_days=160):
    """Counts of two components, of which one turns into another one half way."""
    places = rng.gamma(0.5, 1.0, (30, 3))
    kinds = rng.gamma(0.5, 1.0, (20, 3))
    days = rng.gamma(2.0, 1.0, (n_days, 3))
    days[: n_days // 2, 2] = 0.0
    days[n_days // 2 :, 1] = 0.0
    return rng.poisson(full([places, kinds, days])).astype(float), [places[:, [0, 2]], kinds[:, [0, 2]]]


@pytest.mark.parametrize("forgetting", [{"half_life": 5.0}, {"window": 20}], ids=str)
def test_what_changes_is_followed(forgetting, rng):
    x, late = drifting(rng)
    first = fitted(x[:, :, :40], "poisson")
    results = [first, first]
    for day in range(40, 160):
        new = x[:, :, day : day + 1]
        results = [
            result.update(new, "day", **own) for result, own in zip(results, ({}, forgetting), strict=True)
        ]
    scores = []
    for result in results:
        a, b = (result.fitted_factors[n] for n in (0, 1))
        ones = np.ones(2)
        scores.append(factor_match_score((ones, [a, b]), (ones, late), weights=False).score)
    assert scores[1] > 0.97
    assert scores[1] > scores[0]


def test_a_half_life_discounts_and_a_window_drops(rng):
    x, _ = planted("gaussian", 60, rng)
    first = fitted(x[:, :, :20], "gaussian")
    plain = first.update(x[:, :, 20:24], "day").memory
    half = first.update(x[:, :, 20:24], "day", half_life=4.0)
    fresh = half.memory.counts
    assert fresh == (24,) == plain.counts
    windowed = first
    sizes = []
    for day in range(20, 60):
        windowed = windowed.update(x[:, :, day : day + 1], window=16, mode="day")
        sizes.append(len(windowed.memory.portions))
    assert max(sizes) <= 10
    assert 14 <= sum(windowed.memory.counts) <= 18
    total = windowed.memory.total()[0].curvature
    days = np.arange(60 - sum(windowed.memory.counts), 60)
    factors = [*windowed.fitted_factors[:2], windowed.fitted_factors[2][days]]
    now = gcp.build_objective(x[:, :, days], "gaussian").row_wise().expansion(0, factors).curvature
    assert_allclose(np.trace(total, axis1=1, axis2=2), np.trace(now, axis1=1, axis2=2), rtol=0.05)


# --- files ---------------------------------------------------------------------------------------------------------

REPLAY = """
import sys
import numpy as np
import gcp
x, result = np.load(sys.argv[1]), gcp.load(sys.argv[2])
for day in range(22, 26):
    result = result.update(x[:, :, day : day + 1])
    result.save(sys.argv[2])
"""


@pytest.mark.parametrize("forgetting", [{}, {"window": 3}], ids=str)
def test_a_stream_goes_on_in_another_process(forgetting, rng, tmp_path):
    x, _ = planted("poisson", 26, rng)
    result = fitted(x[:, :, :20], "poisson").update(x[:, :, 20:22], "day", **forgetting)
    result.save(tmp_path / "stream.npz")
    assert gcp.load(tmp_path / "stream.npz") == result
    np.save(tmp_path / "x.npy", x)
    paths = [str(tmp_path / name) for name in ("x.npy", "stream.npz")]
    subprocess.run([sys.executable, "-c", REPLAY, *paths], check=True, env=os.environ)
    for day in range(22, 26):
        result = result.update(x[:, :, day : day + 1])
    other = gcp.load(paths[1])
    assert_allclose(other.model_values(), result.model_values(), rtol=1e-12)
    assert other.memory == result.memory
    assert other.settings["updates"]["count"] == 5


def test_the_file_grows_by_the_new_rows_alone(rng, tmp_path):
    x, _ = planted("poisson", 60, rng)
    result = fitted(x[:, :, :20], "poisson")
    sizes = []
    for day in range(20, 60):
        result = result.update(x[:, :, day : day + 1], "day", **TIGHT)
        result.save(tmp_path / "stream.npz")
        sizes.append((tmp_path / "stream.npz").stat().st_size)
    assert (
        np.ptp(np.array(sizes) - 32.0 * np.arange(40)) < 3000
    )  # two factors of two numbers a row; the trace varies


def test_the_model_given_stays_as_it_was(rng):
    x, _ = planted("poisson", 24, rng)
    result = fitted(x[:, :, :20], "poisson")
    before = [a.copy() for a in (*result.factors, *result.fitted_factors)]
    one, other = (result.update(x[:, :, 20:], "day") for _ in range(2))
    assert one == replace(other, seconds=one.seconds, trace=one.trace, starts=one.starts)
    for a, b in zip((*result.factors, *result.fitted_factors), before, strict=True):
        assert np.array_equal(a, b)


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"main_effects": True}, "main effects"),
        ({"design": {"day": gcp.designs.bspline(5)}}, "a design"),
        ({"tied_modes": [(0, 1)]}, "tied modes"),
        ({"penalties": [gcp.penalties.Smooth("day", 1.0)]}, "the penalty Smooth"),
        ({"loss": {"kind": {0: "gaussian", None: "poisson"}}}, "several losses"),
        ({"loss": gcp.NegativeBinomial(r="estimate", by="kind")}, "one r for each position of 'kind'"),
    ],
    ids=str,
)
def test_models_whose_rows_are_not_free_are_refused(options, word, rng):
    x, _ = planted("poisson", 24, rng, sizes=(7, 7))
    result = fit_gcp(
        x[:, :, :20], 2, **{"loss": "poisson", "modes": MODES, "random_state": 0, "n_iter_max": 20} | options
    )
    with pytest.raises(ParameterError, match=f"row by row: found {word}.*fit_gcp"):
        result.update(x[:, :, 20:], "day")


def test_the_model_of_one_of_coupled_tensors_is_refused(rng):
    """Its rows are those of the others, too."""
    x, _ = planted("poisson", 24, rng)
    tensors = {"counts": x[:, :, :20], "traits": rng.normal(size=(9, 4))}
    losses, modes = (
        {"counts": "poisson", "traits": "gaussian"},
        {"counts": MODES, "traits": ["place", "trait"]},
    )
    coupled = fit_gcp(tensors, 2, loss=losses, modes=modes, random_state=0, n_iter_max=20)
    with pytest.raises(ParameterError, match="row by row: found coupled tensors"):
        coupled["counts"].update(x[:, :, 20:], "day")


def test_data_that_do_not_fit_are_refused(rng):
    x, _ = planted("poisson", 24, rng)
    result = fit_gcp(labelled(x[:, :, :20], range(20)), 2, loss="poisson", random_state=0)
    with pytest.raises(DataError, match=r"label '19' of mode 'day' is in the model already \(1 of 4 are\)"):
        result.update(labelled(x[:, :, 20:], range(19, 23)), "day")
    with pytest.raises(DataError, match="have labels in the model, but none in the new data"):
        result.update(x[:, :, 20:], "day")
    with pytest.raises(DataError, match="labels of mode 'place' are texts so far, but numbers"):
        result.update(labelled(x[:, :, 20:], range(20, 24), list(range(9))), "day")
    with pytest.raises(DataError, match="more than once"):
        result.update(labelled(x[:, :, 20:], [20, 20, 21, 22]), "day")
    with pytest.raises(gcp.DomainError):
        result.update(labelled(x[:, :, 20:] - 5, range(20, 24)), "day")
    with pytest.raises(ParameterError, match="update: give mode="):
        result.update(labelled(x[:, :, 20:], range(20, 24)))
    after = result.update(labelled(x[:, :, 20:], range(20, 24)), "day")
    with pytest.raises(ParameterError, match="grows in the mode 'day'"):
        after.update(labelled(x[:, :, 20:], range(30, 34)), "place")
    with pytest.raises(DataError, match=r"shapes \(9, 7\) and \(any, 7, any\)"):
        result.update(x[:, :, 20], "day")
    with pytest.raises(
        DataError, match="history: The label 30 of mode 'day' is in the history, but not in the model"
    ):
        result.update(
            labelled(x[:, :, 20:], range(20, 24)), "day", history=labelled(x[:, :, :4], range(30, 34))
        )
    for bad in ({"half_life": 0.0}, {"window": 0}, {"n_iter_max": 0}, {"tol": -1.0}, {"unlisted": "none"}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            result.update(labelled(x[:, :, 20:], range(20, 24)), "day", **bad)


@pytest.mark.parametrize(
    ("known", "further", "found"),
    [
        (np.array([2**63 + 1], np.uint64), np.array([7]), [2**63 + 1, 7]),
        (np.array([2**62 + 1]), np.array([2**62 + 3], np.uint64), [2**62 + 1, 2**62 + 3]),
        (np.array([2018]), np.array([2019.0]), [2018, 2019]),
        (np.array([2018.5]), np.array([2019]), [2018.5, 2019.0]),
        (np.array([1]), np.array([2.5]), None),
        (np.array([1]), np.array([2**63 + 1], np.uint64), None),
        (np.array([1], np.uint8), np.array([-1]), None),
        (np.array([1]), np.array([2.0**60]), None),
        (np.array(["a"]), np.array(["long"]), ["a", "long"]),
        (np.array(["2026-01-01"], "M8[D]"), np.array(["2026-01-02T00"], "M8[h]"), None),
    ],
    ids=str,
)
def test_labels_keep_their_type_and_digits(known, further, found):
    if found is None and known.dtype.kind != "M":
        with pytest.raises(DataError, match=r"labels of mode 'id' are integers so far, but others"):
            appended(known, further, "id")
        return
    joined = appended(known, further, "id")
    if known.dtype.kind == "M":
        assert (joined == np.array(["2026-01-01", "2026-01-02"], "M8[D]")).all()
        return
    assert joined.tolist() == found
    assert joined.dtype.kind == known.dtype.kind


def test_history_is_asked_for_where_the_fit_saw_a_part(rng):
    x, _ = planted("poisson", 24, rng)
    x[0, 0, 0] = np.nan
    result = fitted(x[:, :, :20], "poisson")
    with pytest.raises(ParameterError, match=r"give history=.*Later updates do without"):
        result.update(x[:, :, 20:], "day")
    after = result.update(x[:, :, 20:22], "day", history=x[:, :, :20])
    assert after.update(x[:, :, 22:]).shape == (9, 7, 24)


def test_dates_say_which_mode_grows(rng):
    x, _ = planted("poisson", 24, rng)
    days = np.datetime64("2026-01-01") + np.arange(24)
    result = fit_gcp(labelled(x[:, :, :20], days[:20]), 2, loss="poisson", random_state=0)
    after = result.update(labelled(x[:, :, 20:], days[20:]))
    assert after.labels.coords[2].tolist() == days.tolist()
    table = after.to_frames()["day"]
    assert isinstance(table.index, pd.DatetimeIndex)
