"""Summaries of fitted models, to read: as text, and as a part of a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from itertools import zip_longest
from typing import Any

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.base.table_result import Table, Tabular, page_part, pairs_of, shown
from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.base import Loss
from gcp.losses.custom import CustomLoss
from gcp.losses.several import SeveralLosses
from gcp.objectives.model import Model, share_in_words

_LEADING = 3
"""Positions that are named of a column."""

_MOST_COMPONENTS = 10
_MOST_NUMBERS = 6
"""Positions, at most, that are named with their parameter of the loss."""
_LEAST_WIDTH = 60
_WIDEST = 90
"""Characters of a column of a text, at most: three short labels and their numbers."""

_HALF_A_LINE = 50
"""Characters of a fact that has another one beside it, at most."""


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Tabular):
    """A fitted model in a table: print it, or let a notebook show it.

    Attributes
    ----------
    title : str
    facts : dict of str to object
        About the whole model, by name.
    components : Table
        A row for each component and mode: weight, and the positions with the largest entries.
    notes : tuple of str
        Sentences.
    """

    title: str
    facts: dict[str, Any]
    components: Table
    notes: tuple[str, ...]

    def _table(self) -> Table:
        return self.components

    def __repr__(self) -> str:
        """Return the text."""
        pairs = list(pairs_of(self.facts))
        long = [pair for pair in pairs if len(pair[1]) > _HALF_A_LINE]
        short = [pair for pair in pairs if pair not in long]
        half = (len(short) + 1) // 2
        left, right = _beside(short[:half]), _beside(short[half:])
        middle = max(map(len, left)) + 3
        lines = [f"{a:{middle}}{b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")]
        lines += _beside(long) if long else []
        table = self.components.lines(len(self.components) + 2, _WIDEST) if len(self.components) else []
        width = max(_LEAST_WIDTH, *map(len, [self.title, *lines, *table]))
        bar, thin = "=" * width, "-" * width
        body = [table[0], thin, *table[1:], bar] if table else []
        return "\n".join([self.title, bar, *lines, bar, *body, *self.notes])

    def _repr_html_(self) -> str:
        """Return a part of a page, for notebooks."""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return page_part(self.title, self.facts, self.components.html() + notes)


class SummarisedModel(Model):
    """A fitted model that says what it found, in words."""

    def summary(self) -> Summary:
        """Return what the fit found, to print or to show in a notebook: facts, and the components' largest entries.

        ``summary().to_frame()`` has the ten heaviest components as a pandas DataFrame, a row for each and each mode.
        """
        more = f"The {self.rank - 10} lightest components are not shown." if self.rank > 10 else ""
        return Summary(self._title(), self._facts(), components_of(self), self._notes(more))

    def _title(self) -> str:
        shape = " x ".join(f"{size} {self.labels.title(n)}" for n, size in enumerate(self.shape))
        return f"GCP model of rank {self.rank}: {shape}"

    def _facts(self) -> dict[str, Any]:
        return facts_of(self)

    def _notes(self, *further: str) -> tuple[str, ...]:
        own: Any = self
        status = f"{'converged' if own.converged else f'not converged ({own.status})'}: {own.message}"
        return tuple(note for note in (*further, status, self.unknown_in_words()) if note)

    def __repr__(self) -> str:
        """Return a few lines to read."""
        weights = ", ".join(f"{w:.4g}" for w in self.weights[:10]) + (", ..." if self.rank > 10 else "")
        return in_lines(self._title(), self._facts() | {"weights": weights}, self._notes())

    def _repr_html_(self) -> str:
        """Return the summary as a part of a page, for notebooks."""
        return self.summary()._repr_html_()


def loss_in_words(loss: Loss) -> str:
    """Return the text of a loss, with numbers of many digits to three."""
    text = re.sub(r"\(((?:[^(),=]+, ){2})(?:[^(),=]+, ){3,}([^(),=]+)\)", r"(\1..., \2)", repr(loss))
    return re.sub(r"\d+\.\d{4,}(e[+-]?\d+)?", lambda found: f"{float(found[0]):.3g}", text)


def facts_of_loss(model: Model) -> dict[str, str]:
    """Return the text of a loss, and its numbers by position beside their labels, the least and largest of many."""
    loss = model.loss
    if isinstance(loss, SeveralLosses):
        texts = [f"{shown(label)} {text}" for label, text in losses_by_position(model)]
        if len(texts) > _MOST_NUMBERS:
            texts = [*texts[:_MOST_NUMBERS], "..."]
        how = {} if loss.balanced else {"losses are": "added as they are (balanced=False)"}
        return {"losses": loss.name, f"loss by {loss.by}": ", ".join(texts)} | how
    found = {"loss": loss_in_words(loss)}
    if loss.by is None:
        return found
    numbers = np.asarray(getattr(loss, loss.parameter_by), dtype=float)
    labels = model.labels.values(model.labels.number(loss.by), len(numbers))
    texts = [f"{shown(label)} {number:.3g}" for label, number in zip(labels, numbers, strict=True)]
    if len(texts) > _MOST_NUMBERS:
        order, half = np.argsort(numbers, kind="stable"), _MOST_NUMBERS // 2
        texts = [*(texts[k] for k in order[:half]), "...", *(texts[k] for k in order[-half:])]
    return found | {f"{loss.parameter_by} by {loss.by}": ", ".join(texts)}


def facts_of(result: Any) -> dict[str, Any]:
    """Return what a `FitResult` found and how, by name."""
    effects, labels = result.main_effects, result.labels
    spreads = ", ".join(f"{name} (sd {v.std():.3g})" for name, v in effects.items())
    return {
        "data in": labels.data_units,
        **facts_of_loss(result),
        "data with": result.problem.carried_in_words,
        "updates": _updates_in_words(result.settings.get("updates")),
        "coupled with": ", ".join(result.problem.coupled_with),
        "solver": result.settings["solver"]["method"],
        "starts": len(result.starts),
        "iterations": result.n_iter,
        "evaluations": result.n_eval,
        "deviance explained": share_in_words(result.training_deviance_explained),
        "objective": f"{result.objective:.8g}",
        "of that penalty": f"{result.penalty:.8g}" if result.penalty else "",
        "objective of a constant": f"{result.null_objective:.8g}",
        "main effects": f"intercept {result.intercept:.4g}; {spreads}" if effects else "",
        "penalties": result.problem.penalties_in_words,
        "designs": ", ".join(f"{labels.names[n]}: {z}" for n, z in result.problem.designs),
        "seconds": f"{result.seconds:.2f}",
    }


def _updates_in_words(updates: Mapping[str, Any] | None) -> str:
    """Return how often a model was updated; empty if it never was."""
    return f"{updates['count']}; objectives are sums, as the fit and each update ended" if updates else ""


def losses_by_position(model: Model) -> list[tuple[Any, str]]:
    """Return the label of each position under several losses, and its loss in words, with a parameter of its own."""
    loss = model.loss
    assert isinstance(loss, SeveralLosses)
    found = []
    for k, label in enumerate(model.labels.values(model.labels.number(loss.by), len(loss.losses))):
        if (own := loss.kind_at(k)) is not None:
            text = f"{own.name} ({own.parameter_by} {loss.parameters[k]:.3g})"
        else:
            one = loss.losses[k]
            is_plain = not isinstance(one, CustomLoss)
            given = {
                f.name: getattr(one, f.name) for f in fields(one) if is_plain and f.name not in ("eps", "by")
            }
            words = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
            text = f"{one.name} ({words})" if words else one.name
        found.append((label, text))
    return found


def in_lines(title: str, facts: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return a title, a line for each fact, and notes."""
    return "\n".join([title, *(f"  {line}" for line in _beside(list(pairs_of(facts)))), *notes])


def components_of(model: Model) -> Table:
    """Return the heaviest components, a row for each and each mode, and a row for the main effects of a mode."""
    rows = _rows(model.factors, model.labels, [f"{weight:.5g}" for weight in model.weights])
    for k, (name, vector) in enumerate(model.main_effects.items()):
        labels = model.labels.values(model.labels.number(name), len(vector))
        rows.append(("effects" if k == 0 else "", "", name, _leading(labels, vector)))
    return _as_table(rows)


def components_of_factors(factors: Factors, labels: ModeLabels, weights: Sequence[str]) -> Table:
    """Return the first components of factors (I_n, R), a row for each and each mode, with words on their weights."""
    return _as_table(_rows(factors, labels, weights))


def _rows(factors: Factors, labels: ModeLabels, weights: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Return number, weight, mode and largest entries of each component and mode."""
    rows = []
    for r, weight in enumerate(weights[:_MOST_COMPONENTS]):
        for n, (name, a) in enumerate(zip(labels.names, factors, strict=True)):
            own = (str(r), weight) if n == 0 else ("", "")
            rows.append((*own, name, _leading(labels.values(n, len(a)), a[:, r])))
    return rows


def _as_table(rows: list[tuple[str, str, str, str]]) -> Table:
    names = ("component", "weight", "mode", "largest entries")
    columns = [np.array(column, dtype=str) for column in zip(*rows, strict=True)] or [np.empty(0, str)] * 4
    index, *others = zip(names, columns, strict=True)
    return Table(dict(others), dict([index]))


def _beside(pairs: list[tuple[str, str]]) -> list[str]:
    """Return lines of names and texts."""
    width = max(len(name) for name, _ in pairs) + 1
    return [f"{name + ':':{width}} {text}" for name, text in pairs]


def _leading(labels: Array, column: FloatArray) -> str:
    """Return the labels (I_n,) of the largest entries of a column (I_n,), in size, beside these."""
    sizes = np.abs(column)
    least = np.partition(sizes, -_LEADING)[-_LEADING] if len(sizes) > _LEADING else 0.0
    largest = np.flatnonzero(sizes >= least)
    largest = largest[np.argsort(-sizes[largest], kind="stable")][:_LEADING]
    return ", ".join(f"{_short(shown(labels[at]))} ({column[at]:.2g})" for at in largest if column[at] != 0)


def _short(label: str) -> str:
    return label if len(label) <= 20 else f"{label[:19]}…"
