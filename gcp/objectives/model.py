"""A fitted model: components, main effects, the loss that relates them to data, and labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import columns_by_name
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.dense import dense_pass
from gcp.losses.base import Loss
from gcp.objectives.description import ProblemDescription

if TYPE_CHECKING:
    from tensorly.cp_tensor import CPTensor


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Model:
    """A generalized CP model in its normal form: columns of norm 1 by falling weight.

    Attributes
    ----------
    weights : ndarray, shape (R,)
    factors : list of ndarray, shapes (I_n, R)
    loss : Loss
    labels : ModeLabels
    intercept : float
    main_effects : dict of str to ndarray, shapes (I_n,)
    unknown : dict of str to ndarray of int, shapes (positions,)
        Positions whose rows nothing determines, by the mode's name.
    fitted_factors : list of ndarray, shapes (I_n, R)
        The factors within their bounds, from which `factors` differ by scale and sign; empty if they are not known.
    row_bounds : list of ndarray, shapes (2, R)
        Bounds of a row of each fitted factor; empty like those.
    problem : ProblemDescription
        What was asked of the fit: penalties, fixed and tied modes, bounds, estimated parameters.
    """

    weights: FloatArray
    factors: list[FloatArray]
    loss: Loss
    labels: ModeLabels
    intercept: float = 0.0
    main_effects: dict[str, FloatArray] = field(default_factory=dict)
    unknown: dict[str, Array] = field(default_factory=dict)
    fitted_factors: list[FloatArray] = field(default_factory=list)
    row_bounds: list[FloatArray] = field(default_factory=list)
    problem: ProblemDescription = field(default_factory=ProblemDescription)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the modes."""
        return tuple(len(a) for a in self.factors)

    @property
    def rank(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def cp(self) -> CPTensor:
        """The model as a TensorLy `CPTensor` (weights, factors); copies.

        Main effects are further components, the intercept and then the modes', whose other columns are constant.
        Rows of positions of which nothing is known are 0, as in `factors`.
        """
        from tensorly.cp_tensor import CPTensor

        weights, factors = self._with_effects()
        return CPTensor((weights, factors))

    def with_mean_rows(self) -> Self:
        """Return the model that predicts: a row that nothing determines is the mean of the other positions' rows."""
        factors = list(self.factors)
        for name, positions in self.unknown.items():
            n = self.labels.names.index(name)
            factors[n] = factors[n].copy()
            factors[n][positions] = np.delete(factors[n], positions, axis=0).mean(axis=0)
        return replace(self, factors=factors, unknown={})

    def model_values(self, subs: ArrayLike | None = None) -> FloatArray:
        """Return model entries m.

        Where nothing is known of a position (see `unknown`), m is the mean over the other positions of its mode.

        Parameters
        ----------
        subs : array_like of int, shape (n, N), optional
            Subscripts, 0-based; the columns of a DataFrame are matched with the modes by name. None gives the whole
            tensor.

        Returns
        -------
        ndarray, shape (n,) or (I_0, ..., I_{N-1})
        """
        if subs is None:
            weights, factors = self.with_mean_rows()._with_effects()
            return dense_pass.model_values([factors[0] * weights, *factors[1:]], self.shape)
        subs = self._checked_subs(subs)
        terms = np.broadcast_to(self.weights, (len(subs), self.rank)).copy()
        for n, a in enumerate(self.with_mean_rows().factors):
            terms *= a[subs[:, n]]
        model = terms.sum(axis=1) + self.intercept
        for name, vector in self.main_effects.items():
            model += vector[subs[:, self.labels.names.index(name)]]
        return np.asarray(model)

    def _with_effects(self) -> tuple[FloatArray, list[FloatArray]]:
        """Return copies of weights (R,) and factors (I_n, R), main effects among the components."""
        weights, factors = self.weights.copy(), [a.copy() for a in self.factors]
        if not self.main_effects:
            return weights, factors
        columns = [(0, np.full(self.shape[0], self.intercept))]
        columns += [(self.labels.names.index(name), vector) for name, vector in self.main_effects.items()]
        for mode, vector in columns:
            component = [np.ones(size) for size in self.shape]
            component[mode] = vector
            norms = [float(np.linalg.norm(a)) for a in component]
            weights = np.append(weights, np.prod(norms)).astype(self.weights.dtype)
            unit = (a / norm if norm else a for a, norm in zip(component, norms, strict=True))
            factors = [np.column_stack([a, b]).astype(a.dtype) for a, b in zip(factors, unit, strict=True)]
        return weights, factors

    def predict(self, subs: ArrayLike | None = None) -> FloatArray:
        """Return expected data: the mean under the loss of `model_values(subs)`, with its shape.

        At positions of which nothing is known, that is the datum expected at a mean row of the others.
        """
        return self.loss.mean(self.model_values(subs))

    def marked(self, name: str, values: FloatArray) -> FloatArray:
        """Return numbers or rows of a mode's positions, (I_n,) or (I_n, R), with NaN where nothing determines it."""
        if name not in self.unknown:
            return values
        found = values.copy()
        found[self.unknown[name]] = np.nan
        return found

    def unknown_in_words(self) -> str:
        """Return a sentence about the positions that nothing determines; empty if there is none."""
        if not self.unknown:
            return ""
        found = []
        for name, positions in self.unknown.items():
            n = self.labels.names.index(name)
            labels = self.labels.values(n, self.shape[n])
            few = ", ".join(str(labels[at]) for at in positions[:5])
            found.append(f"{positions.size} of {name} ({few}{', ...' if positions.size > 5 else ''})")
        return (
            f"Nothing is known of {'; '.join(found)}: their rows are no part of the components, and predictions for "
            "them are those of a mean row."
        )

    def _checked_subs(self, subs: ArrayLike) -> Array:
        """Return subscripts as an array (n, N) of integers within the shape."""
        array = np.atleast_2d(checks.array("subs", columns_by_name(subs, self.labels.names)))
        if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != len(self.factors):
            raise ParameterError(
                f"subs has dtype {array.dtype} and shape {array.shape}: expected integers of shape "
                f"(n, {len(self.factors)})."
            )
        outside = (array < 0) | (array >= np.array(self.shape))
        if outside.any():
            row = int(np.argwhere(outside)[0, 0])
            raise ParameterError(
                f"subs row {row}, {tuple(array[row].tolist())}, lies outside the shape {self.shape}."
            )
        return array


def normalize(
    factors: Factors, *, keep_order: bool, fix_signs: bool
) -> tuple[FloatArray, list[FloatArray], Array]:
    """Return weights (R,), unit-norm factors (I_n, R), by falling weight unless the order is kept, and the order.

    Signs, if they are to be fixed: the largest entry of each column is made positive in every mode but the last.
    """
    norms = [np.linalg.norm(a, axis=0) for a in factors]
    weights = np.prod(norms, axis=0)
    order = np.arange(len(weights)) if keep_order else np.argsort(-weights, kind="stable")
    unit = [(a / np.where(norm > 0, norm, 1))[:, order] for a, norm in zip(factors, norms, strict=True)]
    for a in unit[:-1] if fix_signs else []:
        largest = np.argmax(np.abs(a), axis=0)
        sign = np.where(a[largest, np.arange(a.shape[1])] < 0, -1.0, 1.0).astype(a.dtype)
        a *= sign
        unit[-1] *= sign
    return weights[order], unit, order


def share_in_words(share: float, digits: int = 2) -> str:
    """Return a share of deviance in percent, or why there is none."""
    return (
        f"{share:.{digits}%}"
        if share == share
        else "undefined: the data are constant, the model is not perfect"
    )
