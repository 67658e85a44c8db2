"""r of the negative binomial: recovered, and at the top of the profile likelihood."""

from functools import partial

import numpy as np
import pytest
from helpers import random_factors
from scipy import stats

from gcp import (
    NegativeBinomial,
    NegativeBinomialLogit,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    fit_gcp,
    get_loss,
    simulate,
)
from gcp.analysis import information_criteria, log_likelihood, n_parameters
from gcp.solvers.starts.multistart import run_starts


def counts(r, rng, shape):
    factors = random_factors(shape, 2, rng, positive=True)
    mu = 2 * np.einsum("ar,br,cr->abc", *factors)
    return rng.negative_binomial(r, r / (r + mu)).astype(float)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_r_is_recovered_and_likeliest(kind, rng):
    x = counts(2.5, rng, (16, 14, 12))
    data = x if kind == "dense" else SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    found = fit_gcp(data, 2, loss=get_loss("negative-binomial", r="estimate"), random_state=0)
    r = found.settings["estimated"]["r"]
    assert found.loss.r == r
    assert 2.2 < r < 2.9
    best = log_likelihood(found, data)
    for other in (0.9 * r, 1.1 * r):
        fixed = fit_gcp(data, 2, loss=NegativeBinomial(r=other), init=found, random_state=0)
        assert log_likelihood(fixed, data) < best
    assert n_parameters(found) == n_parameters(fixed) + 1
    assert information_criteria(found, data).n_parameters == n_parameters(found)


def test_the_logit_link_too(rng):
    x = counts(3.0, rng, (15, 12, 10))
    found = fit_gcp(x, 1, loss=NegativeBinomialLogit(r="estimate"), main_effects=True, random_state=0)
    best, r = log_likelihood(found, x), found.loss.r
    for other in (0.9 * r, 1.1 * r):
        fixed = fit_gcp(
            x, 1, loss=NegativeBinomialLogit(r=other), main_effects=True, init=found, random_state=0
        )
        assert log_likelihood(fixed, x) < best


def score(result, x, w):
    """Derivative of SciPy's log-likelihood in log r, the factors as they are; and minus its second derivative."""
    m = result.model_values()
    p = 1 / (1 + (m if result.loss.model_domain.low == 0 else np.exp(m)))

    def likelihood(log_r):
        terms = stats.nbinom.logpmf(x, np.exp(log_r), np.minimum(p, 1 - 1e-16))
        return float(np.sum(np.where(w > 0, terms * w, 0.0)))

    at, step = np.log(result.loss.r), 1e-3
    low, here, high = (likelihood(at + k * step) for k in (-1, 0, 1))
    return (high - low) / (2 * step), (2 * here - low - high) / step**2


def listed(kind, x, known, w):
    """The data in one of the ways of giving them, the arguments beside them, and every cell's weight."""
    ones = np.ones(x.shape)
    return {
        "dense": (x, {}, ones),
        "missing": (x, {"entry_weights": np.where(known, w, 0.0)}, np.where(known, w, 0.0)),
        "observed": (ObservedTensor(np.argwhere(known), x[known], x.shape), {}, known),
        "sparse, missing": (
            SparseTensor(np.argwhere(x), x[x > 0], x.shape, missing=np.argwhere(~known)),
            {},
            known,
        ),
        "ridge": (x, {"l2_reg": 1.0}, ones),
        "fixed modes": (x, {"fixed_modes": [0]}, ones),
        "all fixed": (x, {"fixed_modes": [0, 1, 2]}, ones),
    }[kind]


KINDS = ["dense", "missing", "observed", "sparse, missing", "ridge", "fixed modes", "all fixed"]


@pytest.mark.parametrize("loss", [NegativeBinomial, NegativeBinomialLogit])
@pytest.mark.parametrize(
    ("kind", "effects"),
    [
        (kind, effects)
        for kind in KINDS
        for effects in (False, True)
        if (kind, effects) != ("all fixed", True)
    ],
)  # where all modes are fixed, there are none to have effects
def test_the_likelihood_is_level_in_r(loss, effects, kind, rng):
    """At a joint maximum its derivative in log r is 0, the factors as they are, whatever the link."""
    drawn, truth = simulate((10, 9, 8), 1 if effects else 2, loss(2.0), random_state=1)
    x = np.asarray(drawn.values, dtype=float)
    data, options, w = listed(kind, x, rng.random(x.shape) < 0.9, rng.uniform(0.8, 1.25, x.shape))
    if "fixed_modes" in options:
        options["init"] = [truth.factors[0] * truth.weights, *truth.factors[1:]]
    if effects:
        options["main_effects"] = True
    result = fit_gcp(
        data,
        len(truth.weights),
        loss=loss(r="estimate"),
        random_state=0,
        n_threads=1,
        **options,
    )
    slope, curvature = score(result, x, w)
    assert 0.3 < result.loss.r < 10
    assert abs(slope) < 1e-2 * np.sqrt(curvature)  # a hundredth of a standard error of log r


@pytest.mark.parametrize("loss", [NegativeBinomial, NegativeBinomialLogit])
def test_every_start_is_told_of(loss, rng):
    x = counts(2.0, rng, (10, 8, 6))
    found = fit_gcp(x, 1, loss=loss(r="estimate"), n_starts=3, random_state=0, n_threads=1)
    assert [start["start"] for start in found.starts] == [0, 1, 2]
    assert sum(start["objective"] == found.objective for start in found.starts) == 1
    assert found.settings["n_starts"] == 3


@pytest.fixture
def rounds(monkeypatch):
    """The searches of a fit's rounds, and their observers."""
    seen = []

    def run(search, observer):
        seen.append((search, observer))
        return run_starts(search, observer)

    monkeypatch.setattr("gcp.solvers.starts.run_search.run_starts", run)
    return seen


@pytest.mark.parametrize("loss", [NegativeBinomial, NegativeBinomialLogit])
def test_few_rounds(loss, rng, rounds):
    """Fits of all r; of rank 1, since at rank 2 the logit's log-means drift to infinity on data so small."""
    fit_gcp(counts(2.0, rng, (10, 8, 6)), 1, loss=loss(r="estimate"), random_state=0)
    assert 2 <= len(rounds) <= 10
    assert len({search.problem.loss.r for search, _ in rounds}) == len(rounds)


def test_poisson_counts_have_a_large_r(rng):
    x = rng.poisson(5.0, (12, 10, 8)).astype(float)
    assert fit_gcp(x, 1, loss=NegativeBinomial(r="estimate"), random_state=0).loss.r > 30


def test_the_result_is_saved_with_it(rng, tmp_path):
    x = counts(2.0, rng, (10, 8, 6))
    found = fit_gcp(x, 1, loss=NegativeBinomial(r="estimate"), random_state=0)
    found.save(tmp_path / "a.npz")
    assert type(found).load(tmp_path / "a.npz") == found


@pytest.mark.parametrize("r", ["guess", -1, None])
def test_other_words_are_refused(r):
    with pytest.raises(ParameterError, match="r > 0"):
        NegativeBinomial(r=r)


def test_the_limit_of_time_is_for_all_rounds(rng, rounds):
    x = counts(2.0, rng, (10, 8, 6))
    options = {"loss": NegativeBinomial(r="estimate"), "n_starts": 2, "random_state": 0}
    found = fit_gcp(x, 1, max_seconds=1000.0, **options)
    assert len(rounds) > 1
    assert len({observer.deadline for _, observer in rounds}) == 1
    assert [search.n_starts for search, _ in rounds] == [2] + [1] * (len(rounds) - 1)
    assert found.settings["n_starts"] == 2
    rounds.clear()
    hurried = fit_gcp(x, 1, max_seconds=1e-9, **options)
    assert len(rounds) == 1
    assert hurried.status == "max_seconds"


@pytest.mark.parametrize("cls", [NegativeBinomial, NegativeBinomialLogit])
def test_a_loss_whose_r_nobody_knows_yet_has_no_numbers(cls):
    loss, x, m = cls(r="estimate"), np.array([1.0, 0.0]), np.array([0.5, 2.0])
    calls = [
        *(partial(getattr(loss, name), x, m) for name in ("value", "deriv", "curvature", "deviance")),
        *(
            partial(getattr(loss, name), x, m)
            for name in ("log_likelihood", "cdf", "sf", "estimate_dispersion")
        ),
        *(partial(getattr(loss, name), m) for name in ("mean", "link", "fisher")),
        *(partial(getattr(loss, name), x) for name in ("saturated_value", "log_normalizer", "saturated")),
        partial(loss.sample, m, np.random.default_rng(0)),
        partial(simulate, (4, 3), 1, loss),
    ]
    for call in calls:
        with pytest.raises(ParameterError, match="has no r until a fit has estimated it"):
            call()


@pytest.mark.parametrize("loss", [NegativeBinomial, NegativeBinomialLogit])
def test_a_given_start_gives_r_too(loss, rng):
    """Moments of data whose means vary widely say an r that is far too small, and lead away from the start."""
    factors = [rng.standard_normal((size, 2)) for size in (15, 12, 10)]
    if loss is NegativeBinomial:
        factors = [np.exp(a) for a in factors]
    factors[0] *= (1.5 if loss is NegativeBinomialLogit else 1.0) / np.einsum("ar,br,cr->abc", *factors).std()
    m = np.einsum("ar,br,cr->abc", *factors)
    x = loss(10.0).sample(m, rng).astype(float)
    found = fit_gcp(x, 2, loss=loss(r="estimate"), init=factors, n_threads=1)
    truth = loss(10.0).log_likelihood(x, m).sum()
    assert found.loss.log_likelihood(x, found.model_values()).sum() > truth
