"""The fields of a result that an update by new positions changes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import DataError, DomainError, ParameterError
from gcp.objectives.forecast import mode_that_goes_on
from gcp.objectives.memory import Memory
from gcp.objectives.update_rows import Update, check_updatable, remembered, remembered_by_model, update
from gcp.tensors.base import TensorData
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored

_BESIDE = ("mask", "entry_weights", "exposure", "offset", "trials")
"""What may come with the data of the fit."""


def updated(
    result: Any,
    new: TensorData,
    mode: int | str | None,
    *,
    history: Any,
    half_life: float | None,
    window: int | None,
    n_iter_max: int,
    tol: float,
    unlisted: str | None,
    n_threads: int | None,
) -> dict[str, Any]:
    """Return the fields of a `FitResult` that new positions change; its `update` has the arguments."""
    began = time.perf_counter()
    options: dict[str, Any] = {
        "half_life": None if half_life is None else checks.real("half_life", half_life, above=0),
        "window": None if window is None else checks.whole("window", window, least=1),
        "n_iter_max": checks.whole("n_iter_max", n_iter_max, least=1),
        "tol": checks.real("tol", tol, least=0),
    }
    if unlisted is not None:
        checks.text("unlisted", unlisted, ("zero", "missing"))
    number = _mode(result, mode)
    check_updatable(result, number)
    memory = result.memory
    if history is not None or not memory:
        memory = _memory(result, number, history, n_threads)
    found = update(result, stored(new), number, memory, unlisted=unlisted, n_threads=n_threads, **options)
    value = found.objective.value_and_grad(found.factors)[0]
    before = result.objective - result.penalty
    null = result.null_objective + found.objective.null_value
    saturated = result.saturated_objective + found.objective.saturated_value
    explained = 1 - (before + value - saturated) / (null - saturated) if null > saturated else math.nan
    seconds = time.perf_counter() - began
    n_iter, status = len(found.trace["objective"]), "converged" if found.converged else "n_iter_max"
    trace = found.trace | {"projected_gradient_norm": np.full(n_iter, np.nan)}
    start = {
        "start": 0,
        "objective": before + value + found.penalty,
        "converged": found.converged,
        "status": status,
        "n_iter": n_iter,
        "n_eval": n_iter,
        "seconds": seconds,
        "trace": {name: trace[name].tolist() for name in ("seconds", "objective")},
    }
    facts = {
        name: start[name] for name in ("objective", "converged", "status", "n_iter", "n_eval", "seconds")
    }
    earlier = result.settings.get("updates", {}).get("count", 0)
    return (
        {name: getattr(found.model, name) for name in vars(found.model)}
        | facts
        | {
            "penalty": found.penalty,
            "null_objective": null,
            "saturated_objective": saturated,
            "projected_gradient_norm": math.nan,
            "message": _in_words(found, number, n_iter),
            "trace": trace,
            "starts": [start],
            "settings": result.settings | {"updates": {"count": earlier + 1, **options}},
            "training_deviance_explained": explained,
            "total_weight": result.total_weight + found.objective.survey.total_weight,
            "memory": found.memory,
        }
    )


def _mode(result: Any, given: int | str | None) -> int:
    """Return the number of the mode that grows.

    Raises
    ------
    ParameterError
        Another one than that of earlier updates.
    """
    labels, before = result.labels, result.memory.mode
    if given is None:
        return labels.number(before) if before else mode_that_goes_on(result, "update")
    number: int = labels.number(given)
    if before and labels.names[number] != before:
        raise ParameterError(
            f"update: this model grows in the mode {before!r}, which it remembers data by: found mode={given!r}. To "
            "grow in another one, fit again."
        )
    return number


def _memory(result: Any, mode: int, history: Any, n_threads: int | None) -> Memory:
    """Return what the data of the fit, or what they are expected to be, leave to be remembered."""
    if history is not None:
        try:
            return remembered(result, stored(_given(history)), mode, n_threads)
        except (DataError, DomainError) as error:
            raise type(error)(f"history: {error}") from None
    is_whole = result.total_weight == math.prod(result.shape)
    if not is_whole or result.problem.carried:
        raise ParameterError(
            "update: the fit saw a part of the cells, or with weights or exposures, and which is not known any more: "
            "give history=, the data of the fit or the latest part of them. Later updates do without."
        )
    return remembered_by_model(result, mode, n_threads)


def _given(history: Any) -> TensorData:
    """Return the data of the fit, from arguments of `fit_gcp` by name if they come with more."""
    if not isinstance(history, Mapping):
        return in_one_piece(history)
    others = set(history) - {"data", *_BESIDE}
    if others or "data" not in history:
        raise ParameterError(
            f"history, given as a dict, has data, and may have {', '.join(_BESIDE)}: found "
            f"{', '.join(map(str, history))}."
        )
    return in_one_piece(**history)


def _in_words(found: Update, mode: int, n_iter: int) -> str:
    """Return what an update did."""
    names = found.model.labels.names
    grown = [f"{len(found.factors[mode]):,} new positions of {names[mode]!r}"]
    grown += [f"{count:,} new of {name!r}" for name, count in found.n_new.items()]
    lacking = [f"{len(labels):,} of {name!r}" for name, labels in found.lacking.items()]
    missing = f"; the new data lack {' and '.join(lacking)}, which counts as missing" if lacking else ""
    return f"{' and '.join(grown)} in {n_iter} {'sweep' if n_iter == 1 else 'sweeps'}{missing}"
