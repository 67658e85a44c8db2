"""Progress of a fit, and of many, on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from gcp.base.checks import truth
from gcp.solvers.outcome import IterationState

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SECONDS_BETWEEN_LINES = 2.0


class Reporter(Protocol):
    """Hears of every iteration."""

    def update(self, state: IterationState) -> None:
        """Show where the fit stands."""


def tell_of_compilation() -> None:
    """Why nothing happens for a while."""
    tell("compiling (at a first use only)")


def tell(note: str) -> None:
    """A line about what is coming, before the fit."""
    print(note, file=sys.stderr, flush=True)


@contextmanager
def reporter(verbose: bool, n_starts: int) -> Iterator[Reporter]:
    """The reporter that suits stderr."""
    if not verbose:
        yield _Silent()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = (SpinnerColumn(), BarColumn(bar_width=12), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            # How many iterations a start will take is unknown: with a single one the bar only pulses.
            yield _Bar(bar, bar.add_task("", total=n_starts if n_starts > 1 else None), n_starts)
    else:
        lines = _Lines(n_starts)
        yield lines
        lines.close()


class Steps(Protocol):
    """Hears of every step of a series."""

    def done(self, line: str) -> None:
        """One more step, and what came of it."""


@contextmanager
def series(verbose: bool, total: int) -> Iterator[Steps]:
    """The reporter of a series of fits that suits stderr."""
    if not truth("verbose", verbose):
        yield _Quiet()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _StepBar(bar, bar.add_task("", total=total))
    else:
        yield _StepLines(total)


class _Quiet:
    def done(self, line: str) -> None:
        pass


class _StepBar:
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def done(self, line: str) -> None:
        self.bar.update(self.task, advance=1, description=line)


class _StepLines:
    def __init__(self, total: int) -> None:
        self.total, self.count = total, 0

    def done(self, line: str) -> None:
        self.count += 1
        tell(f"{self.count}/{self.total}  {line}")


def _line(state: IterationState, n_starts: int) -> str:
    start = f"start {state.start + 1}/{n_starts}  " if n_starts > 1 else ""
    name = "objective (sampled)" if state.is_estimate else "objective"
    return (
        f"{start}iteration {state.iteration:4d}  {name} {state.objective:.8g}  "
        f"gradient {state.projected_gradient_norm:.1e}  {state.seconds:.1f} s"
    )


class _Silent:
    def update(self, state: IterationState) -> None:
        pass


class _Bar:
    def __init__(self, bar: Progress, task: TaskID, n_starts: int) -> None:
        self.bar, self.task, self.n_starts = bar, task, n_starts

    def update(self, state: IterationState) -> None:
        line = _line(state, self.n_starts)
        self.bar.update(self.task, completed=state.start, description=line)


class _Lines:
    def __init__(self, n_starts: int) -> None:
        self.n_starts = n_starts
        self.shown_at = -float("inf")
        self.pending = ""
        self.start = 0

    def update(self, state: IterationState) -> None:
        if state.start != self.start:
            self.close()
            self.start = state.start
        self.pending = _line(state, self.n_starts)
        if time.monotonic() - self.shown_at >= _SECONDS_BETWEEN_LINES:
            self.close()

    def close(self) -> None:
        """Print the line that is still due."""
        if self.pending:
            print(self.pending, file=sys.stderr, flush=True)
            self.shown_at = time.monotonic()
            self.pending = ""
