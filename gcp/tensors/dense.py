"""Tensors of which every entry is stored; NaN, a mask or a zero weight marks the missing ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import array
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, check_labels
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.dense import contract, dense_pass, slices
from gcp.kernels.dense.layout import Layout
from gcp.kernels.listed.row_steps import Group
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses.formula import Formula
from gcp.tensors.base import Block, Cells, InOnePiece
from gcp.tensors.weights import check_weights, checked_columns


class DenseTensor(InOnePiece):
    """A tensor with every entry stored.

    Parameters
    ----------
    values : array_like, shape (I_0, ..., I_{N-1}), N >= 1
        Real, integer or boolean data of any memory layout; NaN and masked entries are missing. Never modified,
        and not copied where its memory can be read as a matrix (C, Fortran and outer-strided arrays), but for up
        to 32 MB whose fastest modes are short. Do not modify it meanwhile.
    mask : array_like of bool, optional
        True = observed. Shaped like `values` or broadcastable to it.
    entry_weights : array_like, optional
        Nonnegative reals w_e, shaped like `values` or broadcastable to it. Weight 2 counts an entry twice,
        weight 0 leaves it out.
    labels : ModeLabels, optional
        Names and coordinates of the modes.

    Raises
    ------
    DataError
        Empty, non-numeric or wholly missing data; mask or weights of the wrong shape, type or range.
    """

    kind: str = "dense"

    def __init__(
        self,
        values: ArrayLike,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        labels: ModeLabels | None = None,
    ) -> None:
        self._hold(values, mask, entry_weights, labels)
        self._check_known()

    def _check_known(self) -> None:
        if self.entry_weights is not None and not self.entry_weights.any():
            raise DataError("The data have no observed entry: every one is NaN, masked or of weight 0.")

    @classmethod
    def part(
        cls, values: ArrayLike, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
    ) -> Self:
        """Make a part (I_0, ...) of a larger tensor, maybe wholly missing."""
        made = cls.__new__(cls)
        made._hold(values, mask, entry_weights, None)
        return made

    @classmethod
    def of(cls, columns: EntryColumns, labels: ModeLabels | None = None) -> Self:
        """Make the tensor of columns (I_0, ..., I_{N-1}) that were checked before."""
        made = cls.part_of(columns, labels)
        made._check_known()
        return made

    @classmethod
    def part_of(cls, columns: EntryColumns, labels: ModeLabels | None = None) -> Self:
        """Make what `of` makes, or a part of a larger tensor, maybe wholly missing."""
        made = cls.__new__(cls)
        made._set(columns._replace(weight=_combine(columns.x, [], columns.weight)), labels)
        return made

    def with_values(self, values: Array) -> Self:
        """Return a tensor of other data (I_0, ...) in the same cells, which carry what they do; NaN is missing."""
        return self.of(self.columns._replace(x=values), self.labels)

    def with_weights(self, weights: Array) -> Self:
        """Return the tensor under other entry weights (I_0, ...), booleans or numbers; 0 is missing."""
        return self.of(self.columns._replace(weight=weights), self.labels)

    def with_columns(
        self,
        *,
        scale: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        group: ArrayLike | None = None,
        exposure: ArrayLike | None = None,
    ) -> Self:
        """Return the tensor with scales, offsets, groups and exposures of the entries (see `EntryColumns`).

        Each is an array that broadcasts to (I_0, ..., I_{N-1}). None leaves what there was.
        """
        given = {"scale": scale, "offset": offset, "group": group, "exposure": exposure}
        return self.of(self.columns._replace(**checked_columns(given, self.shape)), self.labels)

    def _hold(
        self,
        values: ArrayLike,
        mask: ArrayLike | None,
        entry_weights: ArrayLike | None,
        labels: ModeLabels | None,
    ) -> None:
        given = np.ma.getmask(values) if isinstance(values, np.ndarray) else np.ma.nomask
        data = array("values", np.ma.getdata(values) if given is not np.ma.nomask else values, DataError)
        check_numbers(data.dtype, data.shape)
        check_labels(labels)
        missing = [~np.asarray(given)] if given is not np.ma.nomask else []
        if mask is not None:
            missing.append(_checked_mask(mask, data.shape))
        weights = None if entry_weights is None else _checked_weights(entry_weights, data.shape)
        if labels is not None:
            labels.check(data.shape)
        self._set(EntryColumns(data, _combine(data, missing, weights)), labels)

    def _set(self, columns: EntryColumns, labels: ModeLabels | None) -> None:
        self.labels = labels
        self.columns = columns
        self._layout = Layout.of(self.columns)

    @property
    def values(self) -> Array:
        """The data, shape (I_0, ..., I_{N-1})."""
        return self.columns.x

    @property
    def subs(self) -> None:
        """None: every cell is stored."""
        return

    @property
    def entry_weights(self) -> Array | None:
        """Weights of the entries (0 = missing), shape (I_0, ...); None means all 1."""
        return self.columns.weight

    @property
    def is_affine(self) -> bool:
        """True if entries have scales or offsets."""
        return self.columns.is_affine

    @property
    def zeros(self) -> None:
        """None: no cell is zero that is not stored."""
        return None

    def __sizeof__(self) -> int:
        """Return bytes, of the columns too: what moves tensors between processes should know."""
        return object.__sizeof__(self) + self.columns.n_bytes

    def __getstate__(self) -> dict[str, Any]:
        """Return the data once, in the layout that decides the order of sums."""
        return {"labels": self.labels, "layout": self._layout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the columns views of the layout."""
        self.labels, self._layout = state["labels"], state["layout"]
        self.columns = self._layout.columns.map(self._layout.in_own_order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the modes."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """Number of modes."""
        return self.values.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 for float32 and float16 data, else float64."""
        return arithmetic(self.values.dtype)

    def in_double(self) -> DenseTensor:
        """Return the same data for arithmetic in float64."""
        return self.with_values(self.values.astype(np.float64))

    def to_dense(self) -> DenseTensor:
        """Return the tensor itself."""
        return self

    @property
    def n_known(self) -> int:
        """Number of entries with a weight."""
        return self.values.size if self.entry_weights is None else int(np.count_nonzero(self.entry_weights))

    def __repr__(self) -> str:
        """Return shape, type and number of missing entries."""
        shape = " x ".join(map(str, self.shape))
        if self.entry_weights is None:
            return f"DenseTensor({shape}, {self.values.dtype}, fully observed)"
        return f"DenseTensor({shape}, {self.values.dtype}, {self.values.size - self.n_known} missing)"

    def blocks(self) -> Iterator[Block]:
        """Yield all entries once, in the order of the layout, at most about 65,000 at a time."""
        for first, x, w in self._layout.chunks():
            yield Block(x, w, first)

    def subscript(self, position: int) -> tuple[int, ...]:
        """Return the subscript of the entry at a position of `blocks`."""
        return self._layout.subscript(position)

    def known_cells(self, most: int) -> Iterator[Cells]:
        """Yield all cells in order, missing ones with weight 0, up to so many at a time."""
        flat = self.columns.map(lambda column: column.reshape(-1))
        for subs, run in every_cell(self.shape, most):
            own = flat.at(run)
            weights = np.ones(len(subs)) if own.weight is None else own.weight.astype(float)
            yield Cells(subs, own.x, weights, own)

    def known_positions(self) -> list[Array]:
        """Return for each mode a mask (I_n,) of positions with an entry of positive weight."""
        if self.entry_weights is None:
            return [np.ones(size, bool) for size in self.shape]
        modes = range(self.ndim)
        weights = self.entry_weights
        return [np.asarray(weights.any(axis=tuple(k for k in modes if k != n))) for n in modes]

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the weighted loss and its gradient in factors (I_n, R) and effects (I_n,), by a blockwise pass."""
        return dense_pass.loss_and_mttkrps(self._layout, formula, factors, self.dtype, n_threads, effects)

    def loss_mttkrps_and_marginals(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Return also the sums of the entries' curvature weights over slices, one vector (I_n,) per mode."""
        return dense_pass.loss_mttkrps_and_marginals(
            self._layout, formula, factors, self.dtype, n_threads, effects
        )

    @property
    def stored_cells(self) -> EntryColumns:
        """The columns of all cells."""
        return self.columns

    def slab(self, mode: int, first: int, end: int) -> DenseTensor:
        """Return the part of some positions of a mode, without labels; a view where memory allows."""
        return DenseTensor.of(self.columns.at((slice(None),) * mode + (slice(first, end),)))

    def slice_costs(self, mode: int) -> FloatArray:
        """Return the work (I_mode,) that an evaluation has with each slice of a mode, relative to the others."""
        return np.ones(self.shape[mode])

    @property
    def has_groups(self) -> bool:
        """True if `groups` can be had: slices must not be too large."""
        return slices.fits(self.shape)

    def groups(self, mode: int) -> Iterator[tuple[int, Group]]:
        """Yield the entries in the order of a mode, a bounded number at a time, with each group's first position."""
        return slices.grouped(self.columns, mode)

    @property
    def has_marginals(self) -> bool:
        """True: `loss_mttkrps_and_marginals` can be had."""
        return True

    @property
    def sides(self) -> tuple[tuple[int, ...], ...]:
        """All modes, in two groups (one for a vector): those of the rows and those of the columns of the memory."""
        order, split = self._layout.order, self._layout.split
        return (order[:split], order[split:]) if split else (order,)

    def contract(self, side: tuple[int, ...], factors: Factors, out: FloatArray, n_threads: int = 1) -> None:
        """Multiply the data with factors outside a side, into `out` (R, positions), its last mode fastest."""
        slow = side == self._layout.order[: self._layout.split]
        contract.contract(self._layout, slow, factors, self.dtype, n_threads, out)


def every_cell(shape: tuple[int, ...], most: int) -> Iterator[tuple[Array, slice]]:
    """Yield subscripts (n, N) of all cells in order, up to so many at a time, and where these lie among all."""
    for first in range(0, n_cells := math.prod(shape), most):
        run = range(first, min(first + most, n_cells))
        subs = np.stack(np.unravel_index(np.arange(run.start, run.stop), shape), axis=1)
        yield subs, slice(run.start, run.stop)


def arithmetic(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of models and gradients of such data: float32 for float32 and float16, else float64."""
    return np.dtype(np.float32 if dtype in (np.dtype(np.float32), np.dtype(np.float16)) else np.float64)


def check_numbers(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise `DataError` unless there are numbers, in one mode or more."""
    if dtype.kind not in "buif":
        kind = "Complex data not supported: the" if dtype.kind == "c" else "The"
        raise DataError(
            f"{kind} data have dtype {dtype}: expected real, integer or boolean numbers. "
            "Convert them first, e.g. data.astype(float)."
        )
    if not shape:
        raise DataError("The data are a single number: expected an array of one mode or more.")
    if 0 in shape:
        raise DataError(f"The data are empty: shape {shape}.")


def check_mask(dtype: np.dtype[Any]) -> None:
    """Raise `DataError` unless a mask has booleans."""
    if dtype.kind != "b":
        raise DataError(
            f"mask has dtype {dtype}: expected booleans, True where the entry is observed; make them of zeros and "
            "ones by mask.astype(bool)."
        )


def _checked_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return a mask of the data's shape, to which what is given broadcasts."""
    mask = array("mask", mask, DataError)
    check_mask(mask.dtype)
    return _broadcast("mask", mask, shape)


def _checked_weights(weights: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return weights of the data's shape, to which what is given broadcasts."""
    weights = array("entry_weights", weights, DataError)
    found = _broadcast("entry_weights", weights, shape)
    check_weights(weights)
    return found


def _broadcast(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """Return an array broadcast to the shape of the data."""
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise DataError(
            f"{name} has shape {array.shape}: expected the shape of the data, {shape}, "
            "or one that broadcasts to it."
        ) from None


def _combine(data: Array, observed: list[Array], weights: Array | None) -> Array | None:
    """Return one array of weights of the data's shape, boolean if only missing entries matter; None if all are 1."""
    if data.dtype.kind == "f" and np.isnan(data.min()):  # min propagates NaN without a temporary array
        observed = [*observed, ~np.isnan(data)]
    if weights is not None and weights.dtype.kind == "b":
        observed, weights = [*observed, weights], None
    if not observed:
        return weights
    mask = np.logical_and.reduce(observed) if len(observed) > 1 else observed[0]
    if weights is None:
        return None if mask.all() else mask
    return np.where(mask, weights, np.zeros((), weights.dtype))
