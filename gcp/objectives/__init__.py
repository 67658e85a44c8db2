"""Where losses and tensors meet: functions of the factors that solvers minimise."""

from __future__ import annotations

from gcp.objectives.build import build_objective

__all__ = ["build_objective"]
