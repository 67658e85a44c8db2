"""The protocol of data kinds. A data kind never reads a loss; it carries numbers there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.formula import Formula


@dataclass(frozen=True)
class Block:
    """A run of entries, for streaming passes that need no model.

    Attributes
    ----------
    x : ndarray of float64
        Data; where the weight is 0 the number is arbitrary but inside every built-in loss's domain.
    weights : ndarray of float64 or None
        Entry weights; None means all 1.
    first : int
        Position of the first entry, for `TensorData.subscript`.
    times : int
        How many entries the one entry of a block stands for, if it stands for more than itself.
    """

    x: FloatArray
    weights: FloatArray | None
    first: int
    times: int = 1


class TensorData(Protocol):
    """A tensor as the objective sees it: what its entries carry, and the fused pass over them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the modes."""

    @property
    def values(self) -> Array:
        """The data at the entries that the kind covers, shape (I_0, ...) or (entries,)."""

    @property
    def entry_weights(self) -> Array | None:
        """Weights of those entries (0 = missing), shaped like `values`; None means all 1."""

    @property
    def kind(self) -> str:
        """The kind of what is stored: "dense", "sparse" (other cells are zeros) or "observed" (they are unknown)."""

    @property
    def n_counted_cells(self) -> float:
        """Cells that an evaluation passes over if the loss of a zero has no closed form; 0 without such zeros."""

    @property
    def is_affine(self) -> bool:
        """True if entries have scales or offsets: the argument of the loss is then s m + o, not m."""

    @property
    def labels(self) -> ModeLabels | None:
        """Names and coordinates that came with the data, read only by `fit_gcp` for its result."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: the arithmetic of models and gradients."""

    def blocks(self) -> Iterator[Block]:
        """Yield all entries once, in runs of bounded size."""

    def subscript(self, position: int) -> tuple[int, ...]:
        """Return the subscript of an entry that `blocks` numbered."""

    def known_positions(self) -> list[Array]:
        """Return for each mode a boolean vector (I_n,): where there is an entry of positive weight."""

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the weighted sum of the loss, and its gradient, from one pass over the entries.

        The gradient is in every factor, shapes (I_n, R), and main effect, shapes (I_n,). `effects` holds one vector
        (I_n,) per mode, added to the model; none by default.
        """

    def loss_mttkrps_and_marginals(
        self, formula: Formula, factors: Factors, n_threads: int, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Return what `loss_and_mttkrps` does, and sums (I_n,) of the curvature weights over slices."""

    @property
    def has_marginals(self) -> bool:
        """True if `loss_mttkrps_and_marginals` can be had."""

    @property
    def sides(self) -> tuple[tuple[int, ...], ...]:
        """All modes, in groups that `contract` takes."""

    def contract(self, side: tuple[int, ...], factors: Factors, out: FloatArray, n_threads: int) -> None:
        """Multiply the data, whatever their weights, with the factors of the modes outside a side.

        `out` is a float64 array (R, product of the side's sizes), the side's last mode fastest.
        """
