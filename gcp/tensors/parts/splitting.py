"""A tensor cut into parts along one mode."""

from __future__ import annotations

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray
from gcp.tensors.cuts import Cuts
from gcp.tensors.kinds import Tensor


def longest_mode(shape: tuple[int, ...]) -> int:
    """Return the mode whose factor is best kept apart: its rows then travel only where they are needed."""
    return max(range(len(shape)), key=lambda n: (shape[n], -n))


def cuts_of(tensor: Tensor, parts: int, mode: int, *, or_fewer: bool = False) -> Cuts:
    """Return cuts of about equal work, with a known entry in every part; fewer, if allowed, where these lack.

    Raises
    ------
    ParameterError
        More parts than positions of the mode with a known entry.
    """
    known, work = tensor.known_positions()[mode], tensor.slice_costs(mode)
    return Cuts(mode, balanced(known, work, min(parts, int(known.sum())) if or_fewer else parts))


def balanced(known: Array, work: FloatArray, parts: int) -> tuple[int, ...]:
    """Return sizes of runs of slices, of about equal work (I_n,), each with a known entry, in a mask (I_n,).

    Parameters
    ----------
    known : ndarray of bool, shape (slices,)
        Whether it has a known entry.
    work : ndarray, shape (slices,)
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
    """Return the parts, without labels; dense ones are views where memory allows."""
    return [tensor.slab(cuts.mode, a, b) for a, b in cuts.ranges]
