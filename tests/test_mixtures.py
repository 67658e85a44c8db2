"""Zero-inflated and hurdle fits: against SciPy and statsmodels, on tensors, and by all that judges them."""

import numpy as np
import pytest
from helpers import random_factors
from scipy import optimize, special, stats

import gcp
from gcp import (
    DomainError,
    HurdleGamma,
    HurdleNegativeBinomial,
    HurdlePoisson,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
    fit_gcp,
)
from gcp.analysis import (
    bootstrap,
    deviance,
    information_criteria,
    log_likelihood,
    n_parameters,
    residuals,
    standard_errors,
)
from gcp.solvers.starts.multistart import run_starts

N = 400
MEANS = np.array([2.0, 5.0, 0.9])
GATES = np.array([0.2, 0.35, 0.5])


def gated(x, gate, rng):
    return np.where(rng.random(x.shape) < gate, 0, x).astype(float)


@pytest.fixture
def rows(rng):
    """Poisson counts of three rows, each with a mean and a gate of its own."""
    return gated(rng.poisson(MEANS[:, None], (3, N)), GATES[:, None], rng)


def fitted(data, loss, **options):
    """A fit of one mean for each row."""
    return fit_gcp(
        data,
        1,
        loss=loss,
        init=[np.ones((3, 1)), np.ones((N, 1))],
        fixed_modes=[1],
        random_state=0,
        n_threads=1,
        tol=1e-12,
        **options,
    )


def rates(found):
    return found.model_values()[:, 0]


def likeliest(minus, start):
    found = optimize.minimize(minus, start, method="BFGS", options={"gtol": 1e-7})
    return found.x, -found.fun


def zip_likelihood(x, w, free):
    """Minus the log-likelihood of rows with one log-mean each and one logit gate, by SciPy."""
    log_mu, gate = free[:3, None], special.expit(free[3:])
    gate = gate[:, None] if len(gate) == 3 else gate
    counts = np.log1p(-gate) + stats.poisson.logpmf(x, np.exp(log_mu))
    return -np.sum(w * np.where(x == 0, np.logaddexp(np.log(gate), counts), counts))


@pytest.mark.parametrize("kind", ["dense", "missing", "weighted", "observed", "sparse"])
@pytest.mark.parametrize("by", [None, 0])
def test_zip_is_scipys_maximum(kind, by, rows, rng):
    known = np.ones(rows.shape, bool) if kind in ("dense", "sparse") else rng.random(rows.shape) < 0.8
    w = known * (rng.uniform(0.5, 2.0, rows.shape) if kind == "weighted" else 1.0)
    data, options = rows, {"entry_weights": w} if kind in ("missing", "weighted") else {}
    if kind == "observed":
        data = ObservedTensor(np.argwhere(known), rows[known], rows.shape)
    if kind == "sparse":
        data = SparseTensor(np.argwhere(rows), rows[rows > 0], rows.shape)
    found = fitted(data, ZeroInflatedPoisson(by=by), **options)
    best, value = likeliest(lambda free: zip_likelihood(rows, w, free), np.zeros(4 if by is None else 6))
    np.testing.assert_allclose(rates(found), np.exp(best[:3]), rtol=1e-4)
    np.testing.assert_allclose(
        found.loss.gate, special.expit(best[3:]) if by == 0 else special.expit(best[3]), rtol=1e-4
    )
    assert log_likelihood(found, data, **options) == pytest.approx(value, rel=1e-7)
    assert n_parameters(found) == len(best)


def test_statsmodels_zip_and_zinb(rows):
    models = pytest.importorskip("statsmodels.discrete.count_model")
    design, ones = np.kron(np.eye(3), np.ones((N, 1))), np.ones((rows.size, 1))
    options = {"disp": 0, "maxiter": 2000, "method": "bfgs", "gtol": 1e-8}
    for loss, cls in (
        (ZeroInflatedPoisson(), models.ZeroInflatedPoisson),
        (ZeroInflatedNegativeBinomial(), models.ZeroInflatedNegativeBinomialP),
    ):
        x = rows if loss.name == "zero-inflated-poisson" else np.round(rows**1.5)
        found, truth = fitted(x, loss), cls(x.ravel(), design, exog_infl=ones).fit(**options)
        assert log_likelihood(found, x) == pytest.approx(truth.llf, rel=1e-6)
        assert found.loss.gate == pytest.approx(special.expit(truth.params[0]), rel=1e-3)
        np.testing.assert_allclose(
            found.predict()[:, 0] / (1 - found.loss.gate), np.exp(truth.params[1:4]), rtol=1e-3
        )
        assert information_criteria(found, x).aic == pytest.approx(truth.aic, rel=1e-6)


@pytest.mark.parametrize("by", [None, 0])
@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
def test_a_hurdle_is_a_share_of_zeros_and_a_truncated_fit(kind, by, rows):
    data = rows
    if kind == "sparse":
        data = SparseTensor(np.argwhere(rows), rows[rows > 0], rows.shape)
    if kind == "observed":
        data = ObservedTensor(np.argwhere(rows >= 0), rows.ravel(), rows.shape)
    found = fitted(data, HurdlePoisson(by=by))
    share = np.mean(rows == 0, axis=1) if by == 0 else np.mean(rows == 0)
    np.testing.assert_allclose(found.loss.gate, share, rtol=1e-6)
    above = [x[x > 0] for x in rows]
    truth = [optimize.brentq(lambda m, x=x: m / -np.expm1(-m) - x.mean(), 1e-6, 50) for x in above]
    np.testing.assert_allclose(rates(found), truth, rtol=1e-5)
    gates = np.broadcast_to(share, 3)
    value = sum(
        np.sum(x == 0) * np.log(g)
        + np.sum(stats.poisson.logpmf(x[x > 0], m) - np.log(-np.expm1(-m)) + np.log1p(-g))
        for x, g, m in zip(rows, gates, truth, strict=True)
    )
    assert log_likelihood(found, data) == pytest.approx(value, rel=1e-8)
    assert n_parameters(found) == (6 if by == 0 else 4)
    means = (1 - gates) * truth / -np.expm1(-np.array(truth))
    np.testing.assert_allclose(found.predict()[:, 0], means, rtol=1e-5)
    assert deviance(found, data).total_weight == rows.size


def test_statsmodels_hurdle(rows):
    module = pytest.importorskip("statsmodels.discrete.truncated_model")
    found = fitted(rows, HurdlePoisson(by=0))
    total = 0.0
    for x, rate in zip(rows, rates(found), strict=True):
        model = module.HurdleCountModel(x, np.ones((N, 1)), dist="poisson", zerodist="poisson")
        truth = model.fit(disp=0, maxiter=500, method="bfgs", gtol=1e-8)
        assert rate == pytest.approx(np.exp(truth.params[1]), rel=1e-4)
        total += truth.llf
    assert log_likelihood(found, rows) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_hurdle_negative_binomial_is_scipys_maximum(kind, rng):
    r = 1.5
    x = gated(rng.negative_binomial(r, r / (r + 3 * MEANS[:, None]), (3, N)), 0.3, rng)
    data = x if kind == "dense" else SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    found = fitted(data, HurdleNegativeBinomial())

    def minus(free):
        odds, size = np.exp(free[:3]), np.exp(free[3])
        return -sum(
            np.sum(
                stats.nbinom.logpmf(own[own > 0], size, 1 / (1 + m))
                - stats.nbinom.logsf(0, size, 1 / (1 + m))
            )
            for own, m in zip(x, odds, strict=True)
        )

    best, value = likeliest(minus, np.zeros(4))
    np.testing.assert_allclose(rates(found), np.exp(best[:3]), rtol=1e-3)
    assert found.loss.r == pytest.approx(np.exp(best[3]), rel=1e-3)
    share = np.mean(x == 0)
    value += np.sum(x == 0) * np.log(share) + np.sum(x > 0) * np.log1p(-share)
    assert log_likelihood(found, data) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("by", [None, 0])
def test_hurdle_gamma(by, rng):
    shape = 2.0
    x = np.where(rng.random((3, N)) < 0.3, 0.0, rng.gamma(shape, MEANS[:, None] / shape, (3, N)))
    found = fitted(x, HurdleGamma(by=by))
    above = [own[own > 0] for own in x]
    np.testing.assert_allclose(rates(found), [own.mean() for own in above], rtol=1e-6)
    criteria = information_criteria(found, x)
    gates = np.mean(x == 0, axis=1) if by == 0 else np.full(3, np.mean(x == 0))
    value = sum(
        np.sum(stats.gamma.logpdf(own, 1 / criteria.dispersion, scale=own.mean() * criteria.dispersion))
        + len(own) * np.log1p(-g)
        + (N - len(own)) * np.log(g)
        for own, g in zip(above, gates, strict=True)
    )
    assert criteria.log_likelihood == pytest.approx(value, rel=1e-8)
    assert criteria.dispersion == pytest.approx(1 / shape, rel=0.15)
    assert criteria.n_parameters == (7 if by == 0 else 5)


@pytest.fixture
def planted(rng):
    factors = random_factors((12, 11, 10), 2, rng, positive=True)
    return 3 * np.einsum("ar,br,cr->abc", *factors)


@pytest.mark.parametrize(
    ("loss", "draw"),
    [
        (ZeroInflatedPoisson(), lambda mu, rng: rng.poisson(mu)),
        (HurdlePoisson(), lambda mu, rng: gcp.ZeroTruncatedPoisson().sample(mu, rng)),
        (ZeroInflatedNegativeBinomial(), lambda mu, rng: rng.negative_binomial(3.0, 3 / (3 + mu))),
        (HurdleGamma(), lambda mu, rng: rng.gamma(1.0, mu)),
    ],
    ids=lambda a: getattr(a, "name", ""),
)
def test_planted_models_are_recovered(loss, draw, planted, rng):
    """Better than a Poisson fit, whose expectations the zeros pull down."""
    x = gated(draw(planted, rng), 0.4, rng)
    found = fit_gcp(x, 2, loss=loss, random_state=0, n_starts=2)
    assert found.loss.gate == pytest.approx(0.4, abs=0.06)
    truth = 0.6 * planted
    if loss.name == "hurdle-poisson":
        truth = truth / -np.expm1(-planted)
    assert np.mean(np.abs(found.predict() / truth - 1)) < 0.4
    factor = found.loss.r if "negative" in loss.name else 1.0
    assert found.model_values().sum() * factor == pytest.approx(planted.sum(), rel=0.1)


def test_the_likelihood_of_the_data_rises_at_each_round(planted, rng, monkeypatch):
    x, seen = gated(rng.poisson(planted), 0.4, rng), []

    def run(search, observer):
        found = run_starts(search, observer)
        seen.append(found.model)
        return found

    monkeypatch.setattr("gcp.solvers.starts.run_search.run_starts", run)
    fit_gcp(x, 2, loss=ZeroInflatedPoisson(by=0), random_state=0)
    assert len(seen) > 2

    def likelihood(model):
        gate, m = np.array(model.loss.gate)[:, None, None], model.model_values()
        counts = np.log1p(-gate) + stats.poisson.logpmf(x, np.maximum(m, 1e-12))
        return np.sum(np.where(x == 0, np.logaddexp(np.log(gate), counts), counts))

    values = [likelihood(model) for model in seen]
    assert np.all(np.diff(values) > -1e-6 * abs(values[0]))


def test_the_gradient_at_a_zero_has_the_weight_of_the_e_step():
    m, gate = np.array([0.1, 1.0, 4.0]), 0.3
    is_count = (1 - gate) * np.exp(-m) / (gate + (1 - gate) * np.exp(-m))
    np.testing.assert_allclose(
        ZeroInflatedPoisson(gate=gate).deriv(0.0, m), is_count * gcp.Poisson().deriv(0.0, m)
    )


def test_no_zeros_too_many_no_gate(planted, rng):
    found = fit_gcp(rng.poisson(planted + 1).astype(float), 2, loss="zip", random_state=0)
    assert found.loss.gate < 0.02


@pytest.mark.parametrize(
    "loss", [ZeroInflatedPoisson(by=0), HurdlePoisson(by="mode_0"), HurdleNegativeBinomial()]
)
def test_everything_knows_the_gate(loss, planted, rng, tmp_path):
    x = gated(rng.poisson(planted), 0.4, rng)
    found = fit_gcp(x, 1, loss=loss, random_state=0)
    found.save(tmp_path / "a.npz")
    assert gcp.load(tmp_path / "a.npz") == found
    drawn = residuals(found, x, random_state=0)
    assert abs(drawn.mean()) < 0.15
    assert drawn.std() == pytest.approx(1.0, abs=0.15)
    assert np.mean(found.predict()) == pytest.approx(x.mean(), rel=0.05)
    assert bootstrap(found, x, 2, random_state=0).objectives.shape == (2,)
    train, test = gcp.hold_out(x, 0.2, random_state=0)
    again = fit_gcp(train, 1, loss=loss, random_state=0)
    assert np.isfinite(log_likelihood(again, test))
    listed = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    if loss.name.startswith("hurdle"):
        of_sparse = fit_gcp(listed, 1, loss=loss, random_state=0)
        np.testing.assert_allclose(of_sparse.predict(), found.predict(), rtol=1e-3)
        assert of_sparse.score(listed) == pytest.approx(found.score(x), rel=1e-5)
    rows = found.transform(x[:, :4], mode=1).rows
    np.testing.assert_allclose(rows, found.factors[1][:4], rtol=0.02)


def test_positions_of_zeros_alone_are_unknown_to_a_hurdle(planted, rng):
    x = rng.poisson(planted + 1).astype(float)
    x[3] = 0
    found = fit_gcp(x, 1, loss=HurdlePoisson(by=0), random_state=0)
    assert list(found.unknown["mode_0"]) == [3]
    assert found.loss.gate[3] > 0.99


def test_standard_errors_take_a_given_gate(rows):
    """Each row's mean is one parameter, whose information is the sum of the cells'."""
    gate = 0.3
    found = fitted(rows, ZeroInflatedPoisson(gate=gate))
    errors, m = standard_errors(found, rows, bias_correction=False), rates(found)
    step = 1e-4 * m
    low, here, high = (zip_rows(rows, gate, m + k * step) for k in (-1, 0, 1))
    observed = (2 * here - low - high) / step**2  # at the maximum, near the expected one
    np.testing.assert_allclose(N * found.loss.fisher(m), observed, rtol=0.2)
    assert np.isfinite(errors.weights).all()
    free = standard_errors(fitted(rows, ZeroInflatedPoisson()), rows)
    assert free.parameters["gate"].shape == (1,)
    assert errors.parameters == {}


def zip_rows(x, gate, m):
    """The log-likelihoods of rows under their means, by SciPy."""
    counts = np.log1p(-gate) + stats.poisson.logpmf(x, m[:, None])
    return np.sum(np.where(x == 0, np.logaddexp(np.log(gate), counts), counts), axis=1)


@pytest.mark.parametrize("gate", [0.0, 1.0, -0.1, "guess", None])
def test_gates_are_probabilities(gate):
    with pytest.raises(ParameterError, match="gate between 0 and 1"):
        ZeroInflatedPoisson(gate=gate)


def test_data_outside_the_domain_are_refused():
    for loss in ("zip", "hurdle-poisson"):
        with pytest.raises(DomainError, match=r"found 0\.5"):
            fit_gcp(np.full((3, 4), 0.5), 1, loss=loss)
    with pytest.raises(DomainError, match=r"found -1\.0"):
        fit_gcp(-np.ones((3, 4)), 1, loss="hurdle-gamma")
