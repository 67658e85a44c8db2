"""The objective of each new row by itself, and where to begin if it may have several minima."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.penalties.base import RowPart
from gcp.objectives.penalties.total import Penalties
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_CHUNK = 1 << 19
_PROBES = 64
_ROUNDING = 1e-12


@dataclass(frozen=True)
class NewRowPenalties(Penalties):
    """Penalties of the new rows of one mode, beside a fitted model.

    Attributes
    ----------
    mode : int
    fitted : list of ndarray, shapes (I_n, R)
        The components of the model, in the mode itself those of its own positions.
    anchor : float
        From where the mode's main effects count.
    """

    mode: int = 0
    fitted: Sequence[FloatArray] = ()
    anchor: float = 0.0

    def value(self, factors: Factors) -> float:
        """Return what all rows of the mode's factor (n, R) cost."""
        return float(self.values(factors).sum())

    def values(self, factors: Factors) -> FloatArray:
        """Return what each row costs, shape (n,)."""
        found = self._of_components(factors).values
        if self.effects is None or self.mode not in self.effects.modes:
            return found
        vector = factors[self.mode][:, self.effects.rank + self.effects.modes.index(self.mode)]
        return found + 0.5 * self.effects_ridge * np.square(vector - self.anchor)

    def of_rows(self, mode: int, factors: Factors) -> tuple[FloatArray, FloatArray]:
        """Return strengths and centres, shapes (1 or n, R), one column wider where there are main effects."""
        _, strengths, centres = self._of_components(factors)
        if self.effects is None:
            return strengths, centres
        ones = np.ones((len(strengths), 1))
        return np.hstack([strengths, self.effects_ridge * ones]), np.hstack([centres, self.anchor * ones])

    def _of_components(self, factors: Factors) -> RowPart:
        """Return what the new rows cost as components, the columns (n, R) of the mode's factor."""
        rank = self.fitted[0].shape[1]
        return self.of_new_rows(self.mode, self.fitted, factors[self.mode][:, :rank])


@dataclass(frozen=True)
class OwnRows:
    """The rows of one mode under a loss and penalties, the other modes fixed.

    Attributes
    ----------
    tensor : ObservedTensor or SparseTensor
    loss : Loss
    penalties : NewRowPenalties
    mode : int
    rank : int
        Number of components.
    """

    tensor: ObservedTensor | SparseTensor
    loss: Loss
    penalties: NewRowPenalties
    mode: int
    rank: int

    def starts(self, factors: list[FloatArray], most: int, share: float) -> list[FloatArray]:
        """Return the mode's factor (n, R), and, where minima may be several, others, each near one component alone.

        Losses of sparse tensors that have a closed form for zeros are convex, and need one start.
        """
        first = factors[self.mode]
        if self.tensor.zeros is not None or self.rank < 1 or (not self.loss.kinds and self._is_convex()):
            return [first]
        if self.loss.model_domain.low >= 0:
            first = self._in_scale(factors)
        found, own = [first], first[:, : self.rank]
        sizes = np.prod([a[:, : self.rank].mean(axis=0) for a in factors], axis=0)
        for r in np.argsort(-np.abs(sizes), kind="stable")[:most] if self.rank > 1 else ():
            start = first.copy()
            start[:, : self.rank] = (1 - share) * own
            alone = share * sizes.sum() / sizes[r] if sizes[r] != 0 else 1.0
            start[:, r] += np.clip(alone, 0.0, 10.0 * self.rank) * own[:, r]
            found.append(start)
        return found

    def values(self, factors: list[FloatArray]) -> FloatArray:
        """Return the objective of every row, shape (n,)."""
        loss = self.loss.value(self.tensor.values, self.tensor.columns.argument(self._model(factors)))
        total = self._by_row(loss)
        total += self.penalties.values(factors)
        return np.where(np.isfinite(total), total, np.inf)

    def _is_convex(self) -> bool:
        """Return whether the second derivative of the loss is nowhere negative, as far as probes show."""
        x = np.asarray(self.tensor.values, dtype=float)
        x = np.unique(np.quantile(x, np.linspace(0, 1, _PROBES), method="nearest"))
        if self.loss.model_domain.low >= 0:
            scale = float(np.abs(self.loss.link(np.abs(x).mean()))) or 1.0
            m = scale * np.logspace(-6, 6, _PROBES)
        else:
            m = np.linspace(-30.0, 30.0, 2 * _PROBES + 1) * max(1.0, float(np.abs(x).max()) / 10)
        with np.errstate(all="ignore"):
            curvature = self.loss.curvature(x[:, None], m[None, :])
        return bool(
            np.all(curvature >= -_ROUNDING * np.abs(curvature).max(initial=0.0, where=np.isfinite(curvature)))
        )

    def _in_scale(self, factors: list[FloatArray]) -> FloatArray:
        """Return the mode's factor (n, R), components scaled so that each row's data and model have equal sums."""
        data = self._by_row(np.asarray(self.loss.link(self.tensor.values), dtype=float))
        model = self._by_row(self.tensor.columns.argument(self._model(factors)))
        with np.errstate(all="ignore"):
            ratio = data / model
        first = factors[self.mode].copy()
        first[:, : self.rank] *= np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1.0)[:, None]
        return first

    def products(self, factors: list[FloatArray]) -> FloatArray:
        """Return the products (nnz, R) of the other modes' factors at the known entries."""
        subs, others = self.tensor.subs, [n for n in range(len(factors)) if n != self.mode]
        return np.asarray(np.prod([factors[n][subs[:, n]] for n in others], axis=0))

    @property
    def places(self) -> Array:
        """The row of every known entry, shape (nnz,)."""
        return self.tensor.subs[:, self.mode].astype(np.int64)

    def _model(self, factors: list[FloatArray]) -> FloatArray:
        """Return the model at the known entries, shape (nnz,)."""
        subs, found = self.tensor.subs, []
        for start in range(0, len(subs), _CHUNK):
            run = subs[start : start + _CHUNK]
            found.append(np.prod([a[run[:, n]] for n, a in enumerate(factors)], axis=0).sum(axis=1))
        return np.concatenate(found)

    def _by_row(self, values: FloatArray) -> FloatArray:
        """Return weighted sums (n,) over the entries of every row, of values (nnz,)."""
        weights = self.tensor.entry_weights
        return np.bincount(
            self.places, values if weights is None else values * weights, self.tensor.shape[self.mode]
        )
