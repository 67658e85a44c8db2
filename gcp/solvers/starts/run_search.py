"""Running the starts of a search, and what becomes of their outcomes: the fields of a fit's result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gcp.base import threads
from gcp.kernels.shared import compilation
from gcp.objectives.survey import Survey
from gcp.solvers.observer import Observer, Storage
from gcp.solvers.outcome import SolverOutput
from gcp.solvers.progress import reporter, tell
from gcp.solvers.starts import arguments
from gcp.solvers.starts.compact_search import compacted, of_whole
from gcp.solvers.starts.estimate_parameters import estimate_parameters
from gcp.solvers.starts.multistart import INTERRUPTED, Outcome, run_starts
from gcp.solvers.starts.plan import Plan
from gcp.solvers.starts.search import Search

_MOST_POINTS = 100
"""Points, at most, of the course of each start that is kept."""


class Found(NamedTuple):
    """What a search found.

    Attributes
    ----------
    fields : dict
        Of the result of a fit, by name.
    cut : BaseException or None
        What cut the search short.
    """

    fields: dict[str, Any]
    cut: BaseException | None


def run_search(
    search: Search, plan: Plan, storage: Storage, look: Callable[[Survey], None] | None = None
) -> Found:
    """Run all starts of a search, whose loss may have parameters to be estimated.

    `look` is shown the facts about the data, before the first start.
    """
    began = time.perf_counter() - storage.seconds_before
    whole, (search, compaction) = search, compacted(search, plan)
    is_known = not search.problem.loss.unknowns
    if is_known:
        facts = search.objective.survey  # looks through the data, which is not counted as time of the starts
        if look is not None:
            look(facts)
    observer = Observer.of(Observer(plan.callback, storage=storage), plan.max_seconds)
    run = partial(run_all_starts, plan.verbose)
    if is_known:
        first, is_settled, notes = run(search, observer), True, ""
        last = first
    else:
        first, last, is_settled, notes = estimate_parameters(run, search, observer)
    unknown = search.problem.loss.unknowns
    fields = _assembled(first, last, unknown, plan, time.perf_counter() - began)
    fields = of_whole(fields, whole, compaction)
    if not is_settled:
        verb = "was" if len(unknown) == 1 else "were"
        message = f"{' and '.join(unknown)} {verb} still changing after the most rounds"
        fields |= {"converged": False, "status": "n_iter_max", "message": message}
    if notes:
        fields |= {"message": f"{fields['message']}; {notes}"}
    return Found(fields, last.cut)


def run_all_starts(verbose: bool, search: Search, observer: Observer) -> Outcome:
    """Run all starts, with progress on stderr if that is asked for."""
    if verbose and search.objective.zeros.note:
        tell(search.objective.zeros.note)
    if (parts := search.objective.tensor.parts) is not None:
        parts.start_account()
    with (
        reporter(verbose, search.n_starts) as progress,
        compilation.explained(),
        threads.single_threaded_blas(),
    ):
        return run_starts(search, replace(observer, report=progress.update))


def _assembled(
    first: Outcome, last: Outcome, estimated: tuple[str, ...], plan: Plan, seconds: float
) -> dict[str, Any]:
    """Return the fields of the result: the model of the last round, and the starts of the first."""
    search, best, objective = last.search, last.best, last.search.objective
    model = replace(last.model, problem=search.problem.describe(estimated))
    penalty = replace(objective.penalties, effects=search.problem.effects).value(best.factors)
    starts = [facts_of_start(k, output) for k, output in enumerate(first.outputs)]
    k = min(range(len(starts)), key=lambda k: first.outputs[k].objective)
    starts[k] = facts_of_start(k, best)
    settings = arguments.settings(search, first.search.n_starts, plan.init, plan.max_seconds)
    settings["solver"]["method"] = best.method or type(search.solver).__name__
    if estimated:
        found = {name: getattr(model.loss, name) for name in estimated}
        settings["estimated"] = {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
    interrupted = last.cut is not None
    return dict(
        **vars(model),
        objective=best.objective,
        penalty=penalty,
        null_objective=objective.null_value,
        saturated_objective=objective.saturated_value,
        converged=best.converged and not interrupted,
        status=last.status,
        message=best.message if best.status == "interrupted" or not interrupted else INTERRUPTED,
        n_iter=best.n_iter,
        n_eval=best.n_eval,
        projected_gradient_norm=best.projected_gradient_norm,
        seconds=seconds,
        trace={name: np.array(column) for name, column in vars(best.trace).items()},
        starts=starts,
        settings=settings,
        training_deviance_explained=objective.share_explained(best.objective - penalty),
        total_weight=objective.survey.total_weight,
    )


def facts_of_start(number: int, output: SolverOutput) -> dict[str, Any]:
    """Return one start, for the list of all."""
    return {
        "start": number,
        "objective": output.objective,
        "converged": output.converged,
        "status": output.status,
        "n_iter": output.n_iter,
        "n_eval": output.n_eval,
        "seconds": output.trace.seconds[-1],
        "trace": output.trace.thinned(_MOST_POINTS),
    }
