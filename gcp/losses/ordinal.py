"""Ordinal loss: ordered categories, such as ratings, by cumulative logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from gcp.base import checks
from gcp.base.checks import floats
from gcp.base.errors import ParameterError
from gcp.base.interval import REAL, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.elementary import sigmoid, softplus, where
from gcp.losses.estimable import ESTIMATE, Increasing, Marginal, Scale, is_estimate
from gcp.losses.registry import register

_MOST_LEVELS = 64
_STEPS = 200
"""Halvings, at most, of an interval that holds the inverse of the mean."""


@register("ordinal")
@dataclass(frozen=True)
class Ordinal(Loss):
    """Negative log-likelihood of ordered categories by cumulative logits.

    - **Distribution:** P(x <= k) = 1 / (1 + exp(m - t[k])), with a threshold t[k] above each category k but the last
    - **Link:** m is where the datum stands on a line that the thresholds cut into categories, up to logistic noise
    - **Loss:** f(x, m) = log(1 + exp(m - t[x])) + log(1 + exp(t[x - 1] - m)); of the first and the last category one
      of the two terms alone
    - **Domain:** x = first, ..., first + n_levels - 1, by default 1 to 5; m real; the thresholds increase
    - **Dropped constant:** -log(1 - exp(t[x - 1] - t[x])) of the categories between

    Distances between categories are not data: those of stars from 1 to 5 need not be equal, as a Gaussian loss has
    them. Categories are whole numbers; half stars become ones by doubling. None as thresholds gives each category the
    same share at m = 0. What `predict` returns is the expected category.
    """

    n_levels: int = 5
    thresholds: Any = None
    first: int = 1

    model_domain = REAL
    estimable: ClassVar[Mapping[str, Scale]] = {"thresholds": Increasing()}

    def __post_init__(self) -> None:
        for name, least in (("n_levels", 2), ("first", None)):
            value = getattr(self, name)
            is_whole = checks.is_real(value) and value == int(value)
            if not is_whole or (least and not least <= value <= _MOST_LEVELS):
                found = checks.show(value)
                limits = f" from {least} to {_MOST_LEVELS}" if least else ""
                raise ParameterError(f"Ordinal needs a whole number {name}{limits}: found {found}.")
            object.__setattr__(self, name, int(value))
        is_open = is_estimate(self.thresholds)
        if self.thresholds is not None and not is_open:
            object.__setattr__(self, "thresholds", _numbers(self.thresholds))
        if not is_open and not _increase(self.cutpoints, self.n_levels):
            raise ParameterError(
                f"Ordinal needs {self.n_levels - 1} increasing numbers as thresholds of {self.n_levels} levels: "
                f"found {checks.show(self.thresholds)}."
            )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return five categories of equal shares, and three given ones that begin at 0."""
        return cls(), cls(n_levels=3, thresholds=(-0.7, 1.5), first=0)

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return thresholds by the shares of all data, as if all models were 0."""
        places = np.clip(marginal.x - self.first, 0, self.n_levels - 1).astype(int)
        shares = np.bincount(places, marginal.w, self.n_levels) + 0.5  # an empty category has a width, too
        return {"thresholds": tuple(logit(np.cumsum(shares)[:-1] / shares.sum()).tolist())}

    @property
    def data_domain(self) -> Interval:  # type: ignore[override]
        """The whole numbers of the categories."""
        return Interval(float(self.first), float(self.first + self.n_levels - 1), integer=True)

    @property
    def advice(self) -> str:  # type: ignore[override]
        """Words on what to do with data outside the domain."""
        return (
            "For other categories give n_levels (how many) and first (the least), e.g. Ordinal(n_levels=10). Cells "
            "of sparse data that are not listed are 0: where they are unknown, give an ObservedTensor."
        )

    @property
    def cutpoints(self) -> tuple[float, ...]:
        """The thresholds, as numbers."""
        if self.thresholds is None:
            return tuple(float(t) for t in logit(np.arange(1, self.n_levels) / self.n_levels))
        return tuple(self.thresholds)

    @property
    def params(self) -> tuple[float, ...]:
        """(first, *thresholds)."""
        if self.unknowns:
            return super().params  # which says what is not known
        return float(self.first), *self.cutpoints

    @staticmethod
    def f(x: Any, m: Any, first: Any, *thresholds: Any) -> Any:
        """Return the value; far from the datum's category it is linear, so nothing cancels or overflows."""
        low, high = _ends(x - first, thresholds)
        return softplus(m - high) + softplus(low - m)

    @staticmethod
    def df(x: Any, m: Any, first: Any, *thresholds: Any) -> Any:
        """Return the derivative in m."""
        low, high = _ends(x - first, thresholds)
        return sigmoid(m - high) - sigmoid(low - m)

    @staticmethod
    def d2f(x: Any, m: Any, first: Any, *thresholds: Any) -> Any:
        """Return the second derivative in m, nowhere negative."""
        low, high = _ends(x - first, thresholds)
        return sigmoid(m - high) * sigmoid(high - m) + sigmoid(low - m) * sigmoid(m - low)

    @staticmethod
    def weight(x: Any, m: Any, first: Any, *thresholds: Any) -> Any:
        """Return the mean of the second derivative and the squared first, which has the same expectation."""
        low, high = _ends(x - first, thresholds)
        above, below = sigmoid(m - high), sigmoid(low - m)
        slope = above - below
        return 0.5 * (above * sigmoid(high - m) + below * sigmoid(m - low) + slope * slope)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the expected category, elementwise: first, and the sum of the probabilities to exceed each one."""
        m = floats("m", m)
        return np.asarray(self.first + sum(expit(m - t) for t in self.cutpoints))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected category, elementwise, by bisection; infinite at the first and the last."""
        mean = floats("mean", mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            alone = logit((mean - self.first) / (self.n_levels - 1))  # as if all thresholds were 0
        low, high = alone + self.cutpoints[0], alone + self.cutpoints[-1]
        for _ in range(_STEPS):
            middle = 0.5 * (low + high)
            if not ((low < middle) & (middle < high)).any():
                break
            is_below = self.mean(middle) < mean
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        return np.asarray(0.5 * (low + high))

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the middle between the datum's two thresholds, elementwise; infinite of the first and the last."""
        low, high = self._ends_of(x)
        return 0.5 * (low + high)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return 2 log(1 + exp(-d / 2)) for thresholds at a distance d, elementwise; 0 of the first and the last."""
        low, high = self._ends_of(x)
        return 2 * np.logaddexp(0.0, 0.5 * (low - high))

    def constant(self, mean: float, mean_square: float) -> None:
        """Return None: moments do not determine the best constant."""

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return -log(1 - exp(-d)) for thresholds at a distance d, elementwise; 0 of the first and the last."""
        low, high = self._ends_of(x)
        return -np.log(-np.expm1(low - high))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the sum over categories of probability times second derivative, elementwise."""
        return self._expected(floats("m", m), self.curvature)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return half the expected third derivative, less that of the product of the first two, elementwise."""

        def own(x: FloatArray, m: FloatArray) -> FloatArray:
            low, high = self._ends_of(x)
            return (_third(m - high) - _third(low - m)) / 2 - self.deriv(x, m) * self.curvature(x, m)

        return self._expected(floats("m", m), own)

    def _expected(self, m: FloatArray, of: Any) -> FloatArray:
        """Return the expectation of a function of x and m under the model, elementwise."""
        total = np.zeros(m.shape)
        for k in range(self.n_levels):
            x = np.full(m.shape, float(self.first + k))
            total += np.exp(self.log_likelihood(x, m)) * of(x, m)
        return total

    def _ends_of(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the thresholds below and above data, of their shape; infinite at the ends."""
        ends = np.array([-inf, *self.cutpoints, inf])
        k = np.clip(np.nan_to_num(floats("x", x) - self.first), 0, self.n_levels - 1).astype(int)
        return ends[k], ends[k + 1]

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        ends = np.array([-inf, *self.cutpoints, inf])
        k = np.clip(np.nan_to_num(np.floor(x) - self.first + 1), 0, self.n_levels).astype(int)
        there = np.where(np.isnan(x), np.nan, ends[k])
        return expit(there - m), expit(m - there)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw categories, elementwise: m with logistic noise, cut by the thresholds."""
        m = self._model(m, rng)
        return self.first + np.searchsorted(self.cutpoints, m + rng.logistic(size=m.shape))


def _ends(k: Any, thresholds: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the thresholds below and above category k, counted from 0; infinite at the ends.

    Written with a select for each threshold, which compiles for any number of them.
    """
    low, high = -inf, inf
    for j, t in enumerate(thresholds):
        low, high = where(k == j + 1.0, t, low), where(k == j, t, high)
    return low, high


def _third(u: FloatArray) -> FloatArray:
    """Return the third derivative of softplus, elementwise."""
    return expit(u) * expit(-u) * (expit(-u) - expit(u))


def _numbers(values: Any) -> tuple[float, ...]:
    """Return thresholds as a tuple of numbers; `ParameterError` of anything else."""
    try:
        found = tuple(float(value) for value in np.asarray(values, dtype=object).tolist())
    except (TypeError, ValueError):
        raise ParameterError(
            f'Ordinal needs increasing numbers as thresholds, None or "{ESTIMATE}": found {checks.show(values)}.'
        ) from None
    return found


def _increase(values: tuple[float, ...], n_levels: int) -> bool:
    """Return whether these can be the thresholds of so many levels."""
    steps = np.diff(values)
    return len(values) == n_levels - 1 and bool(np.isfinite(values).all() and (steps > 0).all())
