"""The observed information of data about a model and parameters of its loss: derivatives of the likelihood."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from gcp.analysis.information import EntryRun, Likelihood
from gcp.base.types import FloatArray
from gcp.losses.base import Loss
from gcp.losses.estimable import ESTIMATE
from gcp.objectives.known_cells import KnownCells
from gcp.result import FitResult
from gcp.solvers.starts.unknown_parameters import UnknownParameters
from gcp.tensors.base import TensorData

_TINY = 1e-100
_STEP = 1e-3
"""Step, of free numbers, of differences that stand for derivatives."""


@dataclass(frozen=True)
class ObservedInformation:
    """Second derivatives of minus the log-likelihood in parameters of the model and free numbers of the loss's.

    Attributes
    ----------
    unknowns : UnknownParameters
        The parameters of the loss that the fit estimated.
    loss : Loss
        As the fit found it; its mode of parameters is a number.
    """

    unknowns: UnknownParameters
    loss: Loss

    @classmethod
    def of(cls, result: FitResult, tensor: TensorData) -> Self:
        """Return that of the data of a fit, which has estimated parameters."""
        loss = result.numbered_loss
        asked = replace(loss, **dict.fromkeys(result.problem.estimated, ESTIMATE))  # type: ignore[type-var]
        mode: Any = loss.by if loss.by is not None and loss.parameter_by in asked.unknowns else None
        size = 1 if mode is None else result.shape[mode]
        return cls(UnknownParameters(asked, mode, size, tensor), loss)

    def of_all(self, likelihood: Likelihood, theta: FloatArray) -> FloatArray:
        """Return the matrix (P, P), at theta (P,), of the model's parameters and of those of the loss."""
        layout, (total,) = likelihood.layout, likelihood.products(theta, lambda run: (_curvatures(run),))
        total += curvature_of_model(likelihood, theta)
        cross = np.zeros((layout.size, self.n_numbers))
        for run in likelihood.runs(theta):
            jacobian = run.jacobian(layout.size)
            for places, step, is_by in self._directions():
                low, high = (self._moved(k * step, run.subs).deriv(run.x, run.m) for k in (-_STEP, _STEP))
                slope = run.w * (high - low) / (2 * _STEP)
                cross[:, places] += _dense(jacobian.T @ self._columns(slope, run.subs, is_by=is_by))
        total[:, layout.of_loss] += cross
        total[layout.of_loss] += cross.T
        total[layout.of_loss, layout.of_loss] = self.of_loss(likelihood.runs(theta))
        return total

    def of_loss(self, runs: Iterator[EntryRun] | Iterator[KnownCells]) -> FloatArray:
        """Return the matrix (K, K) of the free numbers of the loss's parameters, the model as it is."""
        total = np.zeros((self.n_numbers, self.n_numbers))
        directions = self._directions()
        for run in runs:

            def terms(step: FloatArray, run: Any = run) -> FloatArray:
                return -run.w * self._moved(step, run.subs).log_likelihood(run.x, run.m)

            here = terms(np.zeros(self.n_numbers))
            for (one, a, first), (other, b, second) in itertools.combinations_with_replacement(directions, 2):
                if one == other:
                    bend = terms(_STEP * a) - 2 * here + terms(-_STEP * a)
                else:
                    bend = terms(_STEP * (a + b)) - terms(_STEP * (a - b))
                    bend = (bend - terms(_STEP * (b - a)) + terms(-_STEP * (a + b))) / 4
                columns = self._columns(bend / _STEP**2, run.subs, is_by=first or second)
                found = np.asarray(columns.sum(axis=0)).reshape(-1)
                if one == other:
                    total[one, one] += np.diag(found)
                else:
                    total[one, other] += found[:, None] if first else found
                    total[other, one] = total[one, other].T
        return total

    def errors(self, covariance: FloatArray) -> dict[str, FloatArray]:
        """Return standard errors of the parameters, by name, from a covariance (K, K) of their free numbers."""
        at, found = self.unknowns.free(self.loss), {}
        for name, part in self.unknowns.parts(self.loss).items():
            scale, own = self.loss.estimable[name], at[part]
            steps = _STEP * np.eye(len(own))
            columns = [
                (np.ravel(scale.given(own + e)) - np.ravel(scale.given(own - e))) / (2 * _STEP) for e in steps
            ]
            turn = np.array(columns).T
            variance = np.sum((turn @ covariance[part, part]) * turn, axis=1)
            found[name] = np.sqrt(np.where(variance > 0, variance, np.nan))
        return found

    @property
    def n_numbers(self) -> int:
        """How many free numbers the parameters have."""
        return len(self.unknowns.free(self.loss))

    def _directions(self) -> list[tuple[slice, FloatArray, bool]]:
        """Return places of free numbers, a direction (K,) in which to move them, and whether they are by position.

        Those by position are moved all at once, for each cell knows one of them alone.
        """
        found = []
        for name, part in self.unknowns.parts(self.loss).items():
            is_by = self.unknowns.is_by_position(name)
            each = [part] if is_by else [slice(k, k + 1) for k in range(part.start, part.stop)]
            for places in each:
                step = np.zeros(self.n_numbers)
                step[places] = 1.0
                found.append((places, step, is_by))
        return found

    def _moved(self, step: FloatArray, subs: Any) -> Loss:
        """Return the loss of cells, its free numbers moved by a step (K,)."""
        loss = self.unknowns.with_free(self.loss, self.unknowns.free(self.loss) + step)
        return loss if loss.by is None else loss.at(subs[:, int(loss.by)])

    def _columns(self, values: FloatArray, subs: Any, *, is_by: bool) -> Any:
        """Return numbers of cells (n,) as columns, (n, 1) or (n, I_mode), each in that of its position."""
        from scipy import sparse

        if not is_by:
            return values[:, None]
        places = np.arange(len(values)), subs[:, self.unknowns.mode]
        shape = len(values), self.unknowns.n_positions
        return sparse.csr_array((values, places), shape=shape)


def errors_of_loss(
    result: FitResult, tensor: TensorData, likelihood: Likelihood, theta: FloatArray, covariance: FloatArray
) -> dict[str, FloatArray]:
    """Return standard errors of the parameters of the loss that a fit estimated, by name.

    `covariance` (P, P) is that of theta (P,). Beside a free dispersion, which changes with them, there are none.
    """
    layout, loss = likelihood.layout, result.loss
    if layout.r is not None:
        return {"r": np.sqrt(np.maximum(covariance[layout.r, layout.r], 0.0)).reshape(1)}
    if not result.problem.estimated or loss.dispersion_from(1.0) is not None:
        return {}
    observed = ObservedInformation.of(result, tensor)
    own = covariance[layout.of_loss, layout.of_loss]
    if not own.size:  # those that tell nothing of the model
        information = observed.of_loss(likelihood.runs(theta))
        known = np.diag(information) > 0
        own = np.full(information.shape, np.nan)
        own[np.ix_(known, known)] = np.linalg.pinv(information[np.ix_(known, known)])
    return observed.errors(own)


def _dense(matrix: Any) -> FloatArray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _curvatures(run: EntryRun) -> FloatArray:
    """Return second derivatives (cells,) of the loss times weights."""
    found = run.loss.curvature(run.x, run.m)
    return np.where(np.isfinite(found), found, 0.0) * run.w


def curvature_of_model(likelihood: Likelihood, theta: FloatArray) -> FloatArray:
    """Return what the model's second derivatives add to those of the objective, shape (P, P)."""
    layout = likelihood.layout
    total = np.zeros((layout.size, layout.size))
    for run in likelihood.runs(theta):
        mu = run.loss.mean(run.m)
        slope = np.where(mu > _TINY, run.w * run.loss.deriv(run.x, run.m), 0.0)
        if run.scale is not None:
            slope = run.scale * slope
        for n, k in itertools.combinations(range(len(layout.shape)), 2):
            size = layout.shape[n], layout.shape[k]
            pair = run.subs[:, n] * size[1] + run.subs[:, k]
            for r in range(layout.rank):
                value = slope * layout.signs[n][r] * layout.signs[k][r]
                for row in (row for j, row in enumerate(run.rows) if j not in (n, k)):
                    value = value * row[:, r]
                block = np.bincount(pair, value, size[0] * size[1]).reshape(size)
                if n in layout.designs:
                    block = layout.designs[n].T @ block
                if k in layout.designs:
                    block = block @ layout.designs[k]
                at = layout.columns(n, r), layout.columns(k, r)
                total[np.ix_(*at)] += block
                total[np.ix_(*at[::-1])] += block.T
    return total
