"""Reports of a solver: where it stands after each iteration, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gcp.base.types import FloatArray


@dataclass(frozen=True)
class IterationState:
    """The state of a solver after an iteration.

    Attributes
    ----------
    iteration : int
        Counted from 1.
    objective : float
        F at the current factors, or an estimate of it.
    projected_gradient_norm : float
        Scale-free; see `FitResult`.
    seconds : float
        Since the solver started.
    factors : sequence of ndarray, shapes (I_n, R)
        The current factors; a copy, made when it is first looked at.
    n_eval : int
        Evaluations of the objective so far.
    start : int
        Which of several starts, from 0.
    is_estimate : bool
        Whether `objective` and the norm are estimates from a sample of the entries.
    """

    iteration: int
    objective: float
    projected_gradient_norm: float
    seconds: float
    factors: Sequence[FloatArray]
    n_eval: int
    start: int = 0
    is_estimate: bool = False


class Later(Sequence[FloatArray]):
    """Factors, shapes (I_n, R), that are made when they are first looked at: most iterations nobody looks at."""

    def __init__(self, make: Callable[[], Sequence[FloatArray]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> list[FloatArray]:
        return list(self._make())

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, index: Any) -> Any:
        return self._made[index]


Callback = Callable[[IterationState], bool | None]
"""Called after each iteration; a true return value stops the solver."""


def can_go_on(status: str, n_iter: int, n_iter_max: float) -> bool:
    """Return whether a run that ended with a status goes on when called again with this many iterations in all."""
    return status in ("max_seconds", "callback") or (status == "n_iter_max" and n_iter < n_iter_max)


@dataclass
class Trace:
    """A record of what happened, iteration by iteration; the first row is the start."""

    seconds: list[float] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    projected_gradient_norm: list[float] = field(default_factory=list)

    def add(self, seconds: float, objective: float, projected_gradient_norm: float) -> None:
        """Append a row."""
        self.seconds.append(seconds)
        self.objective.append(objective)
        self.projected_gradient_norm.append(projected_gradient_norm)

    def thinned(self, most: int) -> dict[str, list[float]]:
        """Return seconds and objective of so many rows at most, the first and the last among them."""
        n = len(self.seconds)
        at = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
        return {"seconds": [self.seconds[k] for k in at], "objective": [self.objective[k] for k in at]}


@dataclass(frozen=True)
class SolverOutput:
    """The end of a run.

    Attributes
    ----------
    factors : list of ndarray, shapes (I_n, R)
        The best factors found.
    objective, projected_gradient_norm : float
        At these factors.
    converged : bool
        True if a tolerance was met.
    status : str
        One word: converged, stalled, unbounded, separable, n_iter_max, max_seconds, callback, line_search or
        interrupted.
    message : str
        A sentence that says why the run stopped.
    n_iter, n_eval : int
        Iterations, and evaluations of the objective.
    trace : Trace
    method : str
        What ran: the class of the solver, or of several in turn.
    """

    factors: list[FloatArray]
    objective: float
    projected_gradient_norm: float
    converged: bool
    status: str
    message: str
    n_iter: int
    n_eval: int
    trace: Trace
    method: str
