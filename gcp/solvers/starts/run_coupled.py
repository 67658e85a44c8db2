"""Running the starts of a search for coupled tensors, and the fields of their results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gcp.solvers.observer import Observer
from gcp.solvers.starts import arguments
from gcp.solvers.starts.coupled_parameters import ChosenParameters
from gcp.solvers.starts.coupled_search import CoupledModels, CoupledSearch
from gcp.solvers.starts.coupled_weights import ChosenWeights
from gcp.solvers.starts.multistart import INTERRUPTED, Outcome
from gcp.solvers.starts.plan import Plan
from gcp.solvers.starts.run_search import facts_of_start, run_all_starts

_ROUNDS = 30


class FoundTogether(NamedTuple):
    """What a search for coupled tensors found.

    Attributes
    ----------
    fields : dict
        Of the fit of all, by name.
    weights : dict of str to float
        Of the tensors.
    of_tensors : dict of str to dict
        Of the result of each tensor, by name.
    models : CoupledModels
    cut : BaseException or None
        What cut the search short.
    """

    fields: dict[str, Any]
    weights: Mapping[str, float]
    of_tensors: dict[str, dict[str, Any]]
    models: CoupledModels
    cut: BaseException | None


def run_coupled(search: CoupledSearch, plan: Plan, parameters: ChosenParameters) -> FoundTogether:
    """Run all starts, and, from the best of them on, rounds under other weights and losses until these settle."""
    began = time.perf_counter()
    observer = Observer.of(Observer(plan.callback), plan.max_seconds)
    weights = ChosenWeights(search.problem)
    first = last = run_all_starts(plan.verbose, search, observer)
    is_settled = False
    for _ in range(_ROUNDS):
        factors = last.best.factors
        is_over = last.status in ("interrupted", "callback") or observer.is_late()
        problem, models = search.problem, search.models(factors).models
        is_settled = is_over or all(
            [weights.is_settled(problem, factors, models), parameters.is_settled(problem, models)]
        )
        if is_settled:
            break
        problem = problem.with_weights(weights.next(problem.weights))
        if parameters.unknowns:
            problem = problem.with_losses(parameters.next(models))
        search = replace(search, problem=problem, init={}, begun=factors, n_starts=1)
        last = run_all_starts(plan.verbose, search, observer)
    fields = _fields(first, last, search, plan, time.perf_counter() - began)
    if not is_settled:
        message = "weights of tensors, or parameters, were still changing after the most rounds"
        fields |= {"converged": False, "status": "n_iter_max", "message": message}
    found = search.models(last.best.factors)
    notes = weights.notes(search.problem.weights), parameters.notes(found.models)
    fields["message"] = "; ".join(filter(None, (fields["message"], *notes)))
    of_tensors = _of_tensors(search, last, found, fields, parameters)
    return FoundTogether(fields, search.problem.weights, of_tensors, found, last.cut)


def _fields(
    first: Outcome, last: Outcome, search: CoupledSearch, plan: Plan, seconds: float
) -> dict[str, Any]:
    """Return the fields of the fit of all tensors."""
    best, objective, interrupted = last.best, search.problem.objective, last.cut is not None
    starts = [facts_of_start(k, output) for k, output in enumerate(first.outputs)]
    k = min(range(len(starts)), key=lambda k: first.outputs[k].objective)
    starts[k] = facts_of_start(k, best)
    settings = arguments.settings(search, len(starts), plan.init, plan.max_seconds)
    settings["solver"]["method"] = best.method or type(search.solver).__name__
    settings["weights"] = dict(search.problem.given_weights)
    settings["main_effects"] = {name: list(own) for name, own in search.problem.effects_of.items() if own}
    return {
        "objective": best.objective,
        "penalty": objective.penalties.value(best.factors),
        "null_objective": objective.null_value,
        "saturated_objective": objective.saturated_value,
        "converged": best.converged and not interrupted,
        "status": last.status,
        "message": best.message if best.status == "interrupted" or not interrupted else INTERRUPTED,
        "n_iter": best.n_iter,
        "n_eval": best.n_eval,
        "projected_gradient_norm": best.projected_gradient_norm,
        "seconds": seconds,
        "trace": {name: np.array(column) for name, column in vars(best.trace).items()},
        "starts": starts,
        "settings": settings,
    }


def _of_tensors(
    search: CoupledSearch,
    last: Outcome,
    models: CoupledModels,
    fields: dict[str, Any],
    parameters: ChosenParameters,
) -> dict[str, dict[str, Any]]:
    """Return the fields of the result of each tensor: how the fit ended is that of all, values are its own."""
    problem, found = search.problem, {}
    for name, part in zip(problem.tensor.tensors, problem.objective.summands, strict=True):
        one, own = part.objective, part.own(last.best.factors)
        value, _ = one.value_and_grad(own)
        penalties = replace(models.models[name].problem.penalties, effects=problem.own_effects(name))
        penalty = penalties.value(own)
        model = models.models[name]
        model = replace(model, problem=replace(model.problem, estimated=parameters.estimated(name)))
        found[name] = fields | dict(
            **vars(model),
            objective=value + penalty,
            penalty=penalty,
            null_objective=one.null_value,
            saturated_objective=one.saturated_value,
            training_deviance_explained=one.share_explained(value),
            total_weight=one.survey.total_weight,
        )
    return found
