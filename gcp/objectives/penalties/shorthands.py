"""The penalties that `fit_gcp` has an argument of their own for, there and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.dirichlet import DirichletPrior
from gcp.objectives.penalties.ridge import Ridge
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalties.weight_lasso import WeightLasso

_LARGEST = 1e100
SHORTHANDS: dict[str, Callable[[float], Penalty]] = {
    "l2_reg": partial(Ridge, None),
    "weight_reg": WeightLasso,
    "dirichlet_reg": DirichletPrior,
}
"""What each argument makes of a strength."""


def as_penalties(
    l2_reg: float | Mapping[str, float] = 0.0,
    weight_reg: float = 0.0,
    dirichlet_reg: float = 0.0,
    penalties: Sequence[Penalty] = (),
) -> Penalties:
    """Return the penalties that these arguments of `fit_gcp` mean.

    Raises
    ------
    ParameterError
        Strengths that are no numbers at least 0, an unknown part of l2_reg, or what is no penalty.
    """
    if not isinstance(l2_reg, Mapping):
        l2_reg = {"factors": l2_reg, "main_effects": l2_reg}
    if unknown := [part for part in l2_reg if part not in ("factors", "main_effects")]:
        raise ParameterError(
            f"l2_reg has no part {checks.show(unknown[0])}; it takes: factors, main_effects."
        )
    strengths = {
        "l2_reg": l2_reg.get("factors", 0.0),
        "weight_reg": weight_reg,
        "dirichlet_reg": dirichlet_reg,
    }
    numbers = {name: _strength(name, strength) for name, strength in strengths.items()}
    found: list[Penalty] = [SHORTHANDS[name](number) for name, number in numbers.items() if number]
    given = [penalties] if isinstance(penalties, Penalty) else penalties
    for one in checks.items("penalties", given, "a list of penalties"):
        found.append(checks.instance("penalties", one, Penalty, "a list of penalties"))  # type: ignore[type-abstract]
    return Penalties(tuple(found), _strength("l2_reg", l2_reg.get("main_effects", 0.0)))


def as_arguments(penalties: Penalties, *, has_effects: bool) -> dict[str, Any]:
    """Return the arguments of `fit_gcp` that mean these penalties, by name."""
    found: dict[str, Any] = dict.fromkeys(SHORTHANDS, 0.0)
    others = []
    for penalty in penalties.of_components:
        name = _shorthand(penalty)
        if name is not None and not found[name]:
            found[name] = float(penalty.strength)  # type: ignore[attr-defined]
        else:
            others.append(penalty)
    if has_effects:
        found["l2_reg"] = {"factors": found["l2_reg"], "main_effects": penalties.effects_ridge}
    return found | ({"penalties": tuple(others)} if others else {})


def _shorthand(penalty: Penalty) -> str | None:
    """Return the argument that makes such a penalty, if there is one."""
    if type(penalty) is Ridge:
        return "l2_reg" if penalty.mode is None else None
    return {WeightLasso: "weight_reg", DirichletPrior: "dirichlet_reg"}.get(type(penalty))


def _strength(name: str, value: Any) -> float:
    return checks.real(name, value, least=0, below=_LARGEST)
