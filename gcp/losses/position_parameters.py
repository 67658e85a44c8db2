"""Losses with a parameter that is one number for each position of a mode."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray
from gcp.losses.estimable import is_estimate


class PositionParameters:
    """The part of a loss that knows a parameter by position; most losses have none.

    Attributes
    ----------
    parameter_by : str
        The parameter that may be one number for each position of the mode `by`, of losses with such a field.
    by : int, str or None
        That mode, by number or name.
    """

    name: ClassVar[str] = ""
    parameter_by: ClassVar[str] = ""
    position_moves_mean: ClassVar[bool] = True
    """Whether one m means different expectations at different positions because of m, not of a gate alone."""
    is_dispersion_by: ClassVar[bool] = False
    """Whether `parameter_by` is a dispersion: f does not hold it, and each cell's is divided by it."""
    limits_in_words: ClassVar[Mapping[str, str]] = {}
    """What it means that a number of a position went to its limit, "low" or "high", where that is to be told."""
    by: int | str | None = None
    kinds: tuple[Any, ...] = ()
    """The different losses, where each position of the mode has one of several."""

    def kind_at(self, position: int) -> Any:
        """Return the loss whose parameter a position of the mode has; None where it has none."""
        return self

    def parameter_of(self, dispersion: float) -> float:
        """Return the value of `parameter_by` of a dispersion, of losses that have a free one."""
        raise ParameterError(f"The {self.name} loss has no free dispersion.")

    def refuse_alone(self) -> None:
        """Raise `ParameterError` if positions have parameters of their own, but cells come without any."""
        if self.by is not None:
            raise ParameterError(
                f"The {self.name} loss has one {self.parameter_by} for each position of {self.by!r}: ask a result, "
                "which knows the positions of cells, or loss.at(positions)."
            )

    @property
    def is_standard(self) -> bool:
        """Whether entries stay as they are, under one formula for all."""
        return self.by is None

    def at(self, positions: Array) -> Self:
        """Return the loss of cells at these positions of the mode `by`, whose shape data and models broadcast with.

        It is the loss itself where there is no such mode.
        """
        if self.by is None:
            return self
        values = np.asarray(getattr(self, self.parameter_by), dtype=float)
        found = copy.copy(self)
        object.__setattr__(found, self.parameter_by, values[positions])
        object.__setattr__(found, "by", None)
        return found

    def taken(self, positions: Mapping[str, Array | None]) -> Self:
        """Return the loss of data whose modes, by name, have these positions (k,) of its own; None is all of them."""
        chosen = None if self.by is None else positions[str(self.by)]
        if chosen is None:
            return self
        values = np.asarray(getattr(self, self.parameter_by))[chosen]
        return replace(self, **{self.parameter_by: tuple(values.tolist())})  # type: ignore[type-var]

    def standard(self) -> Self:
        """Return the loss of standard entries, which every number of `parameter_by` has (see `standard_entries`)."""
        raise ParameterError(f"The {self.name} loss has no parameter for each position of a mode.")

    def standard_entries(self, x: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Return data and entry weights, elementwise, whose loss under `standard` is that of x.

        The values are those of `parameter_by` at the entries; None is a weight of 1. So a parameter for each position
        needs no formula of its own.
        """
        raise ParameterError(f"The {self.name} loss has no parameter for each position of a mode.")


def check_positions(loss: PositionParameters) -> None:
    """Keep numbers by position as a tuple; raise `ParameterError` unless they and the mode `by` go together."""
    name, value = loss.parameter_by, getattr(loss, loss.parameter_by)
    if isinstance(value, list | tuple | np.ndarray) and (found := checks.floats(name, value)).ndim == 1:
        value = tuple(found.tolist())
        object.__setattr__(loss, name, value)
    if loss.by is None and isinstance(value, tuple):
        raise ParameterError(
            f"{type(loss).__name__} has {len(value)} numbers {name}: say by=..., the mode whose positions "
            "they are of."
        )
    if loss.by is not None and not (isinstance(value, tuple) or is_estimate(value)):
        raise ParameterError(
            f'{type(loss).__name__} has by={loss.by!r}: expected {name}="estimate", or one number for each position '
            f"of that mode; found {checks.show(value)}."
        )
