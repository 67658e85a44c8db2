"""The Fisher information of data about a model's parameters, and the first-order bias of estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from gcp.analysis.parameter_layout import AT_BOUND, ParameterLayout
from gcp.base.types import Array, FloatArray
from gcp.objectives.known_cells import KnownCells

_CHUNK = 1 << 16
_MOST_NUMBERS = 1 << 24
"""Numbers, at most, of a dense matrix of cells by parameters."""

_TINY = 1e-300
_HUGE = 1e200
"""Information of an entry of the model that is as good as at 0; weights may multiply it."""


class EntryRun(NamedTuple):
    """Some cells: the arguments of the loss there, their derivatives in the parameters but r, and the loss there.

    Beside designs the derivatives are those in the entries of the factors, and `transfer`, shape (entries, P), makes
    them those in parameters.
    """

    subs: Array
    x: FloatArray
    w: FloatArray
    rows: list[FloatArray]
    m: FloatArray
    value: FloatArray
    column: Array
    transfer: Any
    loss: Any
    scale: FloatArray | None = None

    def jacobian(self, size: int, weights: FloatArray | None = None) -> Any:
        """Return the sparse Jacobian, shape (cells, size), with its rows times weights (cells,)."""
        from scipy import sparse

        value = self.value if weights is None else self.value * weights[:, None]
        pointers = np.arange(0, value.size + 1, value.shape[1])
        width = size if self.transfer is None else self.transfer.shape[0]
        found = sparse.csr_array((value.ravel(), self.column.ravel(), pointers), shape=(len(value), width))
        return found if self.transfer is None else found @ self.transfer


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood of cells as a function of the parameters: sums of w l(x, m), l = -f / scale + terms of x.

    Attributes
    ----------
    cells : KnownCells
        Their model values are not used.
    loss : Loss
        Its mode of parameters, if there is one, is a number.
    scale : float
        By what f is divided in the log-density.
    layout : ParameterLayout
    """

    cells: KnownCells
    loss: Any
    scale: float
    layout: ParameterLayout

    @property
    def is_nonnegative(self) -> bool:
        """Whether the model is."""
        return bool(self.loss.model_domain.low >= 0)

    def information(self, theta: FloatArray) -> FloatArray:
        """Return the expected information (P, P), J' W J with the entries' Fisher information W; and that of r."""
        layout = self.layout
        (total,) = self.products(theta, lambda run: (self._fisher(run),))
        if layout.r is not None:
            for run in self.runs(theta):
                terms = run.loss.shape_terms(run.m)
                cross = run.jacobian(layout.size).T @ (run.w * terms.cross)
                total[layout.r] += cross
                total[:, layout.r] += cross
                total[layout.r, layout.r] += run.w @ terms.own
        return total

    def products(
        self, theta: FloatArray, weigh: Callable[[EntryRun], tuple[FloatArray, ...]]
    ) -> list[FloatArray]:
        """Return J' diag(w) J, shape (P, P), for each of some weights w (cells,)."""
        found: dict[int, FloatArray] = {}
        for run in self.runs(theta):
            jacobian = run.jacobian(self.layout.size)
            for k, w in enumerate(weigh(run)):
                own = (jacobian.T @ run.jacobian(self.layout.size, w)).toarray()
                found[k] = found[k] + own if k in found else own
        return list(found.values())

    def score(self, theta: FloatArray) -> FloatArray:
        """Return the derivatives (P,) of the log-likelihood."""
        layout = self.layout
        total = np.zeros(layout.size)
        for run in self.runs(theta):
            total -= run.jacobian(layout.size).T @ (run.w * run.loss.deriv(run.x, run.m) / self.scale)
            if layout.r is not None:
                total[layout.r] += run.w @ run.loss.shape_score(run.x, run.m)
        return total

    def change(self, theta: FloatArray, step: FloatArray) -> float:
        """Return the largest change of an entry along a step (P,), in units of the entry.

        The unit is 1 if that is more and the entry has a sign.
        """
        signed = self.loss.model_domain.low < 0
        largest = 0.0
        for run in self.runs(theta):
            size = np.maximum(np.abs(run.m), 1.0) if signed else run.m
            moved = np.abs(run.jacobian(self.layout.size) @ step)
            largest = max(largest, float(np.max(moved / size, where=moved > 0, initial=0.0)))
        return largest

    def is_near_bound(self, theta: FloatArray, other: FloatArray) -> bool:
        """Return whether entries of the model come ten times nearer to their bound, or beyond, on the way.

        `theta` and `other` are of shape (P,); entries at their bound do not count.
        """
        if self.loss.model_domain.low < 0:
            return False
        runs = zip(self.runs(theta), self.runs(other), strict=True)
        return any(bool(np.any((there.m < 0.1 * here.m) & (here.m > _TINY))) for here, there in runs)

    def at_bound(self, theta: FloatArray) -> Array:
        """Return a mask (P,) of parameters at a bound that keep entries of the model there."""
        held = np.zeros(self.layout.size, bool)
        if self.loss.model_domain.low >= 0 and self.layout.bound.any():
            for run in self.runs(theta):
                low = run.m <= AT_BOUND * run.m.max(initial=0.0)
                if run.transfer is None:
                    held[run.column[low][run.value[low] != 0]] = True
                else:
                    held |= np.asarray(abs(run.jacobian(self.layout.size)[low]).sum(axis=0)).reshape(-1) > 0
        return held & self.layout.bound

    def biases(self, theta: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the information times the first-order bias of maximum-likelihood estimates, two vectors (P,).

        The two are of the likelihood as a function of the entries (and r), and of their curvature in the
        parameters. Only the first does not depend on how the freedom of scaling is taken away.

        References
        ----------
        D. R. Cox, E. J. Snell: A general definition of residuals, Journal of the Royal Statistical Society B 30
        (1968) 248-275.
        """
        layout = self.layout
        entries, curved = np.zeros(layout.size), np.zeros(layout.size)
        for run in self.runs(theta):
            transposed = run.jacobian(layout.size).T
            spread, turn = _spread(run, layout, covariance), _turn(run, layout, covariance)
            own = -run.loss.leverage_bias(run.m) / self.scale * spread
            if layout.r is not None:
                k = run.loss.shape_terms(run.m)
                along = _along(run, layout, covariance[layout.r])
                own = own + k.entry_by_both * along
                of_r = k.r_by_entries * spread + k.r_by_both * along
                of_r = of_r + k.r_by_r * covariance[layout.r, layout.r]
                entries[layout.r] += run.w @ of_r
                curved[layout.r] -= run.w @ (0.5 * k.cross * turn)
            entries += transposed @ (run.w * own)
            curved -= transposed @ (0.5 * self._fisher(run) * turn)
        return entries, curved

    def _fisher(self, run: EntryRun) -> FloatArray:
        """Return the entries' information (cells,) times their weights."""
        fisher = run.loss.fisher(run.m)  # infinite where m is 0, which no free parameter changes
        return np.where(np.isfinite(fisher), np.minimum(fisher, _HUGE), 0.0) * run.w / self.scale

    def _loss(self, theta: FloatArray) -> Any:
        """Return the loss with its estimated parameter as in theta (P,)."""
        return self.loss if self.layout.r is None else replace(self.loss, r=float(theta[self.layout.r]))

    def runs(self, theta: FloatArray) -> Iterator[EntryRun]:
        """Yield the cells, some at a time, with the model of theta (P,)."""
        layout, cells, loss = self.layout, self.cells, self._loss(theta)
        factors = layout.factors(theta)
        low = _TINY if self.loss.model_domain.low >= 0 else -np.inf
        places, transfer = _entries(layout)
        step = _CHUNK if transfer is None else max(1, min(_CHUNK, _MOST_NUMBERS // layout.size))
        for start in range(0, len(cells.x), step):
            part = slice(start, start + step)
            subs = cells.subs[part]
            rows = [a[subs[:, n]] for n, a in enumerate(factors)]
            m = _product(rows, len(subs), layout.rank).sum(axis=1)
            values: list[FloatArray] = []
            columns: list[Array] = []
            for n, k in enumerate(places):
                others = _product([row for k, row in enumerate(rows) if k != n], len(subs), layout.rank)
                values.append(others * layout.signs[n])
                columns.append(k + subs[:, n, None] * layout.rank + np.arange(layout.rank))
            for n, k in layout.effects.items():
                m = m + theta[k + subs[:, n]]
                values.append(np.ones((len(m), 1)))
                columns.append(k + subs[:, n, None])
            value, column = np.concatenate(values, axis=1), np.concatenate(columns, axis=1)
            own = cells.at(part)
            m = np.maximum(m, low)
            if own.scale is not None:
                m, value = own.scale * m, own.scale[:, None] * value
            if own.offset is not None:
                m = m + own.offset
            here = loss if loss.by is None else loss.at(subs[:, loss.by])
            yield EntryRun(subs, own.x, own.w, rows, m, value, column, transfer, here, own.scale)


def _product(rows: list[FloatArray], size: int, rank: int) -> FloatArray:
    """Return the elementwise product (size, R) of any number of arrays of that shape."""
    total = np.ones((size, rank))
    for row in rows:
        total *= row
    return total


def _entries(layout: ParameterLayout) -> tuple[list[int], Any]:
    """Return the place of each mode's first entry, and the matrix from parameters to entries if need be."""
    from scipy import sparse

    if not layout.designs:
        return layout.first, None
    places, blocks, size = [], [], 0
    identity = sparse.eye_array(layout.rank)
    for n, (first, rows) in enumerate(zip(layout.first, layout.sizes, strict=True)):
        z = layout.designs.get(n, sparse.eye_array(rows))
        own = sparse.coo_array(sparse.kron(z, identity))
        places.append(size)
        blocks.append((own.data, own.row + size, own.col + first))
        size += own.shape[0]
    data, row, column = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return places, sparse.csr_array((data, (row, column)), shape=(size, layout.size))


def _along(run: EntryRun, layout: ParameterLayout, direction: FloatArray) -> FloatArray:
    """Return the derivatives of the entries (cells,) along a direction (P,)."""
    if run.transfer is None:
        return np.asarray(np.einsum("ij,ij->i", run.value, direction[run.column]))
    return np.asarray(run.jacobian(layout.size) @ direction)


def _spread(run: EntryRun, layout: ParameterLayout, covariance: FloatArray) -> FloatArray:
    """Return variances of the entries, j' C j, shape (cells,)."""
    if run.transfer is not None:
        jacobian = run.jacobian(layout.size)
        return np.asarray((jacobian * (jacobian @ covariance)).sum(axis=1)).reshape(-1)
    total = np.zeros(len(run.m))
    for k in range(run.value.shape[1]):
        with_k = covariance[run.column[:, k, None], run.column]
        total += run.value[:, k] * np.einsum("ij,ij->i", run.value, with_k)
    return total


def _turn(run: EntryRun, layout: ParameterLayout, covariance: FloatArray) -> FloatArray:
    """Return the trace of a covariance (P, P) times an entry's second derivatives in parameters, shape (cells,)."""
    total = np.zeros(len(run.m))
    for n in range(len(layout.first)):
        for k in range(n):
            others = _product(
                [row for i, row in enumerate(run.rows) if i not in (n, k)], len(total), layout.rank
            )
            others *= layout.signs[n] * layout.signs[k]
            total += 2 * np.einsum("ij,ij->i", _shared(run, layout, covariance, n, k), others)
    return total if run.scale is None else run.scale * total


def _shared(run: EntryRun, layout: ParameterLayout, covariance: FloatArray, n: int, k: int) -> FloatArray:
    """Return covariances of a component's factor entries in two modes, shape (cells, R), from those (P, P)."""
    if not (n in layout.designs or k in layout.designs):
        one, other = (
            layout.first[mode] + run.subs[:, mode, None] * layout.rank + np.arange(layout.rank)
            for mode in (n, k)
        )
        return np.asarray(covariance[one, other])
    found = np.empty((len(run.m), layout.rank))
    for r in range(layout.rank):
        block = covariance[np.ix_(layout.columns(n, r), layout.columns(k, r))]
        if k in layout.designs:
            block = (layout.designs[k] @ block.T).T
        if n in layout.designs:
            block = layout.designs[n] @ block
        found[:, r] = block[run.subs[:, n], run.subs[:, k]]
    return found
