"""The gate of losses that are mixtures: the probability of a zero that no model decides."""

from __future__ import annotations

from typing import Any

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.losses.base import Loss, require_positive
from gcp.losses.estimable import is_estimate
from gcp.losses.position_parameters import check_positions

LEAST_GATE = 1e-6
"""Least gate that a fit estimates; 1 less this is the largest one."""


def check_gate(loss: Any) -> None:
    """Raise `ParameterError` unless the gate, or each one, is between 0 and 1, and other parameters are positive."""
    check_positions(loss)
    values = loss.gate if isinstance(loss.gate, tuple) else (loss.gate,)
    for value in values:
        if not (is_estimate(value) or (checks.is_real(value) and 0 < value < 1)):
            raise ParameterError(
                f'{type(loss).__name__} needs a gate between 0 and 1, the probability of a zero, or "estimate": '
                f"found {checks.show(value)}."
            )
    others = {name: getattr(loss, name) for name in ("r", "eps") if hasattr(loss, name)}
    require_positive(loss, **{name: value for name, value in others.items() if not is_estimate(value)})


def share_of_zeros(loss: Loss, x: Any, w: Any) -> float:
    """Return the weighted share of zeros among data (n,), within the limits of a gate."""
    total = float(w.sum())
    share = float(w[x == 0].sum()) / total if total > 0 else 0.5
    return min(max(share, LEAST_GATE), 1 - LEAST_GATE)
