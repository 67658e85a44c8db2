"""Searches among the positions that have entries (`objectives.compaction`), and results in all positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gcp.objectives.compaction import Compaction
from gcp.solvers.starts.plan import Plan
from gcp.solvers.starts.search import Search


def compacted(search: Search, plan: Plan) -> tuple[Search, Compaction | None]:
    """Return the search without positions that it can do without, and which these are; as it is, if none or few are.

    A callback sees all positions, and so does a start from given factors.
    """
    if plan.callback is not None or not isinstance(search.init, str) or search.problem.loss.unknowns:
        return search, None
    compaction = Compaction.of(search.problem)
    if compaction is None:
        return search, None
    return replace(search, problem=compaction.compacted(search.problem)), compaction


def of_whole(fields: dict[str, Any], whole: Search, compaction: Compaction | None) -> dict[str, Any]:
    """Return the fields of a result as those of the whole search, with rows of the positions that it left out.

    Its message says so if the rank is above what the shape can identify.
    """
    if (most := whole.problem.largest_rank()) < whole.problem.rank:
        shape = " x ".join(map(str, whole.problem.tensor.shape))
        more = f"rank {whole.problem.rank} is above {most}, the most that the shape {shape} can identify"
        fields = fields | {"message": f"{fields['message']}; {more}"}
    if compaction is None:
        return fields
    objective, labels = whole.objective, whole.problem.labels
    return fields | {
        "factors": compaction.whole(fields["factors"]),
        "fitted_factors": compaction.whole(fields["fitted_factors"]),
        "labels": labels,
        "problem": replace(fields["problem"], penalties=whole.problem.penalties),
        "unknown": whole.unknown(labels),
        "null_objective": objective.null_value,
        "saturated_objective": objective.saturated_value,
        "training_deviance_explained": objective.share_explained(fields["objective"] - fields["penalty"]),
        "total_weight": objective.survey.total_weight,
    }
