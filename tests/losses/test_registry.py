import inspect

import pytest

import gcp
from gcp import Loss, ParameterError, available_losses, get_loss, register
from gcp.losses import example_losses, loss_class, registry

NAMES = {
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
    "zero-truncated-poisson": "ZeroTruncatedPoisson",
    "tweedie": "Tweedie",
    "inverse-gaussian": "InverseGaussian",
    "student-t": "StudentT",
    "quantile": "Quantile",
    "ordinal": "Ordinal",
    "zero-inflated-poisson": "ZeroInflatedPoisson",
    "zero-inflated-negative-binomial": "ZeroInflatedNegativeBinomial",
    "hurdle-poisson": "HurdlePoisson",
    "hurdle-negative-binomial": "HurdleNegativeBinomial",
    "hurdle-gamma": "HurdleGamma",
}


def test_these_losses_are_registered():
    assert available_losses() == sorted(NAMES)


@pytest.mark.parametrize(("name", "cls"), NAMES.items())
def test_name_and_class_belong_together(name, cls):
    assert type(get_loss(name)) is getattr(gcp, cls)
    assert get_loss(name).name == name
    assert loss_class(name) is getattr(gcp, cls)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_documents_distribution_link_loss_and_domain(name):
    text = inspect.getdoc(loss_class(name))
    for part in ("Distribution:", "Link:", "Loss:", "Domain:", "Dropped constant:"):
        assert part in text


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Gaussian", "gaussian"),
        ("normal", "gaussian"),
        ("Least Squares", "gaussian"),
        ("ls", "gaussian"),
        ("count", "poisson"),
        ("KL", "poisson"),
        ("poisson_log", "poisson-log"),
        ("binary", "bernoulli-logit"),
        ("binomial", "bernoulli-logit"),
        ("logit", "bernoulli-logit"),
        ("Bernoulli_Odds", "bernoulli-odds"),
        ("negative binomial", "negative-binomial"),
        ("nb", "negative-binomial"),
        ("exponential", "gamma"),
        ("beta", "beta-divergence"),
        ("ZT_poisson", "zero-truncated-poisson"),
        ("compound Poisson", "tweedie"),
        ("Wald", "inverse-gaussian"),
        ("Student t", "student-t"),
        ("pinball", "quantile"),
        ("ordered_logit", "ordinal"),
    ],
)
def test_other_names_are_understood(given, name):
    assert get_loss(given) == get_loss(name)
    assert get_loss(given).name == name


def test_every_other_name_is_of_a_loss_and_none_is_taken():
    assert set(registry._ALIASES.values()) <= set(NAMES)
    assert not set(registry._ALIASES) & set(NAMES)


def test_a_class_in_place_of_a_loss_is_explained():
    with pytest.raises(ParameterError, match=r"write Poisson\(\)"):
        gcp.fit_gcp([[1.0, 2.0], [3.0, 4.0]], 1, loss=gcp.Poisson)


def test_parameters_go_through_the_name():
    assert get_loss("negative-binomial", r=2.5).r == 2.5
    assert get_loss("huber", delta=0.1).delta == 0.1
    assert get_loss("beta-divergence", beta=-1).beta == -1


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("possion", {}, "'poisson'"),
        ("", {}, "Unknown loss"),
        ("poison", {}, "Did you mean 'poisson'"),
        ("binomal", {}, "Did you mean 'bernoulli-logit'"),
        ("L1", {}, "Did you mean 'huber'"),
        ("itakura_saito", {}, "Did you mean 'beta-divergence'"),
        ("MAE", {}, "Did you mean 'huber'"),
        ("log_loss", {}, "Did you mean 'bernoulli-logit'"),
        ("lognormal", {}, "Did you mean 'gamma'"),
        ("weibull", {}, "Did you mean 'rayleigh' or 'gamma'"),
        ("nonsense", {}, "'nonsense'. Known: .*gaussian"),
        (None, {}, "must be a text: found None. Known: .*gaussian"),
        ([], {}, "must be a text: found \\[\\]. Known: .*gaussian"),
        ("poisson", {"r": 1}, "no parameter 'r'"),
        ("rayleigh", {"delta": 1}, "takes: eps"),
        ("huber", {"delta": -1}, "delta > 0"),
    ],
)
def test_mistakes_are_explained(name, params, message):
    with pytest.raises(ParameterError, match=message):
        get_loss(name, **params)


def test_every_registered_loss_has_examples():
    """On which the other tests run, so that no loss goes unchecked."""
    assert {loss.name for loss in example_losses()} == set(available_losses())


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_LOSSES", dict(registry._LOSSES))


@pytest.mark.usefixtures("own_registry")
def test_a_new_loss_is_available_by_name():
    @register("half-gaussian")
    class Half(gcp.Gaussian):
        pass

    assert "half-gaussian" in available_losses()
    assert isinstance(get_loss("half-gaussian"), Half)
    assert issubclass(Half, Loss)
    assert Half() in example_losses()  # by default one of default parameters
    assert gcp.fit_gcp([[1.0, 2.0], [2.0, 4.0]], 1, loss="half-gaussian", random_state=0).loss == Half()


@pytest.mark.usefixtures("own_registry")
def test_a_class_that_is_defined_again_takes_the_place_of_the_first():
    def define():
        @register("again")
        class Again(gcp.Gaussian):
            pass

        return Again

    first, second = define(), define()
    assert first is not second
    assert loss_class("again") is second


def test_what_cannot_be_registered_is_refused():
    class Thawed(Loss):
        f = df = d2f = weight = mean = link = saturated_value = sample = gcp.Gaussian.f

    class Partial(Loss):
        f = df = gcp.Gaussian.f

    for name, given, message in (
        ("poisson", gcp.Gaussian, "'poisson' is taken by gcp.losses.poisson.Poisson: choose another"),
        ("mine", gcp.Gaussian(), "for classes derived from gcp.Loss"),
        ("mine", int, "for classes derived from gcp.Loss"),
        ("mine", Partial, "Partial cannot be registered as 'mine': it has no d2f, link, mean, sample"),
        ("mine", Thawed, "no frozen dataclass"),
    ):
        with pytest.raises(ParameterError, match=message):
            register(name)(given)
    for name in (None, 3, "", " "):
        with pytest.raises(ParameterError, match="name"):
            register(name)
    assert "mine" not in available_losses()
    assert gcp.Gaussian.name == "gaussian"
