"""A fitted model: components, main effects, the loss that relates them to data, and labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gcp.base.alignment import Side
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.sizes import check_memory
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.dense import dense_pass
from gcp.losses.base import Loss
from gcp.objectives.asked_cells import asked_cells
from gcp.objectives.description import ProblemDescription
from gcp.objectives.exposed import expected
from gcp.objectives.new_coordinates import at_coordinates, coefficients_of
from gcp.tensors.intake.carried import numbers_of

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

    def model_values(self, subs: Any = None) -> Any:
        """Return model entries m; where nothing is known of a position (see `unknown`), those of the mean row.

        Parameters
        ----------
        subs : array_like of int, shape (n, N), table or mapping, optional
            As for `predict`.

        Returns
        -------
        ndarray, shape (n,) or (I_0, ..., I_{N-1}), Series or DataArray
        """
        if subs is None:
            return self._whole()
        asked = asked_cells(subs, self._side())
        return asked.shaped(self._values(asked.subs))

    def predict(self, subs: Any = None, *, exposure: Any = None, offset: Any = None) -> Any:
        """Return expected data: the mean under the loss of `model_values`, for each unit of exposure and trial.

        Parameters
        ----------
        subs : array_like of int, shape (n, N), table or mapping, optional
            The cells. An array of whole numbers has their positions, 0-based. By label: a table (pandas, polars) with
            a column for each mode, others are not looked at; a mapping from modes to single labels, to lists of one
            length, or to DataArrays, which are broadcast by dimension; a list of such mappings; an array of texts.
            Positions are the labels of a mode that has none. None is the whole tensor.
        exposure, offset : array_like, optional
            What multiplies the mean and is added to the model, shaped like what is returned or broadcastable; of the
            whole tensor also arrays with names. By default 1 and 0.

        Returns
        -------
        ndarray, shape (n,) or (I_0, ..., I_{N-1})
            Of a DataFrame a Series with its index, of DataArrays a DataArray, of single labels one number. At
            positions of which nothing is known, the datum expected at a mean row of the others.

        Raises
        ------
        ParameterError
            Positions outside the shape, labels that the model does not know, or a whole tensor that does not fit into
            memory.
        """
        if subs is None:
            read = partial(numbers_of, labels=self.labels, shape=self.shape)
            return expected(self._whole(), self.loss_at(None), exposure, offset, read)
        asked = asked_cells(subs, self._side())
        read = partial(numbers_of, labels=None, shape=(len(asked.subs),))
        return asked.shaped(
            expected(self._values(asked.subs), self.loss_at(asked.subs), exposure, offset, read)
        )

    @property
    def coefficients(self) -> dict[str, FloatArray]:
        """Coefficients C (K, R) of every mode with a design, by its name: Z C is its factor, as `factors` has it.

        Times `weights` they are on the scale of the model. Where columns of Z are combinations of others, the least
        of all coefficients with this factor.
        """
        return coefficients_of(self)

    def predict_at(self, coordinates: Mapping[Any, Any]) -> FloatArray:
        """Return expected data at coordinates that the fit need not have seen, of modes with a design.

        Parameters
        ----------
        coordinates : dict
            By the name or number of a mode with a design, a list of numbers or dates for splines and waves, of groups
            for `gcp.designs.groups`, a DataFrame with the same columns for features, an array (n, K) for a matrix. Of
            modes without a design, some of their labels; modes that are not named are whole.

        Returns
        -------
        ndarray, shape (n_0, ..., n_{N-1})
            The new positions, or the mode's own, in the order of the modes. Where the data of the fit determine
            nothing of a position (a group without data), the datum expected at the mean row.

        Raises
        ------
        ParameterError
            A mode without a design, coordinates beyond the ends of a spline, labels that the model does not know.
        """
        found: FloatArray = at_coordinates(self, coordinates).predict()
        return found

    def loss_at(self, subs: Array | None) -> Loss:
        """Return the loss at subscripts (n, N), or at all cells: with their own parameters, of losses `by` a mode."""
        if self.loss.by is None:
            return self.loss
        mode = self.labels.number(self.loss.by)
        if subs is not None:
            return self.loss.at(subs[:, mode])
        return self.loss.at(
            np.arange(self.shape[mode]).reshape([-1 if n == mode else 1 for n in range(len(self.shape))])
        )

    @property
    def numbered_loss(self) -> Loss:
        """The loss whose mode of parameters, if there is one, is a number: for data that may have no names."""
        if self.loss.by is None:
            return self.loss
        return replace(self.loss, by=self.labels.number(self.loss.by))  # type: ignore[type-var]

    def __iter__(self) -> Iterator[Any]:
        """Yield `weights` and `factors`: ``weights, factors = result``, as of TensorLy's CP tensors.

        Raises
        ------
        ParameterError
            Of a model with main effects, which are not in these two.
        """
        if self.main_effects:
            raise ParameterError(
                "weights, factors = result would lose the main effects: take result.weights, result.factors, "
                "result.intercept and result.main_effects, or result.model_values() for the whole model."
            )
        return iter((self.weights, self.factors))

    def __getitem__(self, index: int) -> Any:
        """Return the `weights` (0) or the `factors` (1)."""
        return tuple(self)[index]

    def __len__(self) -> int:
        """Return 2, of `weights` and `factors`."""
        return 2

    def _values(self, subs: Array) -> FloatArray:
        """Return model entries (n,) at subscripts (n, N)."""
        terms = np.broadcast_to(self.weights, (len(subs), self.rank)).copy()
        for n, a in enumerate(self.with_mean_rows().factors):
            terms *= a[subs[:, n]]
        model = terms.sum(axis=1) + self.intercept
        for name, vector in self.main_effects.items():
            model += vector[subs[:, self.labels.names.index(name)]]
        return np.asarray(model)

    def _whole(self) -> FloatArray:
        """Return all model entries (I_0, ..., I_{N-1})."""
        n_cells, size = math.prod(self.shape), self.weights.dtype.itemsize
        instead = "Give subs, the cells that are wanted, or take result.top(mode, at)."
        check_memory(f"All {n_cells:,} cells of the model", float(size * n_cells), 2, instead)
        weights, factors = self.with_mean_rows()._with_effects()
        return dense_pass.model_values([factors[0] * weights, *factors[1:]], self.shape)

    def _side(self) -> Side:
        return Side("the model", self.labels, self.shape)

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
