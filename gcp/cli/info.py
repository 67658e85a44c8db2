"""`gcp info`: what a tensor holds, and which losses admit it."""

from __future__ import annotations

import argparse
import re
from typing import Any

import numpy as np

import gcp
from gcp.cli.output import number, print_json, print_pairs, print_table
from gcp.cli.parsing import Commands, add_command
from gcp.cli.reading import INPUT_HELP, add_reading_options, mode_labels, read_input


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "info",
        "describe a tensor, and say which losses admit it",
        "Describe a tensor: shape, missing cells, zeros, range, moments of the observed cells; and say for each "
        "loss, at its default parameters, whether it admits the data, and if not, why.",
        "  gcp info trips.csv --modes station,date,hour --value count --unlisted zero",
    )
    parser.add_argument("input", metavar="INPUT", help=INPUT_HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Describe INPUT."""
    tensor = read_input(args)
    facts = {"input": args.input} | _facts(tensor)
    refusals = _refusals(tensor)
    if args.json:
        losses = {name: {"admitted": reason is None, "reason": reason} for name, reason in refusals.items()}
        print_json(facts | {"losses": losses})
        return 0
    print_pairs(_pairs(facts))
    print()
    rows = [
        (name, "no" if reason else "yes", (reason or "").removeprefix(f"The {name} loss "))
        for name, reason in refusals.items()
    ]
    print_table(("loss", "admitted", "why not"), rows, fixed=(0, 1))
    return 0


def _facts(tensor: gcp.DenseTensor) -> dict[str, Any]:
    """Sizes and unweighted moments of the observed cells, from two passes."""
    count, zeros, total, squares = 0, 0, 0.0, 0.0
    low, high = np.inf, -np.inf
    with np.errstate(invalid="ignore", over="ignore"):  # infinite data are reported, not refused
        for block in tensor.blocks():
            x = block.x if block.weights is None else block.x[block.weights != 0]
            if x.size:
                count, zeros, total = count + x.size, zeros + int((x == 0).sum()), total + float(x.sum())
                low, high = min(low, float(x.min())), max(high, float(x.max()))
        mean = total / count
        for block in tensor.blocks():
            x = block.x if block.weights is None else block.x[block.weights != 0]
            squares += float(np.square(x - mean).sum())
    labels = mode_labels(tensor)
    sizes = list(zip(labels.names, tensor.shape, labels.coords, strict=True))
    return {
        "shape": list(tensor.shape),
        "modes": [
            {"name": name, "size": size, "labels": None if coord is None else coord.astype(str).tolist()}
            for name, size, coord in sizes
        ],
        "dtype": str(tensor.values.dtype),
        "cells": tensor.values.size,
        "missing": tensor.values.size - count,
        "zeros": zeros,
        "min": low,
        "max": high,
        "mean": mean,
        "variance": squares / count,
        "variance_to_mean": squares / count / mean if mean else None,
    }


def _refusals(tensor: gcp.DenseTensor) -> dict[str, str | None]:
    """Per loss: None if it admits the data, else the reason."""
    found: dict[str, str | None] = {}
    admitted = set()
    for name in gcp.available_losses():
        domain = gcp.get_loss(name).data_domain
        found[name] = None
        if domain not in admitted:  # one pass over the data per domain, not per loss
            try:
                gcp.build_objective(tensor, name)
                admitted.add(domain)
            except gcp.DomainError as error:
                found[name] = re.split(r"(?<=[.]) ", str(error), maxsplit=1)[0]
    return found


def _pairs(facts: dict[str, Any]) -> list[tuple[str, str]]:
    observed = facts["cells"] - facts["missing"]
    modes = [(f"  {mode['name']}", f"{mode['size']:,}{_examples(mode['labels'])}") for mode in facts["modes"]]
    ratio = facts["variance_to_mean"]
    return [
        ("input", facts["input"]),
        ("shape", " x ".join(f"{size:,}" for size in facts["shape"])),
        *modes,
        ("type", facts["dtype"]),
        ("cells", f"{facts['cells']:,}"),
        ("missing", f"{facts['missing']:,} ({facts['missing'] / facts['cells']:.1%})"),
        ("zeros", f"{facts['zeros']:,} ({facts['zeros'] / observed:.1%} of the observed)"),
        ("range", f"{number(facts['min'])} to {number(facts['max'])}"),
        ("mean", number(facts["mean"])),
        ("variance", number(facts["variance"])),
        ("variance / mean", "-" if ratio is None else number(ratio)),
    ]


def _examples(labels: list[str] | None) -> str:
    if labels is None:
        return ""
    return f": {', '.join(labels)}" if len(labels) <= 4 else f": {labels[0]}, {labels[1]}, ..., {labels[-1]}"
