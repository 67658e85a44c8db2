"""The run of a method, as all share it: scaled variables, stopping rules, the trace and the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np

from gcp.base.errors import FitError
from gcp.base.types import Array, Factors, FloatArray, State
from gcp.objectives.base import Differentiable
from gcp.objectives.bounds import Bounds
from gcp.solvers.base import Options
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, IterationState, Later, SolverOutput, Trace
from gcp.solvers.pieces.packing import Packing

WINDOW = 5
"""Iterations over which the decrease is judged: a single short step is no sign of convergence."""

NEAR = 1e-3
"""A small distance from a bound, in units of the factor's scale."""

_STEEP = 1e-3
"""A gradient at which a flat objective is no minimum, where the excess is no small part of the null deviance."""

_PERFECT = 1e-9
"""An excess over the saturated model, in units of the null deviance, below which the fit is as good as exact."""

ESTIMATE = "; F and its gradient are estimates from a sample"
"""Words that end the message where F and its gradient are estimates."""

CONVERGED = ("tol", "gradient_tol", "precision", "max_fails")

_COARSE = 1e-6
"""A tolerance above which a flat objective may be the tolerance's doing."""

_FAR_AT_TOL = 1e6
"""Size of components from which on a fit that meets a tolerance is on its way to infinity."""

_ENDLESS = 1e-4
"""The decrease per iteration, relative to the excess, that is slow on that way: it shrinks as the model grows."""

_SEPARATED = 1e-6
"""An excess, in units of the null deviance, at which a model that has no minimum separates the data."""

GAVE_UP = ("n_iter_max", "stalled", "line_search", "unbounded")
"""Ends from which another method may go on."""

_MESSAGES = {
    "tol": "the objective no longer falls by more than tol per iteration",
    "gradient_tol": "the projected gradient is below gradient_tol",
    "precision": "no further decrease is possible at this precision",
    "max_fails": "steps from samples no longer lower the objective",
    "stalled": "the objective no longer falls, but the projected gradient is large; try l2_reg or another start",
    "coarse": "the objective falls by less than tol, but the projected gradient is large; try a smaller tol",
    "separable": "the data are separable: this model is as good as perfect, and models that grow without end come "
    "ever closer; l2_reg gives a finite model",
    "unbounded": "the model grows without end, for it can separate data (0 from more, or 0 from 1), and the "
    "objective falls ever more slowly: there is no minimum; l2_reg makes one",
    "n_iter_max": "n_iter_max iterations were used up",
    "max_seconds": "max_seconds was used up",
    "callback": "the callback asked to stop",
    "line_search": "the line search found no decrease along a descent direction",
}


_MANY = 1 << 17
"""Entries of vectors up to which copies of them do not matter."""

_SAVED = (
    *("z", "value", "grad", "gradient_norm", "margin", "n_eval", "n_iter", "n_releases", "stop"),
    *("value_at_end", "since"),
)

_NOTHING = 1e-200
"""An objective that is as good as zero: what is divided by it may overflow."""


class Run:
    """The state of one call of `solve`, in scaled variables z (factor / its scale)."""

    kind_of_packing: ClassVar[type[Packing]] = Packing
    """What makes vectors of factors."""

    saved_names: ClassVar[tuple[str, ...]] = ()
    """Attributes of a method that change from one iteration to the next, beside those of all."""

    def __init__(
        self,
        options: Options,
        objective: Differentiable,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None = None,
    ) -> None:
        self.options = options
        self.objective = objective
        self.observer = Observer.of(observer, options.max_seconds)
        self.began = time.perf_counter()
        self.n_eval = self.n_iter = self.n_releases = self.n_before = self.since = 0
        self.value_at_end = np.inf  # of the objective, where a rule last saw an end that was none
        self.stop, self.end, self.is_asked = "", "", False
        self.trace = Trace()
        self.dtype = start[0].dtype
        self.packing = self.kind_of_packing.of(start)
        feasible = bounds.project(start)
        rms = [float(np.sqrt(np.mean(np.square(a)))) or 1.0 for a in feasible]
        scales = [np.broadcast_to(s, a.shape) for a, s in zip(feasible, rms, strict=True)]
        self.scale = self.packing.pack(scales, elsewhere=1.0)
        self.bounds = (
            _inward(self.packing.pack(bounds.lower, elsewhere=-np.inf), self.dtype, np.inf),
            _inward(self.packing.pack(bounds.upper, elsewhere=np.inf), self.dtype, -np.inf),
        )
        self.lower, self.upper = (_thrifty(side / self.scale) for side in self.bounds)
        self.bounds = _thrifty(self.bounds[0]), _thrifty(self.bounds[1])
        self.is_free = not (np.isfinite(self.lower).any() or np.isfinite(self.upper).any())
        self.margin = 0.0
        z = np.clip(self.packing.pack(feasible) / self.scale, self.lower, self.upper)
        self.offset = objective.saturated_value
        value, grad = self.evaluate(z)
        if not (np.isfinite(value) and np.isfinite(grad).all()):
            raise FitError(
                f"The objective is not finite at the start ({value}). Check the initial factors and the entry "
                "weights, or try another init."
            )
        # Constant data: the null model is perfect, so the start's own excess has to serve, or the change that the
        # gradient promises if the start is perfect too.
        unit, tiny = objective.null_value - self.offset, 1e-12 * (abs(self.offset) + abs(value))
        if unit <= tiny:
            unit, steepest = max(value - self.offset, tiny), float(np.abs(grad * self.scale).max(initial=0.0))
            unit = unit if unit > 1e-12 * steepest else steepest
        self.unit = unit if unit > _NOTHING else 1.0
        self.accept(z, value, grad)
        if unit <= _NOTHING:
            self.stop = "precision"

    def resume(self) -> None:
        """Go on from the state that the observer has, if it has one; where another tolerance was met, judge anew."""
        state = self.observer.state
        if state is not None:
            self.restore(state)
            if self.stop and state["tolerances"] != self.tolerances and not self._rule():
                self.stop = ""

    def is_over(self) -> bool:
        """Return whether a rule, a limit or the callback ends the run here.

        Whichever does, another run can go on. Limits are looked at here alone, between two iterations, so that they
        have no part in what an iteration does.
        """
        self.end = "callback" if self.is_asked else self.stop or self.limit()
        self.observer.save(self.snapshot, is_end=bool(self.end))
        return bool(self.end)

    @property
    def tolerances(self) -> list[float]:
        """The tolerances under which `stop` was set."""
        return [float(self.options.tol), float(self.options.gradient_tol)]

    def snapshot(self) -> State:
        """Return what is needed to go on from here to the same end, bit by bit."""
        state: State = {name: getattr(self, name) for name in _SAVED + self.saved_names}
        own = {"seconds": time.perf_counter() - self.began, "tolerances": self.tolerances}
        return state | {"trace": vars(self.trace)} | own

    def restore(self, state: State) -> None:
        """Go on from a snapshot."""
        for name in _SAVED + self.saved_names:
            setattr(self, name, state[name])
        self.trace = Trace(**state["trace"])
        self.began = time.perf_counter() - state["seconds"]
        self.n_before = self.n_iter

    def evaluate(self, z: Array) -> tuple[float, FloatArray]:
        """Return F and its gradient in the factors (n,) at z (n,)."""
        self.n_eval += 1
        value, grad = self.objective.value_and_grad(self.factors(z))
        return value, self.packing.pack(grad)

    def accept(self, z: Array, value: float, grad: FloatArray) -> None:
        """Make a point z (n,) the current one."""
        self.z, self.value, self.grad = z, value, grad
        self.measure()
        self.trace.add(time.perf_counter() - self.began, value, self.gradient_norm)

    def measure(self) -> None:
        """Compute the projected gradient norm at the current point and margin."""
        if len(self.z) <= _MANY:
            norms = self.packing.norms(self.projected_slope()) * self.packing.norms(self.z)
        else:
            runs = self.packing.runs(_MANY)
            slopes = self.packing.norms_of(lambda at: self.projected_slope(at), runs)
            norms = slopes * self.packing.norms_of(lambda at: self.z[at], runs)
        self.gradient_norm = float(norms.max())

    def projected_slope(self, at: slice = slice(None)) -> FloatArray:
        """Return the gradient (n,) in z of the objective in its unit, as far as the limits leave room for it.

        Of some entries alone, if it is asked for them.
        """
        slope = self.grad[at] * (self.scale[at] / self.unit)
        if self.is_free:
            return slope
        low, high = self.limits(at)
        return self.z[at] - np.clip(self.z[at] - slope, low, high)

    def limits(self, at: slice = slice(None)) -> tuple[FloatArray, FloatArray]:
        """Return bounds (n,) of z, or of some of its entries, at the current margin; no entry must move for it."""
        z, lower, upper = self.z[at], self.lower[at], self.upper[at]
        low, high = lower + self.margin, upper - self.margin
        return np.minimum(low, np.maximum(z, lower)), np.maximum(high, np.minimum(z, upper))

    def has_room(self, margin: float) -> bool:
        """Return whether there are finite bounds, and the current point keeps the margin from all of them.

        Entries that may move but that the objective does not see (nothing is known of their position) do not count.
        """
        unseen = (self.grad == 0) & (self.lower < self.upper)
        inside = np.all(unseen | ((self.z >= self.lower + margin) & (self.z <= self.upper - margin)))
        return bool(inside and not self.is_free)

    def release(self) -> bool:
        """Move entries off a bound that the gradient pulls away from it, if that lowers the objective."""
        z = np.where((self.z <= self.lower) & (self.grad < 0), self.lower + NEAR, self.z)
        z = np.where((self.z >= self.upper) & (self.grad > 0), self.upper - NEAR, z)
        z = np.clip(z, self.lower, self.upper)
        self.n_releases += 1
        if self.n_releases > WINDOW or np.array_equal(z, self.z):
            return False
        value, grad = self.evaluate(z)
        if not (np.isfinite(value) and value < self.value and np.isfinite(grad).all()):
            return False
        self.z, self.value, self.grad = z, value, grad
        self.revise()
        return True

    def is_steep(self) -> bool:
        """Return whether the gradient says that a flat point is no minimum; it must be that of the current point.

        The gradient of every row counts times the size of the row, so that rows of different scales count alike. The
        decrease that a gradient promises goes with its square.
        """
        largest = 0.0
        for p, z in zip(
            self.packing.unpack(self.projected_slope()), self.packing.unpack(self.z), strict=True
        ):
            sizes = np.linalg.norm(z, axis=1)
            sizes[sizes == 0] = np.sqrt(np.mean(np.square(sizes)))
            largest = max(largest, float(np.linalg.norm(p, axis=1) @ sizes))
        small = min(1.0, 10.0 * self.excess() / self.unit)
        steep = _STEEP * np.sqrt(small) * (10.0 if self.options.tol > _COARSE else 1.0)
        return largest > max(float(steep), 1e3 * float(np.finfo(self.dtype).eps))

    def can_go_on(self) -> bool:
        """Move a flat but steep point off its bounds, or say whether to begin anew, as long as that helps."""
        fell, self.value_at_end = self.value_at_end - self.value, self.value
        helps = fell > WINDOW * self.tol() * self.excess()
        self.since = len(self.trace.objective) - 1
        return self.release() or helps

    def revise(self) -> None:
        """Make the last row of the trace that of the current point and bounds."""
        self.measure()
        self.trace.objective[-1], self.trace.projected_gradient_norm[-1] = self.value, self.gradient_norm

    def after_iteration(self) -> None:
        """Count, report, and set `stop` as the rules say."""
        self.n_iter += 1
        self.is_asked = self.observer.asks(self._state())
        self.stop = self._rule()

    def _rule(self) -> str:
        if self.objective.has_its_minimum_at_infinity and self.excess() <= _SEPARATED * self.unit:
            return "separable"
        if self.gradient_norm <= self.least_gradient() * min(1.0, 1e3 * self.excess() / self.unit):
            end = "gradient_tol"
        elif self.is_flat():
            end = "tol"
        else:
            return "unbounded" if self.is_flat(least=_ENDLESS) and self.is_far(self.objective.far) else ""
        return "unbounded" if self.is_far(_FAR_AT_TOL) else end

    def is_far(self, least: float) -> bool:
        """Return whether the model is on its way to infinity."""
        return self.objective.reach(self.current_factors()) > least

    def limit(self) -> str:
        """Return the limit that is reached, if any: of all iterations, or of the time since this run was called."""
        if self.n_iter >= self.options.n_iter_max:
            return "n_iter_max"
        has_moved = self.n_iter > self.n_before  # or runs of too little time would never come to an end
        return "max_seconds" if has_moved and self.is_late() else ""

    def is_late(self) -> bool:
        """Return whether this run has had its time."""
        return self.observer.is_late()

    def least_gradient(self) -> float:
        """Return the gradient norm that counts as none."""
        return max(self.options.gradient_tol, 1e-5 if self.dtype == np.float32 else 0.0)

    def tol(self) -> float:
        """Return the decrease per iteration that counts as none, relative to the excess."""
        return max(self.options.tol, 1e-7 if self.dtype == np.float32 else 0.0)

    def excess(self) -> float:
        """Return the distance of the objective from the saturated model's, or what is as good as nothing."""
        return max(abs(self.value - self.offset), _PERFECT * self.unit)

    def is_flat(self, slack: float = 1.0, least: float = 0.0) -> bool:
        """Return whether the mean decrease over the window is below `slack` tolerances or this part of the excess."""
        recent = self.trace.objective[max(self.since, len(self.trace.objective) - WINDOW - 1) :]
        decrease = max(slack * self.tol(), least) * self.excess()
        return len(recent) > WINDOW and recent[0] - recent[-1] <= decrease * (len(recent) - 1)

    def current_factors(self) -> list[FloatArray]:
        """Return the factors at the current point, shapes (I_n, R)."""
        self.settle()
        return self.factors(self.z)

    def settle(self) -> None:
        """Make z the current point, where a method keeps that in another form."""

    def factors(self, z: Array) -> list[FloatArray]:
        """Return the unscaled factors (I_n, R) of z (n,); the rounding of the scaling must not leave the bounds."""
        return self._maker(z)()

    def _maker(self, z: Array) -> Callable[[], list[FloatArray]]:
        """Return what makes the factors of z (n,); it does not keep the run, and what that holds, alive."""
        bounds = None if self.is_free else self.bounds
        return partial(_unscaled, z, self.scale, bounds, self.packing, self.dtype)

    def _state(self) -> IterationState:
        self.settle()
        seconds, factors = self.trace.seconds[-1], Later(self._maker(self.z))
        return IterationState(self.n_iter, self.value, self.gradient_norm, seconds, factors, self.n_eval)

    def output(self) -> SolverOutput:
        """Return the current point and the reason for stopping."""
        if self.margin:
            self.margin = 0.0
            self.revise()
        if self.end in ("stalled", "line_search") and self.is_far(self.objective.far):
            self.end = "unbounded"
        converged = self.end in CONVERGED
        is_coarse = self.end == "stalled" and self.options.tol > _COARSE
        return SolverOutput(
            factors=self.factors(self.z),
            objective=self.value,
            projected_gradient_norm=self.gradient_norm,
            converged=converged,
            status="converged" if converged else self.end,
            message=_MESSAGES["coarse" if is_coarse else self.end],
            n_iter=self.n_iter,
            n_eval=self.n_eval,
            trace=self.trace,
            method=type(self.options).__name__,
        )


def _thrifty(vector: FloatArray) -> FloatArray:
    """Return a vector (n,) of one and the same number, if it is long, in the memory of that number."""
    is_even = len(vector) > _MANY and bool((vector == vector[0]).all())
    return np.broadcast_to(vector[:1].copy(), vector.shape) if is_even else vector


def _unscaled(
    z: Array, scale: Array, bounds: tuple[Array, Array] | None, packing: Packing, dtype: np.dtype
) -> list[FloatArray]:
    """Return factors (I_n, R) of scaled variables (n,)."""
    vector = z * scale
    if bounds is not None:
        np.clip(vector, *bounds, out=vector)
    return [a.astype(dtype, order="C") for a in packing.unpack(vector)]


def _inward(side: FloatArray, dtype: np.dtype, inside: float) -> FloatArray:
    """Return bounds (n,) that numbers of a type can hold: the nearest that are not outside."""
    held = side.astype(dtype)
    crossed = held < side if inside > 0 else held > side
    return np.where(crossed, np.nextafter(held, dtype.type(inside)), held).astype(np.float64)
