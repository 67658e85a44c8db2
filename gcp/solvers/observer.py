"""Observers see every iteration of a solver: callback, progress, checkpoint and time limit are one thing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gcp.base.types import Factors, State
from gcp.solvers.outcome import Callback, IterationState, SolverOutput


class Storage:
    """The states and outputs of the stages of a fit, by name. This one holds nothing, a checkpoint does."""

    seconds_before = 0.0
    """Seconds that earlier runs have taken."""

    @property
    def state(self) -> State | None:
        """The state that the solver of this stage saved last; None at the beginning."""
        return None

    def save(self, take: Callable[[], State], *, is_end: bool = False) -> None:
        """Store what `take` returns, if it is time to or the run ends here."""

    def iteration_ended(self) -> None:
        """Let a signal that waits have its effect, if the solver does not save its state."""

    def stage(
        self, name: str, run: Callable[[Storage], SolverOutput], solver: Any, start: Factors, about: str = ""
    ) -> SolverOutput:
        """Return the output of a stage: as stored, if that is the end of this run too, or of `run`.

        Parameters
        ----------
        name : str
        run : callable
            Goes on from the state of the storage that it is given.
        solver : Solver
            Its limits and tolerances say whether what was stored is the end.
        start : list of ndarray, shapes (I_n, R)
            What was stored of other starts is dropped.
        about : str
            What else tells this run from others of its name.
        """
        return run(self)

    def within(self, name: str) -> Storage:
        """Return the storage of a part, whose stages have names of their own."""
        return self


@dataclass(frozen=True)
class Observer:
    """An object that sees every iteration of a solver.

    A solver calls it with the state after each iteration and stops if it returns True. That is all that a solver has
    to do: after an interruption it is begun anew from its start, and what is over is not run again. One that can go
    on from where it stood also reads `state` before its first iteration and calls `save` before each.

    Attributes
    ----------
    callback : callable or None
        Gets each state; a true value asks the solver to stop.
    report : callable or None
        Gets each state before.
    storage : Storage
        Holds states of solvers for another run.
    deadline : float
        Reading of `time.perf_counter` at which the solver is asked to stop.
    """

    callback: Callback | None = None
    report: Callable[[IterationState], object] | None = None
    storage: Storage = field(default_factory=Storage)
    deadline: float = math.inf

    @classmethod
    def of(cls, given: Observer | Callback | None, max_seconds: float | None) -> Observer:
        """Return an observer, or one of a plain callback, with a solver's own time limit, which begins now."""
        observer = given if isinstance(given, Observer) else cls(given)
        if max_seconds is None:
            return observer
        return replace(observer, deadline=min(observer.deadline, time.perf_counter() + max_seconds))

    def __call__(self, state: IterationState) -> bool:
        """See an iteration; True asks the solver to stop."""
        is_asked = self.asks(state)
        self.storage.iteration_ended()
        return is_asked or self.is_late()

    def asks(self, state: IterationState) -> bool:
        """See an iteration; return whether the callback asks to stop. The clock is left to the solver."""
        if self.report is not None:
            self.report(state)
        return self.callback is not None and bool(self.callback(state))

    def is_late(self) -> bool:
        """Return whether the time is up."""
        return time.perf_counter() >= self.deadline

    @property
    def state(self) -> State | None:
        """The state that the solver saved when it was stopped in an earlier run; None where it begins."""
        return self.storage.state

    def save(self, take: Callable[[], State], *, is_end: bool = False) -> None:
        """Store the state of a solver, from which it can go on, if it is time to.

        Parameters
        ----------
        take : callable
            Returns a dict of numbers, texts, lists, dicts and arrays; called only where it is needed.
        is_end : bool
            Whether the solver ends here, so that runs under other limits go on from here.
        """
        self.storage.save(take, is_end=is_end)

    def stage(
        self, name: str, run: Callable[[Observer], SolverOutput], solver: Any, start: Factors, about: str = ""
    ) -> SolverOutput:
        """Return the output of `run` with an observer of its own, or a checkpoint's; see `Storage.stage`.

        `start` are factors, shapes (I_n, R).
        """
        return self.storage.stage(
            name, lambda storage: run(replace(self, storage=storage)), solver, start, about
        )

    def after(self, first: SolverOutput) -> Observer:
        """Return the observer of a method that goes on from the end of another: states count on from there."""

        def on(state: IterationState) -> bool:
            return self.asks(
                replace(
                    state,
                    iteration=state.iteration + first.n_iter,
                    n_eval=state.n_eval + first.n_eval,
                    seconds=state.seconds + first.trace.seconds[-1],
                )
            )

        return replace(self, callback=on, report=None)

    def unseen(self) -> Observer:
        """Return the observer of a search beside the fit, whose iterations neither progress nor callback see."""
        return replace(self, callback=None, report=None)
