"""Losses by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from gcp.errors import ParameterError
from gcp.losses.base import Loss

L = TypeVar("L", bound=Loss)

_LOSSES: dict[str, type[Loss]] = {}


def register(name: str) -> Callable[[type[L]], type[L]]:
    """Class decorator: make a loss available by name."""

    def add(cls: type[L]) -> type[L]:
        cls.name = name
        _LOSSES[name] = cls
        return cls

    return add


def available_losses() -> list[str]:
    """Names of all registered losses, sorted."""
    return sorted(_LOSSES)


def get_loss(name: str, **params: Any) -> Loss:
    """Make a loss from its name.

    Parameters
    ----------
    name : str
        One of `available_losses()`.
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


def loss_class(name: str) -> type[Loss]:
    """The class registered under a name; `ParameterError` if there is none."""
    if name in _LOSSES:
        return _LOSSES[name]
    near = get_close_matches(str(name), _LOSSES, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ParameterError(f"Unknown loss {name!r}.{hint} Known: {', '.join(available_losses())}.")
