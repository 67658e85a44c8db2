"""What a run keeps, so that another can go on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcp.solvers.base import SolverOutput

State = dict[str, Any]
"""Numbers, texts, None and arrays, in lists and dicts with text as keys."""


class Journal:
    """Stages by name: the outputs of those that are over, the state of the one that goes on.

    This one remembers nothing. Solvers restore themselves from `state` before their first iteration, and offer their
    state before every iteration, when it is whole.
    """

    seconds_before = 0.0
    """What earlier runs have taken."""

    @property
    def state(self) -> State | None:
        """What the solver of this stage last kept; None at the beginning."""
        return None

    def offer(self, take: Callable[[], State]) -> None:
        """Keep what `take` returns if it is time to."""

    def stage(self, name: str, run: Callable[[Journal], SolverOutput]) -> SolverOutput:
        """The output of a stage: as it was kept, or of `run`."""
        return run(self)

    def within(self, name: str) -> Journal:
        """The journal of a part, whose stages have names of their own."""
        return self


FORGETFUL = Journal()
