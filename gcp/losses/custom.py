"""A loss from a user's formula."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.interval import REAL, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.autodiff import trace
from gcp.losses.base import Loss
from gcp.losses.expression_graph import KNOWN, UntraceableError
from gcp.losses.formula import Formula

Function = Callable[[Any, Any], Any]


def _identity(value: Any) -> Any:
    return value


def custom_loss(
    f: Function,
    df: Function | None = None,
    *,
    data_domain: Interval = REAL,
    model_domain: Interval = REAL,
    name: str = "custom",
    mean: Callable[[Any], Any] | None = None,
    link: Callable[[Any], Any] | None = None,
) -> Loss:
    """Make a loss of your own formula.

    Parameters
    ----------
    f : callable
        f(x, m): elementwise loss of arrays of data x and model values m, in arithmetic, comparisons (`np.where`
        instead of `if`), and the functions exp, expm1, log, log1p, log2, log10, logaddexp, sqrt, square, power,
        float_power, reciprocal, sin, cos, sinh, cosh, tanh, arctan, abs, maximum, minimum, clip and where of NumPy,
        expit, erf, gammaln, psi and xlogy of scipy.special. Such a formula is compiled. A formula that does more
        (other functions and libraries, Python branches) runs as NumPy and needs `df`.
    df : callable, optional
        Its derivative in m. Left out, it is derived exactly from `f`. Given, it is compared with finite
        differences of `f` here, before any fit.
    data_domain, model_domain : Interval
        Where x and m may lie. The model domain is all reals (default) or ``Interval(low=0)``, which gives the
        factors the lower bound 0.
    name : str
        For messages and results.
    mean, link : callable, optional
        Expected datum of a model value, and its inverse; the identity if left out. They set the scale of the
        random start and what `predict` returns.

    Returns
    -------
    Loss

    Raises
    ------
    ParameterError
        If `f` cannot be differentiated automatically, or `df` is not its derivative (with the worst point).

    Notes
    -----
    Each new formula is compiled at its first fit. Its code is kept on disk for later processes, the 400 functions
    used last, and in memory to the end of this one.
    Formulas that differ in a number of theirs are different.

    Pickles of the loss, and of a result with it, hold its functions by the package cloudpickle, which must be
    installed; `FitResult.save` leaves them out.

    Examples
    --------
    >>> import numpy as np
    >>> from gcp import custom_loss, fit_gcp
    >>> logcosh = custom_loss(lambda x, m: np.log(np.cosh(x - m)))
    >>> round(float(logcosh.deriv(0.0, 1.0)), 6)  # tanh(1)
    0.761594
    """
    for what, domain in (("data_domain", data_domain), ("model_domain", model_domain)):
        checks.instance(what, domain, Interval, "a gcp.Interval")
    for what, function, n_arguments in (("f", f, 2), ("df", df, 2), ("mean", mean, 1), ("link", link, 1)):
        if function is not None or what == "f":
            checks.function(what, function, n_arguments)
    checks.text("name", name)
    if model_domain.low not in (-np.inf, 0.0) or model_domain.high != np.inf:
        raise ParameterError(
            f"custom_loss: model_domain is {model_domain}, but only all reals and [0, inf) can be kept by bounds on "
            "the factors. Use a link inside f, e.g. a model value m + 1 for a domain from 1."
        )
    formulas = _formulas(f, df)
    loss = CustomLoss(formulas, data_domain, model_domain, name, mean or _identity, link or _identity)
    if df is not None:
        _check_derivative(loss)
    return loss


@dataclass(frozen=True, repr=False)
class CustomLoss(Loss):
    """The losses that `custom_loss` makes."""

    _formula: Formula
    data_domain: Interval = REAL
    model_domain: Interval = REAL
    name: str = "custom"  # type: ignore[misc]
    _mean: Callable[[Any], Any] = _identity
    _link: Callable[[Any], Any] = _identity

    def __repr__(self) -> str:
        """Return name and domains."""
        return f"custom_loss(name={self.name!r}, data_domain={self.data_domain}, model_domain={self.model_domain})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickles make the loss of again: its functions, of which cloudpickle keeps the code.

        Raises
        ------
        ParameterError
            If that is not installed.
        """
        try:
            import cloudpickle
        except ImportError as error:
            raise ParameterError(
                f"The {self.name} loss holds functions of yours, which pickle only together with cloudpickle: "
                "pip install cloudpickle. To keep a fit, result.save(path) needs none."
            ) from error
        return _from_fields, (cloudpickle.dumps({f.name: getattr(self, f.name) for f in fields(self)}),)

    def __deepcopy__(self, memo: dict[int, Any]) -> CustomLoss:
        """Return the loss itself, which never changes."""
        return self

    @property
    def wants_infinity(self) -> bool:
        """Whether some data are best met by an infinite model.

        A link that fails at an end of its domain, as `math.log` does, is infinite there.
        """
        try:
            return super().wants_infinity
        except (ArithmeticError, ValueError):
            return True

    # The formulas are this instance's own, not the class's.
    f = df = d2f = weight = None  # type: ignore[assignment]

    @property
    def params(self) -> tuple[float, ...]:
        """The empty tuple: numbers that the formula uses are part of it."""
        return ()

    @property
    def formula(self) -> Formula:
        """The formulas, traced where possible."""
        return self._formula

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the mean as given, elementwise; the identity by default."""
        return np.asarray(self._mean(checks.floats("m", m)))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the link as given, elementwise; the identity by default."""
        return np.asarray(self._link(checks.floats("mean", mean)))

    def constant(self, mean: float, mean_square: float) -> None:
        """Return None: the best constant is unknown without a search."""

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Find the m that minimises f(x, .), elementwise, by a bracketed search from link(x), once per distinct
        datum.
        """
        from scipy.optimize import elementwise  # slow to import, needed by custom losses only

        distinct, back = np.unique(checks.floats("x", x), return_inverse=True)
        centre = self.model_domain.clip(self.link(distinct))
        step = 0.1 * np.maximum(np.abs(centre), 1.0)
        low = np.full_like(centre, self.model_domain.low)
        high = np.full_like(centre, self.model_domain.high)
        middle = np.clip(centre, low + 0.5 * step, high - 0.5 * step)
        objective = self._formula.f
        with np.errstate(all="ignore"):
            bracket = elementwise.bracket_minimum(
                lambda m, x: objective(x, m), middle, xmin=low, xmax=high, args=(distinct,)
            )
            found = elementwise.find_minimum(lambda m, x: objective(x, m), bracket.bracket, args=(distinct,))
        best = np.where(found.success, found.x, centre)
        return np.asarray(best[back].reshape(checks.floats("x", x).shape))

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at `saturated`, elementwise; at the datum itself where the search fails."""
        return self.value(x, self.saturated(x))

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Raise `ParameterError` whatever the shape of m: a formula is not a distribution."""
        raise ParameterError(f"The {self.name} loss is no distribution to draw from.")


def _from_fields(text: bytes) -> CustomLoss:
    """Return the loss of fields as cloudpickle wrote them."""
    return CustomLoss(**pickle.loads(text))


def _formulas(f: Function, df: Function | None) -> Formula:
    try:
        if df is None:
            value, deriv, second = trace(f, 2)
        else:
            (value,), (deriv, second) = trace(f, 0), trace(df, 1)
        return Formula(value, deriv, second)
    except UntraceableError as reason:
        if df is None:
            raise ParameterError(
                f"custom_loss cannot differentiate f: it uses {reason}. Pass its derivative as df, or write f with "
                f"arithmetic, comparisons and {KNOWN}."
            ) from None
    return Formula(f, df, _numeric_derivative(df), compiled=False)


def _numeric_derivative(function: Function) -> Function:
    """Return the fourth-order central difference in m."""

    def derivative(x: Any, m: Any) -> Any:
        h = 1e-3 * np.maximum(np.abs(m), 1.0)
        near = function(x, m + h) - function(x, m - h)
        far = function(x, m + 2 * h) - function(x, m - 2 * h)
        return (8 * near - far) / (12 * h)

    return derivative


def _check_derivative(loss: CustomLoss) -> None:
    x, m = np.meshgrid(_interior(loss.data_domain), _interior(loss.model_domain), indexing="ij")
    try:
        given = loss.deriv(x, m)
        with np.errstate(all="ignore"):
            found = checks.floats("f", _numeric_derivative(loss.formula.f)(x, m))
        numeric = np.broadcast_to(found, given.shape)
    except Exception as reason:  # whatever a user's functions do with arrays
        raise ParameterError(
            f"custom_loss: f and df must give a number for each x and m: {type(reason).__name__}: {reason}"
        ) from reason
    usable = np.isfinite(numeric)
    error = np.where(usable, np.abs(given - numeric) / (1e-6 + np.abs(numeric) + np.abs(given)), 0.0)
    # A kink of f (hinge, absolute value) near one of the points spoils that difference, so most must agree.
    if not usable.any() or np.mean(~(error[usable] <= 1e-4)) > 0.1:
        worst = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
        raise ParameterError(
            f"df is not the derivative of f: at x = {x[worst]:g}, m = {m[worst]:g} it gives {given[worst]:g}, "
            f"but f changes at the rate {numeric[worst]:g}. Leave df out to have it derived."
        )


def _interior(domain: Interval) -> Array:
    """Return points well inside a domain, shape (n,)."""
    points = np.array([0.37, 0.71, 1.3, 2.9, 5.3])
    if np.isfinite(domain.low) and np.isfinite(domain.high):
        points = domain.low + (domain.high - domain.low) * np.array([0.15, 0.35, 0.5, 0.65, 0.85])
    elif np.isfinite(domain.low):
        points = domain.low + points
    elif np.isfinite(domain.high):
        points = domain.high - points
    else:
        points = np.concatenate([-points, points * 1.1])
    return np.unique(np.round(points)) if domain.integer else points
