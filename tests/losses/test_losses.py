"""Rung 1: each loss against SciPy's densities, finite differences, and hand-worked limits."""

from itertools import pairwise

import numpy as np
import pytest
from helpers import (
    LOSSES,
    central_difference,
    density,
    interior_points,
    log_density,
    loss_difference,
    short,
    support,
)
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

from gcp import (
    BernoulliLogit,
    BernoulliOdds,
    BernoulliPoisson,
    BetaDivergence,
    Gamma,
    Gaussian,
    Huber,
    InverseGaussian,
    NegativeBinomial,
    NegativeBinomialLogit,
    Ordinal,
    ParameterError,
    Poisson,
    PoissonLog,
    Quantile,
    Rayleigh,
    StudentT,
    Tweedie,
    ZeroTruncatedPoisson,
)

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=short)
WITH_DENSITY = [loss for loss in LOSSES if density(loss) is not None]
PIECES = (1e-15, 1e-8, 1e-4, 0.01, 0.5, 0.99, 1 - 1e-4, 1 - 1e-8, 1 - 1e-15)
"""Probabilities between which integrands are smooth."""
NONNEGATIVE_MODEL = [loss for loss in LOSSES if loss.model_domain.low == 0]


# --- distributions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [a for a in WITH_DENSITY if getattr(a, "beta", 0) != -1], ids=short)
def test_tails_are_scipys(loss, rng):
    x, m = interior_points(loss, 50, rng)
    x = np.floor(x) if loss.is_discrete else x
    x = np.concatenate([x, x - 1 if loss.is_discrete else x + 3, [-1.0]])
    m = np.concatenate([m, m, m[:1]])
    expected = density(loss)(m)
    assert_allclose(loss.cdf(x, m), expected.cdf(x), rtol=1e-10, atol=1e-300)
    assert_allclose(loss.sf(x, m), expected.sf(x), rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize(
    ("loss", "frozen"),
    [
        (Gaussian(), lambda m, s: stats.norm(m, np.sqrt(s))),
        (Gamma(), lambda m, s: stats.gamma(1 / s, scale=s * m)),
        (InverseGaussian(), lambda m, s: stats.invgauss(s * m, scale=1 / s)),
    ],
    ids=["gaussian", "gamma", "inverse-gaussian"],
)
def test_tails_with_a_dispersion(loss, frozen, rng):
    x, m = rng.gamma(2.0, 1.0, 30), rng.gamma(2.0, 1.0, 30)
    assert_allclose(loss.cdf(x, m, 0.3), frozen(m, 0.3).cdf(x), rtol=1e-10)
    assert_allclose(loss.sf(x, m, 0.3), frozen(m, 0.3).sf(x), rtol=1e-10)


@pytest.mark.parametrize("delta", [0.25, 1.0, 3.0])
def test_tails_of_huber_are_integrals_of_its_density(delta):
    loss = Huber(delta=delta)
    mass = integrate.quad(lambda y: np.exp(-loss.value(y, 0.0)), -40, 40, points=[-delta, delta])[0]
    for x in (-3.5, -0.4, 0.0, 0.1, 0.9, 4.0):
        below = integrate.quad(
            lambda y: np.exp(-loss.value(y, 0.5)), -40, x, points=[0.5 - delta, 0.5 + delta]
        )[0]
        assert_allclose(loss.cdf(x, 0.5), below / mass, rtol=1e-6)
        assert_allclose(loss.sf(x, 0.5), 1 - below / mass, rtol=1e-5)


@pytest.mark.parametrize("loss", [a for a in WITH_DENSITY if getattr(a, "beta", 0) != -1], ids=short)
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 200.0])
def test_fisher_information_is_the_expected_squared_score(loss, scale, rng):
    """By SciPy's probabilities and finite differences of its log-density, far below and above the scale of eps."""
    loss = loss.with_scale(1.0)
    positive = loss.model_domain.low == 0
    if loss.data_domain.high == 1 or loss.name == "inverse-gaussian":
        scale = min(scale, 1.0)  # beyond, SciPy's probabilities are 1, or it finds no quantiles
    models = (
        scale * interior_points(loss, 4, rng)[1]
        if positive
        else np.clip(scale, 0.1, 3.0) * rng.normal(size=4)
    )
    for m in models:
        frozen = density(loss)(m)
        step = 1e-3 * m if positive and getattr(loss, "beta", 0) != 2 else 1e-3
        at = [density(loss)(m + k * step) for k in (-2, -1, 1, 2)]

        def squared(x, frozen=frozen, at=at, step=step):
            far, near = (
                log_density(at[3], x) - log_density(at[0], x),
                log_density(at[2], x) - log_density(at[1], x),
            )
            return np.exp(log_density(frozen, x)) * ((8 * near - far) / (12 * step)) ** 2

        if isinstance(frozen.dist, stats.rv_discrete):
            expected = np.sum(squared(support(loss, frozen)))
        else:
            ends = frozen.ppf(PIECES)
            expected = sum(integrate.fixed_quad(squared, a, b, n=100)[0] for a, b in pairwise(ends))
        assert_allclose(loss.fisher(m), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [a for a in WITH_DENSITY if getattr(a, "beta", 0) != -1], ids=short)
def test_leverage_bias_is_that_of_the_expected_derivatives(loss, rng):
    """E[f'''] / 2 - E[f' f''], with SciPy's probabilities and a finite difference for f'''."""
    for m in interior_points(loss, 4, rng)[1]:
        frozen = density(loss)(m)

        def both(x, frozen=frozen, m=m):
            third = central_difference(lambda t: loss.curvature(x, t), np.full(np.shape(x), m))
            return np.exp(log_density(frozen, x)) * (third / 2 - loss.deriv(x, m) * loss.curvature(x, m))

        if isinstance(frozen.dist, stats.rv_discrete):
            expected = np.sum(both(support(loss, frozen)))
        else:
            ends = frozen.ppf(PIECES)
            expected = sum(integrate.quad(both, a, b)[0] for a, b in pairwise(ends))
        assert_allclose(loss.leverage_bias(m), expected, rtol=1e-5, atol=1e-6 * float(loss.fisher(m)))


@pytest.mark.parametrize("loss", [NegativeBinomial, NegativeBinomialLogit])
@pytest.mark.parametrize("r", [0.5, 2.0, 20.0])
def test_what_counts_say_about_r(loss, r):
    """Sums over SciPy's probabilities, of derivatives of the log-probability by finite differences or polygamma."""
    for m in (0.02, 0.7, 3.0):
        x = np.arange(2000.0)
        h, k = 1e-3 * m, 1e-3 * r

        def log_p(dm=0.0, dr=0.0, m=m, x=x):
            return log_density(density(loss(r + dr))(m + dm), x)

        with np.errstate(all="ignore"):
            p = np.exp(log_p())
            by_m, by_r = (log_p(h) - log_p(-h)) / (2 * h), (log_p(0, k) - log_p(0, -k)) / (2 * k)
            by_mm = (log_p(h) - 2 * log_p() + log_p(-h)) / h**2
        by_rr = special.polygamma(1, x + r) - special.polygamma(1, r)
        by_rrr = special.polygamma(2, x + r) - special.polygamma(2, r)

        def mean(values, p=p):
            return float(np.sum(np.where(p > 1e-14, values, 0.0) * p))

        found = loss(r).shape_terms(np.array([m]))
        by_mr = [-float(loss(r).shape_terms(np.array([m + d])).cross[0]) for d in (-h, h)]
        by_mmr = (by_mr[1] - by_mr[0]) / (2 * h)
        assert_allclose(found.cross, mean(by_m * by_r), rtol=1e-5)
        assert_allclose(found.own, mean(by_r**2), rtol=1e-4)
        assert_allclose(found.entry_by_both, by_mmr + mean(by_mm * by_r), rtol=1e-4)
        assert_allclose(found.r_by_entries, by_mmr / 2, rtol=1e-5)
        assert_allclose(found.r_by_both, mean(by_rr * by_m), rtol=5e-3)
        assert_allclose(found.r_by_r, mean(by_rrr) / 2 + mean(by_rr * by_r), rtol=2e-3)
        assert_allclose(loss(r).shape_score(x[:9], m), by_r[:9], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beta", [-1.0, -0.5, 0.5, 1.5, 3.0])
def test_fisher_information_of_a_beta_divergence_is_one_by_its_variance(beta):
    m = np.array([1e-6, 0.01, 1.0, 1e4])
    assert_allclose(BetaDivergence(beta=beta).with_scale(1.0).fisher(m), 1 / m ** (2 - beta), rtol=1e-12)


@pytest.mark.parametrize("delta", [0.25, 2.0])
def test_fisher_information_of_huber(delta):
    loss = Huber(delta=delta)
    mass = integrate.quad(lambda y: np.exp(-loss.value(y, 0.0)), -40, 40, points=[-delta, delta])[0]
    square = integrate.quad(
        lambda y: np.exp(-loss.value(y, 0.0)) * loss.deriv(y, 0.0) ** 2, -40, 40, points=[-delta, delta]
    )[0]
    assert_allclose(loss.fisher(np.array([0.0, 3.0])), square / mass, rtol=1e-6)


def test_no_distribution_no_tails():
    with pytest.raises(ParameterError, match="no distribution"):
        BetaDivergence(beta=0.5).cdf(1.0, 1.0)
    with pytest.raises(ParameterError, match="no free dispersion"):
        Poisson().sf(1.0, 1.0, 2.0)


# --- f, whose derivatives and edges `gcp.testing.check_loss` looks at -----------------------------------------


@every_loss
def test_difference_in_m_is_that_of_the_log_densities(loss, rng):
    x, a = interior_points(loss, 60, rng)
    b = interior_points(loss, 60, rng)[1]
    got = loss.value(x, a) - loss.value(x, b)
    assert_allclose(got, loss_difference(loss, x, a, b), rtol=1e-7, atol=1e-7)


# --- the saturated model -----------------------------------------------------------------------------------


@every_loss
def test_deviance_is_nonnegative_and_twice_the_log_likelihood_ratio(loss, rng):
    x, m = interior_points(loss, 200, rng)
    deviance = loss.deviance(x, m)
    assert (deviance >= 0).all()
    if np.isfinite(loss.data_domain.high) or loss.name in ("huber", "gaussian", "student-t", "quantile"):
        return
    fit = loss.saturated(np.maximum(x, 1e-12))
    if loss.name.startswith(("zero-truncated", "hurdle")):
        fit = np.maximum(fit, 1e-12)  # of counts of 1 it is 0, where SciPy's logarithms are infinite
    assert_allclose(deviance, -2 * loss_difference(loss, x, fit, m), rtol=1e-6, atol=1e-6)


def test_gaussian_deviance_is_the_squared_error():
    assert_allclose(Gaussian().deviance([1.0, 4.0], [3.0, 4.5]), [4.0, 0.25])


def test_poisson_deviance_by_hand():
    # 2 (x log(x / m) - (x - m)); x = 0 gives 2 m
    assert_allclose(Poisson().deviance([0.0, 2.0], [1.5, 1.0]), [3.0, 2 * (2 * np.log(2) - 1)], rtol=1e-9)


# --- likelihoods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [loss for loss in WITH_DENSITY if getattr(loss, "beta", 0) != -1], ids=short)
def test_log_likelihood_has_every_constant(loss, rng):
    x, m = interior_points(loss, 100, rng)
    x = np.floor(x) if loss.is_discrete else x
    assert_allclose(loss.log_likelihood(x, m), log_density(density(loss)(m), x), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("variance", [0.1, 1.0, 7.0])
def test_gaussian_likelihood_of_other_variances(variance, rng):
    x, m = rng.normal(size=(2, 20))
    got = Gaussian().log_likelihood(x, m, dispersion=variance)
    assert_allclose(got, stats.norm.logpdf(x, m, np.sqrt(variance)), rtol=1e-12)


@pytest.mark.parametrize("shape", [0.4, 1.0, 9.0])
def test_gamma_likelihood_of_other_shapes(shape, rng):
    x, m = rng.uniform(0.2, 5, size=(2, 20))
    got = Gamma().log_likelihood(x, m, dispersion=1 / shape)
    assert_allclose(got, stats.gamma.logpdf(x, shape, scale=m / shape), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("delta", [0.25, 1.0, 2.0])
def test_huber_density_integrates_to_one(delta):
    density = lambda x: float(np.exp(Huber(delta).log_likelihood(x, 0.3)))  # noqa: E731
    pieces = [(-np.inf, 0.3 - delta), (0.3 - delta, 0.3 + delta), (0.3 + delta, np.inf)]
    assert_allclose(sum(integrate.quad(density, *ends)[0] for ends in pieces), 1, rtol=1e-8)


def test_gamma_dispersion_is_the_maximum_of_the_likelihood(rng):
    m = rng.uniform(1, 4, 4000)
    x = rng.gamma(6.0, m / 6.0)
    found = Gamma().estimate_dispersion(x, m)
    total = lambda d: float(np.sum(Gamma().log_likelihood(x, m, dispersion=d)))  # noqa: E731
    assert total(found) > max(total(found * 1.01), total(found / 1.01))
    assert_allclose(1 / found, 6.0, rtol=0.1)


def test_gaussian_dispersion_is_the_weighted_mean_square(rng):
    assert_allclose(Gaussian().estimate_dispersion([1.0, 5.0], [0.0, 2.0], weights=[3, 1]), (3 * 1 + 9) / 4)


@pytest.mark.parametrize(
    "loss",
    [
        a
        for a in LOSSES
        if a.name not in ("gaussian", "gamma", "inverse-gaussian", "tweedie", "quantile", "hurdle-gamma")
        and getattr(a, "beta", 1) not in (0, 2)
    ],
    ids=short,
)
def test_losses_without_dispersion_refuse_one(loss):
    with pytest.raises(ParameterError, match="dispersion"):
        loss.log_likelihood(1.0, 1.0, dispersion=2.0)
    assert loss.estimate_dispersion([1.0], [1.0]) is None


@pytest.mark.parametrize("beta", [-0.5, 0.5, 1.5, 3])
def test_beta_divergence_without_density_says_so(beta):
    with pytest.raises(ParameterError, match="likelihood"):
        BetaDivergence(beta=beta).log_likelihood(1.0, 1.0)


# --- mean, link, samples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", WITH_DENSITY, ids=short)
def test_mean_is_that_of_the_distribution(loss, rng):
    m = interior_points(loss, 50, rng)[1]
    assert_allclose(loss.mean(m), density(loss)(m).mean(), rtol=1e-10)


def distribution_of(loss, m):
    """Frozen distribution for the tests of `sample`; a gamma where the beta divergence has no density of its data."""
    if loss.name == "beta-divergence" and loss.beta not in (0, 1):
        variance = m ** (2 - loss.beta)
        return stats.gamma(m**2 / variance, scale=variance / m)
    return density(loss)(m)


@pytest.mark.parametrize(
    "loss",
    [loss for loss in LOSSES if loss.name not in ("huber", "tweedie", "quantile", "hurdle-gamma")],
    ids=short,
)
def test_sample_follows_the_distribution(loss):
    m = 1.7 if loss.model_domain.low == 0 else 0.6
    n = 4000
    x = loss.sample(np.full(n, m), np.random.default_rng(3))
    assert x.shape == (n,)
    of = distribution_of(loss, m)
    spread = np.sqrt(of.var() / n)
    assert abs(x.mean() - of.mean()) < 4 * spread
    if isinstance(of.dist, stats.rv_continuous):
        assert stats.kstest(x, of.cdf).pvalue > 1e-3
        return
    top = int(of.ppf(0.99))
    seen = np.bincount(np.minimum(x, top + 1).astype(int), minlength=top + 2)
    expected = n * np.append(of.pmf(np.arange(top + 1)), of.sf(top))
    keep = expected > 0
    assert stats.chisquare(seen[keep], expected[keep]).pvalue > 1e-3


@pytest.mark.parametrize("delta", [0.25, 2.0])
def test_huber_sample_follows_its_density(delta):
    loss, centre = Huber(delta), 0.6
    x = loss.sample(np.full(4000, centre), np.random.default_rng(5))
    grid = np.linspace(-40, 40, 400_001)
    cdf = integrate.cumulative_simpson(np.exp(-2 * special.huber(delta, grid)), x=grid, initial=0)
    cdf /= cdf[-1]
    assert stats.kstest(x, lambda t: np.interp(t - centre, grid, cdf)).pvalue > 1e-3


@pytest.mark.parametrize("loss", [loss for loss in NONNEGATIVE_MODEL if "beta" not in loss.name], ids=short)
def test_sample_at_model_zero_is_the_least_datum(loss):
    least = 1 if loss.name == "zero-truncated-poisson" else 0
    found = loss.sample(np.zeros(10), np.random.default_rng(0))
    assert (found[found > 0] == 1 if "hurdle" in loss.name else found == least).all()


# --- the edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [700.0, 800.0, 1e5])
def test_logit_tails_by_hand(m):
    loss = BernoulliLogit()
    assert_allclose(loss.value([0, 1, 0, 1], [m, m, -m, -m]), [m, 0, 0, m], atol=1e-300)
    assert_allclose(loss.deriv([0, 1, 0, 1], [m, m, -m, -m]), [1, 0, 0, -1], atol=1e-300)
    negative = NegativeBinomialLogit(r=0.7)
    assert_allclose(negative.value(3, m), 0.7 * m, rtol=1e-12)  # (r + x) m - x m
    assert_allclose(negative.deriv(3, m), 0.7, rtol=1e-12)
    assert_allclose(negative.value(3, -m), 3 * m)
    assert_allclose(negative.deriv(3, -m), -3)


def test_logit_keeps_small_probabilities():
    assert_allclose(BernoulliLogit().value(0, -40.0), np.exp(-40), rtol=1e-12)
    assert_allclose(BernoulliLogit().deriv(1, 40.0), -np.exp(-40.0), rtol=1e-2, atol=1e-16)


def test_bernoulli_poisson_tails_by_hand():
    loss = BernoulliPoisson()
    assert_allclose(loss.value(1, 50.0), np.exp(-50.0), rtol=1e-6)  # -log(1 - e^-m)
    assert_allclose(loss.value(1, 1e-5), -np.log(1e-5) + 5e-6, rtol=1e-4)  # p = m - m**2 / 2
    assert_allclose(loss.value(0, 700.0), 700.0)
    assert_allclose(loss.deriv([0, 1], [700.0, 700.0]), [1.0, 0.0], atol=1e-300)
    assert_allclose(loss.deriv(1, 1e-3), -1 / np.expm1(1e-3), rtol=1e-6)


def test_negative_binomial_gradient_uses_r_plus_x():
    # The two established packages have (r + 1) / (1 + m) here: x = 4, r = 2, m = 1 gives (2 + 4) / 2 - 4 = -1
    assert_allclose(NegativeBinomial(r=2).deriv(4.0, 1.0), -1.0, rtol=1e-8)


def test_huber_gradient_in_the_linear_part_is_two_delta():
    assert_allclose(Huber(delta=0.5).deriv([7.0, -7.0], [0.0, 0.0]), [-1.0, 1.0])
    assert_allclose(Huber(delta=0.5).value([7.0, 0.3], [0.0, 0.0]), [2 * 0.5 * 7 - 0.25, 0.09])


def test_real_r_is_not_rounded():
    assert NegativeBinomial(r=2.5).value(3, 1.0) == pytest.approx(5.5 * np.log(2))


# --- domains -----------------------------------------------------------------------------------------------

REALS = ("gaussian", "huber", "student-t", "quantile")
COUNTS = ("poisson", "poisson-log", "negative-binomial", "negative-binomial-logit", "zero-truncated-poisson")
COUNTS += (
    "zero-inflated-poisson",
    "zero-inflated-negative-binomial",
    "hurdle-poisson",
    "hurdle-negative-binomial",
)
POSITIVE = ("gamma", "rayleigh", "inverse-gaussian", "zero-truncated-poisson")


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.name != "ordinal"], ids=short)
def test_data_domain(loss):
    inside = lambda value: bool(loss.data_domain.contains(value))  # noqa: E731
    assert inside(1.0)
    assert not inside(np.nan)
    assert not inside(np.inf)
    assert inside(-1.0) == (loss.name in REALS)
    binary = loss.name.startswith("bernoulli")
    assert inside(0.5) == (not binary and loss.name not in COUNTS)
    assert inside(2.0) == (not binary)
    zero_refused = loss.name in POSITIVE or (loss.name == "beta-divergence" and loss.beta <= 0)
    assert inside(0.0) == (not zero_refused)


@pytest.mark.parametrize(
    ("loss", "low"),
    [
        *((cls(), 0) for cls in (BernoulliOdds, BernoulliPoisson, Poisson, Gamma, Rayleigh)),
        *((cls(), 0) for cls in (NegativeBinomial, BetaDivergence, Tweedie, InverseGaussian)),
        (ZeroTruncatedPoisson(), 0),
        *((cls(), -np.inf) for cls in (Gaussian, Huber, BernoulliLogit, PoissonLog, NegativeBinomialLogit)),
        *((cls(), -np.inf) for cls in (StudentT, Quantile, Ordinal)),
    ],
    ids=lambda value: short(value) if hasattr(value, "name") else "",
)
def test_model_domain(loss, low):
    assert loss.model_domain.low == low
    assert loss.model_domain.high == np.inf


# --- scale -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-9, 1e9])
@pytest.mark.parametrize(
    "loss",
    [Gamma(), Rayleigh(), InverseGaussian(), BetaDivergence(beta=0.5), BetaDivergence(beta=0)],
    ids=short,
)
def test_eps_follows_the_unit_of_the_data(loss, scale, rng):
    x = rng.gamma(2.0, 1.0, 30)
    for m in (np.zeros(30), np.full(30, 1e-10), rng.uniform(0.1, 2, 30)):
        one, other = loss.with_scale(1.0).deriv(x, m), loss.with_scale(scale).deriv(x * scale, m * scale)
        power = loss.degree - 1  # f is homogeneous of degree beta, up to a constant
        assert_allclose(other, one * scale**power, rtol=1e-9)


def test_a_given_eps_is_kept():
    assert Gamma(eps=1e-3).with_scale(1e6).eps == 1e-3
    assert Gamma().with_scale(1e6).eps == pytest.approx(1e-4)
    assert Gamma().with_scale(np.inf) == Gamma()
    assert Gaussian().with_scale(3.0) == Gaussian()


# --- parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf, "three", None, 1j])
def test_bad_parameters_are_named(bad):
    for make, name in (
        (lambda: NegativeBinomial(r=bad), "r"),
        (lambda: NegativeBinomialLogit(r=bad), "r"),
        (lambda: Huber(delta=bad), "delta"),
        (lambda: StudentT(scale=bad), "scale"),
        (lambda: StudentT(dof=bad), "dof"),
        (lambda: Quantile(width=bad), "width"),
    ):
        with pytest.raises(ParameterError, match=f"needs {name} > 0"):
            make()


@pytest.mark.parametrize("bad", [np.nan, np.inf, "half", None])
def test_bad_beta_is_named(bad):
    with pytest.raises(ParameterError, match="beta"):
        BetaDivergence(beta=bad)


@pytest.mark.parametrize("cls", [BernoulliOdds, BernoulliPoisson, Poisson, Gamma, Rayleigh, NegativeBinomial])
@pytest.mark.parametrize("bad", [0.0, -1e-10, np.nan, "tiny"])
def test_bad_eps_is_named(cls, bad):
    with pytest.raises(ParameterError, match="eps"):
        cls(eps=bad)
