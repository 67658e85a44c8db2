"""Sections on how good a model is, where it fails, and how to read that."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
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
from gcp.analysis.plots import (
    plot_calibration,
    plot_convergence,
    plot_observed,
    plot_residuals,
    plot_roc,
    plot_surprises,
)
from gcp.analysis.report.overview import number
from gcp.analysis.report.page import grid, pairs, paragraph, picture, table
from gcp.base.errors import GcpError, ParameterError
from gcp.base.interval import BINARY
from gcp.objectives.model import share_in_words
from gcp.result import FitResult

_ON_MAP = 150


def quality(result: FitResult, tensor: Any) -> str:
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
    note = paragraph(
        "On the data that were fitted, where every model looks better than on new ones; cells that were held out "
        "(gcp.hold_out, gcp.select_rank) tell how well it predicts.",
        "note",
    )
    return pairs(rows) + note + "".join(_warnings(result, tensor))


def _warnings(result: FitResult, tensor: Any) -> list[str]:
    """Return what a reader has to know before the components are believed."""
    found = [paragraph(note, "warning")] if (note := saturation(result, tensor)) else []
    if result.loss.name in ("poisson", "poisson-log"):
        try:
            test = dispersion_test(result, tensor)
            found.append(paragraph(test.advice, "warning" if test.p_value < 0.001 else ""))
        except GcpError:
            pass
    for pair in degeneracies(result):
        found.append(
            paragraph(
                f"Components {pair.first} and {pair.second} nearly cancel (congruence "
                f"{pair.congruence:.3f}): a two-factor degeneracy. They mean little apart; "
                "fewer components, a penalty or bounds at 0 help.",
                "warning",
            )
        )
    if gone := int(np.count_nonzero(result.weights == 0)):
        text = "1 component has weight 0" if gone == 1 else f"{gone} components have weight 0"
        found.append(paragraph(f"{text}: fewer would do as well."))
    return found


def pictures(result: FitResult, tensor: Any) -> str:
    """Return pictures, each with a sentence on how to read it."""
    shown = [
        _picture_or_note(
            lambda: plot_convergence(result),
            "Objective of every start as time goes by",
            "Lines that end on the same level found the same minimum. A line that ends higher is another, worse one: "
            "more starts are worth their time then.",
        ),
        _picture_or_note(
            lambda: plot_calibration(result, tensor),
            "Observed means against expected ones",
            "Cells in groups of like expectation, with two standard errors. Points off the line: the model expects "
            "too little (above) or too much (below) there.",
        ),
    ]
    if tensor.zeros is None:  # else listed entries alone are no random part of the cells
        shown.append(
            _picture_or_note(
                lambda: plot_residuals(result, tensor),
                "Quantiles of the residuals against normal ones",
                "On the line, the data scatter about the model as the loss says. Steeper ends: more extreme data "
                "than its distribution allows; another loss may suit better.",
            )
        )
    if result.loss.data_domain == BINARY:
        shown.append(
            _picture_or_note(
                lambda: plot_roc(result, tensor),
                "ROC curve",
                "The farther to the upper left, the better the model tells ones from zeros.",
            )
        )
    by_mode = _picture_or_note(
        lambda: plot_observed(result, tensor)[0],
        "Observed against expected means by position, for every mode",
        "",
    )
    text = paragraph(
        "A point for every position of a mode: the mean of its data against what the model expects. Positions that "
        "are more than three standard errors off are named; there the model misses something."
        + (
            " A Poisson fit that has converged meets them by construction."
            if result.loss.name == "poisson"
            else ""
        )
    )
    return grid(shown) + "<h3>Observed against expected, by mode</h3>" + text + by_mode


def _picture_or_note(draw: Callable[[], Any], words: str, caption: str) -> str:
    """Return a picture, or why there is none."""
    try:
        return picture(draw().figure, words, caption)
    except GcpError as error:
        return f'<p class="note">{escape(words)}: left out. {escape(str(error))}</p>'


def surprises(result: FitResult, tensor: Any, n: int) -> str:
    """Return a table of the most surprising cells, and a map of more."""
    try:
        found = anomalies(result, tensor, max(n, _ON_MAP))
    except GcpError as error:
        return paragraph(f"Left out. {error}", "note")
    rows = [
        [
            *(str(label[k]) for label in found.labels),
            number(float(found.observed[k])),
            number(float(found.expected[k])),
            f"{found.p_value[k]:.1e}",
        ]
        for k in range(min(n, len(found.observed)))
    ]
    modes = list(result.labels.names)
    cells = tensor.n_known
    text = paragraph(
        "The cells whose data are least probable under the model, the most surprising first: errors in the "
        f"data, events, or what the model misses. Of {cells:,.0f} cells some are as "
        f"improbable as {1 / cells:.0e} by chance."
    )
    shown = text + table(
        [*modes, "observed", "expected", "probability"], rows, tuple(range(len(modes), len(modes) + 3))
    )
    if len(result.shape) > 1:
        caption = f"The {len(found.observed)} most surprising cells; larger is more surprising."
        shown += _picture_or_note(
            lambda: plot_surprises(result, found), "A map of the most surprising cells", caption
        )
    return shown
