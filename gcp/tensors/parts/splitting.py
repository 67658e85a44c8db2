"""A tensor cut into parts along one mode."""

from __future__ import annotations

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.parts.partitioned import Cuts
from gcp.tensors.sparse import SparseTensor


def longest_mode(shape: tuple[int, ...]) -> int:
    """The mode whose factor is best kept apart: its rows then travel only where they are needed."""
    return max(range(len(shape)), key=lambda n: (shape[n], -n))


def cuts_of(tensor: Tensor, parts: int, mode: int, *, or_fewer: bool = False) -> Cuts:
    """Cuts of about equal work, with a known entry in every part; fewer, if allowed, where there are not so many.

    Raises
    ------
    ParameterError
        More parts than positions of the mode with a known entry.
    """
    known, work = _per_slice(tensor, mode)
    return Cuts(mode, balanced(known, work, min(parts, int(known.sum())) if or_fewer else parts))


def balanced(known: Array, work: FloatArray, parts: int) -> tuple[int, ...]:
    """Sizes of runs of slices, of about equal work, each with a known entry.

    Parameters
    ----------
    known : ndarray of bool
        By slice, whether it has a known entry.
    work : ndarray
        By slice.
    parts : int

    Raises
    ------
    ParameterError
        More parts than slices with a known entry.
    """
    filled = np.flatnonzero(known)
    if parts > len(filled):
        raise ParameterError(
            f"parts is {parts}, but only {len(filled)} positions of the mode that is cut have known entries."
        )
    # A part ends before the filled slice at which the next share of the work begins; every part has one at least.
    done = np.cumsum(work) - 0.5 * work
    first = np.searchsorted(done[filled], np.arange(1, parts) * (work.sum() / parts))
    for k in range(len(first)):
        first[k] = max(first[k], k + 1, first[k - 1] + 1 if k else 1)
    for k in reversed(range(len(first))):
        first[k] = min(first[k], len(filled) - (parts - 1 - k))
    ends = [0, *filled[first].tolist(), len(known)]
    return tuple(int(size) for size in np.diff(ends))


def split(tensor: Tensor, cuts: Cuts) -> list[Tensor]:
    """The parts, without labels; dense ones are views where memory allows."""
    if isinstance(tensor, DenseTensor):
        return [_dense_part(tensor, cuts.mode, a, b) for a, b in cuts.ranges]
    return [_listed_part(tensor, cuts.mode, a, b) for a, b in cuts.ranges]


def _per_slice(tensor: Tensor, mode: int) -> tuple[Array, FloatArray]:
    """Whether a slice has a known entry, and its work."""
    known, size = tensor.known_positions()[mode], tensor.shape[mode]
    if isinstance(tensor, DenseTensor):
        return known, np.ones(size)
    listed = np.bincount(tensor.subs[:, mode], minlength=size)
    if isinstance(tensor, ObservedTensor):
        return known, listed.astype(float)
    return known, listed + 0.01 * (listed.mean() + 1.0)  # a slice of zeros costs little, yet not nothing


def _dense_part(tensor: DenseTensor, mode: int, first: int, end: int) -> DenseTensor:
    return DenseTensor.of(tensor.columns.at((slice(None),) * mode + (slice(first, end),)))


def _listed_part(
    tensor: SparseTensor | ObservedTensor, mode: int, first: int, end: int
) -> SparseTensor | ObservedTensor:
    def moved(subs: Array) -> tuple[Array, Array]:
        """Subscripts counted from the first position of the part, and which cells are in it."""
        inside = (subs[:, mode] >= first) & (subs[:, mode] < end)
        found = subs[inside]
        found[:, mode] -= np.asarray(first, subs.dtype)
        return found, inside

    taken = [(n, slice(first, end) if n == mode else slice(None)) for n in range(tensor.ndim)]
    return tensor.remapped(taken, moved)
