"""The protocol of data kinds. A data kind never reads a loss; it carries numbers there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.listed.row_steps import Group
from gcp.kernels.shared.columns import CellColumns, EntryColumns
from gcp.losses.formula import Formula
from gcp.tensors.cuts import Cuts
from gcp.tensors.html_part import html_of


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


class Cells(NamedTuple):
    """Some cells of a tensor.

    Attributes
    ----------
    subs : ndarray of int, shape (n, N)
    x : ndarray, shape (n,)
        Data.
    weights : ndarray, shape (n,)
        Weights; 0 where nothing is known.
    columns : EntryColumns or None
        All that the cells carry; None of a kind that has data and weights only.
    """

    subs: Array
    x: Array
    weights: Array
    columns: EntryColumns | None = None


class TensorData(Protocol):
    """A tensor as the objective sees it: what its entries carry, and the fused pass over them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the modes."""

    @property
    def values(self) -> Array:
        """The data at the entries that the kind covers, shape (I_0, ...) or (entries,)."""

    @property
    def subs(self) -> Array | None:
        """Subscripts of those entries, shape (entries, N), if they are listed; None if every cell is stored."""

    @property
    def stored_cells(self) -> EntryColumns | None:
        """The columns of all cells, shape (I_0, ...), if every one is stored, in memory; None for other kinds."""

    @property
    def entry_weights(self) -> Array | None:
        """Weights of those entries (0 = missing), shaped like `values`; None means all 1."""

    @property
    def kind(self) -> str:
        """The kind of what is stored: "dense", "sparse" (other cells are zeros) or "observed" (they are unknown)."""

    @property
    def zeros(self) -> CellColumns | None:
        """The columns of all cells, if those that are not listed are zeros; None if there are no such cells."""

    @property
    def sparse(self) -> SparseData | None:
        """The tensor itself, if cells that are not listed are zeros; else None."""

    @property
    def parts(self) -> Parts | None:
        """The tensor itself, if it is in parts; None if it is in one piece."""

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

    def in_double(self) -> TensorData:
        """Return the same data for arithmetic in float64, where that is for the tensor to decide."""

    def map(self, function: Callable[..., Any], *fixed: Any, own: Sequence[Any] | None = None) -> list[Any]:
        """Return ``function(part, *fixed, own[k])`` of each part k, the tensor itself if it is in one piece.

        `own` is None for each by default.
        """

    def blocks(self) -> Iterator[Block]:
        """Yield all entries once, in runs of bounded size."""

    def subscript(self, position: int) -> tuple[int, ...]:
        """Return the subscript of an entry that `blocks` numbered."""

    def known_cells(self, most: int) -> Iterator[Cells]:
        """Yield all known cells, zeros that are not listed too, up to so many at a time."""

    def known_positions(self) -> list[Array]:
        """Return for each mode a boolean vector (I_n,): where there is an entry of positive weight."""

    def listed_positions(self) -> list[Array] | None:
        """Return for each mode a mask (I_n,) of positions with a listed entry; None if cells are not listed here."""

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
    def has_groups(self) -> bool:
        """Whether `groups` can be had."""

    def groups(self, mode: int) -> Iterable[tuple[int, Group]]:
        """Return the entries in the order of a mode, in groups, each with its first position."""

    @property
    def sides(self) -> tuple[tuple[int, ...], ...]:
        """All modes, in groups that `contract` takes."""

    def contract(self, side: tuple[int, ...], factors: Factors, out: FloatArray, n_threads: int) -> None:
        """Multiply the data, whatever their weights, with the factors of the modes outside a side.

        `out` is a float64 array (R, product of the side's sizes), the side's last mode fastest.
        """


class WholeData(TensorData, Protocol):
    """A tensor in one piece, of which others of its kind can be made."""

    def with_values(self, values: Array) -> WholeData:
        """Return the tensor of other data, shaped like `values`."""

    def with_weights(self, weights: Array) -> WholeData:
        """Return the tensor under other entry weights, shaped like `values`; 0 is missing."""


class SparseData(TensorData, Protocol):
    """A tensor that lists its nonzero entries; all other cells are zeros."""

    @property
    def subs(self) -> Array:
        """Subscripts of the listed entries, shape (entries, N)."""

    @property
    def zeros(self) -> CellColumns:
        """The columns of all cells."""

    @property
    def listing(self) -> Listing:
        """The entries that are not like every other zero, and the missing cells, as kernels take them."""

    @property
    def mode_weights(self) -> Sequence[FloatArray] | None:
        """Weights of the positions of each mode, shapes (I_n,); None means all 1."""

    @property
    def n_cells(self) -> int:
        """Number of cells, listed or not."""

    def unlisted_weight(self) -> float:
        """Return the sum of the weights of all cells that are not listed."""

    def known_weights(self) -> FloatArray:
        """Return weights of the listed entries, those of their positions included, shape (entries,)."""


class Parts(Protocol):
    """A tensor that is cut into parts along one mode."""

    @property
    def cuts(self) -> Cuts:
        """Where the parts lie."""

    @property
    def carried(self) -> tuple[str, ...]:
        """What cells carry beside data and weights: some of "exposure", "offset" and "trials"."""

    @property
    def n_stored(self) -> list[int]:
        """Cells of each part that are stored."""

    @property
    def is_resident(self) -> bool:
        """Whether parts are in someone's memory, so that a few of their entries can be had quickly."""

    @property
    def is_local(self) -> bool:
        """Whether parts are evaluated in this process, one after the other."""

    def start_account(self) -> None:
        """Begin to count what evaluations move."""

    def account(self) -> dict[str, Any]:
        """Return how the tensor is cut, and what evaluations have moved since then."""

    def changed(
        self, function: Callable[..., Any], *fixed: Any, own: Sequence[Any] | None = None, **facts: Any
    ) -> TensorData:
        """Return the tensor of ``function(part, *fixed, own[k])`` of each part k, made where it is.

        `facts` are the new parts', by name, where they differ from the old ones'.
        """

    def summed(
        self,
        function: Callable[..., tuple[list[FloatArray], list[FloatArray]]],
        fixed: tuple[Any, ...],
        factors: Factors,
        n_threads: int,
        effects: Factors = (),
        *,
        curved: bool = False,
        own: Sequence[Any] | None = None,
    ) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Return the value, gradients (I_n, R), gradients of effects (I_n,), and marginals (I_n,) if `curved`.

        A function of parts and factors (I_n, R) gives what is added up.
        """


class InOnePiece:
    """The plainest answers of data that are in one piece; a data kind gives its own where they differ.

    A kind has to give `shape`, `values`, `dtype`, `blocks`, `subscript`, `known_positions` and `loss_and_mttkrps`. It
    gives `with_weights` if it takes masks, entry weights and held-out cells, and `with_values` if data can be drawn
    in its place. Of properties that its instances are to set (``self.entry_weights = w``), its class has attributes
    (``entry_weights = None``).
    """

    n_counted_cells: float = 0.0
    kind: str = "dense"
    labels: ModeLabels | None = None

    def _repr_html_(self) -> str:
        """Return a part of a page, for notebooks."""
        return html_of(self)

    @property
    def subs(self) -> Array | None:
        """None: every cell is stored, so that `values` has the shape of the tensor."""
        return None

    @property
    def stored_cells(self) -> EntryColumns | None:
        """None: there are no columns of all cells."""
        return None

    @property
    def zeros(self) -> CellColumns | None:
        """None: no cell is zero that is not stored."""
        return None

    @property
    def entry_weights(self) -> Array | None:
        """None: all weights are 1."""
        return None

    @property
    def is_affine(self) -> bool:
        """False: entries have neither scales nor offsets."""
        return False

    @property
    def parts(self) -> None:
        """None: the tensor is in one piece."""
        return

    @property
    def sparse(self) -> SparseData | None:
        """None: no cell is zero that is not stored."""
        return None

    @property
    def has_groups(self) -> bool:
        """False: entries are not in the order of a mode."""
        return False

    @property
    def has_marginals(self) -> bool:
        """False: there are no sums of curvature weights over slices."""
        return False

    @property
    def sides(self) -> tuple[tuple[int, ...], ...]:
        """The empty tuple: there are no products of the data with Khatri-Rao rows of many modes."""
        return ()

    @cached_property
    def made_here(self) -> dict[str, Any]:
        """Things that others make of the tensor in this process, by name: kept with it, and never pickled."""
        return {}

    def map(self, function: Callable[..., Any], *fixed: Any, own: Sequence[Any] | None = None) -> list[Any]:
        """Return a list of one: the function's value for the tensor itself, with the only one of `own`, or None."""
        return [function(self, *fixed, None if own is None else own[0])]

    def in_double(self) -> Self:
        """Return the tensor itself: its arithmetic is its own."""
        return self

    def listed_positions(self) -> list[Array] | None:
        """Return None: cells are not listed."""
        return None

    def with_values(self, values: Array) -> Self:
        """Raise `ParameterError`, whatever the values, shaped like those of the tensor."""
        raise ParameterError(
            f"Other data were to take the place of those of a {type(self).__name__}, a kind of tensor without "
            "`with_values`: give it that method, or pass the data as an array."
        )

    def with_weights(self, weights: Array) -> Self:
        """Raise `ParameterError`, whatever the weights, shaped like the values of the tensor."""
        raise ParameterError(
            f"A mask, entry_weights or held-out cells were to weight a {type(self).__name__}, a kind of tensor "
            "without `with_weights`: give it that method, or pass the data as an array."
        )
