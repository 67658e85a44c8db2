"""`gcp judge`: how good a saved model is on data."""

from __future__ import annotations

import argparse
from typing import Any

import gcp
from gcp.base.errors import ParameterError
from gcp.base.interval import BINARY
from gcp.cli import saved_result
from gcp.cli.output import number, parameters_in_words, print_json, print_pairs
from gcp.cli.parsing import Parser, command
from gcp.cli.several_option import parameters_of


@command(
    "judge",
    "say how good a saved model is on data",
    "Deviance, RMSE, likelihood, AIC and BIC of a saved model on data of its shape; for counts a test whether "
    "Poisson is too narrow, for 0/1 data AUC and average precision.",
    "  gcp judge flights.npz --data nyc_flights",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    saved_result.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge and report."""
    result, tensor = saved_result.load(args)
    found = _findings(result, tensor)
    if args.json:
        print_json(found)
    else:
        print_pairs([(name.replace("_", " "), _text(value)) for name, value in found.items() if value != ""])
    return 0


def _findings(result: gcp.FitResult, tensor: Any) -> dict[str, Any]:
    """Return numbers by name, as far as the loss has them."""
    from gcp.analysis import (
        binary_scores,
        dispersion_test,
        information_criteria,
    )
    from gcp.analysis.deviance import deviance_of
    from gcp.analysis.likelihood import saturation
    from gcp.analysis.prediction import scores_of
    from gcp.objectives.evaluation import evaluate
    from gcp.objectives.known_cells import tensor_of

    tensor = tensor_of(result, tensor)
    once = evaluate(result, tensor)
    of, predicted = deviance_of(once, result.loss), scores_of(once, result, tensor)
    found: dict[str, Any] = {
        "loss": result.loss.name,
        "loss_parameters": parameters_in_words(parameters_of(result)),
        "rank": result.rank,
        "deviance": of.deviance,
        "null_deviance": of.null_deviance,
        "deviance_explained": of.explained,
        "mean_loss": predicted.mean_loss,
        "rmse": predicted.rmse,
        "mae": predicted.mae,
    }
    if note := saturation(result, tensor):
        found["note"] = note
    try:
        criteria = information_criteria(result, tensor)
    except ParameterError:  # no likelihood
        return found
    found |= {name: value for name, value in vars(criteria).items() if value is not None}
    if result.loss.name == "poisson":
        test = dispersion_test(result, tensor)
        found |= {
            "dispersion_statistic": test.statistic,
            "dispersion_p_value": test.p_value,
            "advice": test.advice,
        }
    if result.loss.data_domain == BINARY:
        scores = binary_scores(result, tensor)
        names = ("auc", "average_precision", "brier", "log_loss", "base_rate")
        found |= {name: getattr(scores, name) for name in names}
    return found


def _text(value: Any) -> str:
    return number(float(value)) if isinstance(value, float) else str(value)
