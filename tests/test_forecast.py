"""Forecasts: autoregressions agree with statsmodels, designs with `predict_at`, and intervals hold what comes."""

import json
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import gcp
from gcp import DataError, DenseTensor, ModeLabels, ParameterError
from gcp.objectives.autoregression import Autoregression

DAY = np.datetime64("2024-02-20")


def autoregressive(rng, n, coefficients=(0.6,), constant=0.0):
    y = np.zeros(n + 100)
    for t in range(len(coefficients), len(y)):
        y[t] = constant + y[t - len(coefficients) : t][::-1] @ coefficients + rng.normal()
    return y[100:]


def planted(seed, n=100, horizon=5, others=(10, 8)):
    """Gaussian data whose first mode is autoregressive; (n + horizon, ...)."""
    rng = np.random.default_rng(seed)
    days = np.column_stack([autoregressive(rng, n + horizon, [c]) for c in (0.8, 0.4)])
    m = np.einsum("tr,ir,jr->tij", days, *(rng.normal(size=(size, 2)) for size in others))
    return m + rng.normal(size=m.shape)


def fit(data, rank=2, **options):
    return gcp.fit_gcp(data, rank, **{"random_state": 0, "n_threads": 1} | options)


def dated(x, days=None):
    days = DAY + np.arange(len(x)) if days is None else days
    return DenseTensor(x, labels=ModeLabels(["day", "i", "j"], [days, None, None]))


@pytest.fixture(scope="module")
def data():
    return planted(0)


@pytest.fixture(scope="module")
def result(data):
    return fit(dated(data[:100]))


# --- autoregressions ------------------------------------------------------------------------------------------


def regression(y, lags, low=-np.inf, high=np.inf):
    n = y.shape[1]
    return Autoregression.of(y, lags, np.full(n, low), np.full(n, high), "day")


@pytest.mark.parametrize("lags", [1, 3, [1, 7], [2]])
def test_autoregressions_are_those_of_statsmodels(rng, lags):
    models = pytest.importorskip("statsmodels.tsa.ar_model")
    y = 5.0 + 3.0 * autoregressive(rng, 120, [0.5, 0.2])
    own, theirs = regression(y[:, None], lags), models.AutoReg(y, lags, trend="c").fit()
    slopes = own.coefficients[0][1:]
    assert_allclose(slopes, theirs.params[1:], rtol=1e-8)
    constant = own.centre[0] * (1 - slopes.sum()) + own.unit[0] * own.coefficients[0][0]
    assert_allclose(constant, theirs.params[0], rtol=1e-8)
    freedom = len(y) - np.max(lags) - 1 - len(slopes)
    assert own.freedom == freedom
    variance = (own.root**2).sum() * own.unit[0] ** 2
    assert_allclose(variance, np.sum(theirs.resid**2) / freedom, rtol=1e-8)
    draws = own.draws(100_000, 6, rng)[:, :, 0]
    expected = theirs.get_prediction(len(y), len(y) + 5)
    assert_allclose(draws.mean(axis=0), expected.predicted_mean, atol=0.03 * y.std())
    # A little wider than with coefficients that are taken as known.
    ratio = draws.std(axis=0) / np.sqrt(expected.var_pred_mean)
    assert (ratio > 1.0).all()
    assert (ratio < 1.12).all()


def test_the_number_of_lags_is_that_of_bic(rng):
    models = pytest.importorskip("statsmodels.tsa.ar_model")
    for coefficients in ([0.7], [0.3, 0.5], [0.0]):
        y = autoregressive(rng, 100, coefficients)
        theirs = models.ar_select_order(y, 12, ic="bic").ar_lags or ()
        assert regression(y[:, None], None).lags == (tuple(theirs),)


def test_innovations_of_columns_go_together(rng):
    shocks = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 400)
    y = np.zeros((400, 2))
    for t in range(1, 400):
        y[t] = [0.5, 0.2] * y[t - 1] + shocks[t]
    draws = regression(y, 1).draws(20_000, 2, rng)
    assert_allclose(np.corrcoef(draws[:, 0].T)[0, 1], 0.8, atol=0.05)


def test_rows_of_which_nothing_is_known_are_left_out(rng):
    y = autoregressive(rng, 300, [0.7])[:, None]
    some = y.copy()
    some[[40, 41, 100]] = np.nan
    pairs = [(y[t - 1, 0], y[t, 0]) for t in range(1, 300) if np.isfinite(some[t - 1 : t + 1]).all()]
    slope = stats.linregress(*np.transpose(pairs)).slope
    assert_allclose(regression(some, 1).coefficients[0][1], slope, rtol=1e-8)
    # Of unknown last ones, what comes is further ahead.
    rng = np.random.default_rng(0)
    early, late = some.copy()[:298], some.copy()
    late[298:] = np.nan
    own = regression(early, 1).draws(40_000, 5, rng)[:, 2:]
    found = regression(late, 1).draws(40_000, 3, rng)
    assert_allclose(found.mean(axis=0), own.mean(axis=0), atol=0.02)
    assert_allclose(found.std(axis=0), own.std(axis=0), rtol=0.03)
    late[299] = 7.0  # nor is one of two missed where the lag is 1
    assert_allclose(regression(late, 1).last[0], (7.0 - np.nanmean(late)) / np.nanstd(late))
    gaps = y.copy()
    gaps[1::3] = np.nan
    with pytest.raises(ParameterError, match=r"'day' has no 3 positions in a row with data"):
        regression(gaps, [3])


def test_draws_are_within_limits_and_end_of_constants_is_constant(rng):
    y = np.column_stack([np.abs(rng.normal(0.2, 1.0, 80)), np.full(80, 3.0)])
    draws = regression(y, 2, low=0.0).draws(501, 4, rng)
    assert draws.shape == (501, 4, 2)
    assert draws.min() == 0.0
    assert_allclose(draws[..., 1], 3.0, rtol=1e-6)


def test_too_few_positions():
    with pytest.raises(ParameterError, match=r"with 4 lags, up to 4, has 5 positions to learn from"):
        regression(np.arange(9.0)[:, None] ** 2, 4)
    with pytest.raises(ParameterError, match="an autoregression needs 3 at least"):
        regression(np.ones((2, 1)), 0)


# --- forecasts ------------------------------------------------------------------------------------------------


def test_forecasts_are_labelled_and_repeat_themselves(result, data):
    found = result.forecast(5, random_state=3)
    assert found.mean.shape == (5, 10, 8)
    assert found.mode == "day"
    assert_array_equal(found.labels.coords[0], DAY + np.arange(100, 105))
    low, high = found.interval(0.9)
    inner = found.interval(0.5)
    assert (low < inner[0]).all()
    assert (inner[1] < high).all()
    again = result.forecast(5, "day", random_state=3)
    assert_array_equal(again.mean, found.mean)
    assert_array_equal(again.interval(0.9)[0], low)
    frame = found.to_frame(0.9)
    assert list(frame.columns) == ["mean", "low", "high"]
    assert frame.index.names == ["day", "i", "j"]
    at = frame.loc[(np.datetime64("2024-06-01"), 4, 7)]
    assert_allclose(at.to_numpy(), [found.mean[2, 4, 7], low[2, 4, 7], high[2, 4, 7]])
    assert "horizon" in repr(found)


def test_cells_of_a_path_are_of_the_same_rows(result):
    found = result.forecast(2, random_state=0)
    paths = found.sample(4000, 0)
    assert paths.shape == (4000, 2, 10, 8)
    low, high = found.interval(0.8)
    assert_allclose((paths >= low).mean(axis=0), 0.9, atol=0.04)
    assert_allclose((paths > high).mean(axis=0), 0.1, atol=0.04)
    assert_allclose(paths.mean(axis=0), found.mean, atol=0.15 * paths.std())
    # Of independent cells no direction would vary much more than the others.
    covariance = np.cov(paths[:, 0].reshape(4000, -1).T)
    assert np.linalg.eigvalsh(covariance)[-1] > 10 * found.dispersion


def test_the_dispersion_is_that_of_residuals_with_their_degrees_of_freedom(result, data):
    left = data[:100] - result.model_values()
    freedom = left.size - gcp.analysis.n_parameters(result)
    assert_allclose(result.forecast(1).dispersion, np.sum(left**2) / freedom, rtol=1e-6)
    assert result.forecast(1, dispersion=4.0).dispersion == 4.0


def test_labels_in_another_order_and_modes_in_another_place(data):
    x, order = data[:100], np.random.default_rng(5).permutation(100)
    plain = fit(dated(x), init="svd").forecast(4, random_state=1)
    mixed = fit(dated(x[order], (DAY + np.arange(100))[order]), init="svd").forecast(4, random_state=1)
    scale = plain.mean.std()
    assert_allclose(mixed.mean, plain.mean, atol=0.02 * scale)
    assert_array_equal(mixed.labels.coords[0], plain.labels.coords[0])
    labels = ModeLabels(["i", "day", "j"], [None, DAY + np.arange(100), None])
    moved = fit(DenseTensor(x.transpose(1, 0, 2), labels=labels), init="svd").forecast(4, random_state=1)
    assert_allclose(moved.mean.transpose(1, 0, 2), plain.mean, atol=0.02 * scale)
    assert_allclose(moved.interval()[0].transpose(1, 0, 2), plain.interval()[0], atol=0.25 * scale)
    assert moved.sample(3).shape == (3, 10, 4, 8)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, [24, 25]),
        (np.arange(24) * 5 + 1990, [2110, 2115]),
        (np.arange(24, dtype=np.uint8) * 10, [240, 250]),
        (np.linspace(0, 2.3, 24), [2.4, 2.5]),
        (np.datetime64("2024-01") + np.arange(24), ["2026-01", "2026-02"]),
        ((np.datetime64("2024-01") + np.arange(24)).astype("M8[D]") + 14, ["2026-01-15", "2026-02-15"]),
        (
            (np.datetime64("2024-02") + np.arange(24)).astype("M8[D]") - 1,
            ["2026-01-31", "2026-02-28"],
        ),
        (np.datetime64("2024-01-01T00", "h") + 6 * np.arange(24), ["2024-01-07T00", "2024-01-07T06"]),
        ((np.datetime64("2024-12-10") + np.arange(24)).astype(str), ["2025-01-03", "2025-01-04"]),
    ],
)  # fmt: skip
def test_labels_go_on(rng, labels, expected):
    x = rng.normal(size=(24, 5, 4))
    found = fit(dated(x, np.arange(24) if labels is None else labels), 1).forecast(2, "day")
    got = found.labels.coords[0]
    if isinstance(expected[0], str):
        assert got.astype(str).tolist() == expected
    else:
        assert_allclose(got, expected)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([*range(10), 12, 13], r"not equally spaced: from 9 to 12 is another step than from 0 to 1"),
        ([*"abcdefghijkl"], r"neither numbers nor dates, such as 'a'"),
        ([0.0, 1.0, np.nan, *range(3, 12)], r"missing \(NaN or NaT\)"),
        ([*range(11), 4], r"the label 4 of 'day' is there more than once"),
    ],
)
def test_labels_that_do_not_go_on(rng, labels, said):
    result = fit(dated(rng.normal(size=(12, 5, 4)), np.array(labels)), 1)
    with pytest.raises(ParameterError, match=said):
        result.forecast(2, "day")


def test_main_effects_go_on_too(rng):
    level = 10 + np.cumsum(rng.normal(0.5, 0.3, 60))
    x = level[:, None] + rng.normal(size=12) + 0.5 * rng.normal(size=(60, 12))
    result = fit(DenseTensor(x, labels=ModeLabels(["day", "i"], [np.arange(60), None])), 0, main_effects=True)
    found = result.forecast(3, "day", lags=1, random_state=0)
    assert len(found.lags) == 1
    truth = level[-1] + x.mean(axis=0) - x.mean()
    assert_allclose(found.mean[0], truth, atol=2.0)
    low, high = found.interval(0.99)
    assert ((low < truth) & (truth < high)).all()


def test_nonnegative_models_stay_nonnegative(rng):
    days = np.maximum(autoregressive(rng, 60), 0.0)
    x = rng.poisson(days[:, None, None] * rng.gamma(2.0, 1.0, (6, 5)))
    result = fit(x, 1, loss="poisson", modes=["day", "i", "j"])
    found = result.forecast(4, "day", random_state=0)
    assert (found.mean > 0).all()
    assert found.sample(200).min() == 0
    assert (found.interval()[0] >= 0).all()


def test_sparse_and_saved_results_and_old_files(tmp_path, rng):
    m = np.einsum("tr,ir,jr->tij", *(rng.gamma(2.0, 0.3, (size, 2)) for size in (40, 8, 7)))
    x = rng.gamma(4.0, m / 4)
    subs = np.argwhere(rng.random(x.shape) < 0.6)
    result = fit(gcp.ObservedTensor(subs, x[tuple(subs.T)], x.shape), loss="gamma")
    assert result.total_weight == len(subs)
    expected = result.forecast(3, 0, random_state=0)
    path = tmp_path / "a.npz"
    result.save(path)
    found = gcp.load(path).forecast(3, 0, random_state=0)
    assert_array_equal(found.mean, expected.mean)
    assert_array_equal(found.interval()[1], expected.interval()[1])
    # As a file from before the weight was kept.
    with np.load(path) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays["meta"]))
    del meta["total_weight"]
    np.savez(path, **arrays | {"meta": np.array(json.dumps(meta))})
    assert zipfile.is_zipfile(path)
    old = gcp.load(path)
    with pytest.raises(
        ParameterError, match="does not say how many cells it was fitted to: give dispersion="
    ):
        old.forecast(3, 0)
    given = old.forecast(3, 0, dispersion=expected.dispersion, random_state=0)
    assert_array_equal(given.interval()[0], expected.interval()[0])


# --- designs --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(3)
    day = np.arange(84)
    m = 1.0 + np.sin(2 * np.pi * day / 7)[:, None] * rng.normal(size=8) + rng.normal(size=8) * 0.3
    return rng.poisson(np.exp(m)).astype(float)


@pytest.fixture(scope="module")
def of_waves(waves):
    labels = ModeLabels(["day", "place"], [DAY + np.arange(70), [f"p{k}" for k in range(8)]])
    design = {"day": gcp.designs.fourier(7, 1)}
    return fit(DenseTensor(waves[:70], labels=labels), 2, loss="poisson-log", design=design)


def test_a_design_goes_on_as_predict_at_says(of_waves):
    found = of_waves.forecast(14, random_state=0, n_draws=20_000)
    days = DAY + np.arange(70, 84)
    assert_allclose(found.mean, of_waves.predict_at({"day": days}), rtol=1e-10)
    assert found.lags == ()
    low, high = found.interval(0.9)
    assert (np.abs(low - stats.poisson.ppf(0.05, found.mean)) <= 1).all()
    assert (np.abs(high - stats.poisson.ppf(0.95, found.mean)) <= 1).all()
    asked = of_waves.forecast(days[[3, 1]], "day")
    assert_allclose(asked.mean, found.mean[[3, 1]], rtol=1e-10)


def test_features_of_positions_to_come(rng):
    pd = pytest.importorskip("pandas")
    day = np.arange(100, 140)
    frame = pd.DataFrame({"one": 1.0, "trend": day / 40.0}, index=day)
    x = 3 + 2 * day[:30, None] / 40 * rng.normal(2, 1, 5) + 0.1 * rng.normal(size=(30, 5))
    data = DenseTensor(x, labels=ModeLabels(["day", "i"], [day[:30], None]))
    result = fit(data, 2, design={"day": gcp.designs.features(frame)})
    found = result.forecast(10, "day")  # the table knows them
    assert_allclose(found.mean, result.forecast(frame.iloc[30:], "day").mean, rtol=1e-10)
    with pytest.raises(ParameterError):
        result.forecast(11, "day")


def test_splines_that_end_are_refused(rng):
    x = rng.normal(size=(30, 6))
    result = fit(DenseTensor(x, labels=ModeLabels(["day", "i"], [np.arange(30), None])), 1,
                 design={"day": gcp.designs.bspline(6)})  # fmt: skip
    with pytest.raises(ParameterError, match="beyond the ends"):
        result.forecast(1)


# --- exposure and trials --------------------------------------------------------------------------------------


def test_exposure_of_what_comes(rng):
    people = rng.uniform(1, 50, 8)
    rates = rng.gamma(9.0, 0.2, (60, 1)) * rng.gamma(4.0, 0.3, 8)
    labels = ModeLabels(["day", "place"], [np.arange(60), [f"p{k}" for k in range(8)]])
    data = DenseTensor(rng.poisson(people * rates), labels=labels)
    result = fit(data, 1, loss="poisson", exposure=people)
    with pytest.raises(ParameterError, match="exposure"):
        result.forecast(2, "day")
    unit = result.forecast(2, "day", exposure=1.0, random_state=0)
    found = result.forecast(2, "day", exposure=people, random_state=0)
    assert_allclose(found.mean, unit.mean * people, rtol=1e-10)
    drawn = found.sample(4000, 0)
    assert_allclose(drawn.mean(axis=0), found.mean, rtol=0.1)
    xr = pytest.importorskip("xarray")
    named = xr.DataArray(people[::-1], coords={"place": labels.coords[1][::-1]})
    assert_array_equal(result.forecast(2, "day", exposure=named, random_state=0).mean, found.mean)
    gap = people.copy()
    gap[2] = 0
    without = result.forecast(2, "day", exposure=gap, random_state=0)
    assert np.isnan(without.mean[:, 2]).all()
    assert np.isnan(without.interval()[0][:, 2]).all()
    assert_allclose(np.delete(without.mean, 2, 1), np.delete(found.mean, 2, 1), rtol=1e-10)
    with pytest.raises((ParameterError, DataError), match="place"):
        result.forecast(2, "day", exposure=xr.DataArray(people, coords={"place": list("abcdefgh")}))


def test_trials_of_what_comes(rng):
    n = rng.integers(5, 40, 8)
    logits = rng.normal(size=(50, 1)) * 0.3 + rng.normal(size=8)
    x = rng.binomial(n, 1 / (1 + np.exp(-logits)))
    result = fit(
        x,
        1,
        loss="bernoulli-logit",
        trials=np.broadcast_to(n, x.shape),
        modes=["day", "i"],
        main_effects=True,
    )
    found = result.forecast(3, "day", trials=n, random_state=0)
    assert ((found.mean > 0) & (found.mean < n)).all()
    drawn = found.sample(2000, 0)
    assert_array_equal(drawn, np.floor(drawn))
    assert (drawn <= n).all()
    assert_allclose(drawn.mean(axis=0), found.mean, atol=0.6)
    assert (found.interval()[1] <= n).all()


# --- refused --------------------------------------------------------------------------------------------------


def test_what_is_refused(result, of_waves, rng):
    with pytest.raises(ParameterError, match="horizon must be an integer >= 1"):
        result.forecast(0)
    with pytest.raises(ParameterError, match="has no design, so that horizon is a number of steps"):
        result.forecast([DAY + 200])
    with pytest.raises(ParameterError, match="horizon is a number of steps"):
        result.forecast(1.5)
    with pytest.raises(ParameterError, match="Unknown mode"):
        result.forecast(1, "week")
    with pytest.raises(ParameterError, match="leave lags out"):
        of_waves.forecast(1, lags=1)
    with pytest.raises(ParameterError, match="no free dispersion"):
        of_waves.forecast(1, dispersion=1.0)
    with pytest.raises(ParameterError, match="lags must be"):
        result.forecast(1, lags="x")
    with pytest.raises(ParameterError, match="level"):
        result.forecast(1).interval(1.0)
    with pytest.raises(ParameterError, match=r"none has dates or a smooth design"):
        fit(rng.normal(size=(9, 5, 4)), 1).forecast(1)
    with pytest.raises(ParameterError, match="The model repeats its data"):
        fit(np.outer(np.arange(1.0, 7), np.ones(2)), 2).forecast(1, 0)
    by = gcp.NegativeBinomial(r="estimate", by="day")
    counts = dated(rng.negative_binomial(3, 0.3, (12, 6, 5)))
    with pytest.raises(ParameterError, match="one r for each position of 'day'"):
        fit(counts, 1, loss=by, n_iter_max=20).forecast(1)


def test_forecasts_without_end():
    """A day without any case has a row on its way to minus infinity, and so has what comes."""
    x = np.random.default_rng(4).poisson(1.5, (30, 4))
    x[[5, 17]] = 0
    result = fit(x, 1, loss="poisson-log", main_effects=True)
    with pytest.raises(ParameterError, match=r"1 steps ahead has no end.*l2_reg"):
        result.forecast(1, 0, random_state=0)
    ridged = fit(x, 1, loss="poisson-log", main_effects=True, l2_reg=1.0).forecast(1, 0, random_state=0)
    assert (ridged.mean < 20).all()


def test_parameters_by_another_mode(rng):
    m = np.ones((40, 4))
    r = np.array([0.3, 0.3, 50.0, 50.0])
    x = rng.negative_binomial(r, r / (r + 10 * m))
    labels = ModeLabels(["day", "i"], [DAY + np.arange(40), None])
    result = fit(DenseTensor(x, labels=labels), 1, loss=gcp.NegativeBinomial(r=tuple(r), by="i"))
    found = result.forecast(2, lags=0, random_state=0)
    low, high = found.interval(0.9)
    width = ((high - low) / found.mean).mean(axis=0)
    assert width[:2].min() > 1.8 * width[2:].max()


# --- coverage: scripts/experiments/forecast_coverage.py has the study ------------------------------------------


def held(result, came, seed):
    """The share within 90 % intervals; of counts, the randomised one."""
    found = result.forecast(len(came), 0, random_state=seed)
    if not result.loss.is_discrete:
        low, high = found.interval(0.9)
        return np.mean((came >= low) & (came <= high))
    drawn = found.sample(400, seed)
    v = np.random.default_rng(seed).random(came.shape)
    u = (drawn < came).mean(axis=0) + v * (drawn == came).mean(axis=0)
    return np.mean(np.abs(u - 0.5) < 0.45)


def test_intervals_of_autoregressions_hold_what_comes():
    shares = []
    for seed in range(25):
        x = planted(seed, 80, 4)
        shares.append(held(fit(x[:80]), x[80:], seed))
    assert 0.87 < np.mean(shares) < 0.93


def test_intervals_of_designs_hold_what_comes():
    shares = []
    for seed in range(12):
        rng = np.random.default_rng([9, seed])
        turns = 2 * np.pi * np.arange(90)[:, None] / 7 + rng.uniform(0, 6, 2)
        m = np.einsum("tr,ir,jr->tij", np.sin(turns), *(rng.normal(size=(size, 2)) for size in (8, 6)))
        x = rng.poisson(np.exp(0.7 * m)).astype(float)
        result = fit(x[:80], loss="poisson-log", design={0: gcp.designs.fourier(7, 1)})
        shares.append(held(result, x[80:], seed))
    assert 0.87 < np.mean(shares) < 0.93
