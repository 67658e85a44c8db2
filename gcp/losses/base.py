"""Losses: their formulas, their domains, and the distributions that they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.compiler.translate import can_translate
from gcp.base.errors import ParameterError
from gcp.base.interval import REAL, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.estimable import Marginal, Scale, is_estimate
from gcp.losses.formula import Formula
from gcp.losses.position_parameters import PositionParameters
from gcp.losses.ranked_probability import ranked_probability

DEFAULT_EPS = 1e-10
"""Shift inside logarithms and denominators, in units of the model."""

WEIGHT_FLOOR = 1e8
"""Curvature weights see no model value below this many eps: by default one percent of the model's scale."""


class Loss(PositionParameters, ABC):
    """An elementwise loss f(x, m) of a datum x and a model entry m.

    Concrete losses are frozen dataclasses whose fields are their parameters. They write `f`, `df`, `d2f` and
    `weight` once, as static functions of ``(x, m, *parameters)`` with arithmetic and `gcp.losses.elementary`; the
    same text runs on arrays and, compiled, inside the kernels. Functions that call what is not known there, or
    whose source is not, run as NumPy.

    Losses with a field `eps` shift the model by it inside logarithms and denominators, so that m = 0 stays
    finite. None (the default) means 1e-10 here, and 1e-10 times the scale of the model once the loss is used on
    data, that of their mean, but at most a million times the least datum above 0: results then do not depend on the
    unit of the data, and the shift matters to none of them.
    """

    data_domain: Interval = REAL
    model_domain: Interval = REAL
    deviance_factor: float = 2.0
    advice: ClassVar[str] = ""
    """Words on what to do with data outside the domain, which end the error message."""
    estimable: ClassVar[Mapping[str, Scale]] = {}
    """The parameters that may be "estimate", and the scales on which a fit looks for them."""
    orthogonal: ClassVar[tuple[str, ...]] = ()
    """Those whose estimates tell nothing of the model, nor it of them: their information with m is 0."""

    exposure_is: ClassVar[Literal["scale", "log offset"] | None] = None
    """How an exposure E makes the expected datum E times the mean: m becomes E m, or m + log E; None refuses one."""

    instead_of_exposure: ClassVar[str] = "divide the data by it."
    """Words on what to do without, which end the error message."""

    takes_trials: ClassVar[bool] = False
    """Whether f is linear in x, and f of a share of n trials, n times, minus the binomial log-probability."""

    @staticmethod
    @abstractmethod
    def f(x: Any, m: Any, *params: Any) -> Any:
        """Return the value."""

    @staticmethod
    @abstractmethod
    def df(x: Any, m: Any, *params: Any) -> Any:
        """Return the derivative in m."""

    @staticmethod
    @abstractmethod
    def d2f(x: Any, m: Any, *params: Any) -> Any:
        """Return the second derivative in m."""

    @staticmethod
    @abstractmethod
    def weight(x: Any, m: Any, *params: Any) -> Any:
        """Return a curvature >= 0 in m, for the quadratic models that solvers build.

        The Fisher information of m where f is a negative log-likelihood (in expectation over x, if not at every
        x), for f itself need not be convex in m. It need not be exact, so it may be bounded where the true one
        grows without limit.
        """

    @abstractmethod
    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the expected datum at model value m, elementwise."""

    @abstractmethod
    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the model value whose expected datum is `mean`, elementwise: the inverse of `mean`."""

    @abstractmethod
    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return the least value of f(x, .), reached by a model free at every entry, elementwise."""

    @abstractmethod
    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw data, shaped like m, from the distribution that the loss comes from."""

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw data, shaped like m, of a dispersion, which means what it does for `log_likelihood`."""
        self._no_dispersion(dispersion)
        return self.sample(m, rng)

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the model value that minimises f(x, .), elementwise; may be infinite."""
        return self.link(x)

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return the terms in x alone that f drops, elementwise: -log p(x | m) = f(x, m) + log_normalizer(x)."""
        raise ParameterError(
            f"The {self.name} loss is no negative log-density, so it has no likelihood; use deviance(x, m)."
        )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances on which checks are run: that with default parameters, unless a class says otherwise."""
        return (cls(),)

    @property
    def is_discrete(self) -> bool:
        """Whether the distribution is one of counts."""
        return self.data_domain.integer

    @property
    def params(self) -> tuple[Any, ...]:
        """The numbers that the formulas take after (x, m), in the order of the fields."""
        if names := self.unknowns:
            raise ParameterError(
                f"The {self.name} loss has no {names[0]} until a fit has estimated it: use the loss of its result."
            )
        self.refuse_alone()
        outside = ("by", self.parameter_by if self.is_dispersion_by else "")
        found: list[Any] = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name not in outside:
                found += value if isinstance(value, tuple) else [DEFAULT_EPS if value is None else value]
        return tuple(v if isinstance(v, np.ndarray) and v.ndim else float(v) for v in found)

    @property
    def degree(self) -> float:
        """The power of the unit of the data, and of m with them, that f grows with; 0 where it adds to f."""
        return 2.0

    @property
    def knows_no_scale(self) -> bool:
        """Whether f(c x, c m) - f(x, m) is a function of c alone, so that every slice may have a unit of its own."""
        return self.degree == 0

    @property
    def bears_outliers(self) -> bool:
        """Whether f grows so slowly with the distance of x and m that single data far off have no say in m."""
        return False

    @property
    def wants_spread(self) -> bool:
        """Whether a parameter waits for the spread of the data: see `with_spread`."""
        return False

    @property
    def deviance_tells_dispersion(self) -> bool:
        """Whether the likeliest dispersion is a function of the mean deviance, `dispersion_from`."""
        return True

    @property
    def convex(self) -> Loss | None:
        """A convex loss near to this one, if it is not convex far from the data: at its minimum a fit begins."""
        return None

    @property
    def wants_infinity(self) -> bool:
        """Whether some data are best met by an infinite model: 0 under a log or logit link, 1 of 0/1 data."""
        ends = [end for end in (self.data_domain.low, self.data_domain.high) if np.isfinite(end)]
        with np.errstate(all="ignore"):
            return not all(np.isfinite(self.link(end)) for end in ends)

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Parameters that a fit is to estimate: those given as "estimate"."""
        return tuple(field.name for field in fields(self) if is_estimate(getattr(self, field.name)))  # type: ignore[arg-type]

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return values to begin with for the parameters that may be estimated, by name."""
        raise ParameterError(f"The {self.name} loss has no parameters that a fit estimates.")

    @property
    def formula(self) -> Formula:
        """The formulas and their parameters, as kernels take them."""
        functions, params = (self.f, self.df, self.d2f, self.weight), self.params
        compiled = all(can_translate(function, 2 + len(params)) for function in functions)
        return Formula(*functions[:3], params, compiled, weight=self.weight, zero=self.zero_loss)

    @property
    def zero_loss(self) -> tuple[float, float] | None:
        """Coefficients (a, b) if the loss of a zero is f(0, m) = a m + b m**2 for every m, else None.

        Sparse data are then fitted exactly without a pass over their zeros.
        """
        return None

    def with_scale(self, scale: float) -> Self:
        """Return the same loss with an unset `eps` fixed for models of this scale."""
        if getattr(self, "eps", 0.0) is not None or not np.isfinite(scale) or scale <= 0:
            return self
        return replace(self, eps=DEFAULT_EPS * scale)  # type: ignore[type-var]

    def with_spread(self, spread: float) -> Self:
        """Return the same loss with an unset parameter fixed for data of this spread; itself if it has none."""
        return self

    def softened(self, level: float) -> Self | None:
        """Return the loss with `eps` at `level` times the model's scale, not 1e-10 times; None without `eps`.

        Nearly as good a loss where models are far above `eps`, and much easier to minimise where they are near 0.
        """
        eps = getattr(self, "eps", None)
        return None if eps is None else replace(self, eps=eps / DEFAULT_EPS * level)  # type: ignore[type-var]

    def constant(self, mean: float, mean_square: float) -> float | None:
        """Return the constant model that minimises the weighted sum of f, from the data's weighted moments.

        It is None where the moments do not determine it.
        """
        return float(self.link(mean))

    def value(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return f(x, m), elementwise."""
        return self._evaluate(self.formula.f, x, m)

    def deriv(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return df/dm, elementwise."""
        return self._evaluate(self.formula.df, x, m)

    def curvature(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return the second derivative of f in m, elementwise; not every loss is convex in m."""
        return self._evaluate(self.formula.d2f, x, m)

    def deviance(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return the distance of m from the saturated model, factor * (f(x, m) - min f(x, .)) >= 0, elementwise.

        The factor is 2, but 1 for the Gaussian and Huber losses, whose f already is a full squared error.
        """
        x = checks.floats("x", x)
        with np.errstate(all="ignore"):
            return np.maximum(self.deviance_factor * (self.value(x, m) - self.saturated_value(x)), 0.0)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density (or log-probability) of x at model m, elementwise, with every constant.

        Parameters
        ----------
        x, m : array_like
            Data and model entries.
        dispersion : float, optional
            For losses with a free dispersion (Gaussian: the variance; gamma: 1 / shape). None is the one that
            f itself implies (1/2; 1).
        """
        self._no_dispersion(dispersion)
        with np.errstate(all="ignore"):
            return -(self.value(x, m) + self.log_normalizer(x))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the expected second derivative in m, elementwise.

        It is the Fisher information of a datum, at the dispersion that f implies. Here it is taken at the expected
        datum, which is the same for losses whose second derivative is linear in the datum.
        """
        return self.curvature(self.mean(m), m)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return, elementwise, half the expected third derivative, less the covariance of the first two.

        Times the variance of m, that enters the bias of a fit. It is half of fisher(m) mu'' / mu', with mu(m) the
        expectation of the sufficient statistic: here 0, of losses whose model is proportional to that.
        """
        return np.zeros(checks.floats("m", m).shape)

    def cdf(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return P(X <= x) under model m, elementwise; `dispersion` as for `log_likelihood`."""
        return self.tails(x, m, dispersion)[0]

    def sf(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return P(X > x) under model m, elementwise; exact in the far tail, where 1 - cdf is not."""
        return self.tails(x, m, dispersion)[1]

    def tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x) under model m, elementwise: `cdf` and `sf` for the price of one."""
        with np.errstate(all="ignore"):
            return self._tails(*checks.pair(x, m), dispersion)

    def strict_tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X < x) and P(X >= x), elementwise: not `cdf` and `sf` where x itself has a probability."""
        return self.tails(checks.floats("x", x) - self.is_discrete, m, dispersion)

    def ranked_probability_score(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> FloatArray:
        """Return the integral, for counts the sum, of (P(X <= y) - [x <= y])**2 over y, elementwise.

        `dispersion` as for `log_likelihood`. Of measurements it is the continuous ranked probability score (CRPS).
        """
        x, m = np.broadcast_arrays(*checks.pair(x, m))
        return ranked_probability(self, x, m, dispersion)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x), elementwise."""
        raise ParameterError(f"The {self.name} loss has no distribution, so it has no tail probabilities.")

    def estimate_dispersion(
        self, x: ArrayLike, m: ArrayLike, weights: ArrayLike | None = None
    ) -> float | None:
        """Return the maximum-likelihood dispersion for `log_likelihood` from x and m; None for losses that have none.

        `weights` has the shape of the deviance of x and m.
        """
        mean = weighted_mean(self.deviance(x, m), weights)
        if not np.isfinite(mean):
            raise ParameterError(f"The {self.name} loss has no dispersion at a mean deviance of {mean}.")
        return self.dispersion_from(mean)

    def density_scale(self, dispersion: Any = None) -> Any:
        """Return the number by which f is divided in the log-density; `dispersion` as for `log_likelihood`."""
        self._no_dispersion(dispersion)
        return 1.0

    def dispersion_from(self, mean_deviance: float) -> float | None:
        """Return the dispersion, as `estimate_dispersion` does, from the weighted mean of the deviance."""
        return None

    def _model(self, m: ArrayLike, rng: np.random.Generator) -> FloatArray:
        """Return values m to draw data from, elementwise; refuses those outside the domain, and no generator."""
        checks.instance("rng", rng, np.random.Generator, "a numpy.random.Generator")
        self.refuse_alone()
        m = checks.floats("m", m)
        if not (inside := self.model_domain.contains(m)).all():
            raise ParameterError(
                f"The {self.name} loss has a distribution for m in {self.model_domain}: found {m[~inside][0]!r}."
            )
        return m

    def _no_dispersion(self, dispersion: float | None) -> None:
        if dispersion is not None:
            raise ParameterError(f"The {self.name} loss has no free dispersion.")

    def _evaluate(self, function: Any, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return a function's values, elementwise, in the shape that x and m broadcast to."""
        x, m = checks.pair(x, m)
        with np.errstate(all="ignore"):
            value = np.asarray(function(x, m, *self.params), dtype=float)
        # A constant derivative (1 for a linear loss) still has one value per entry.
        return np.array(np.broadcast_to(value, np.broadcast_shapes(x.shape, m.shape)))


def require_positive(loss: Loss, **parameters: float | None) -> None:
    """Raise `ParameterError` unless every parameter is a positive finite number; `eps` may also be None."""
    for key, value in parameters.items():
        if key == "eps" and value is None:
            continue
        if not (checks.is_real(value) and value > 0):
            raise ParameterError(f"{type(loss).__name__} needs {key} > 0: found {checks.show(value)}.")


def weighted_mean(values: FloatArray, weights: ArrayLike | None) -> float:
    """Return the mean of values under weights of the same shape; None means equal ones."""
    if weights is None:
        with np.errstate(over="ignore", invalid="ignore"):
            return float(values.mean()) if values.size else np.nan
    w = checks.floats("weights", weights)
    if w.shape != values.shape or not (w >= 0).all() or not 0 < w.sum() < np.inf:
        raise ParameterError(
            f"weights must be nonnegative, not all 0, and of the shape {values.shape}: found {checks.show(weights)}."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.average(values, weights=w))
