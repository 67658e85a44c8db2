"""Progress of a fit, or of a series of fits: a live bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gcp.base.checks import truth
from gcp.solvers.outcome import IterationState

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_SECONDS_BETWEEN_LINES = 2.0


def tell(note: str) -> None:
    """Print a line about what is coming, before the fit."""
    print(note, file=sys.stderr, flush=True)


class ProgressReport:
    """Shows how far a fit of several starts, or a series of fits, has come.

    Parameters
    ----------
    total : int
        Starts, or fits of the series.
    bar : rich.progress.Progress, optional
        Where it is shown; default: in lines.
    is_silent : bool
        Whether nothing is shown at all.
    """

    def __init__(self, total: int, bar: Progress | None = None, *, is_silent: bool = False) -> None:
        self._total, self._bar, self._is_silent = total, bar, is_silent
        self._completed = 0
        self._due, self._shown_at = "", -float("inf")

    def update(self, state: IterationState) -> None:
        """Show where the fit stands; as a line, every few seconds and at the end of each start."""
        if self._is_silent:
            return
        if state.start != self._completed:
            self.flush()
        self._completed = state.start
        self._show(_line(state, self._total))
        if time.monotonic() - self._shown_at >= _SECONDS_BETWEEN_LINES:
            self.flush()

    def done(self, line: str) -> None:
        """Show that one more fit of the series is done, and what came of it."""
        if self._is_silent:
            return
        self._completed += 1
        self._show(line if self._bar else f"{self._completed}/{self._total}  {line}")
        self.flush()

    def _show(self, line: str) -> None:
        if self._bar is None:
            self._due = line
        else:
            self._bar.update(self._bar.task_ids[0], completed=self._completed, description=line)

    def flush(self) -> None:
        """Print the line that is still due."""
        if self._due:
            tell(self._due)
            self._due, self._shown_at = "", time.monotonic()


@contextmanager
def reporter(verbose: bool, n_starts: int) -> Iterator[ProgressReport]:
    """Yield the report of a fit."""
    if verbose and _shows_bars():
        from rich.progress import BarColumn, SpinnerColumn

        # How many iterations a start will take is unknown: with a single one the bar only pulses.
        with _bar(n_starts if n_starts > 1 else None, SpinnerColumn(), BarColumn(bar_width=12)) as bar:
            yield ProgressReport(n_starts, bar)
        return
    report = ProgressReport(n_starts, is_silent=not verbose)
    yield report
    report.flush()


@contextmanager
def series(verbose: bool, total: int) -> Iterator[ProgressReport]:
    """Yield the report of a series of fits."""
    if truth("verbose", verbose) and _shows_bars():
        from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

        with _bar(total, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bar:
            yield ProgressReport(total, bar)
        return
    yield ProgressReport(total, is_silent=not verbose)


def _shows_bars() -> bool:
    """Return whether a live bar can be shown: on a terminal, and in notebooks that have widgets."""
    if sys.stderr.isatty():
        return True
    if "IPython" not in sys.modules:  # nobody else asks for rich as long as nothing is shown
        return False
    from rich.console import Console

    return Console(stderr=True).is_jupyter and find_spec("ipywidgets") is not None


def _bar(total: int | None, *columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(*columns, "{task.description}", console=Console(stderr=True), transient=True)
    bar.add_task("", total=total)
    return bar


def _line(state: IterationState, n_starts: int) -> str:
    start = f"start {state.start + 1}/{n_starts}  " if n_starts > 1 else ""
    name = "objective (sampled)" if state.is_estimate else "objective"
    return (
        f"{start}iteration {state.iteration:4d}  {name} {state.objective:.8g}  "
        f"gradient {state.projected_gradient_norm:.1e}  {state.seconds:.1f} s"
    )
