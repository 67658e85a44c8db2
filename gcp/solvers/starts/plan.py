"""The plan of a fit: the arguments that say how, and are no part of what is minimised."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp.base import checks
from gcp.base.types import RandomSource
from gcp.solvers import Solver
from gcp.solvers.outcome import IterationState
from gcp.solvers.starts import arguments


@dataclass(frozen=True, eq=False)
class Plan:
    """Starts, method, limits, and who watches; the attributes are as the arguments of `fit_gcp`, checked.

    Attributes
    ----------
    init : object
    n_starts : int
    solver : Solver
        With the limits and tolerances that the fit overrides.
    max_seconds : float or None
        For all starts together.
    seed : int or None
        None draws one.
    callback : callable or None
    checkpoint : Path or None
    checkpoint_every : float
    verbose : bool
    """

    init: Any
    n_starts: int
    solver: Solver
    max_seconds: float | None
    seed: int | None
    callback: Callable[[IterationState], bool | None] | None
    checkpoint: Path | None
    checkpoint_every: float
    verbose: bool

    @classmethod
    def of(
        cls,
        *,
        init: Any = "random",
        n_starts: int = 1,
        solver: str | Solver = "auto",
        n_iter_max: int | None = None,
        tol: float | None = None,
        max_seconds: float | None = None,
        random_state: RandomSource | None = None,
        callback: Callable[[IterationState], bool | None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        verbose: bool = False,
    ) -> Plan:
        """Return the plan that arguments of `fit_gcp` mean.

        Raises
        ------
        ParameterError
            Arguments out of range.
        """
        if callback is not None:
            checks.function("callback", callback, 1)
        return cls(
            init,
            checks.whole("n_starts", n_starts),
            arguments.solver(solver, n_iter_max, tol, max_seconds),
            max_seconds,
            None if random_state is None else checks.seed(random_state),
            callback,
            None if checkpoint is None else checks.path("checkpoint", checkpoint),
            checks.real("checkpoint_every", checkpoint_every, least=0),
            checks.truth("verbose", verbose),
        )
