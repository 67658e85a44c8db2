"""Sections on how good a model is, where it fails, and how to read that."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.analysis import (
    anomalies,
    binary_scores,
    degeneracies,
    deviance,
    dispersion_test,
    information_criteria,
)
from gcp.analysis.likelihood import saturation
from gcp.analysis.plots import plot_calibration, plot_convergence, plot_residuals, plot_roc, plot_surprises
from gcp.analysis.plots.frame import file_figure
from gcp.analysis.plots.observed_means import draw_observed, slice_sums
from gcp.analysis.report.overview import number
from gcp.analysis.report.page_blocks import (
    FactList,
    Gallery,
    Heading,
    PageBlock,
    PageTable,
    Paragraph,
    drawn,
    picture,
)
from gcp.base.errors import GcpError, ParameterError
from gcp.base.interval import BINARY
from gcp.base.label_text import label_texts
from gcp.objectives.model import share_in_words
from gcp.result import FitResult

_ON_MAP = 150
_PANEL = (3.2, 3.0)
_WIDE_MAP, _NARROW_MAP = (6.4, 4.2), (3.9, 4.2)
"""Inches."""


def quality(result: FitResult, tensor: Any) -> list[PageBlock]:
    """Return numbers, each with what it says."""
    rows = []
    try:
        of = deviance(result, tensor)
        text = f"{share_in_words(of.explained)} of {number(of.null_deviance)}, what the best constant leaves"
        rows.append(("deviance explained", text))
        found = information_criteria(result, tensor)
        rows += [
            ("log-likelihood", number(found.log_likelihood)),
            ("AIC, BIC", f"{number(found.aic)}, {number(found.bic)} (lower is better, on the same data)"),
            ("free parameters", f"{found.n_parameters:,}"),
        ]
        if found.dispersion is not None:
            rows.append(("dispersion", f"{number(found.dispersion)} (estimated on these data)"))
        if result.loss.data_domain == BINARY:
            scores = binary_scores(result, tensor)
            precision = f"{scores.average_precision:.4f}; the share of ones is {scores.base_rate:.3g}"
            rows += [
                ("AUC", f"{scores.auc:.4f} (0.5 is chance, 1 a perfect order)"),
                ("average precision", precision),
            ]
    except ParameterError as error:  # no likelihood, ones alone, or too many zeros
        rows.append(("no more than that", str(error)))
    note = Paragraph(
        "On the data that were fitted, where every model looks better than on new ones; cells that were held out "
        "(gcp.hold_out, gcp.select_rank) tell how well it predicts.",
        "note",
    )
    return [FactList(rows), note, *_warnings(result, tensor)]


def _warnings(result: FitResult, tensor: Any) -> list[PageBlock]:
    """Return what a reader has to know before the components are believed."""
    found: list[PageBlock] = [Paragraph(note, "warning")] if (note := saturation(result, tensor)) else []
    if result.loss.name in ("poisson", "poisson-log"):
        try:
            test = dispersion_test(result, tensor)
            found.append(Paragraph(test.advice, "warning" if test.p_value < 0.001 else ""))
        except GcpError:
            pass
    for pair in degeneracies(result):
        found.append(
            Paragraph(
                f"Components {pair.first} and {pair.second} nearly cancel (congruence "
                f"{pair.congruence:.3f}): a two-factor degeneracy. They mean little apart; "
                "fewer components, a penalty or bounds at 0 help.",
                "warning",
            )
        )
    if gone := int(np.count_nonzero(result.weights == 0)):
        text = "1 component has weight 0" if gone == 1 else f"{gone} components have weight 0"
        found.append(Paragraph(f"{text}: fewer would do as well."))
    return found


def pictures(result: FitResult, tensor: Any) -> list[PageBlock]:
    """Return pictures, each with a sentence on how to read it."""
    shown = []
    if not result.problem.coupled_with:  # else their objectives are those of all tensors, under other weights
        shown.append(
            drawn(
                lambda ax: plot_convergence(result, ax=ax),
                "Objective of every start",
                "Lines that end on the same level found the same minimum. A line that ends higher is another, worse "
                "one: more starts are worth their time then.",
            )
        )
    shown.append(
        drawn(
            lambda ax: plot_calibration(result, tensor, ax=ax),
            "Observed means against expected ones",
            "Cells in groups of like expectation, with two standard errors. Points off the line: the model expects "
            "too little (above) or too much (below) there.",
        )
    )
    if tensor.zeros is None:  # else listed entries alone are no random part of the cells
        shown.append(
            drawn(
                lambda ax: plot_residuals(result, tensor, ax=ax),
                "Quantiles of the residuals against normal ones",
                "On the line, the data scatter about the model as the loss says. Steeper ends: more extreme data "
                "than its distribution allows; another loss may suit better.",
            )
        )
    if result.loss.data_domain == BINARY:
        shown.append(
            drawn(
                lambda ax: plot_roc(result, tensor, ax=ax),
                "ROC curve",
                "The farther to the upper left, the better the model tells ones from zeros.",
            )
        )
    return [Gallery(shown), Heading("Observed against expected, by mode"), *_by_mode(result, tensor)]


def _by_mode(result: FitResult, tensor: Any) -> list[PageBlock]:
    """Return a picture for every mode, of observed against expected means."""
    text = (
        "A point for every position of a mode: the mean of its data against what the model expects. Positions that "
        "are more than three standard errors off are named; there the model misses something."
    )
    if result.loss.name == "poisson":
        text += " A Poisson fit that has converged meets them by construction."
    try:
        sums = slice_sums(result, tensor)
    except GcpError as error:
        return [Paragraph(text), Paragraph(f"Left out. {error}", "note")]
    panels: list[PageBlock] = []
    for n, own in sums.items():
        figure = file_figure(_PANEL)
        draw_observed(figure.subplots(), result, n, own)
        panels.append(picture(figure))
    return [Paragraph(text), Gallery(panels)]


def surprises(result: FitResult, tensor: Any, n: int) -> list[PageBlock]:
    """Return a table of the most surprising cells, and a map of more."""
    try:
        found = anomalies(result, tensor, max(n, _ON_MAP))
    except GcpError as error:
        return [Paragraph(f"Left out. {error}", "note")]
    labels = [label_texts(label) for label in found.labels]
    rows = [
        [
            *(label[k] for label in labels),
            number(float(found.observed[k])),
            number(float(found.expected[k])),
            f"{found.p_value[k]:.1e}",
        ]
        for k in range(min(n, len(found.observed)))
    ]
    modes = list(result.labels.names)
    cells = tensor.n_known
    text = (
        "The cells whose data are least probable under the model, the most surprising first: errors in the "
        f"data, events, or what the model misses. Of {cells:,.0f} cells some are as "
        f"improbable as {1 / cells:.0e} by chance."
    )
    header = [*modes, "observed", "expected", "probability"]
    shown: list[PageBlock] = [Paragraph(text), PageTable(header, rows, tuple(range(len(modes), len(header))))]
    if len(result.shape) > 1:
        caption = f"The {len(found.observed)} most surprising cells; larger is more surprising."
        shown.append(
            drawn(lambda ax: plot_surprises(result, found, ax=ax), "Map", caption, _WIDE_MAP, _NARROW_MAP)
        )
    return shown
