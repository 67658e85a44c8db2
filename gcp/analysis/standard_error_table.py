"""What `standard_errors` returns: errors of a model's numbers, corrected estimates, and intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gcp.analysis.coefficient_errors import ModelCoefficients
from gcp.analysis.intervals import ErrorBars, Estimates, Interval, Intervals, quantile
from gcp.base.labels import ModeLabels
from gcp.base.types import FloatArray
from gcp.objectives.new_coordinates import basis_of
from gcp.result import FitResult


@dataclass(frozen=True, eq=False, repr=False)
class StandardErrors(Estimates):
    """Standard errors of a fitted model, shaped like it.

    NaN stands where there is none: at entries at a bound and positions without data, which have no normal
    distribution, and in components that the data do not determine.

    Attributes
    ----------
    weights : ndarray, shape (R,)
    factors : list of ndarray, shapes (I_n, R)
        Of columns of unit norm; 0 in fixed modes.
    intercept : float
    main_effects : dict of str to ndarray, shapes (I_n,)
    dispersion : float or None
        That was assumed.
    corrected_weights : ndarray, shape (R,)
        Estimates without their bias, about which intervals lie; without a bias correction those of the fit.
    corrected_factors : list of ndarray, shapes (I_n, R)
        Of the same signs and order as the fit's, with columns of unit norm.
    message : str
        What has no standard errors, and why; empty if nothing is amiss.
    result : FitResult
        The model.
    coefficients : dict of str to ndarray, shapes (K, R)
        Of `FitResult.coefficients`, by the name of the mode.
    parameters : dict of str to ndarray, shapes (n,)
        Of the parameters of the loss that the fit estimated, by name: r, thresholds, one for each position of a mode.
    """

    weights: FloatArray
    factors: list[FloatArray]
    intercept: float
    main_effects: dict[str, FloatArray]
    dispersion: float | None
    corrected_weights: FloatArray
    corrected_factors: list[FloatArray]
    message: str
    result: FitResult
    coefficients: dict[str, FloatArray]
    _scaled: dict[str, ModelCoefficients]
    parameters: dict[str, FloatArray] = field(default_factory=dict)

    def on_model_scale(self, mode: int | str) -> ModelCoefficients:
        """Return the coefficients of a mode's design times the components' weights, with their standard errors.

        With other modes of size 1 they are those of a generalized linear model.

        Parameters
        ----------
        mode : int or str
            Number or name.

        Raises
        ------
        ParameterError
            A mode without a design.
        """
        n = self.result.labels.number(mode)
        basis_of(self.result, n)  # raises if there is none
        return self._scaled[self.result.labels.names[n]]

    def _labels(self) -> ModeLabels:
        return self.result.labels

    def _facts(self) -> dict[str, Any]:
        return {"dispersion": self.dispersion, "message": self.message}

    def _of_components(self, level: float) -> tuple[ErrorBars, list[ErrorBars]]:
        weights, factors = self.interval(level)
        columns = zip(self.corrected_factors, self.factors, factors, strict=True)
        return (
            ErrorBars(self.corrected_weights, self.weights, weights),
            [ErrorBars(*column) for column in columns],
        )

    def _of_main_effects(self, level: float) -> Iterator[tuple[str, ErrorBars]]:
        z, result = quantile(level), self.result
        for name, error in self.main_effects.items():
            value = result.main_effects[name]
            yield name, ErrorBars(value, error, (value - z * error, value + z * error))
        if self.main_effects:
            value, error = np.array([result.intercept]), np.array([self.intercept])
            yield "", ErrorBars(value, error, (value - z * error, value + z * error))

    def _of_loss(self, level: float) -> Iterator[tuple[str, str, ErrorBars]]:
        z, loss = quantile(level), self.result.loss
        for name, error in self.parameters.items():
            value = np.ravel(getattr(loss, name)).astype(float)[-len(error) :]
            by = str(loss.by) if loss.by is not None and name == loss.parameter_by else ""
            yield name, by, ErrorBars(value, error, (value - z * error, value + z * error))

    def interval(self, level: float = 0.95) -> Intervals:
        """Return intervals (low, high) of the weights, and of each factor: corrected estimates with normal errors.

        Parameters
        ----------
        level : float
            Probability that an interval holds the truth, between 0 and 1.

        Returns
        -------
        weights : (ndarray, ndarray), shapes (R,)
        factors : list of (ndarray, ndarray), shapes (I_n, R)
        """
        z = quantile(level)

        def about(centre: FloatArray, error: FloatArray) -> Interval:
            return centre - z * error, centre + z * error

        return (
            about(self.corrected_weights, self.weights),
            [about(a, e) for a, e in zip(self.corrected_factors, self.factors, strict=True)],
        )
