"""What a run keeps, so that another can go on where it was stopped, or where it ended at a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcp.base.types import Factors, State
from gcp.solvers.base import SolverOutput


class Journal:
    """Stages by name: where each stands, and the outputs of those that are over.

    This one remembers nothing. Solvers restore themselves from `state` before their first iteration, offer their
    state before every iteration, when it is whole, and leave the last one to be kept.
    """

    seconds_before = 0.0
    """What earlier runs have taken."""

    @property
    def state(self) -> State | None:
        """What the solver of this stage last kept; None at the beginning."""
        return None

    def offer(self, take: Callable[[], State]) -> None:
        """Keep what `take` returns if it is time to."""

    def keep(self, take: Callable[[], State]) -> None:
        """Keep what `take` returns: the run ends here, but another may go on under other limits."""

    def stage(
        self, name: str, run: Callable[[Journal], SolverOutput], solver: Any, start: Factors, about: str = ""
    ) -> SolverOutput:
        """The output of a stage: as it was kept if that is the end of this run too, or of `run`.

        Parameters
        ----------
        name : str
        run : callable
            Goes on from the state of the journal that it is given.
        solver : Solver
            Its limits and tolerances say whether what was kept is the end.
        start : list of ndarray
            What was kept of other starts is forgotten.
        about : str
            What else tells this run from others of its name.
        """
        return run(self)

    def within(self, name: str) -> Journal:
        """The journal of a part, whose stages have names of their own."""
        return self


FORGETFUL = Journal()
