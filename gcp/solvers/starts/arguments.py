"""Checks of the arguments of a fit, and their description in its settings."""

from __future__ import annotations

import operator
import platform
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.alignment import check_tied
from gcp.base.checks import items, show
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.objectives.penalties.dirichlet import DirichletPrior
from gcp.objectives.penalties.ridge import Ridge
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalties.weight_lasso import WeightLasso
from gcp.solvers import Solver, get_solver


def solver(
    given: str | Solver, n_iter_max: int | None, tol: float | None, max_seconds: float | None
) -> Solver:
    """The solver with the options that the fit overrides."""
    method = get_solver(given) if isinstance(given, str) else given
    if isinstance(method, type) or not (is_dataclass(method) and callable(getattr(method, "solve", None))):
        raise ParameterError(f"solver must be a name or a Solver instance: found {show(given)}.")
    asked = {"n_iter_max": n_iter_max, "tol": tol, "max_seconds": max_seconds}
    changes = {name: value for name, value in asked.items() if value is not None}
    known = {field.name for field in fields(method)}
    if max_seconds is not None and "max_seconds" not in known:  # its observer looks at the clock
        checks.real("max_seconds", changes.pop("max_seconds"), least=0)
    if unknown := sorted(set(changes) - known):
        raise ParameterError(f"The solver {type(method).__name__} has no option {unknown[0]!r}.")
    return replace(method, **changes)


def fixed_modes(given: Sequence[int], ndim: int) -> tuple[int, ...]:
    """Modes, checked and sorted."""
    return tuple(sorted(_modes("fixed_modes", given, ndim)))


def groups(
    tied: Sequence[Sequence[int]],
    fixed: tuple[int, ...],
    shape: tuple[int, ...],
    labels: ModeLabels | None = None,
) -> tuple[tuple[int, ...], ...]:
    """The free modes as groups that share a factor, most of them of one mode; where they have labels, the same."""
    found = []
    seen: set[int] = set(fixed)
    for group in items("tied_modes", tied, "a list of groups of modes, e.g. [(0, 1)]"):
        modes = _modes("tied_modes", group, len(shape))
        if len(modes) < 2:
            raise ParameterError(f"tied_modes: a group needs two modes or more, found {modes}.")
        if len({shape[n] for n in modes}) > 1:
            sizes = [shape[n] for n in modes]
            raise ParameterError(
                f"tied_modes: modes {modes} have different sizes {sizes}; they cannot share."
            )
        if labels is not None:
            check_tied(labels, modes)
        if overlap := seen & set(modes):
            raise ParameterError(f"tied_modes: mode {min(overlap)} is fixed or in another group already.")
        seen |= set(modes)
        found.append(tuple(modes))
    found += [(n,) for n in range(len(shape)) if n not in seen]
    return tuple(sorted(found))


def effect_modes(
    given: bool | Sequence[int], ndim: int, fixed: tuple[int, ...], tied: bool
) -> tuple[int, ...]:
    """The modes that have main effects; True means all that are free."""
    if given is None or isinstance(given, bool | np.bool_):
        modes = [n for n in range(ndim) if n not in fixed] if given else []
    else:
        modes = _modes("main_effects", given, ndim)
    if tied and modes:
        raise ParameterError("main_effects cannot be had together with tied_modes.")
    if held := sorted(set(modes) & set(fixed)):
        raise ParameterError(f"main_effects: mode {held[0]} is fixed; name free modes only.")
    return tuple(sorted(modes))


def settings(rank: int, method: Solver, seed: int, n_threads: int, options: dict[str, Any]) -> dict[str, Any]:
    """Everything that decided a fit beside the data and the loss, as plain numbers and texts."""
    solver_options = {name: describe(value) for name, value in asdict(method).items()}  # type: ignore[call-overload]
    return {
        "rank": rank,
        "solver": {"name": type(method).__name__, **solver_options},
        "seed": seed,
        "n_threads": n_threads,
        **options,
        "versions": dict(_versions()),
    }


@lru_cache(maxsize=1)  # each is read from a file
def _versions() -> dict[str, str]:
    names = {"gcp": "gcp-tensor"} | {name: name for name in ("numpy", "scipy", "tensorly", "numba")}
    return {"python": platform.python_version()} | {key: version(name) for key, name in names.items()}


def describe_penalties(penalties: Penalties, effect_modes: tuple[int, ...]) -> dict[str, Any]:
    """The strengths that `fit_gcp` has arguments for, and other penalties in words."""
    strengths: dict[str, Any] = {}
    for name, kind in (("l2_reg", Ridge), ("weight_reg", WeightLasso), ("dirichlet_reg", DirichletPrior)):
        strengths[name] = sum(float(p.strength) for p in penalties.of_components if type(p) is kind)
    if effect_modes:
        strengths["l2_reg"] = {"factors": strengths["l2_reg"], "main_effects": penalties.effects_ridge}
    return strengths


def describe(value: Any) -> Any:
    """A JSON value that says what an argument was; arrays by their shape."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    return type(value).__name__


def _modes(name: str, given: Any, ndim: int) -> list[int]:
    try:
        modes = [operator.index(n) for n in given]
    except TypeError:
        raise ParameterError(f"{name} must hold mode numbers: found {show(given)}.") from None
    if any(not -ndim <= n < ndim for n in modes) or len({n % ndim for n in modes}) != len(modes):
        raise ParameterError(f"{name}: found {modes}, expected different modes from 0 to {ndim - 1}.")
    return [n % ndim for n in modes]
