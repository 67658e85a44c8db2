"""Losses by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from gcp.base.checks import show, text
from gcp.base.errors import ParameterError
from gcp.losses.base import Loss

_ALIASES = {
    **dict.fromkeys(("normal", "least-squares", "ls", "frobenius", "mse", "squared-error", "l2"), "gaussian"),
    **dict.fromkeys(("count", "counts", "kullback-leibler", "kl"), "poisson"),
    "count-log": "poisson-log",
    **dict.fromkeys(("binary", "bernoulli", "binomial", "logistic", "logit"), "bernoulli-logit"),
    "odds": "bernoulli-odds",
    **dict.fromkeys(("nb", "negbin"), "negative-binomial"),
    "zip": "zero-inflated-poisson",
    "zinb": "zero-inflated-negative-binomial",
    "exponential": "gamma",
    "beta": "beta-divergence",
    **dict.fromkeys(("zt-poisson", "ztp", "truncated-poisson", "positive-poisson"), "zero-truncated-poisson"),
    **dict.fromkeys(("compound-poisson", "poisson-gamma", "compound-poisson-gamma"), "tweedie"),
    **dict.fromkeys(("invgauss", "inverse-normal", "wald"), "inverse-gaussian"),
    **dict.fromkeys(("student", "t", "studentt"), "student-t"),
    **dict.fromkeys(("pinball", "check", "median"), "quantile"),
    **dict.fromkeys(("cumulative-logit", "proportional-odds", "ordered-logit"), "ordinal"),
}
"""Names that other packages (the Tensor Toolbox, GenTen, scikit-learn) and people use, with those of gcp."""

_NEAR: dict[str, tuple[str, ...]] = {
    "itakura-saito": ("beta-divergence",),
    **dict.fromkeys(("l1", "mae", "absolute-error", "laplace"), ("huber", "quantile")),
    "robust": ("huber", "student-t"),
    "cauchy": ("student-t",),
    **dict.fromkeys(
        ("log-loss", "logloss", "cross-entropy", "crossentropy", "softmax"), ("bernoulli-logit",)
    ),
    **dict.fromkeys(("probit", "hinge", "sigmoid"), ("bernoulli-logit",)),
    "overdispersed-poisson": ("negative-binomial",),
    **dict.fromkeys(("lognormal", "log-normal"), ("gamma",)),
    "multinomial": ("poisson",),
    "weibull": ("rayleigh", "gamma"),
}
"""Names of losses that gcp does not have by itself, with what comes near."""


class DefaultName(str):
    """A name that an argument has by default: equal to the same name when that is given, but told from it."""


DEFAULT_LOSS = DefaultName("gaussian")

L = TypeVar("L", bound=Loss)

_LOSSES: dict[str, type[Loss]] = {}


def register(name: str) -> Callable[[type[L]], type[L]]:
    """Make a class of losses available by name: a class decorator, above ``@dataclass(frozen=True)``.

    `fit_gcp(loss="name")`, `get_loss`, `available_losses` and everything else that takes a loss then know it, in this
    process. A class of the same name in the same module takes the place of the first, so that a cell of a notebook
    can be run again.

    Parameters
    ----------
    name : str
        What to call it, e.g. "half-normal"; no other loss may have that name.

    Returns
    -------
    callable
        Takes the class and returns it, with `name` as its attribute of that name.

    Raises
    ------
    ParameterError
        A name that another loss has, or a class that is no frozen dataclass derived from `Loss` with all its methods.

    See Also
    --------
    gcp.testing.check_loss : Checks that the class is right.
    custom_loss : Makes a loss of a formula alone.
    """
    text("name", name)
    if not name.strip():
        raise ParameterError("name is empty: a loss needs a name such as 'half-normal'.")

    def add(cls: type[L]) -> type[L]:
        _check_class(name, cls)
        cls.name = name
        _LOSSES[name] = cls
        return cls

    return add


def _check_class(name: str, cls: Any) -> None:
    """Refuse what cannot be registered under a name."""
    if not (isinstance(cls, type) and issubclass(cls, Loss)):
        raise ParameterError(
            f"register({name!r}) is for classes derived from gcp.Loss: found {show(cls)}. "
            "For an instance, give it to fit_gcp(loss=...) as it is."
        )
    if missing := sorted(cls.__abstractmethods__):
        raise ParameterError(
            f"{cls.__name__} cannot be registered as {name!r}: it has no {', '.join(missing)}."
        )
    if not (is_dataclass(cls) and cls.__dataclass_params__.frozen):
        raise ParameterError(
            f"{cls.__name__} cannot be registered as {name!r}: it is no frozen dataclass. "
            "Write @dataclass(frozen=True) between the decorator and the class."
        )
    other = _LOSSES.get(name, cls)
    if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ParameterError(
            f"The name {name!r} is taken by {other.__module__}.{other.__qualname__}: choose another."
        )


def available_losses() -> list[str]:
    """Return names of all registered losses, sorted."""
    return sorted(_LOSSES)


def example_losses() -> list[Loss]:
    """Return the examples of all registered losses, on which checks are run."""
    return [loss for name in available_losses() for loss in _LOSSES[name].examples()]


def example_loss(name: str) -> Loss:
    """Return the loss of a name with numbers as all parameters: an example, where they are estimated by default."""
    loss = get_loss(name)
    return type(loss).examples()[0] if loss.unknowns else loss


def get_loss(name: str, **params: Any) -> Loss:
    """Make a loss from its name.

    Parameters
    ----------
    name : str
        One of `available_losses()`, or another name for it: "normal", "least-squares", "ls", "mse", "squared-error",
        "frobenius" and "l2" are "gaussian"; "count", "kl" and "kullback-leibler" "poisson"; "count-log"
        "poisson-log"; "binary", "bernoulli", "binomial", "logistic" and "logit" "bernoulli-logit"; "odds"
        "bernoulli-odds"; "nb" and "negbin" "negative-binomial"; "zip" "zero-inflated-poisson"; "zinb"
        "zero-inflated-negative-binomial"; "exponential" "gamma", of which it is the case of
        shape 1; "beta" "beta-divergence"; "zt-poisson", "ztp", "truncated-poisson" and "positive-poisson"
        "zero-truncated-poisson"; "compound-poisson", "poisson-gamma" and "compound-poisson-gamma" "tweedie";
        "invgauss", "inverse-normal" and "wald" "inverse-gaussian"; "student" and "t" "student-t"; "pinball", "check"
        and "median" "quantile" (of order 0.5); "cumulative-logit", "proportional-odds" and "ordered-logit" "ordinal".
        Capitals, and underscores or spaces for hyphens, make no difference.
    **params
        The loss's parameters, e.g. ``r=3.0`` for "negative-binomial".

    Raises
    ------
    ParameterError
        Unknown name (with the nearest known one) or parameter.
    """
    cls = loss_class(name)
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    if unknown := set(params) - set(known):
        expected = ", ".join(known) if known else "none"
        raise ParameterError(f"Loss {name!r} has no parameter {sorted(unknown)[0]!r}; it takes: {expected}.")
    return cls(**params)


def one_loss(given: Any) -> Loss:
    """Return a loss, or the one of a name; `ParameterError` of anything else."""
    if isinstance(given, str):
        return get_loss(given)
    if isinstance(given, type) and issubclass(given, Loss):
        raise ParameterError(
            f"loss is the class {given.__name__}, expected an object: write {given.__name__}()."
        )
    if not isinstance(given, Loss):
        raise ParameterError(f"loss must be a name or a Loss: found {show(given)}.")
    return given


def loss_class(name: str) -> type[Loss]:
    """Return the class registered under a name, or another name for it; `ParameterError` if there is none."""
    if isinstance(name, str) and name in _LOSSES:
        return _LOSSES[name]
    known = f"Known: {', '.join(available_losses())}."
    if not isinstance(name, str):
        raise ParameterError(f"The name of a loss must be a text: found {show(name)}. {known}")
    plain = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    plain = _ALIASES.get(plain, plain)
    if plain in _LOSSES:
        return _LOSSES[plain]
    near = _NEAR.get(plain) or _alike(plain)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ParameterError(f"Unknown loss {show(name)}.{hint} {known}")


def _alike(name: str) -> list[str]:
    """Return the name most like a text, if any is."""
    near = get_close_matches(name, [*_LOSSES, *_ALIASES], n=1, cutoff=0.6)
    return [_ALIASES.get(one, one) for one in near]
