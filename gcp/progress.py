"""Progress of a fit on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gcp.solvers.base import IterationState

_SECONDS_BETWEEN_LINES = 2.0


class Reporter(Protocol):
    """Hears of every iteration."""

    def update(self, state: IterationState) -> None:
        """Show where the fit stands."""


@contextmanager
def reporter(verbose: bool, n_starts: int) -> Iterator[Reporter]:
    """The reporter that suits stderr."""
    if not verbose:
        yield _Silent()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            TextColumn("start"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Bar(bar, bar.add_task("", total=n_starts), n_starts)
    else:
        lines = _Lines(n_starts)
        yield lines
        lines.close()


def _line(state: IterationState) -> str:
    return (
        f"iteration {state.iteration:4d}  objective {state.objective:.8g}  "
        f"gradient {state.projected_gradient_norm:.1e}  {state.seconds:.1f} s"
    )


class _Silent:
    def update(self, state: IterationState) -> None:
        pass


class _Bar:
    def __init__(self, bar, task, n_starts: int) -> None:  # type: ignore[no-untyped-def]
        self.bar, self.task = bar, task

    def update(self, state: IterationState) -> None:
        self.bar.update(self.task, completed=state.start, description=_line(state))


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
        prefix = f"start {state.start + 1}/{self.n_starts}  " if self.n_starts > 1 else ""
        self.pending = prefix + _line(state)
        if time.monotonic() - self.shown_at >= _SECONDS_BETWEEN_LINES:
            self.close()

    def close(self) -> None:
        """Print the line that is still due."""
        if self.pending:
            print(self.pending, file=sys.stderr, flush=True)
            self.shown_at = time.monotonic()
            self.pending = ""
