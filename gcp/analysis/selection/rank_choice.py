"""The result of `select_rank`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gcp.base.table_result import Table, Tabular
from gcp.base.types import FloatArray
from gcp.objectives.penalties.base import Penalty
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gcp.analysis.plots.rank_plot import LossLine

_NEGLIGIBLE = 1e-3
"""Share that is negligible of what the best candidate gains on rank 0."""

_MOST_ROWS = 9
"""Candidates, at most, of a short text."""


class Strengths(NamedTuple):
    """The penalties of a fit; see `fit_gcp`."""

    l2_reg: float = 0.0
    weight_reg: float = 0.0
    dirichlet_reg: float = 0.0
    penalties: tuple[Penalty, ...] = ()

    def __str__(self) -> str:
        """Return the strengths that are there."""
        parts = [
            f"{name} {value:.3g}" for name, value in zip(self._fields[:3], self[:3], strict=True) if value
        ]
        return ", ".join([*parts, *map(repr, self.penalties)]) or "no penalty"


class Candidate(NamedTuple):
    """A rank, and the strengths of the penalties.

    Attributes
    ----------
    rank : int
    l2_reg, weight_reg, dirichlet_reg : float
    loss : float
        Mean over splits of the mean held-out loss: lower is better.
    standard_error : float
        Of the difference to the best candidate, from the splits; 0 for the best itself.
    stability : float
        Mean factor match score of the models of all pairs of splits, without weights and a mode whose whole positions
        are held out; NaN at rank 0, or with one split.
    losses : ndarray, shape (n_splits,)
        Held-out loss of each split.
    penalties : tuple of Penalty
        Further ones.
    """

    rank: int
    l2_reg: float
    weight_reg: float
    dirichlet_reg: float
    loss: float
    standard_error: float
    stability: float
    losses: FloatArray
    penalties: tuple[Penalty, ...] = ()

    @property
    def strengths(self) -> Strengths:
        """The strengths of the penalties."""
        return Strengths(self.l2_reg, self.weight_reg, self.dirichlet_reg, self.penalties)


@dataclass(frozen=True, repr=False)
class RankChoice(Tabular):
    """The outcome of `select_rank`.

    Attributes
    ----------
    rank : int
        The smallest rank whose best penalty is no worse than the best candidate by more than one standard error, or
        by a thousandth of what that gains on rank 0.
    l2_reg, weight_reg, dirichlet_reg : float
        The best penalty at that rank. What ridge the main effects had, ``result.settings["l2_reg"]`` says.
    result : FitResult or None
        Fitted to all data with these; None if the best constant is chosen (rank 0 without main effects).
    table : list of Candidate
        By rank and penalty.
    constant : float
        The best constant model of all data.
    status : str
        "complete", or "interrupted": then the table is of the splits that were done, and there is no model.
    penalties : tuple of Penalty
        Further penalties that were chosen, of the alternatives that were given.
    """

    rank: int
    l2_reg: float
    weight_reg: float
    dirichlet_reg: float
    result: FitResult | None
    table: list[Candidate]
    constant: float
    status: str = "complete"
    penalties: tuple[Penalty, ...] = ()

    @property
    def chosen(self) -> Candidate:
        """The line of the table that was chosen."""
        own = Strengths(self.l2_reg, self.weight_reg, self.dirichlet_reg, self.penalties)
        return next(row for row in self.table if (row.rank, row.strengths) == (self.rank, own))

    def summary(self) -> str:
        """Return the table of all candidates, to read."""
        return "\n".join(self._lines(self.table))

    def _lines(self, rows: Sequence[Candidate]) -> list[str]:
        texts = [str(row.strengths) for row in rows]
        width = max(map(len, texts))
        lines = [f"rank  {'penalty':{width}}    held-out loss    +- s.e. to the best    stability"]
        for row, text in zip(rows, texts, strict=True):
            stability = "" if np.isnan(row.stability) else f"{row.stability:.3f}"
            mark = "  <- chosen" if row is self.chosen else ""
            numbers = f"{row.rank:4d}  {text:{width}}  {row.loss:15.7g}  {row.standard_error:21.3g}"
            lines.append(f"{numbers}  {stability:>11}{mark}")
        if len(rows) < len(self.table):
            lines.append(f"and {len(self.table) - len(rows)} more, which summary() shows")
        if self.status != "complete":
            lines.append(
                f"interrupted: by the first {len(self.chosen.losses)} split(s) alone, without a model"
            )
        return lines

    def __repr__(self) -> str:
        """Return the table; of many candidates the best of each rank, of many ranks those about the chosen one."""
        rows = self.table
        if len(rows) > _MOST_ROWS:
            best = of_rank(rows)
            rows = [row for row in self.table if row is best[row.rank] or row is self.chosen]
            first = next(k for k, row in enumerate(rows) if row is self.chosen) - _MOST_ROWS // 2
            first = max(0, min(first, len(rows) - _MOST_ROWS))
            rows = rows[first : first + _MOST_ROWS]
        return "\n".join(self._lines(rows))

    def _facts(self) -> dict[str, Any]:
        strengths = self.chosen.strengths
        return {"chosen rank": self.rank, "penalty": str(strengths), "status": self.status}

    def _table(self) -> Table:
        names = ("l2_reg", "weight_reg", "dirichlet_reg", "loss", "standard_error", "stability")
        columns = {name: np.array([getattr(row, name) for row in self.table]) for name in names}
        if any(row.penalties for row in self.table):
            columns["penalties"] = np.array([", ".join(map(repr, row.penalties)) for row in self.table])
        columns["chosen"] = np.array([row is self.chosen for row in self.table])
        return Table(columns, {"rank": np.array([row.rank for row in self.table])})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw held-out loss against rank, a line for each penalty, with standard errors; the choice is marked.

        Rank 0 is a point of its own where all penalties share it.
        """
        from gcp.analysis.plots.rank_plot import plot_losses

        zeros = [row for row in self.table if row.rank == 0]
        each = list(dict.fromkeys(row.strengths for row in self.table if row.rank))
        is_shared = len(zeros) == 1 < len(each)  # rank 0 has no components to penalise
        lines = []
        for strengths in each:
            # With main effects there is one for each ridge on these.
            rows = [] if is_shared else [z for z in zeros if len(zeros) == 1 or z.l2_reg == strengths.l2_reg]
            rows += [row for row in self.table if row.rank and row.strengths == strengths]
            lines.append(_line(str(strengths), rows))
        if is_shared:
            lines.append(_line("rank 0", zeros))
        return plot_losses(lines, (self.rank, self.chosen.loss), ax)


def _line(label: str, rows: Sequence[Candidate]) -> LossLine:
    """Return the held-out losses of some candidates as a line of the picture."""
    from gcp.analysis.plots.rank_plot import LossLine

    ranks, losses, errors = zip(*((row.rank, row.loss, row.standard_error) for row in rows), strict=True)
    return LossLine(label, list(ranks), list(losses), list(errors))


def chosen(table: list[Candidate]) -> Candidate:
    """Return the smallest rank within a standard error of the best, or negligibly worse, at its best penalty.

    Under a penalty, models with a component too many can be so nearly the same that differences of no account are
    large in their standard errors.
    """
    best, by_rank = min(table, key=lambda row: row.loss), of_rank(table)
    negligible = _NEGLIGIBLE * (by_rank[0].loss - best.loss) if 0 in by_rank else 0.0
    near = [row for row in by_rank.values() if row.loss <= best.loss + max(row.standard_error, negligible)]
    return min(near, key=lambda row: row.rank)


def of_rank(table: Sequence[Candidate]) -> dict[int, Candidate]:
    """Return the best candidate of each rank."""
    return {row.rank: row for row in sorted(table, key=lambda row: -row.loss)}
