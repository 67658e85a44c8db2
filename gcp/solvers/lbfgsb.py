"""Limited-memory BFGS with bounds: SciPy's L-BFGS-B, with stopping rules that do not depend on scale."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from gcp._typing import Array, Factors, FloatArray
from gcp.bounds import Bounds
from gcp.domain import is_real
from gcp.errors import FitError, ParameterError
from gcp.objectives.base import Objective
from gcp.packing import Packing
from gcp.solvers.base import Callback, IterationState, SolverOutput, Trace

_WINDOW = 5
"""Iterations over which the decrease is judged: a single short step is no sign of convergence."""

_MARGIN = 1e-3
"""How far from finite bounds, in units of the factor's scale, the first iterations keep."""

_MARGIN_ITERATIONS = 100

_LARGE_GRADIENT = 1e-2
"""A projected gradient norm at which a flat objective is no minimum."""

_MESSAGES = {
    "tol": "the objective no longer falls by more than tol per iteration",
    "gradient_tol": "the projected gradient is below gradient_tol",
    "precision": "no further decrease is possible at this precision",
    "stalled": "the objective no longer falls, but the projected gradient is large; try l2_reg or another start",
    "n_iter_max": "n_iter_max iterations were used up",
    "max_seconds": "max_seconds was used up",
    "callback": "the callback asked to stop",
    "line_search": "the line search found no decrease along a descent direction",
}
_CONVERGED = ("tol", "gradient_tol", "precision")


@dataclass(frozen=True)
class LBFGSB:
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995), as in SciPy.

    Parameters
    ----------
    memory : int
        Pairs of steps and gradient changes that approximate the curvature.
    n_iter_max : int
        Most iterations.
    tol : float
        Stop when the objective fell, per iteration and on average over the last five, by less than `tol` times
        its excess over the saturated model (one free at every entry). In float32 at least 1e-7.
    gradient_tol : float
        Stop when the scale-free projected gradient norm (see `FitResult`) is below this. In float32 at least
        1e-5.
    max_seconds : float or None
        Stop after this time, at the end of an iteration.

    Notes
    -----
    The objective is shifted by the saturated and divided by the null model's deviance, and each factor by its
    root mean square at the start, so that a tolerance means the same for every size and unit of data.
    A trial point where the objective is not finite is rejected: the line search sees a steep rise instead.
    The first iterations keep a small distance from finite bounds, and a point that is flat but not stationary is
    moved off them (docs/decisions/0005-bounds.md).
    """

    memory: int = 20
    n_iter_max: int = 2000
    tol: float = 1e-9
    gradient_tol: float = 1e-7
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, low in (("memory", 1), ("n_iter_max", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
                raise ParameterError(f"{name} must be an integer >= {low}: found {value!r}.")
        for name in ("tol", "gradient_tol", "max_seconds"):
            value = getattr(self, name)
            if name == "max_seconds" and value is None:
                continue
            if not (is_real(value) and value >= 0):
                raise ParameterError(f"{name} must be a number >= 0: found {value!r}.")

    def solve(
        self, objective: Objective, start: Factors, bounds: Bounds, callback: Callback | None = None
    ) -> SolverOutput:
        """Minimise from `start` within `bounds`.

        Raises
        ------
        FitError
            If the objective is not finite at the start.
        """
        run = _Run(self, objective, start, bounds, callback)
        if self.n_iter_max == 0:
            run.stop = "n_iter_max"
        elif run.has_room(_MARGIN):
            run.minimize(_MARGIN)
        while not run.stop:
            run.minimize(0.0)
            if run.stop in ("tol", "precision") and run.gradient_norm > _LARGE_GRADIENT:
                run.stop = "" if run.release() else "stalled"
        return run.output()


class _Run:
    """The state of one call of `solve`, in scaled variables z (factor / its scale)."""

    def __init__(
        self,
        options: LBFGSB,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        callback: Callback | None,
    ) -> None:
        self.options = options
        self.objective = objective
        self.callback = callback
        self.began = time.perf_counter()
        self.n_eval = self.n_iter = 0
        self.stop = ""
        self.value = np.inf
        self.gradient_norm = np.inf
        self.trace = Trace()
        self.dtype = start[0].dtype
        self.packing = Packing.of(start)
        feasible = bounds.project(start)
        rms = [float(np.sqrt(np.mean(np.square(a)))) or 1.0 for a in feasible]
        self.scale = self.packing.pack([np.full(a.shape, s) for a, s in zip(feasible, rms, strict=True)])
        self.bounds = self.packing.pack(bounds.lower), self.packing.pack(bounds.upper)
        self.lower, self.upper = (side / self.scale for side in self.bounds)
        self.margin = 0.0
        self.n_releases = 0
        self.z = np.clip(self.packing.pack(feasible) / self.scale, self.lower, self.upper)
        self._set_units()
        self._accept(self.z)

    def _set_units(self) -> None:
        self.offset = self.objective.saturated_value
        unit = self.objective.null_value - self.offset
        value, grad = self._evaluate(self.z)
        if not (np.isfinite(value) and np.isfinite(grad).all()):
            raise FitError(
                f"The objective is not finite at the start ({value}). Check the initial factors and the entry "
                "weights, or try another init."
            )
        # Constant data: the null model is perfect, so the start's own excess has to serve.
        tiny = 1e-12 * (abs(self.offset) + abs(value))
        self.unit = unit if unit > tiny else max(value - self.offset, tiny, 1e-300)
        self.last = (self.z.copy(), value, grad)

    def has_room(self, margin: float) -> bool:
        """True if there are finite bounds, and the current point keeps the margin from all of them."""
        inside = np.all(self.z >= self.lower + margin) and np.all(self.z <= self.upper - margin)
        return bool(inside and (np.isfinite(self.lower).any() or np.isfinite(self.upper).any()))

    def minimize(self, margin: float) -> None:
        """Run SciPy's method from the current point, at a distance from the bounds, until a rule ends it.

        A run that keeps a margin ends early, without setting `stop`, once it is roughly flat. It keeps the fit
        from the edge of the domain of losses such as Poisson's: where a model entry is 0 under a positive datum
        the gradient is so large, and in so small a neighbourhood, that steps shrink to nothing.
        """
        self.margin = margin
        before = self.n_iter
        left = self.options.n_iter_max - self.n_iter
        outcome = minimize(
            self.value_and_grad,
            self.z,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(self.lower + margin, self.upper - margin, strict=True)),
            callback=self.after_iteration,
            options={
                "maxcor": self.options.memory,
                "maxiter": min(left, _MARGIN_ITERATIONS) if margin else left,
                "maxfun": np.iinfo(np.int32).max,
                "maxls": 30,
                "ftol": 0.0,
                "gtol": 0.0,
            },
        )
        if self.stop or margin:
            return
        if outcome.success:
            self.stop = "precision"
        elif self.n_iter == before:  # a fresh start failed too
            self.stop = "precision" if self.is_flat(1e3) else "line_search"

    def release(self) -> bool:
        """Move entries off a bound that the gradient pulls away from it, if that lowers the objective."""
        slope = self.last[2]
        z = np.where((self.z <= self.lower) & (slope < 0), self.lower + _MARGIN, self.z)
        z = np.where((self.z >= self.upper) & (slope > 0), self.upper - _MARGIN, z)
        value, grad = self._evaluate(z)
        self.n_releases += 1
        if not (value < self.value and np.isfinite(grad).all()) or self.n_releases > _WINDOW:
            return False
        self.last = (z, value, grad)
        self.z, self.value = z, value
        return True

    def _evaluate(self, z: Array) -> tuple[float, FloatArray]:
        """F and its gradient in the factors, as one vector."""
        self.n_eval += 1
        value, grad = self.objective.value_and_grad(self._factors(z))
        return value, self.packing.pack(grad)

    def value_and_grad(self, z: Array) -> tuple[float, FloatArray]:
        """The scaled objective, as SciPy calls it."""
        if np.array_equal(z, self.last[0]):  # SciPy asks for the start again
            _, value, grad = self.last
        else:
            value, grad = self._evaluate(z)
            if not (np.isfinite(value) and np.isfinite(grad).all()):
                return self._steep_rise(z)
            self.last = (z.copy(), value, grad)
        return (value - self.offset) / self.unit, grad * (self.scale / self.unit)

    def _steep_rise(self, z: Array) -> tuple[float, FloatArray]:
        """A parabola around the last accepted point, high enough that the line search backs off."""
        step = z - self.z
        height = 10.0 * (1.0 + abs(self.value - self.offset) / self.unit)
        norm2 = max(float(step @ step), 1e-300)
        return (self.value - self.offset) / self.unit + height, (2.0 * height / norm2) * step

    def _accept(self, z: Array) -> None:
        """Record a point as the current one."""
        if not np.array_equal(z, self.last[0]):
            value, grad = self._evaluate(z)
            self.last = (z.copy(), value, grad)
        self.z, self.value, grad = self.last
        slope = grad * (self.scale / self.unit)
        low, high = self.lower + self.margin, self.upper - self.margin
        projected = self.packing.unpack(self.z - np.clip(self.z - slope, low, high))
        sizes = [float(np.linalg.norm(a)) for a in self.packing.unpack(self.z)]
        self.gradient_norm = max(float(np.linalg.norm(p)) * s for p, s in zip(projected, sizes, strict=True))
        self.trace.add(time.perf_counter() - self.began, self.value, self.gradient_norm)

    def after_iteration(self, intermediate_result: Any) -> None:
        """Record, report, and stop where a rule says so."""
        self.n_iter += 1
        self._accept(intermediate_result.x)
        asked = self.callback is not None and self.callback(self._state())
        self.stop = "callback" if asked else self._rule()
        if self.margin and (self.stop in _CONVERGED or self.is_flat(1e3)):
            self.stop = ""
            raise StopIteration
        if self.stop:
            raise StopIteration

    def _rule(self) -> str:
        options, single = self.options, self.dtype == np.float32
        if self.gradient_norm <= max(options.gradient_tol, 1e-5 if single else 0.0):
            return "gradient_tol"
        if self.is_flat():
            return "tol"
        if self.n_iter >= options.n_iter_max:
            return "n_iter_max"
        if options.max_seconds is not None and self.trace.seconds[-1] >= options.max_seconds:
            return "max_seconds"
        return ""

    def is_flat(self, slack: float = 1.0) -> bool:
        """True if the mean decrease over the window is below `slack` tolerances."""
        tol = max(self.options.tol, 1e-7 if self.dtype == np.float32 else 0.0) * slack
        recent = self.trace.objective[-_WINDOW - 1 :]
        # Below a millionth of the null deviance the fit is as good as exact.
        excess = max(self.value - self.offset, 1e-6 * self.unit)
        enough = len(recent) > _WINDOW
        return enough and recent[0] - recent[-1] <= tol * excess * (len(recent) - 1)

    def _factors(self, z: Array) -> list[FloatArray]:
        """Unscaled; the rounding of the scaling must not leave the bounds."""
        vector = np.clip(z * self.scale, self.bounds[0], self.bounds[1])
        return [a.astype(self.dtype) for a in self.packing.unpack(vector)]

    def _state(self) -> IterationState:
        seconds = self.trace.seconds[-1]
        return IterationState(self.n_iter, self.value, self.gradient_norm, seconds, self._factors(self.z))

    def output(self) -> SolverOutput:
        """The current point and the reason for stopping."""
        converged = self.stop in _CONVERGED
        return SolverOutput(
            factors=self._factors(self.z),
            objective=self.value,
            projected_gradient_norm=self.gradient_norm,
            converged=converged,
            status="converged" if converged else self.stop,
            message=_MESSAGES[self.stop],
            n_iter=self.n_iter,
            n_eval=self.n_eval,
            trace=self.trace,
        )
