"""Scales of the positions of data whose loss knows no scale."""

from __future__ import annotations

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.tensors.base import TensorData

_MOST = 1 << 26
"""Entries, at most, of data that are looked at: it takes copies of them."""

_SWEEPS = 10
"""Number of sweeps of averages over the positions of one mode after the other; for complete data one is exact."""


def scales(tensor: TensorData) -> tuple[list[FloatArray], float] | None:
    """Return numbers whose products are the data's scale at every entry, but for the unit, and the mean beside them.

    The logarithms are a least-squares fit of one number for each position to those of the data, so that data of which
    a slice is multiplied by a number have that position's scale multiplied by it, and else the same.

    Parameters
    ----------
    tensor : TensorData
        Positive data.

    Returns
    -------
    list of ndarray, shapes (I_n,), and float
        None for data in parts and larger ones.
    """
    if tensor.parts is not None or tensor.zeros is not None or tensor.values.size > _MOST:
        return None
    known = np.ones(tensor.values.shape) if tensor.entry_weights is None else 1.0 * (tensor.entry_weights > 0)
    values = np.where(known > 0, tensor.values, 0.0).astype(np.float64)
    if (columns := getattr(tensor, "columns", None)) is not None and columns.scale is not None:
        values /= columns.scale
    unit = float(values.sum() / known.sum())  # of which nothing but the mean shall depend
    logs = np.log(np.where(known > 0, values / unit, 1.0))
    counts = [np.maximum(_over_slices(tensor, known, n), 1.0) for n in range(len(tensor.shape))]
    sizes = [np.zeros(size) for size in tensor.shape]
    rest = logs
    is_complete = tensor.subs is None and bool(known.all())
    for _ in range(1 if is_complete else _SWEEPS):
        for mode, count in enumerate(counts):
            sizes[mode] += _over_slices(tensor, known * rest, mode) / count
            rest = logs - _sums(tensor, sizes)
    mean = float((known * np.exp(rest)).sum() / known.sum())
    for size in sizes:
        mean *= float(np.exp(size.mean()))
        size -= size.mean()
    return [np.exp(size) for size in sizes], mean * unit


def _over_slices(tensor: TensorData, numbers: Array, mode: int) -> FloatArray:
    """Return sums (I_mode,) over the slices of a mode of numbers for each entry, shaped like `tensor.values`."""
    if (subs := tensor.subs) is None:
        return np.asarray(numbers.sum(axis=tuple(n for n in range(numbers.ndim) if n != mode)))
    return np.bincount(subs[:, mode], numbers, tensor.shape[mode])


def _sums(tensor: TensorData, sizes: list[FloatArray]) -> FloatArray:
    """Return the sum, at every entry of `tensor.values`, of one number for each position, shapes (I_n,)."""
    subs, total = tensor.subs, np.zeros(tensor.values.shape)
    for mode, size in enumerate(sizes):
        if subs is None:
            total += size.reshape([-1 if n == mode else 1 for n in range(total.ndim)])
        else:
            total += size[subs[:, mode]]
    return total
