"""A tensor in a part that is fitted and a part that judges the fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from gcp.analysis.prediction import PredictionScores, prediction_scores
from gcp.base.alignment import positions_of
from gcp.base.errors import ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array
from gcp.objectives.known_cells import check_result, side_of
from gcp.objectives.problem import Problem
from gcp.objectives.refit_rows import transform, with_rows
from gcp.result import FitResult
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_BLIND = (
    'scheme="future": a CP model without a design on {0!r} knows nothing of positions that it has not seen: give '
    'design={{{0!r}: ...}}, a penalty that ties its rows, or a fixed factor, or use scheme="blocks".'
)


@dataclass(frozen=True, eq=False, repr=False)
class Split(TableResult):
    """A tensor in two parts, `train` and `test`, into which it unpacks.

    Attributes
    ----------
    train : DenseTensor, ObservedTensor, SparseTensor or a kind of the user's
        Of the kind and shape of the data; held-out cells are missing. Of a `SparseTensor` whose cells are held out
        one by one, the listed entries that stay have larger entry weights, in place of those that were held out.
    test : ObservedTensor; SparseTensor for the future of one
        The held-out cells. Of whole rows and of the future, its positions in `mode` are the held-out ones alone, so
        that a model that does not know them cannot be judged by it: use `judge`.
    given : ObservedTensor, SparseTensor or None
        Of whole rows, the other cells of the same positions, to which `judge` fits their rows; else None.
    scheme : str
        See `gcp.hold_out`.
    mode : str or None
        Name of the mode whose whole positions are held out; None if single cells are.
    left_out : int
        Known cells in none of these: gaps, what lies after a test period, and cells at positions of other modes of
        which the training part knows nothing.
    """

    train: Any
    test: ObservedTensor | SparseTensor
    given: ObservedTensor | SparseTensor | None = None
    scheme: str = "cells"
    mode: str | None = None
    left_out: int = 0

    def judge(self, result: FitResult) -> PredictionScores:
        """Return how well a model that was fitted to `train` predicts `test`.

        Parameters
        ----------
        result : FitResult

        Returns
        -------
        PredictionScores
            Of single cells, those of ``prediction_scores(result, test)``. Of whole positions, those of
            `extended`: rows get theirs by `FitResult.transform` from the `given` cells.

        Raises
        ------
        ParameterError
            A model that says nothing of the future.
        """
        return prediction_scores(self.extended(result), self.test)

    def check(self, problem: Problem) -> None:
        """Raise `ParameterError` if no solution of a problem with this training part could be judged."""
        if self.scheme == "future":
            check_future(problem, self.mode)

    def extended(self, result: FitResult) -> FitResult:
        """Return the model that predicts `test`: of whole positions, one that has these, and no others, in `mode`.

        Parameters
        ----------
        result : FitResult
            Fitted to `train`.

        Returns
        -------
        FitResult
            The result itself if single cells are held out. It is what `gcp.analysis` and `write_report` take
            together with `test`.

        Raises
        ------
        ParameterError
            A model that says nothing of the future.
        """
        check_result(result)
        if self.mode is None:
            return result
        n, own = result.labels.number(self.mode), self.test.labels
        assert own is not None  # for the type checker
        at = own.number(self.mode)
        labels = own.values(at, self.test.shape[at])
        if self.given is not None and not _has_all_rows(result, n):
            new = transform(result, self.given, n, penalties=result.problem.penalties)
            return with_rows(result, n, new.rows, new.main_effects, labels)
        has_names = result.labels.coords[n] is not None
        positions = (
            positions_of(labels, side_of(result), n, "the held-out positions") if has_names else labels
        )
        self._check_rows(result, n, positions)
        return with_rows(result, n, np.asarray(result.factors[n])[positions], None, labels)

    def _check_rows(self, result: FitResult, n: int, positions: Array) -> None:
        """Raise `ParameterError` unless the fit determined rows of held-out positions (k,); a pull to 0 does not."""
        name, is_given = result.labels.names[n], _has_all_rows(result, n)
        unknown = positions[np.isin(positions, result.unknown.get(name, ()))]
        if is_given and len(unknown):
            label = result.labels.values(n, result.shape[n])[unknown[0]]
            raise ParameterError(
                f'scheme="{self.scheme}": nothing that was fitted determines the rows of {len(unknown)} held-out '
                f'positions of {name!r}, such as {str(label)!r}: hold out less, or use scheme="blocks".'
            )
        rows = result.factors[n][positions]
        is_alive = rows.any() or not result.weights.any()
        if not is_given and (len(unknown) or name in result.main_effects or not is_alive):
            raise ParameterError(_BLIND.format(name))

    def __iter__(self) -> Iterator[Any]:
        """Yield `train` and `test`: ``train, test = gcp.hold_out(...)``."""
        return iter((self.train, self.test))

    def __len__(self) -> int:
        """Return 2, of `train` and `test`."""
        return 2

    def _facts(self) -> dict[str, Any]:
        if self.scheme == "cells":
            return {}
        return {"scheme": self.scheme, "mode": self.mode, "left_out": self.left_out}

    def _table(self) -> Table:
        named = (("train", self.train), ("given", self.given), ("test", self.test))
        there = [(name, part) for name, part in named if part is not None]
        columns = {
            "kind": np.array([type(part).__name__ for _, part in there]),
            "shape": np.array([" x ".join(map(str, part.shape)) for _, part in there]),
            "known_cells": np.array([stored(part).n_known for _, part in there]),
        }
        return Table(columns, {"part": np.array([name for name, _ in there])})


def check_future(problem: Problem, mode: int | str | None) -> None:
    """Raise `ParameterError` if no solution of a problem has rows for positions of a mode that it has not seen."""
    n = problem.labels.number(mode)  # type: ignore[arg-type]
    if not problem.foresees(n):
        raise ParameterError(_BLIND.format(problem.labels.names[n]))


def _has_all_rows(result: FitResult, mode: int) -> bool:
    """Return whether rows of a mode are not fitted to the data of their positions alone: fixed, tied or designed."""
    problem = result.problem
    return mode in {
        *dict(problem.designs),
        *problem.fixed_modes,
        *(n for group in problem.tied_modes for n in group),
    }


def known_mask(tensor: DenseTensor) -> Array:
    """Return where the cells of a tensor are known, booleans (I_0, ..., I_{N-1})."""
    w = tensor.entry_weights
    return np.ones(tensor.shape, bool) if w is None else w > 0


@overload
def seen_elsewhere(part: ObservedTensor, train: Any, mode: int) -> ObservedTensor: ...
@overload
def seen_elsewhere(part: Tensor, train: Any, mode: int) -> ObservedTensor | SparseTensor: ...
def seen_elsewhere(part: Tensor, train: Any, mode: int) -> ObservedTensor | SparseTensor:
    """Return a part of the data without cells at positions of other modes of which `train` knows nothing."""
    if isinstance(part, SparseTensor):
        return part
    known = train.known_positions()
    if isinstance(part, DenseTensor):
        part = ObservedTensor.of_dense(part, known_mask(part))
    keep = np.ones(len(part.values), bool)
    for n in set(range(part.ndim)) - {mode}:
        keep &= known[n][part.subs[:, n]]
    return part if keep.all() else ObservedTensor.of(part.entries.select(keep), part.labels)
