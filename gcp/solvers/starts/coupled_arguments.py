"""Arguments of fits of coupled tensors: data, losses and weights by the name of a tensor, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import DataError, GcpError, ParameterError
from gcp.losses.base import Loss
from gcp.losses.registry import DefaultName
from gcp.losses.several import as_loss
from gcp.tensors.intake.beside_tensors import given_beside
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored

_REFUSED = "{0} does not go together with coupled tensors: "
_INSTEAD = {
    "checkpoint": "leave it out; an interrupted fit (Ctrl-C) returns the best model so far, which init takes.",
    "weight_reg": "use l2_reg, or penalties of a mode.",
    "design": "leave it out, or give penalties=[gcp.penalties.Smooth(mode, ...)].",
}


def check_refused(given: Mapping[str, Any]) -> None:
    """Raise `ParameterError` if one of the arguments that do not go together with coupled tensors is given."""
    if names := [name for name, value in given.items() if _is_given(value)]:
        raise ParameterError(_REFUSED.format(names[0]) + _INSTEAD.get(names[0], "leave it out."))


def _is_given(value: Any) -> bool:
    return not (value is None or (isinstance(value, bool | int | float | tuple | list | dict) and not value))


def tensors_of(data: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors by name, in memory, with what is given beside them (`given_beside`)."""
    if strange := [name for name in data if not isinstance(name, str) or not name]:
        raise DataError(
            f"The data are an object of class dict, and coupled tensors have texts as names in it: found "
            f"{checks.show(strange[0])}."
        )
    if len(data) < 2:
        raise DataError(
            f"Found {len(data)} tensor{'' if len(data) else 's'} in the dict of data: two or more are coupled; give "
            "a single one by itself."
        )
    own, tensors = given_beside(beside, tuple(data)), {}
    for name in data:
        try:
            whole = in_one_piece(data[name], why="A fit of coupled tensors", **own[name])
            tensors[name] = stored(whole)
        except GcpError as error:
            raise type(error)(f"{name}: {error}") from error
    return tensors


def losses_of(given: Any, names: tuple[str, ...]) -> dict[str, Loss]:
    """Return the loss of each tensor."""
    example = ", ".join(
        f'"{name}": "{loss}"' for name, loss in zip(names, ("poisson", "gaussian"), strict=False)
    )
    if not isinstance(given, Mapping) or isinstance(given, DefaultName):
        found = "none" if isinstance(given, DefaultName) else checks.show(given)
        raise ParameterError(f"Coupled tensors have a loss each, loss={{{example}, ...}}: found {found}.")
    _check_names("loss", given, names)
    if lacking := [name for name in names if name not in given]:
        raise ParameterError(
            f"loss lacks that of {lacking[0]!r}: give one for each tensor, {', '.join(names)}."
        )
    return {name: as_loss(given[name]) for name in names}


def weights_of(given: Any, losses: Mapping[str, Loss]) -> dict[str, float]:
    """Return the weights of tensors that are given one."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"weights must be a dict of positive numbers by tensor, or None: found {checks.show(given)}."
        )
    _check_names("weights", given, tuple(losses))
    return {name: checks.real(f"weights[{name!r}]", weight, above=0.0) for name, weight in given.items()}


def effects_of(given: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return which modes of each tensor have main effects, True for all: of all tensors alike, or by tensor."""
    if given is None or isinstance(given, bool | np.bool_):
        return dict.fromkeys(names, bool(given))
    if not isinstance(given, Mapping):
        raise ParameterError(
            "main_effects of coupled tensors must be True, or a dict by tensor, "
            f"{{{names[0]!r}: True}} or {{{names[0]!r}: [modes]}}: found {checks.show(given)}."
        )
    _check_names("main_effects", given, names)
    return dict(given)


def _check_names(what: str, given: Mapping[Any, Any], names: tuple[str, ...]) -> None:
    if unknown := [name for name in given if name not in names]:
        raise ParameterError(
            f"{what} names {checks.show(unknown[0])}, but there is no such tensor: found {', '.join(names)}."
        )
