"""Coefficients of designs with standard errors: as the factors are scaled, and on the scale of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gcp.analysis.column_variance import Component, Estimate, column_gradient
from gcp.analysis.fixed_scale import FixedScale
from gcp.analysis.intervals import quantile
from gcp.analysis.parameter_layout import ParameterLayout
from gcp.base.table_result import Table, TableResult
from gcp.base.types import FloatArray
from gcp.result import FitResult

_TINY = 1e-300


@dataclass(frozen=True, eq=False, repr=False)
class ModelCoefficients(TableResult):
    """Coefficients of one mode's design times the weights of the components, with standard errors.

    Where all other modes have size 1, they are the coefficients of a generalized linear model: signs of the factors
    of such modes are taken in.

    Attributes
    ----------
    values, errors : ndarray, shapes (K, R)
        Estimates without their bias, if it was taken off, and standard errors; NaN where there are none.
    mode : str
    names : list of str
        Of the columns of the design.
    """

    values: FloatArray
    errors: FloatArray
    mode: str
    names: list[str]

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return intervals (low, high), shapes (K, R), with normal errors.

        Parameters
        ----------
        level : float
            Probability that an interval holds the truth, between 0 and 1.
        """
        z = quantile(level)
        return self.values - z * self.errors, self.values + z * self.errors

    def _table(self) -> Table:
        low, high = self.interval()
        rank = self.values.shape[1]
        index = {
            "coefficient": np.repeat(self.names, rank),
            "component": np.tile(np.arange(rank), len(self.names)),
        }
        columns = {"estimate": self.values, "standard_error": self.errors, "low": low, "high": high}
        return Table({name: np.ravel(column) for name, column in columns.items()}, index)


@dataclass(frozen=True)
class DesignErrors:
    """Errors of one component's coefficients, and of these times its weight.

    Attributes
    ----------
    errors, scaled, scaled_errors : ndarray, shapes (K,)
    """

    errors: FloatArray
    scaled: FloatArray
    scaled_errors: FloatArray


def design_errors(
    layout: ParameterLayout,
    section: FixedScale,
    theta: FloatArray,
    estimate: Estimate,
    found: Component,
    mode: int,
    r: int,
) -> DesignErrors:
    """Return the errors of a component's coefficients in a mode with a design, by the delta method.

    What the data do not determine, at the fitted theta (P,), has NaN.
    """
    at, covariance = layout.columns(mode, r), estimate.covariance
    own, c, every = covariance[np.ix_(at, at)], estimate.theta[at], np.arange(layout.size)
    turn, gradient, along = _gradients(layout, estimate.theta, mode, r)
    errors = np.sqrt(np.maximum(np.sum((turn @ own) * turn, axis=1), 0.0))
    size = found.weight / float(np.linalg.norm(layout.designs[mode] @ c))
    values = size * c
    if estimate.biases is not None:
        others = sum(each.log_bias for n, each in enumerate(found.columns) if n != mode)
        spread = covariance @ along
        bias = estimate.biases[at] + c * (others + float(along @ spread) / 2) + spread[at]
        values = values - size * bias
    scaled_errors = size * np.sqrt(np.maximum(np.sum((gradient @ covariance) * gradient, axis=1), 0.0))
    turn, gradient, _ = _gradients(layout, theta, mode, r)
    held = ~section.known[at] | layout.bound[at]
    errors[held | ~section.determines(at, turn)] = np.nan
    scaled_errors[held | ~section.determines(every, gradient)] = np.nan
    return DesignErrors(errors, values, scaled_errors)


def _gradients(
    layout: ParameterLayout, theta: FloatArray, mode: int, r: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the derivatives of a component's coefficients in a mode, (K, K) and (K, P), at theta (P,).

    Those of coefficients by the norm of their column, in themselves; those of coefficients times the norms of the
    other modes' columns, in these norms, in all parameters; and those (P,) of the logarithm of these norms.
    """
    at, along = layout.columns(mode, r), np.zeros(layout.size)
    for n in range(len(layout.shape)):
        if n != mode:
            places, z = layout.columns(n, r), layout.designs.get(n)
            a = theta[places] if z is None else z @ theta[places]
            along[places] += (a if z is None else z.T @ a) / max(float(a @ a), _TINY)
    gradient = theta[at][:, None] * along
    gradient[np.arange(len(at)), at] += 1.0
    return column_gradient(layout.designs[mode], theta[at]), gradient, along


@dataclass(frozen=True)
class DesignCoefficients:
    """Coefficients (K, R) of one design: their errors, and values and errors on the scale of the model."""

    errors: FloatArray
    scaled: FloatArray
    scaled_errors: FloatArray
    signs: FloatArray

    @classmethod
    def of(cls, result: FitResult, mode: int) -> DesignCoefficients:
        """Return those of a fit, as yet without errors."""
        values = result.coefficients[result.labels.names[mode]]
        lone = [np.sign(a[0]) for n, a in enumerate(result.factors) if len(a) == 1 and n != mode]
        signs = np.prod([np.where(sign < 0, -1.0, 1.0) for sign in lone], axis=0) * np.ones(result.rank)
        none = np.full(values.shape, np.nan)
        return cls(none, values * result.weights * signs, none.copy(), signs)

    def fill(self, r: int, found: DesignErrors, wider: float) -> None:
        """Take the errors of a component, `wider` than linear theory has them."""
        self.errors[:, r] = found.errors * wider
        self.scaled[:, r] = found.scaled * self.signs[r]
        self.scaled_errors[:, r] = found.scaled_errors * wider


def errors_of_designs(
    result: FitResult, found: dict[int, DesignCoefficients]
) -> tuple[dict[str, FloatArray], dict[str, ModelCoefficients]]:
    """Return errors of coefficients, and coefficients on the scale of the model, by the name of the mode."""
    names, designs = result.labels.names, dict(result.problem.designs)
    scaled = {
        names[n]: ModelCoefficients(own.scaled, own.scaled_errors, names[n], designs[n].column_names)
        for n, own in found.items()
    }
    return {names[n]: own.errors for n, own in found.items()}, scaled
