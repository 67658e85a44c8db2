"""The loss that data were drawn from is the one that is suggested."""

import numpy as np
import pytest
from helpers import full, random_factors

import gcp
from gcp import SparseTensor, get_loss, suggest_loss

SHAPE = (30, 25, 20)


def drawn(loss, rng, scale=1.0):
    loss = get_loss(loss) if isinstance(loss, str) else loss
    factors = random_factors(SHAPE, 2, rng, positive=loss.model_domain.low == 0)
    return loss.sample(scale * full(factors), rng).astype(float)


@pytest.mark.parametrize(
    ("loss", "scale"),
    [
        ("gaussian", 2.0),
        ("poisson", 4.0),
        ("gamma", 1.0),
        ("rayleigh", 1.0),
        (gcp.NegativeBinomial(r=2.0), 2.0),
        ("bernoulli-logit", 1.0),
        (gcp.Tweedie(1.5), 2.0),
        ("zero-truncated-poisson", 1.0),
    ],
    ids=str,
)
def test_the_loss_of_the_data_is_found(loss, scale, rng):
    found = suggest_loss(drawn(loss, rng, scale))
    name = loss if isinstance(loss, str) else loss.name
    assert found.best == name
    first = found.suggestions[0]
    assert first.loss == name
    assert first.admitted
    assert first.supported
    assert {s.loss for s in found.suggestions} == set(gcp.available_losses())


def test_powers_of_the_variance(rng):
    mean = full(random_factors(SHAPE, 2, rng, positive=True)) * 5
    assert abs(suggest_loss(rng.poisson(mean).astype(float)).power - 1) < 0.25
    assert abs(suggest_loss(rng.gamma(4.0, mean / 4)).power - 2) < 0.35
    assert abs(suggest_loss(np.abs(mean + 0.1 * rng.normal(size=SHAPE))).power) < 0.4


def test_outliers_call_for_huber(rng):
    x = drawn("gaussian", rng) * 1.0
    x[rng.random(SHAPE) < 0.005] += 40.0
    assert suggest_loss(x).best == "huber"


def test_categories_are_named_with_what_is_to_be_given(rng):
    x = np.clip(np.round(7 + 1.3 * rng.normal(size=SHAPE)), 2, 10)
    first = suggest_loss(x).suggestions[0]
    assert first.loss == "ordinal"
    assert first.admitted
    assert "Ordinal(n_levels=9, thresholds=None, first=2)" in first.reason


def test_heavier_tails_than_those_of_gamma_data(rng):
    x = gcp.InverseGaussian().sample_dispersed(np.full(SHAPE, 2.0), rng, 1.0)
    assert suggest_loss(x).best == "inverse-gaussian"


def test_sparse_links_get_the_closed_form(rng):
    x = (rng.random(SHAPE) < 0.05).astype(float)
    assert suggest_loss(SparseTensor(np.argwhere(x), x[x > 0], SHAPE)).best == "bernoulli-poisson"


def test_reasons_name_the_first_offender(rng):
    x = drawn("gamma", rng)
    x[3, 2, 1] = -0.5
    found = {s.loss: s for s in suggest_loss(x).suggestions}
    assert not found["gamma"].admitted
    assert "-0.5 at subscript (3, 2, 1)" in found["gamma"].reason
    assert found["gaussian"].admitted


def test_small_tables_of_counts_are_left_to_poisson():
    found = suggest_loss(gcp.datasets.load_titanic())
    assert found.best == "poisson"
    assert "too few" in found.suggestions[0].reason


def ratings(rng):
    """Whole numbers from 1 to 5 with a variance below a third of the mean."""
    subs = np.unique(np.column_stack([rng.integers(0, 300, 4000), rng.integers(0, 100, 4000)]), axis=0)
    stars = np.clip(np.round(3.6 + rng.normal(size=len(subs))), 1, 5)
    return gcp.ObservedTensor(subs, stars, (300, 100))


def planted(rank, rng, positive=True):
    draw = (lambda n: rng.gamma(1.0, 1.0, (n, rank))) if positive else (lambda n: rng.normal(size=(n, rank)))
    return full([draw(n) for n in SHAPE])


HARD = {
    "ratings": (ratings, "ordinal"),
    "grades from 0 to 20": (lambda rng: rng.binomial(20, 0.7, SHAPE), "gaussian"),
    "504 counts of variance 10 means": (
        lambda rng: rng.negative_binomial(1, 0.1, (9, 8, 7)),
        "negative-binomial",
    ),
    "300 counts of variance 10 means": (
        lambda rng: rng.negative_binomial(1, 0.1, (10, 6, 5)),
        "negative-binomial",
    ),
    "504 Poisson counts": (lambda rng: rng.poisson(3.0, (9, 8, 7)), "poisson"),
    "normal with an offset": (lambda rng: 50 + planted(2, rng, False) + rng.normal(size=SHAPE), "gaussian"),
    "lognormal": (lambda rng: (planted(2, rng) + 0.1) * rng.lognormal(0, 0.5, SHAPE), "gamma"),
    "Poisson of rank 6": (lambda rng: rng.poisson(planted(6, rng)), "poisson"),
    "normal of rank 6": (lambda rng: planted(6, rng, False) + rng.normal(size=SHAPE), "gaussian"),
}


@pytest.mark.parametrize("name", HARD)
def test_structure_is_not_taken_for_variation_nor_ratings_for_counts(name, rng):
    draw, expected = HARD[name]
    assert suggest_loss(draw(rng)).best == expected


def test_counts_that_clearly_vary_more_need_no_leverages(rng, monkeypatch):
    """What the fitted means take along is found from the whole information, which takes most of the time."""
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + 500.0), (12, 10, 6))
    found = gcp.suggest_loss(x)
    monkeypatch.setattr("gcp.analysis.dispersion.leverages", None)
    again = gcp.suggest_loss(x)
    assert found.best == again.best == "negative-binomial"
