"""Few positions for each component: sums of the entries of nonnegative factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import RowPart
from gcp.objectives.penalties.of_mode import ModePenalty

_BEND = 1e-3
"""Curvature that stands in for none in steps for new rows, in slopes per largest entry of the column."""


@dataclass(frozen=True, eq=False, repr=False)
class Lasso(ModePenalty):
    """A lasso on each component along a mode with a nonnegative factor: few positions belong to it, others are 0.

    strength * unit * sum over r of (sum of a_r) * (product over the other modes of the root mean square of b_r) is
    added to F. It is linear in the mode's own factor, so that any solver for bounds takes it; no rescaling of the
    factors evades it.

    Parameters
    ----------
    mode : int, str or None
        Number or name; None is one penalty for each mode. The factor must have lower bounds of 0 or more.
    strength : float
        At least 0. The unit is the root mean square slope of the loss at a cell, about the best constant model of the
        data of the fit: the pull on an entry of 1 that noise at one cell has.
    number, unit : optional
        What the data of a fit decide; no arguments.

    Notes
    -----
    Standard errors do not count it: entries at 0 have none, and the others are shrunk.

    Examples
    --------
    >>> import gcp
    >>> few = gcp.penalties.Lasso("gene", 0.1)
    """

    mode: int | str | None
    strength: float
    number: int | None = field(default=None, kw_only=True)
    unit: float | None = field(default=None, kw_only=True)

    unit_of: ClassVar[str] = "slope"

    def unsuited(self, lower: Factors) -> str:
        """Return a sentence if the mode's factor may be negative."""
        if not np.any(lower[self._number(len(lower))] < 0):
            return ""
        return f"{self!r} is for a nonnegative factor: use bounds=(0, None), of this mode at least, or else Ridge."

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        n = self._number(len(factors))
        return self.scale * float(factors[n].sum(axis=0, dtype=float) @ _product(_roots(factors), n))

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        n = self._number(len(factors))
        grad[n][:] += self.scale * _product(_roots(factors), n)
        for k, b in enumerate(factors):
            if k != n:
                grad[k][:] += self.ridge(k, factors) * b

    def ridge(self, mode: int, factors: Factors) -> FloatArray:
        """Return the strengths (R,) of the ridge on another mode's factor that has its gradient here; else zeros."""
        n, roots = self._number(len(factors)), _roots(factors)
        if mode == n:
            return np.zeros(factors[n].shape[1])
        sums = factors[n].sum(axis=0, dtype=float) * _product(roots, n, mode)
        own = roots[mode] * len(factors[mode])
        return np.asarray(self.scale * np.where(own > 0, sums / np.where(own > 0, own, 1.0), 0.0))

    def component_hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives within each component, shape (R, sum of I_n, sum of I_n)."""
        n, roots = self._number(len(factors)), _roots(factors)
        ends = np.cumsum([0, *map(len, factors)])
        at = [slice(first, last) for first, last in pairwise(ends)]
        slopes = [  # of the root mean squares in the entries
            np.asarray(b, dtype=float) / np.where(root > 0, root * len(b), np.inf)
            for b, root in zip(factors, roots, strict=True)
        ]
        sums = factors[n].sum(axis=0, dtype=float)
        found = np.zeros((len(sums), ends[-1], ends[-1]))
        others = [k for k in range(len(factors)) if k != n]
        for r, total in enumerate(found):
            for k in others:
                rest = _product(roots, n, k)[r]
                total[at[n], at[k]] = rest * slopes[k][:, r]
                total[at[k], at[n]] = total[at[n], at[k]].T
                if roots[k][r] > 0:
                    size = len(slopes[k])
                    turned = np.eye(size) / size - np.outer(slopes[k][:, r], slopes[k][:, r])
                    total[at[k], at[k]] = sums[r] * rest * turned / roots[k][r]
                for m in others:
                    if m != k:
                        beside = sums[r] * _product(roots, n, k, m)[r]
                        total[at[k], at[m]] = beside * np.outer(slopes[k][:, r], slopes[m][:, r])
        return self.scale * found

    def curvature(self, factors: Factors) -> FloatArray:
        """Return that of the ridges, shape (N,)."""
        ridges = [self.ridge(n, factors) for n in range(len(factors))]
        return np.array([max(float(each.mean()), 0.0) if each.size else 0.0 for each in ridges])

    def of_new_rows(self, mode: int, factors: Factors, rows: FloatArray) -> RowPart:
        """Return what a new position more would cost, for each of `rows` (n, R), all else as in fitted `factors`."""
        n = self._number(len(factors))
        if mode != n:
            return super().of_new_rows(mode, factors, rows)
        slope = self.scale * _product(_roots(factors), n)
        largest = np.abs(np.asarray(factors[n], dtype=float)).max(axis=0, initial=0.0)
        bend = _BEND * slope / np.where(largest > 0, largest, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            centres = np.where(bend > 0, rows - slope / bend, rows)
        return RowPart(np.sum(slope * rows, axis=1), bend[None], centres)


def _roots(factors: Factors) -> list[FloatArray]:
    """Return root mean squares of the columns of each factor, shapes (R,)."""
    return [np.sqrt(np.mean(np.square(a, dtype=float), axis=0)) for a in factors]


def _product(roots: list[FloatArray], *besides: int) -> FloatArray:
    """Return the product (R,) of numbers (R,) of all modes but some."""
    return np.prod([np.ones_like(roots[0]), *(x for k, x in enumerate(roots) if k not in besides)], axis=0)
