"""Autoregressions of the columns of a matrix over time, and draws of what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray

_SMALL = 1e-10
"""Singular values of the regressors, in the largest, that are none."""


@dataclass(frozen=True)
class Autoregression:
    """Regressions of columns y on a constant and earlier values of their own, in units of their standard deviations.

    Attributes
    ----------
    lags : tuple of tuple of int
        Of each column.
    coefficients : tuple of ndarray, shapes (1 + lags,)
        Of the constant and the lags, by least squares.
    roots : tuple of ndarray, shapes (1 + lags, q)
        Matrices B with B B' the inverse of X'X, for the regressors X.
    root : ndarray, shape (q, J)
        A matrix S with S'S the covariance of the innovations.
    freedom : int
        Degrees of freedom of that covariance.
    last : ndarray, shape (P, J)
        The last values: as many known ones as the largest lag, and all after them, NaN where they are unknown.
    longest : int
        The largest lag, at least 1.
    centre, unit : ndarray, shape (J,)
        Means and standard deviations.
    low, high : ndarray, shape (J,)
        Limits that draws are kept within.
    """

    lags: tuple[tuple[int, ...], ...]
    coefficients: tuple[FloatArray, ...]
    roots: tuple[FloatArray, ...]
    root: FloatArray
    freedom: int
    last: FloatArray
    longest: int
    centre: FloatArray
    unit: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(
        cls, series: FloatArray, lags: Any, low: FloatArray, high: FloatArray, name: str
    ) -> Autoregression:
        """Fit a matrix (T, J) of columns over time; rows of NaN are unknown.

        Parameters
        ----------
        series : ndarray, shape (T, J)
        lags : int, sequence of int, or None
            For all columns; None is what BIC prefers, for each.
        low, high : ndarray, shape (J,)
        name : str
            Of the mode, for messages.

        Raises
        ------
        ParameterError
            Lags that are none, or too few rows for them.
        """
        known = np.asarray(np.isfinite(series).all(axis=1))
        if known.sum() < 3:
            raise ParameterError(
                f"forecast: {name!r} has {int(known.sum())} positions with data: an autoregression needs 3 at least."
            )
        centre, unit = series[known].mean(axis=0), series[known].std(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        y = (series - centre) / unit
        given = None if lags is None else _checked(lags)
        own = [_preferred(y[:, [j]]) if given is None else given for j in range(y.shape[1])]
        longest = max([1, *(lag for each in own for lag in each)])
        rows = _complete(y, sorted({lag for each in own for lag in each}))
        freedom = len(rows) - 1 - max(map(len, own), default=0)
        if freedom < 1:
            raise ParameterError(
                f"forecast: an autoregression of {name!r} with {max(map(len, own))} lags, up to {longest}, has "
                f"{len(rows)} positions to learn from: give fewer or shorter lags."
            )
        runs = [end for end in range(len(y), longest - 1, -1) if known[end - longest : end].all()]
        if not runs:
            raise ParameterError(
                f"forecast: {name!r} has no {longest} positions in a row with data, from which an autoregression "
                "goes on: give shorter lags."
            )
        fits = [_regressed(y[:, j], each, rows) for j, each in enumerate(own)]
        residuals = np.column_stack([residual for _, _, residual in fits])
        _, sizes, axes = np.linalg.svd(residuals / np.sqrt(freedom), full_matrices=False)
        coefficients, roots, _ = zip(*fits, strict=True)
        ends = ((side - centre) / unit for side in (low, high))
        root = sizes[:, None] * axes
        return cls(
            tuple(own),
            coefficients,
            roots,
            root,
            freedom,
            y[runs[0] - longest :],
            longest,
            centre,
            unit,
            *ends,
        )

    def draws(self, n: int, horizon: int, rng: np.random.Generator) -> FloatArray:
        """Return draws (n, horizon, J) of what comes, in pairs whose innovations and coefficients mirror each other.

        Coefficients and the size of the innovations are from their posterior under the flat prior, of which the
        columns have one common factor of their size (that of a multivariate t distribution). Unknown positions among
        the last are drawn as well, from those before them.
        """
        half = -(-n // 2)
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, half))
        n_past, n_known = len(self.last), self.longest
        n_steps = n_past - n_known + horizon
        shocks = rng.standard_normal((half, n_steps, len(self.root))) @ self.root * scale[:, None, None]
        shocks = np.concatenate([shocks, -shocks])
        spread = np.sqrt((self.root**2).sum(axis=0))
        columns: list[FloatArray] = []
        for j, (own, coefficients, root) in enumerate(
            zip(self.lags, self.coefficients, self.roots, strict=True)
        ):
            off = rng.standard_normal((half, root.shape[1])) @ root.T * (scale * spread[j])[:, None]
            drawn = coefficients + np.concatenate([off, -off])
            path = np.empty((2 * half, n_past + horizon))
            path[:, :n_past] = self.last[:, j]
            for at in range(n_known, n_past + horizon):
                if at < n_past and np.isfinite(self.last[at, j]):
                    continue
                value = drawn[:, 0] + shocks[:, at - n_known, j]
                for k, lag in enumerate(own):
                    value = value + drawn[:, k + 1] * path[:, at - lag]
                path[:, at] = np.clip(value, self.low[j], self.high[j])
            columns.append(path[:, n_past:])
        return (self.centre + self.unit * np.stack(columns, axis=2))[:n]


def _checked(lags: Any) -> tuple[int, ...]:
    """Return lags that a user gave: a number is all up to it."""
    if isinstance(lags, int | np.integer):
        return tuple(range(1, checks.whole("lags", lags, least=0, most=10**6) + 1))
    given = checks.items("lags", lags, "a whole number, or a list of whole numbers >= 1")
    return tuple(sorted({checks.whole("lags", lag, most=10**6) for lag in given}))


def _complete(y: FloatArray, lags: Sequence[int]) -> Array:
    """Return the rows that are known, together with those before them at these lags."""
    known = np.asarray(np.isfinite(y).all(axis=1))
    rows = np.arange(max(lags, default=0), len(y))
    keep = known[rows]
    for lag in lags:
        keep = keep & known[rows - lag]
    return rows[keep]


def _preferred(y: FloatArray) -> tuple[int, ...]:
    """Return the lags of a column (T, 1) up to the one that BIC prefers, all compared on the same rows."""
    most = min(int(12 * (len(y) / 100) ** 0.25), (len(y) - 3) // 3)
    while most > 0 and len(_complete(y, range(1, most + 1))) < 2 * most + 3:  # gaps leave few rows
        most -= 1
    rows, best = _complete(y, range(1, most + 1)), (np.inf, 0)
    for order in range(most + 1):
        _, _, residual = _regressed(y[:, 0], range(1, order + 1), rows)
        mean_square = max(float(np.mean(residual**2)), 1e-20)
        best = min(best, (len(rows) * np.log(mean_square) + (order + 1) * np.log(len(rows)), order))
    return tuple(range(1, best[1] + 1))


def _regressed(y: FloatArray, lags: Sequence[int], rows: Array) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return coefficients, a root of the inverse of X'X, and residuals of the rows, for a column (T,)."""
    x = np.column_stack([np.ones(len(rows)), *(y[rows - lag] for lag in lags)])
    left, sizes, right = np.linalg.svd(x, full_matrices=False)
    keep = sizes > _SMALL * sizes[0]
    root = right[keep].T / sizes[keep]
    coefficients = root @ (left[:, keep].T @ y[rows])
    return coefficients, root, y[rows] - x @ coefficients
