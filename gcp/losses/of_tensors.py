"""The losses of several tensors that are fitted together, as messages and settings name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gcp.base.errors import ParameterError
from gcp.base.interval import Interval
from gcp.losses.base import Loss
from gcp.losses.of_cells import domain_of, names_of


@dataclass(frozen=True, repr=False)
class LossesOfTensors(Loss):
    """One loss for each tensor.

    Attributes
    ----------
    by_name : mapping of str to Loss
    """

    by_name: Mapping[str, Loss]

    @property
    def name(self) -> str:  # type: ignore[override]
        """Those of all losses."""
        return names_of(tuple(self.by_name.values()))

    @property
    def model_domain(self) -> Interval:  # type: ignore[override]
        """Where some loss admits model values."""
        return domain_of(tuple(self.by_name.values()))

    def _no_cell(self, *_: Any) -> Any:
        """Raise `ParameterError`: cells come without the name of a tensor."""
        raise ParameterError(f"Several tensors have a loss each: ask that of one, {', '.join(self.by_name)}.")

    f = df = d2f = weight = mean = link = saturated_value = sample = _no_cell  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return the losses by tensor."""
        return "{" + ", ".join(f"{name!r}: {loss!r}" for name, loss in self.by_name.items()) + "}"
