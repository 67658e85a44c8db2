"""`gcp info`: what a tensor holds, and which losses admit it."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

import gcp
from gcp.cli.output import number, print_json, print_pairs, print_table
from gcp.cli.parsing import Parser, command
from gcp.cli.reading import add_reading_options, input_help, mode_labels, read_input

if TYPE_CHECKING:
    from gcp.tensors.kinds import Tensor


@command(
    "info",
    "describe a tensor, and say which losses admit it",
    "Describe a tensor: shape, kind, missing cells, zeros, range, moments of the observed cells; and say for "
    "each loss, at its default parameters, whether it admits the data, and if not, why.",
    "  gcp info trips.csv --modes station,date,hour --value count --unlisted zero",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("input", metavar="INPUT", help=input_help())
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


def _facts(tensor: Tensor) -> dict[str, Any]:
    """Return sizes, and unweighted moments of the observed cells."""
    cells = math.prod(tensor.shape)
    moments = _stored_moments(tensor) if tensor.subs is None else _listed_moments(tensor)
    observed = moments.pop("observed")
    listed = None if tensor.subs is None else len(tensor.values)
    from gcp.tensors.carried_columns import carried_by

    labels = mode_labels(tensor)
    sizes = list(zip(labels.names, tensor.shape, labels.coords, strict=True))
    mean, variance = moments["mean"], moments["variance"]
    return {
        "carries": list(carried_by(tensor)),
        "kind": type(tensor).__name__.removesuffix("Tensor").lower(),
        "shape": list(tensor.shape),
        "modes": [
            {"name": name, "size": size, "labels": None if coord is None else coord.astype(str).tolist()}
            for name, size, coord in sizes
        ],
        "dtype": str(tensor.values.dtype),
        "cells": cells,
        "listed": listed,
        "density": None if listed is None else listed / cells,
        "missing": cells - observed,
        **moments,
        "variance_to_mean": variance / mean if mean else None,
    }


def _stored_moments(tensor: gcp.DenseTensor) -> dict[str, Any]:
    """Return moments from two passes over all cells."""
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
    return {
        "observed": count,
        "zeros": zeros,
        "min": low,
        "max": high,
        "mean": mean,
        "variance": squares / count,
    }


def _listed_moments(tensor: gcp.SparseTensor | gcp.ObservedTensor) -> dict[str, Any]:
    """Return moments from listed entries; all other known cells of a sparse tensor count as zeros."""
    known = tensor if tensor.zeros is None else tensor.nonzeros()
    x = known.values.astype(np.float64)
    count = tensor.n_known
    unlisted = count - len(x)
    low, high = (0.0, 0.0) if unlisted else (np.inf, -np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(x.sum()) / count
        squares = float(np.square(x - mean).sum()) + unlisted * mean**2
    return {
        "observed": count,
        "zeros": unlisted + int((x == 0).sum()),
        "min": min(low, float(x.min(initial=low))),
        "max": max(high, float(x.max(initial=high))),
        "mean": mean,
        "variance": squares / count,
    }


def _refusals(tensor: Tensor) -> dict[str, str | None]:
    """Return, for each loss, None if it admits the data, else the reason."""
    from gcp.base.errors import ParameterError
    from gcp.losses.registry import example_loss

    found: dict[str, str | None] = {}
    admitted = set()
    for name in gcp.available_losses():
        loss = example_loss(name)
        asks = loss.data_domain, loss.exposure_is, loss.takes_trials
        found[name] = None
        if asks not in admitted:  # one pass over the data for losses that ask the same of them
            try:
                gcp.build_objective(tensor, loss)
                admitted.add(asks)
            except (gcp.DomainError, ParameterError) as error:
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
        ("kind", _kind(facts)),
        *([("carries", ", ".join(facts["carries"]))] if facts["carries"] else []),
        ("cells", f"{facts['cells']:,}"),
        ("missing", f"{facts['missing']:,} ({facts['missing'] / facts['cells']:.1%})"),
        ("zeros", f"{facts['zeros']:,} ({facts['zeros'] / observed:.1%} of the observed)"),
        ("range", f"{number(facts['min'])} to {number(facts['max'])}"),
        ("mean", number(facts["mean"])),
        ("variance", number(facts["variance"])),
        ("variance / mean", "-" if ratio is None else number(ratio)),
    ]


def _kind(facts: dict[str, Any]) -> str:
    if facts["kind"] == "dense":
        return "dense: every cell is stored"
    others = "zero" if facts["kind"] == "sparse" else "unknown"
    return f"{facts['kind']}: {facts['listed']:,} cells listed ({facts['density']:.2g} of all), others are {others}"


def _examples(labels: list[str] | None) -> str:
    if labels is None:
        return ""
    return f": {', '.join(labels)}" if len(labels) <= 4 else f": {labels[0]}, {labels[1]}, ..., {labels[-1]}"
