"""r of the negative binomial: recovered, and at the top of the profile likelihood."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import random_factors

from gcp import NegativeBinomial, NegativeBinomialLogit, ParameterError, SparseTensor, fit_gcp, get_loss
from gcp.analysis import information_criteria, log_likelihood, n_parameters
from gcp.estimating import fit_estimating_r
from gcp.solvers.journal import FORGETFUL


def counts(r, rng, shape=(30, 25, 20)):
    factors = random_factors(shape, 2, rng, positive=True)
    mu = 2 * np.einsum("ar,br,cr->abc", *factors)
    return rng.negative_binomial(r, r / (r + mu)).astype(float)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_r_is_recovered_and_likeliest(kind, rng):
    x = counts(2.5, rng)
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


def test_the_limit_of_time_is_for_all_rounds(rng, monkeypatch):
    """A clock that advances by a second at every look."""
    ticks, given = iter(range(10**9)), []
    monkeypatch.setattr("gcp.estimating.time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))

    def fit(journal, options):
        given.append(options["max_seconds"])
        return fit_gcp(**{**options, "max_seconds": None})

    x = counts(2.0, rng, (10, 8, 6))
    arguments = {
        "data": x,
        "rank": 1,
        "loss": NegativeBinomial(r="estimate"),
        "mask": None,
        "entry_weights": None,
    }
    arguments |= {"max_seconds": 3.0, "n_starts": 2, "random_state": 0}
    found = fit_estimating_r(fit, FORGETFUL, arguments)
    assert given == [3.0, 2.0, 1.0]
    assert found.settings["n_starts"] == 2
