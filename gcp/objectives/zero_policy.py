"""The zeros of sparse data: summed by a closed form, one by one, or too many for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gcp.losses.base import Loss
from gcp.tensors.base import TensorData

_MOST_CELLS = 2**28
"""Number of zeros, at most, that are evaluated one by one where they have no closed form: about a second a time."""


@dataclass(frozen=True)
class ZeroPolicy:
    """A loss's way with the cells that a tensor does not list.

    Attributes
    ----------
    tensor : TensorData
    loss : Loss
    """

    tensor: TensorData
    loss: Loss

    @property
    def n_apart(self) -> float:
        """Cells whose loss is evaluated one by one for want of a closed form for zeros."""
        return self.tensor.n_counted_cells if self.loss.formula.zero is None else 0.0

    @property
    def are_affordable(self) -> bool:
        """False of sparse data with more than 2**28 cells if the loss of a zero is no polynomial in the model.

        Nor can such losses be summed exactly under weights of positions other than 0 and 1, or beside an exposure
        that is no product over modes.
        """
        return self.n_apart <= _MOST_CELLS

    @property
    def _weight(self) -> float:
        """The sum of the weights of all cells, where positions have weights."""
        weights = (self.tensor.zeros and self.tensor.zeros.weight) or ()
        return float(np.prod([u.sum() for u in weights]))

    @property
    def note(self) -> str:
        """How the zeros are evaluated if not by a closed form; else empty."""
        cells, limit = self.n_apart, f"(exact evaluations: up to {_MOST_CELLS:,})"
        if not cells:
            return ""
        if self.are_affordable:
            return f"zeros: no closed form; exact evaluations pass over all {cells:,.0f} cells {limit}"
        found = f"{cells:.3g} cells" if np.isfinite(cells) else self._beyond_count
        return f"zeros: no closed form, {found}; the objective is estimated from samples {limit}"

    @property
    def _beyond_count(self) -> str:
        """What cells are of which sums need to know more than their number."""
        if self.tensor.parts is not None:
            return "cells of weighted positions, or with an exposure that is no product over modes"
        if self.tensor.zeros is not None and not self.tensor.zeros.are_products:
            return "cells with an exposure that is no product over modes"
        return f"cells of weighted positions (a weight of {self._weight:.3g} in all)"

    @property
    def message(self) -> str:
        """Why the exact objective is out of reach, and what to do."""
        cells = self.n_apart
        found = f"{cells:,.0f} cells, most of them zeros," if np.isfinite(cells) else self._beyond_count
        return (
            f"The exact objective is out of reach: the {self.loss.name} loss has no closed form for zeros, and "
            f"{found} are more than can be summed one by one (at most {_MOST_CELLS:,}, of weight 1 or 0). "
            'Use solver="auto", which samples them, or evaluate a sample of cells as an ObservedTensor; '
            "gaussian, poisson, bernoulli-poisson, and beta-divergence with beta 1 or 2, have a closed form."
        )
