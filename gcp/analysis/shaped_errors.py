"""Errors of parameters in the shapes of a model, and what of it has none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.analysis.coefficient_errors import DesignCoefficients, design_errors, errors_of_designs
from gcp.analysis.column_variance import Component, Estimate, component, confusion, determined
from gcp.analysis.fixed_scale import FixedScale
from gcp.analysis.parameter_layout import ParameterLayout
from gcp.analysis.standard_error_table import StandardErrors
from gcp.base.types import FloatArray
from gcp.result import FitResult

_MOST_CONFUSION = 0.2
"""Sum over modes of `confusion` from which on intervals of a nominal 95 % hold the truth in less than 90 %."""

_POWER = 3
"""Power of the widening of columns' errors for weights, which follow the differences of columns, beyond linear
theory.
"""

_MOST_ERROR = 0.5
"""Error of a weight, in the weight, at most: else intervals of a positive number reach below 0."""

_MIXED = (
    "Not determined by the data, and without standard errors: {}; other values give the same entries of the model "
    "(as in matrices of rank 2 and more, or beside main effects, any mixture of components does)."
)
_NOISY = (
    "Too uncertain for standard errors: {}; the errors of its columns are so large beside what sets them apart from "
    "other components', or that of its weight beside the weight, that normal theory does not hold. Use fewer "
    "components, or bootstrap."
)
_WEAK = (
    "The data are too few for standard errors of this model: it has as many parameters as cells, or estimates that "
    "they do not bound; use fewer components, or a ridge."
)


class Doubts(NamedTuple):
    """How much more different components look than they are.

    Attributes
    ----------
    noise : ndarray, shape (R,)
        Sums over modes of `confusion`.
    apart : ndarray, shape (R,)
        Products over modes of what it leaves; 1 where nothing is corrected.
    """

    noise: FloatArray
    apart: FloatArray

    @classmethod
    def of(cls, components: list[Component | None], *, corrects: bool) -> Doubts:
        """Return those of the components of one model."""
        found = confusion(components)
        is_taken = corrects and len(components) > 1
        left = np.prod(np.maximum(1 - found, 0.0), axis=1) if is_taken else np.ones(len(found))
        return cls(found.sum(axis=1), left)


def shaped_errors(
    result: FitResult,
    layout: ParameterLayout,
    section: FixedScale,
    theta: FloatArray,
    estimate: Estimate | None,
    dispersion: float | None,
    doubts: Doubts | None = None,
) -> StandardErrors:
    """Return errors and corrected estimates in the shapes of the model; the message says which there are not.

    `doubts` are those of the components, by default what the model itself says.
    """
    errors, factors = np.full(result.rank, np.nan), [np.full(a.shape, np.nan) for a in result.factors]
    weights = np.array(result.weights, dtype=float)
    columns = [np.array(a, dtype=float) for a in result.factors]
    effects = {name: np.full(len(vector), np.nan) for name, vector in result.main_effects.items()}
    of_designs = {n: DesignCoefficients.of(result, n) for n in layout.designs}
    if estimate is None:
        own = weights, columns, _WEAK, result, *errors_of_designs(result, of_designs)
        return StandardErrors(errors, factors, np.nan, effects, dispersion, *own)
    components = [component(layout, estimate, r) for r in range(result.rank)]
    doubts = Doubts.of(components, corrects=estimate.biases is not None) if doubts is None else doubts
    wider = _widening(components, result.converged, doubts)
    mixed, weak = [], []
    for r, found in enumerate(components):
        if found is None:  # switched off
            continue
        weight, entries = determined(layout, section, theta, r)
        if not (weight and all(each.all() for each in entries)):
            mixed.append(f"component {r}")
        elif np.isnan(wider[r]):
            weak.append(f"component {r}")
        errors[r] = found.error * wider[r] ** _POWER if weight else np.nan
        for n, (column, is_determined) in enumerate(zip(found.columns, entries, strict=True)):
            fixed = n in result.problem.fixed_modes
            at = layout.columns(n, r)
            held = ~layout.touched(n, at, ~layout.bound)
            is_determined = is_determined & ~layout.touched(n, at, ~section.known) & ~held
            factors[n][:, r] = 0.0 if fixed else np.where(is_determined, column.error * wider[r], np.nan)
            if estimate.biases is not None:
                own = layout.signs[n][r] * columns[n][:, r]
                unit = np.where(held, own, column.unit - column.bias)
                columns[n][:, r] = layout.signs[n][r] * unit / np.linalg.norm(unit)
            if n in of_designs and wider[r] == wider[r]:
                of_designs[n].fill(r, design_errors(layout, section, theta, estimate, found, n, r), wider[r])
        if estimate.biases is not None:
            weights[r] = found.weight - found.bias
    intercept = _effects(result, layout, section, estimate.covariance, effects)
    mixed += [f"the main effects of {name}" for name, e in effects.items() if np.isnan(e).all()]
    message = " ".join(
        text.format(", ".join(names)) for text, names in ((_MIXED, mixed), (_NOISY, weak)) if names
    )
    own = weights, columns, message, result, *errors_of_designs(result, of_designs)
    return StandardErrors(errors, factors, intercept, effects, dispersion, *own)


def _widening(components: list[Component | None], converged: bool, doubts: Doubts) -> FloatArray:
    """Return numbers (R,) that errors are multiplied by, for components look more different than they are.

    NaN stands for what is beyond normal theory, as all components of a fit that is on its way to infinity are.
    """
    unsure = np.array([c is not None and not c.error <= _MOST_ERROR * c.weight for c in components], bool)
    if unsure.any() and not converged:
        return np.full(len(components), np.nan)
    unsure |= doubts.noise > _MOST_CONFUSION
    return np.where(unsure, np.nan, 1 / np.sqrt(np.where(unsure, 1.0, doubts.apart)))


def _effects(
    result: FitResult,
    layout: ParameterLayout,
    section: FixedScale,
    covariance: FloatArray,
    effects: dict[str, FloatArray],
) -> float:
    """Fill in standard errors (I_n,) of centred main effects from a covariance (P, P); return the intercept's."""
    if not effects:
        return 0.0
    mean = np.zeros(layout.size)
    for name, errors in effects.items():
        at = layout.effects[result.labels.names.index(name)] + np.arange(len(errors))
        mean[at] = 1 / len(at)
        centre = np.eye(len(at)) - 1 / len(at)
        variance = np.sum((centre @ covariance[np.ix_(at, at)]) * centre, axis=1)
        determined = section.determines(at, centre)
        errors[determined] = np.sqrt(np.maximum(variance[determined], 0.0))
    if not section.determines(np.arange(layout.size), mean[None])[0]:
        return np.nan
    return float(np.sqrt(np.maximum(mean @ covariance @ mean, 0.0)))
