"""The protocol of solvers, and the base of the package's own methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from gcp.base import checks
from gcp.base.types import Factors
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput


class Solver(Protocol):
    """A method with its options: a frozen dataclass, which keeps nothing between calls.

    A class attribute `requires` may name the features (`gcp.objectives.features.Feature`) without which it does not
    work: then objectives that lack one are refused, with the reason, before it begins.
    """

    def solve(
        self, objective: Objective, start: Factors, bounds: Bounds, observer: Observer, /
    ) -> SolverOutput:
        """Minimise from `start`, shapes (I_n, R), within `bounds`.

        The observer is called with an `IterationState` after each iteration; the solver stops where it returns True.
        """


@dataclass(frozen=True)
class Options:
    """The options that these methods share; each documents its own."""

    n_iter_max: int = 2000
    tol: float = 1e-9
    gradient_tol: float = 1e-7
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, low in (("memory", 1), ("n_iter_max", 0)):
            checks.whole(name, getattr(self, name, low), low)
        for name in ("tol", "gradient_tol", "max_seconds"):
            if name != "max_seconds" or self.max_seconds is not None:
                checks.real(name, getattr(self, name), least=0)


def lacking(solver: object, objective: Objective) -> str:
    """Return why an objective does not suit a solver, or a class of them, in a sentence; empty if it does.

    Nothing is built for the answer.
    """
    features: tuple[Feature, ...] = getattr(solver, "requires", ())
    return next(filter(None, map(objective.lacks, features)), "")


class Method(Options, ABC):
    """A method of the package: options with a `solve`."""

    requires: ClassVar[tuple[Feature, ...]] = ()
    """The features that the objective must have."""

    @abstractmethod
    def solve(
        self,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None = None,
    ) -> SolverOutput:
        """Minimise from `start`, shapes (I_n, R), within `bounds`."""
