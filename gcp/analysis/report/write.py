"""The page as a whole, and into a file."""

from __future__ import annotations

import os
from datetime import date
from importlib.metadata import version
from typing import Any, Unpack

from gcp.analysis.report import diagnostics, overview
from gcp.analysis.report.page_blocks import FactList, Section
from gcp.analysis.report.template import check_installed, render
from gcp.base import checks
from gcp.io.files import replacing, writing
from gcp.objectives.known_cells import tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried


def write_report(
    result: FitResult,
    data: Any,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    source: str = "",
    n_surprises: int = 15,
    **carried: Unpack[Carried],
) -> None:
    """Write a page about a model and its data that needs no network and no other file.

    What was fitted, how good it is, the components with their labels, diagnostics with a sentence each on how to read
    them, the most surprising cells, and the settings to repeat the fit.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
        Of the model's shape: what was fitted.
    path : path
        Of the .html file; it appears when it is complete.
    title : str
        Heading; "" is one from the loss and the rank.
    source : str
        What the page says of where the data are from, such as the name of a file; "" is nothing.
    n_surprises : int
        Cells to list, 0 for none.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Raises
    ------
    DataError
        Data of another shape, or a file that cannot be written.
    ParameterError
        matplotlib or Jinja2 is not installed.

    Notes
    -----
    Passes over all cells, the zeros of sparse data too, a few times; parts that sparse data
    of more than 2**28 cells do not allow are left out with a note.
    """
    path, title, source = (
        checks.path("path", path),
        checks.text("title", title),
        checks.text("source", source),
    )
    n_surprises = checks.whole("n_surprises", n_surprises, least=0)
    tensor = tensor_of(result, data, **carried)
    check_installed()
    title = title or f"{result.loss.name} model of rank {result.rank}"
    sections = [
        Section("quality", "How good it is", diagnostics.quality(result, tensor)),
        Section("components", "Components", overview.components(result, tensor)),
        Section("diagnostics", "Diagnostics", diagnostics.pictures(result, tensor)),
    ]
    if result.loss.by is not None:
        own = Section("parameters", "Parameters by position", overview.loss_parameters(result))
        sections.insert(2, own)
    if result.main_effects:
        effects = Section("effects", "Main effects", overview.main_effects(result))
        sections.insert(2, effects)
    if n_surprises:
        found = diagnostics.surprises(result, tensor, n_surprises)
        sections.append(Section("surprises", "Largest surprises", found))
    sections.append(Section("settings", "Settings", overview.settings(result)))
    warning = "" if result.converged else f"Not converged: {result.message}."
    text = render(title, overview.in_words(result, tensor), warning, _facts(result, source), sections)
    with writing(path), replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _facts(result: FitResult, source: str) -> FactList:
    """Return what the page is about: data, model, the day it was written, versions."""
    own, fitted = version("gcp-tensor"), result.settings["versions"].get("gcp", "")
    by = f"gcp {own}" if fitted in ("", own) else f"gcp {own}; fitted by gcp {fitted}"
    shape = " x ".join(f"{size:,}" for size in result.shape)
    data = f"{source}, {shape}" if source else shape
    return FactList(
        [
            ("data", data),
            ("model", f"{result.loss.name}, rank {result.rank}"),
            ("written", f"{date.today().isoformat()} by {by}"),
        ]
    )
