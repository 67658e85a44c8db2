"""The option --loss: a name, or one loss for each position of a mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gcp
from gcp.base.errors import ParameterError

LOSS_HELP = (
    "its name; gcp losses lists them. Or a loss for each position of a mode: "
    "MODE:LABEL=LOSS,LABEL=LOSS,*=LOSS, with * for all others"
)


def loss_of(text: str, params: Mapping[str, Any]) -> gcp.Loss:
    """Return the loss of --loss and --param.

    Raises
    ------
    ParameterError
        Unknown names, or parts that are no pairs LABEL=LOSS.
    """
    mode, colon, rest = text.partition(":")
    if not colon:
        return gcp.get_loss(text, **params)
    losses: dict[str | None, str] = {}
    for part in rest.split(","):
        label, equals, name = part.rpartition("=")
        if not (mode.strip() and label.strip() and equals and name.strip()):
            raise ParameterError(
                "--loss: expected MODE:LABEL=LOSS,LABEL=LOSS such as variable:age=gaussian,*=poisson; found "
                f"{part!r} in {text!r}."
            )
        key = None if label.strip() == "*" else label.strip()
        if key in losses:
            raise ParameterError(f"--loss names {label.strip()!r} twice: {text!r}.")
        losses[key] = name.strip()
    if unknown := sorted(set(params) - {"balanced"}):
        raise ParameterError(
            f"--param {unknown[0]} beside several losses: only balanced=0, which adds losses as they are, is "
            "possible there; in Python each loss takes parameters of its own."
        )
    by = int(mode) if mode.strip().isdigit() else mode.strip()
    return gcp.SeveralLosses(by, losses, balanced=bool(params.get("balanced", True)))


def parameters_of(result: gcp.FitResult) -> dict[str, Any]:
    """Return the parameters of a result's loss by name; of several losses, each position's in words, by its label."""
    from gcp.io.summary import losses_by_position

    if result.loss.kinds:
        return {str(label): text for label, text in losses_by_position(result)}
    return {name: value for name, value in vars(result.loss).items() if value is not None}
