"""Positions that pull the model towards themselves, and positions that it misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.deviance import slice_deviance
from gcp.base.errors import ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.objectives.known_cells import check_result
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried


@dataclass(frozen=True, eq=False, repr=False)
class Outliers(TableResult):
    """Leverage and residual of every position of a mode.

    Attributes
    ----------
    mode : str
        Its name.
    labels : ndarray, shape (I_mode,)
        Coordinates of the positions.
    leverage : ndarray, shape (I_mode,)
        Between 0 and 1, the rank in sum: near 1, a component is there for this position alone. NaN where nothing is
        known.
    deviance : ndarray, shape (I_mode,)
        Of the slice, by known cell: large where the model misses the data. NaN without known cells.
    rank : int
        Of the model.
    """

    mode: str
    labels: Array
    leverage: FloatArray
    deviance: FloatArray
    rank: int

    def _table(self) -> Table:
        return Table({"leverage": self.leverage, "deviance": self.deviance}, {self.mode: self.labels})


def outliers(
    result: FitResult,
    data: Any,
    mode: int | str,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> Outliers:
    """Return leverages and residual deviances of the positions of a mode.

    Parameters
    ----------
    result : FitResult
        With components.
    data, mask, entry_weights
        As for `fit_gcp`. Sparse data of more than 2**28 cells are refused.
    mode : int or str
        Number or name.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    Outliers

    Notes
    -----
    The leverage of position i is the diagonal entry of A (A' A)^+ A', A being the factor of the mode. Samples of high
    leverage and small residual shape a component of their own; those of high residual do not follow the model;
    those of both may be errors. Looks at every cell once.

    References
    ----------
    R. Bro: PARAFAC. Tutorial and applications, Chemometrics and Intelligent Laboratory Systems 38 (1997) 149-171.
    """
    check_result(result)
    if result.rank == 0:
        raise ParameterError(
            "Leverage needs at least one component: the model has main effects alone (rank 0)."
        )
    found = slice_deviance(result, data, mode, mask=mask, entry_weights=entry_weights, **carried)
    n = result.labels.number(mode)
    name, a = result.labels.names[n], np.asarray(result.factors[n], dtype=float)
    leverage = np.einsum("ir,ri->i", a, np.linalg.pinv(a))
    with np.errstate(invalid="ignore"):
        mean = found.deviance / found.weight
    return Outliers(name, found.labels, result.marked(name, leverage), mean, result.rank)
