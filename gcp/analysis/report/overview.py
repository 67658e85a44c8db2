"""Sections on what was fitted, its components and their labels, and how to fit it again."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import numpy as np

from gcp.analysis.plots.axis import ModeAxis
from gcp.analysis.plots.components import components_figure, narrow_components_figure
from gcp.analysis.plots.share_plot import plot_shares
from gcp.analysis.report.page_blocks import (
    FactList,
    Heading,
    PageBlock,
    PageTable,
    Paragraph,
    Verbatim,
    drawn,
    joined,
    picture,
)
from gcp.analysis.shares import component_shares
from gcp.base.label_text import label_texts
from gcp.base.table_result import shown
from gcp.base.types import Array, FloatArray
from gcp.io.summary import losses_by_position
from gcp.losses.custom import CustomLoss
from gcp.objectives.designs.base import Basis
from gcp.objectives.designs.smooth_bases import SmoothBasis
from gcp.objectives.penalties.base import Penalty
from gcp.result import FitResult

_TOP = 5
_MOST_DRAWN = 12
"""Components in the picture; all are in the table."""
_MOST_VISITS = 2e8
"""Cells times components, at most, to tell what each component explains."""


def number(value: float) -> str:
    """Return four digits, thousands separated."""
    if 1e3 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def in_words(result: FitResult, tensor: Any) -> str:
    """Return a paragraph about data and model."""
    sizes = " x ".join(
        f"{size:,} {name}" for size, name in zip(result.shape, result.labels.names, strict=True)
    )
    cells, n = float(np.prod(result.shape, dtype=float)), tensor.n_known
    known = "all cells are known" if n == cells else f"{n:,.0f} of {cells:,.0f} cells are known"
    if tensor.zeros is not None:
        known += f", {len(tensor.values):,} are listed, the others are 0"
    components = "1 component" if result.rank == 1 else f"{result.rank} components"
    beside = " beside an intercept and main effects" if result.main_effects else ""
    share = result.training_deviance_explained
    explained = f"The model explains {share:.1%} of the deviance of the best constant."
    if share != share:
        explained = "The data are constant, and the best constant leaves nothing to explain."
    unknown = f" {text}" if (text := result.unknown_in_words()) else ""
    carried = f" The data have {words}." if (words := result.problem.carried_in_words) else ""
    if others := result.problem.coupled_with:
        carried += f" It was fitted together with {', '.join(others)}, with which it shares factors."
    return (
        f"A tensor of {sizes} ({known}) is explained by {components}{beside} under the {result.loss.name} loss."
        f"{carried} {explained}{unknown}"
    )


def components(result: FitResult, tensor: Any) -> list[PageBlock]:
    """Return pictures of the heaviest components and of their shares, and a table of the largest entries of all."""
    if result.rank == 0:
        return [Paragraph("None: main effects alone.")]
    shown = list(range(min(result.rank, _MOST_DRAWN)))
    caption = (
        "A row for each component, a column for each mode; columns of a factor have norm 1, and a component's "
        "contribution to a cell is its weight times the product of its entries. Components are counted from 0, as in "
        "Python."
    )
    if len(shown) < result.rank:
        caption += f" The heaviest {len(shown)} of {result.rank}."
    rows = [
        [
            str(r),
            number(float(result.weights[r])),
            *(largest(result, n, a[:, r]) for n, a in enumerate(result.factors)),
        ]
        for r in range(result.rank)
    ]
    words = f"Components of the model: {'; '.join(_row_words(result, rows[r]) for r in shown)}."
    return joined(
        picture(components_figure(result, shown), caption, narrow_components_figure(result, shown), words),
        Heading("Largest entries"),
        Paragraph(
            "The largest entries of each component in each mode, by their size; of an ordered mode, where it peaks.",
            "note",
        ),
        PageTable(["component", "weight", *result.labels.names], rows, (0, 1)),
        _shares(result, tensor),
        _fitted(result),
    )


def loss_parameters(result: FitResult) -> list[PageBlock]:
    """Return a table of the numbers of a loss that has one for each position of a mode."""
    loss = result.loss
    if loss.kinds:
        words = f"Every position of {loss.by} has a loss of its own."
        texts = [[str(shown(label)), text] for label, text in losses_by_position(result)]
        return [Paragraph(words), PageTable([str(loss.by), "loss"], texts, ())]
    values = getattr(loss, loss.parameter_by)
    labels = label_texts(result.labels.values(result.labels.number(str(loss.by)), len(values)))
    how = "estimated along with the model" if loss.parameter_by in result.problem.estimated else "given"
    words = f"The {loss.name} loss has one {loss.parameter_by} for each position of {loss.by}, {how}."
    rows = [[label, number(float(value))] for label, value in zip(labels, values, strict=True)]
    return [Paragraph(words), PageTable([str(loss.by), loss.parameter_by], rows, (1,))]


def _row_words(result: FitResult, row: list[str]) -> str:
    """Return a row of the table of largest entries in words."""
    modes = "; ".join(f"{name}: {text}" for name, text in zip(result.labels.names, row[2:], strict=True))
    return f"component {row[0]}, weight {row[1]}, with {modes}"


def _shares(result: FitResult, tensor: Any) -> list[PageBlock]:
    """Return a picture of what each component explains, unless there are too many cells to look at so often.

    There is none either where equal models mean different expectations.
    """
    moves_mean = result.loss.by is not None and result.loss.position_moves_mean
    if result.loss.kinds or moves_mean or np.prod(result.shape, dtype=float) * result.rank > _MOST_VISITS:
        return []
    shown = drawn(
        lambda ax: plot_shares(component_shares(result, tensor), ax=ax),
        "Share of each component",
        "What a component explains alone, the others being at their means, and what is lost if its mean takes its "
        "place. Neither sums to what all explain together: components tell things twice, or need each other.",
    )
    return [Heading("Share of each component"), shown]


def _fitted(result: FitResult) -> list[PageBlock]:
    """Return words on where bounds other than 0 hold: for what the solver left of the factors."""
    if not any(np.any(np.isfinite(sides) & (sides != 0)) for sides in result.row_bounds):
        return []
    rows = []
    for name, a, (low, high) in zip(
        result.labels.names, result.fitted_factors, result.row_bounds, strict=True
    ):
        between = f"{number(float(low.min()))} to {number(float(high.max()))}"
        rows.append([name, between, f"{number(float(a.min()))} to {number(float(a.max()))}"])
    note = "Bounds hold for the factors as the solver left them (fitted_factors), not for columns of norm 1."
    return [
        Heading("Fitted factors within their bounds"),
        Paragraph(note, "note"),
        PageTable(["mode", "bounds", "entries"], rows),
    ]


def main_effects(result: FitResult) -> list[PageBlock]:
    """Return the intercept, and of each mode the largest and smallest effects."""
    rows = []
    for name, vector in result.main_effects.items():
        n = result.labels.number(name)
        order = np.argsort(vector, kind="stable")
        count = min(_TOP, max(1, len(vector) // 2))
        high, low = (_named(result, n, at, vector) for at in (order[::-1][:count], order[:count]))
        rows.append([name, number(float(np.std(vector))), high, low])
    note = "An effect is added to the model at every cell of its position; those of a mode have mean 0."
    return [
        FactList([("intercept", number(result.intercept))]),
        Paragraph(note),
        PageTable(["mode", "standard deviation", "largest", "smallest"], rows, (1,)),
    ]


def largest(result: FitResult, mode: int, column: FloatArray) -> str:
    """Return the largest entries of a column (I_n,) of a factor, with their labels."""
    axis = ModeAxis.of(result.labels, mode, len(column))
    order = np.argsort(-np.abs(column), kind="stable")
    order = order[np.abs(column[order]) > 0]
    if axis.kind == "line":
        order = order[:1]
    return _named(result, mode, order[:_TOP], column)


def _named(result: FitResult, mode: int, at: Array, values: FloatArray) -> str:
    """Return the entries at positions (k,), values (k,), with their labels."""
    labels = label_texts(result.labels.values(mode, len(values)))
    return ", ".join(f"{_isolated(labels[k])} ({values[k]:.2g})" for k in at)


def _isolated(label: str) -> str:
    """Return a label in a direction of its own, if it is written, or turned, to the left: numbers stay behind it."""
    is_leftward = any(unicodedata.bidirectional(c) in ("R", "AL", "RLE", "RLO", "LRO") for c in label)
    return f"\u2068{label}\u2069" if is_leftward else label


def settings(result: FitResult) -> list[PageBlock]:
    """Return everything that decided the fit, and the call that repeats it."""
    settings = {name: value for name, value in result.settings.items() if name != "versions"}
    versions = ", ".join(f"{name} {version}" for name, version in result.settings["versions"].items())
    text = "This call, on the same data and with the same versions, repeats the fit."
    if unsaid := _unsaid(result):
        text = f"This call repeats the fit, given what a file cannot hold: {', '.join(unsaid)}."
    in_json = json.dumps(settings, indent=1, default=str)
    others = ", ".join(result.problem.coupled_with)
    if others:
        text = f"A call of fit_gcp with this tensor and {others}, and with these settings, repeats the fit."
    return [
        Paragraph(text),
        *([] if others else [Verbatim(_call(result))]),
        FactList([("versions", versions), ("seconds", f"{result.seconds:.3g}")]),
        Heading("All settings"),
        Verbatim(re.sub(r"\[[^][{}\"]*\]", lambda numbers: " ".join(numbers[0].split()), in_json)),
    ]


def _unsaid(result: FitResult) -> list[str]:
    """Return arguments of which the settings hold a description alone."""
    own = result.settings
    found = ["the custom loss"] if isinstance(result.loss, CustomLoss) else []
    found += ["the losses"] if result.loss.kinds else []
    if own["init"] not in ("random", "svd"):
        found.append("the model that it began from")
    if result.problem.has_array_bounds:
        found.append("the arrays of bounds")
    if any("..." in text for text in own.get("penalties", ())):
        found.append("the arrays of penalties")
    found += [f"the {name}" for name in result.problem.carried]
    if any(not isinstance(basis, SmoothBasis) for _, basis in result.problem.designs):
        found.append("the rows of designs")
    if own["max_seconds"] is not None:
        found.append("a machine as fast (max_seconds)")
    return found


def _call(result: FitResult) -> str:
    """Return `fit_gcp` with the arguments that are not at their defaults."""
    own = result.settings
    given = [f"    data,\n    {result.rank},\n    loss={_loss_text(result)},"]
    plain: dict[str, Any] = {
        "init": "random",
        "bounds": None,
        "fixed_modes": [],
        "tied_modes": [],
        "main_effects": [],
    }
    zero = {"weight_reg": 0.0, "dirichlet_reg": 0.0, "n_starts": 1, "max_seconds": None}
    for name, default in (plain | zero).items():
        if own.get(name, default) != default:
            value = own[name]
            is_described = name == "init" and value not in ("random", "svd")
            given.append(f"    {name}=..., # {value}" if is_described else f"    {name}={value!r},")
    if any(np.atleast_1d(list(own["l2_reg"].values()) if isinstance(own["l2_reg"], dict) else own["l2_reg"])):
        given.append(f"    l2_reg={own['l2_reg']!r},")
    if "penalties" in own:
        given.append(f"    penalties=[{', '.join(map(_penalty_text, own['penalties']))}],")
    if designs := dict(result.problem.designs):
        names = result.labels.names
        bases = (f"{names[n]!r}: {_basis_text(basis)}" for n, basis in designs.items())
        given.append(f"    design={{{', '.join(bases)}}},")
    given += [f"    {name}=...," for name in result.problem.carried]
    solver: dict[str, Any] = {
        name: value for name, value in own["solver"].items() if name not in ("name", "method")
    }
    texts = ", ".join(f"{name}={value!r}" for name, value in solver.items())
    if own["solver"]["name"] != "Auto":
        given.append(f"    solver=gcp.{own['solver']['name']}({texts}),")
    else:
        given += [f"    {name}={solver[name]!r}," for name in ("n_iter_max", "tol")]
    given.append(f"    random_state={own['seed']},\n    n_threads={own['n_threads']},")
    return "result = gcp.fit_gcp(\n" + "\n".join(given) + "\n)"


def _penalty_text(text: str) -> str:
    """Return the text of a penalty as a call; classes of users have their module in their name, but not in this."""
    return f"gcp.penalties.{text}" if text.partition("(")[0] in Penalty.by_name else text


def _basis_text(basis: Basis) -> str:
    return f"gcp.designs.{basis}" if isinstance(basis, SmoothBasis) else "..."


def _loss_text(result: FitResult) -> str:
    if isinstance(result.loss, CustomLoss) or result.loss.kinds:
        return "..."
    parameters = {name: value for name, value in vars(result.loss).items() if value is not None}
    parameters |= dict.fromkeys(result.problem.estimated, "estimate")
    known = {k: v for k, v in parameters.items() if isinstance(v, int | float | str | tuple)}
    texts = "".join(f", {name}={value!r}" for name, value in known.items())
    return f'gcp.get_loss("{result.loss.name}"{texts})'
