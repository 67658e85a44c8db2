"""`gcp losses`: what the registry holds."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from inspect import getdoc
from typing import Any

import gcp
from gcp.cli.output import parameters_in_words, print_json, print_table
from gcp.cli.parsing import Parser, command

_SECTION = re.compile(r"^- \*\*(.+?):\*\* (.*?)(?=^- \*\*|\Z)", re.DOTALL | re.MULTILINE)


@command(
    "losses",
    "list the losses with formulas, domains and parameters",
    "List the losses: f(x, m) of a datum x and a model entry m, the data and the model values that each "
    "admits, its link and its parameters (set them with gcp fit --param NAME=VALUE).",
    "  gcp losses --json",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the losses."""
    losses = [_describe(gcp.get_loss(name)) for name in gcp.available_losses()]
    if args.json:
        print_json({"losses": losses})
    else:
        print_table(("loss", "what it is"), [row for loss in losses for row in _rows(loss)])
    return 0


def _describe(loss: gcp.Loss) -> dict[str, Any]:
    """Return what the class and its docstring say; None stands for a parameter that the data set."""
    text = {name: " ".join(said.split()) for name, said in _SECTION.findall(getdoc(type(loss)) or "")}
    return {
        "name": loss.name,
        "formula": text.get("Loss", ""),
        "distribution": text.get("Distribution", ""),
        "data_domain": str(loss.data_domain),
        "model_domain": str(loss.model_domain),
        "link": text.get("Link", ""),
        "parameters": {field.name: getattr(loss, field.name) for field in fields(loss) if field.name != "by"},  # type: ignore[arg-type]
    }


def _rows(loss: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a block of lines per loss: no table of six columns fits a terminal."""
    params = parameters_in_words(loss["parameters"])
    lines = [
        loss["formula"],
        f"x in {loss['data_domain']}, m in {loss['model_domain']}",
        f"link: {loss['link']}",
        *([f"parameters: {params}"] if params else []),
        "",
    ]
    return [(loss["name"] if n == 0 else "", line) for n, line in enumerate(lines)]
