import inspect

import pytest

import gcp
from gcp import Loss, ParameterError, available_losses, get_loss
from gcp.losses import loss_class, register, registry

CONTRACT = {
    "gaussian": "Gaussian",
    "bernoulli-logit": "BernoulliLogit",
    "bernoulli-odds": "BernoulliOdds",
    "bernoulli-poisson": "BernoulliPoisson",
    "poisson": "Poisson",
    "poisson-log": "PoissonLog",
    "gamma": "Gamma",
    "rayleigh": "Rayleigh",
    "negative-binomial": "NegativeBinomial",
    "negative-binomial-logit": "NegativeBinomialLogit",
    "huber": "Huber",
    "beta-divergence": "BetaDivergence",
}


def test_the_twelve_losses_of_the_contract_are_registered():
    assert available_losses() == sorted(CONTRACT)


@pytest.mark.parametrize(("name", "cls"), CONTRACT.items())
def test_name_and_class_belong_together(name, cls):
    assert type(get_loss(name)) is getattr(gcp, cls)
    assert get_loss(name).name == name
    assert loss_class(name) is getattr(gcp, cls)


@pytest.mark.parametrize("name", CONTRACT)
def test_every_loss_documents_distribution_link_loss_and_domain(name):
    text = inspect.getdoc(loss_class(name))
    for part in ("Distribution:", "Link:", "Loss:", "Domain:", "Dropped constant:"):
        assert part in text


def test_parameters_go_through_the_name():
    assert get_loss("negative-binomial", r=2.5).r == 2.5
    assert get_loss("huber", delta=0.1).delta == 0.1
    assert get_loss("beta-divergence", beta=-1).beta == -1


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("possion", {}, "'poisson'"),
        ("", {}, "Unknown loss"),
        ("normal", {}, "Did you mean 'gaussian'"),
        ("Count", {}, "Did you mean 'poisson'"),
        ("binary", {}, "Did you mean 'bernoulli-odds' or 'bernoulli-logit'"),
        ("beta", {}, "Did you mean 'beta-divergence'"),
        ("nonsense", {}, "'nonsense'. Known: .*gaussian"),
        (None, {}, "must be a text: found None. Known: .*gaussian"),
        ([], {}, "must be a text: found \\[\\]. Known: .*gaussian"),
        ("poisson", {"r": 1}, "no parameter 'r'"),
        ("gaussian", {"delta": 1}, "takes: none"),
        ("huber", {"delta": -1}, "delta > 0"),
    ],
)
def test_mistakes_are_explained(name, params, message):
    with pytest.raises(ParameterError, match=message):
        get_loss(name, **params)


def test_a_new_loss_is_available_by_name(monkeypatch):
    monkeypatch.setattr(registry, "_LOSSES", dict(registry._LOSSES))

    @register("half-gaussian")
    class Half(gcp.Gaussian):
        pass

    assert "half-gaussian" in available_losses()
    assert isinstance(get_loss("half-gaussian"), Half)
    assert issubclass(Half, Loss)
