"""Core consistency: would a model with interactions between components look like this one?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray
from gcp.kernels.shared.columns import EntryColumns
from gcp.objectives.exposed import exposed
from gcp.objectives.known_cells import check_result, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried

_MOST_CELLS = 2**26


def core_consistency(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> float:
    """Return the core consistency in percent, under the loss of the model: a heuristic.

    Parameters
    ----------
    result : FitResult
        With columns that are linearly independent in every mode.
    data, mask, entry_weights
        As they were for `fit_gcp`. Sparse data are looked at densely, up to 2**26 cells.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    float
        100 if the core of the Tucker model with the same factors is the unit core of a CP model; near 0 or negative
        if components interact, which more of them than the data support do.

    Notes
    -----
    For the Gaussian loss and complete data this is Bro and Kiers' diagnostic: the least-squares core G for fixed
    factors against the unit core T, 100 (1 - ||G - T||**2 / R). Otherwise the data are replaced by the working
    response m + (x - mean) dm / dmean (the data themselves where m is the mean), and by the model where nothing is
    known; weights are not used. The scale that makes 50 or 90 percent good for
    Gaussian data has not been established for other losses. Main effects are taken off first.

    References
    ----------
    R. Bro, H. A. L. Kiers: A new efficient method for determining the number of components in PARAFAC models, Journal
    of Chemometrics 17 (2003) 274-286.
    """
    core = core_tensor(result, data, mask=mask, entry_weights=entry_weights, **carried)
    return consistency(core)


def consistency(core: FloatArray) -> float:
    """Return the core consistency in percent of a core (R, ..., R)."""
    rank = len(core)
    unit = np.zeros(core.shape)
    unit[(np.arange(rank),) * core.ndim] = 1.0
    return float(100 * (1 - np.sum((core - unit) ** 2) / rank))


def core_tensor(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> FloatArray:
    """Return the core of the Tucker model with the same factors that suits the data best.

    Parameters
    ----------
    result : FitResult
        With columns that are linearly independent in every mode.
    data, mask, entry_weights
        As they were for `fit_gcp`. Sparse data are looked at densely, up to 2**26 cells.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    ndarray, shape (R, ..., R), as many as modes
        In units of the weights: a CP model has 1 where all indices are equal, and 0 elsewhere. What
        stands elsewhere is how much components of different numbers interact.

    Notes
    -----
    By least squares, of the working response: see `core_consistency`.
    """
    check_result(result)
    if result.loss.kinds:
        raise ParameterError(
            f"Core consistency compares least squares at all cells: under several losses "
            f"({result.loss.name}) these are in as many units."
        )
    if result.rank == 0:
        raise ParameterError("Core consistency needs at least one component.")
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    if np.prod(tensor.shape, dtype=float) > _MOST_CELLS:
        raise ParameterError(f"Core consistency is for at most {_MOST_CELLS:,} cells.")
    dense = tensor.to_dense()
    m, own = result.model_values(), exposed(dense, result.loss).columns
    known = np.isfinite(dense.values) if dense.entry_weights is None else dense.entry_weights > 0
    core = _working_response(result, own._replace(x=np.where(known, dense.values, 0.0)), m)
    core = np.where(known, core, m)
    core = core - (m - replace(result, intercept=0.0, main_effects={}).model_values())
    factors = [np.asarray(a, dtype=float) for a in result.factors]
    factors[0] = factors[0] * result.weights
    for n, a in enumerate(factors):
        core = np.moveaxis(np.tensordot(np.linalg.pinv(a), core, axes=(1, n)), 0, n)
    return np.asarray(core)


def _working_response(result: FitResult, columns: EntryColumns, m: FloatArray) -> FloatArray:
    """Return m + (x - mean) * dm / dmean, elementwise, on which iteratively reweighted least squares regresses."""
    step = 1e-6 * (1 + np.abs(m))
    with np.errstate(all="ignore"):
        loss = result.loss_at(None)
        mean = loss.mean(columns.argument(m))
        slope = (loss.mean(columns.argument(m + step)) - mean) / step
        change = (columns.x - mean) / slope
    return np.where(np.isfinite(change), m + change, m)
