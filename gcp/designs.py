"""Designs of factors, for `fit_gcp(design={"week": bspline(12)})`: smooth, monotone, periodic, by group, by features.

The factor of a mode with a design is Z C: what its positions are (a date, a dose, a group, features) decides the rows
of Z, and the fit finds the coefficients C. `FitResult.predict_at` answers for positions that the fit has not seen. An
array, a SciPy sparse matrix or a DataFrame with a row for each position is a design, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.objectives.designs.base import Basis as Basis
from gcp.objectives.designs.given_designs import index_of, table_of
from gcp.objectives.designs.row_tables import Groups
from gcp.objectives.designs.smooth_bases import BSpline, Fourier, Monotone

__all__ = ["Basis", "bspline", "features", "fourier", "groups", "monotone"]


def bspline(n: int, degree: int = 3, cyclic: bool = False, *, ends: tuple[Any, Any] | None = None) -> Basis:
    """Return a basis of B-splines, for a factor that is smooth along numbers or dates.

    Parameters
    ----------
    n : int
        Number of splines, at least degree + 1; fewer are smoother. Their knots are equally spaced.
    degree : int
        Of the pieces' polynomials; 3 has continuous curvature, 0 is a step for each spline.
    cyclic : bool
        Whether the last spline joins the first, as for hours of a day.
    ends : (low, high), optional
        Where the splines begin and end; beyond, there is no prediction. None are the least and the largest coordinate
        of the fit, of a cycle one step beyond the largest: hours 0 to 23 make a day of 24.

    Returns
    -------
    Basis
        It reads the coordinates of the mode: numbers, or dates as numbers of days; positions, where it has none.

    Raises
    ------
    ParameterError
        Numbers out of range. Modes labelled by text are refused by the fit.
    """
    degree = checks.whole("degree", degree, least=0, most=20)
    n = checks.whole("n", n, least=degree + 1)
    return BSpline(*_ends(ends), n=n, degree=degree, cyclic=checks.truth("cyclic", cyclic))


def monotone(n: int, *, ends: tuple[Any, Any] | None = None) -> Basis:
    """Return a basis of a constant and I-splines, for a factor that increases along numbers or dates.

    It increases where the coefficients are nonnegative: with bounds=(0, None), which nonnegative models have anyway.

    Parameters
    ----------
    n : int
        Number of functions, at least 2: the constant, and n - 1 sums of cubic B-splines that rise from 0 to 1.
    ends : (low, high), optional
        As for `bspline`.

    Returns
    -------
    Basis

    References
    ----------
    J. O. Ramsay: Monotone regression splines in action, Statistical Science 3 (1988) 425-441.
    """
    return Monotone(*_ends(ends), n=checks.whole("n", n, least=2))


def fourier(period: float, n_harmonics: int) -> Basis:
    """Return a basis of a constant, and cosines and sines of period, period / 2, ..., period / n_harmonics.

    Its values are of both signs: for nonnegative models take a loss with a log link, or ``bspline(n, cyclic=True)``.

    Parameters
    ----------
    period : float
        In the unit of the mode's coordinates; of dates in days (365.25, 7).
    n_harmonics : int

    Returns
    -------
    Basis
    """
    period = checks.real("period", period, above=0)
    return Fourier(period=period, n_harmonics=checks.whole("n_harmonics", n_harmonics))


def groups(labels: Any) -> Basis:
    """Return a basis with one row for all positions of a group.

    Parameters
    ----------
    labels : array_like, Series or mapping
        The group of each position, in their order; a Series by its index, or a mapping, is matched with the labels of
        the mode, and may have more of them.

    Returns
    -------
    Basis
        New positions are given by their groups.

    Raises
    ------
    ParameterError
        Missing groups.
    """
    index = index_of(labels)
    if isinstance(labels, Mapping):
        index, labels = ModeLabels(["index"], [list(labels)]).coords[0], list(labels.values())
    given = checks.array("groups", labels)
    if given.ndim != 1 or not given.size:
        raise ParameterError(f"groups must be one group for each position: found shape {given.shape}.")
    if any(group is None or group != group for group in given.tolist()):
        raise ParameterError("groups: a position has no group (NaN or None); give it one of its own.")
    found = ModeLabels(["groups"], [given]).coords[0]
    assert found is not None  # for the type checker
    return Groups(found, index)


def features(frame: Any) -> Basis:
    """Return a basis whose columns are features of the positions, such as age and dose of patients.

    Add a column of ones for what all positions have in common.

    Parameters
    ----------
    frame : DataFrame
        Of numbers, a row for each position. By its index, unless that only counts the rows, it is matched with the
        labels of the mode, and may have more of them: positions without data get predictions.

    Returns
    -------
    Basis
        New positions are given by a DataFrame with these columns.

    Raises
    ------
    ParameterError
        Columns that are not numbers, or hold NaN.
    """
    if not hasattr(frame, "columns"):
        raise ParameterError(
            f"features must be a DataFrame: found {checks.show(frame)}. An array is a design as it is."
        )
    return table_of(frame)


def _ends(given: tuple[Any, Any] | None) -> tuple[tuple[float, float] | None, bool]:
    """Return where a basis begins and ends, as numbers, and whether these are of dates."""
    if given is None:
        return None, False
    pair = checks.items("ends", given, "a pair (low, high)")
    try:
        found = np.array(pair)
        if has_dates := found.dtype.kind not in "iuf":
            found = (np.array(pair, "M8[us]") - np.datetime64(0, "D")) / np.timedelta64(1, "D")
    except (ValueError, TypeError):
        found, has_dates = np.zeros(0), False
    if found.shape != (2,) or not found[0] < found[1]:
        raise ParameterError(
            f"ends must be a pair (low, high) of numbers or dates: found {checks.show(given)}."
        )
    return (float(found[0]), float(found[1])), has_dates
