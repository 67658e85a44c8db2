"""Training data and a judge of what was fitted to them, several times over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gcp.analysis.held_positions import future
from gcp.analysis.holdout import check_scheme, hold_out
from gcp.analysis.split import Split, check_future
from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.losses.base import Loss
from gcp.losses.poisson import Poisson, PoissonLog
from gcp.objectives.problem import Problem
from gcp.result import FitResult
from gcp.tensors.base import WholeData


class ValidationSplit(NamedTuple):
    """Data to fit, and the mean held-out loss of what was fitted."""

    train: WholeData
    judge: Callable[[FitResult], float]


class Splitting(NamedTuple):
    """How the data are cut in two, every time; see `select_rank` and `hold_out`."""

    method: str
    fraction: float
    scheme: str = "cells"
    mode: int | str | None = None
    gap: int = 0
    by: Any = None

    def in_json(self) -> list[Any]:
        """Return what tells it from others; short where single cells are held out, as folders have had it."""
        return list(self if self.scheme != "cells" else self[:2])

    def modes_in_every_part(self, labels: ModeLabels) -> list[int]:
        """Return the modes whose positions all splits fit, so that their factors can be compared."""
        every = list(range(len(labels.names)))
        if self.mode is not None and self.scheme in ("rows", "future"):
            every.remove(labels.number(self.mode))
        return every

    def resolved(self, tensor: WholeData) -> Splitting:
        """Return the same with modes by number.

        Raises
        ------
        ParameterError
            Arguments that the method or the scheme do not have, or lack.
        """
        checks.text("method", self.method, ("cells", "thinning"))
        gap = checks.whole("gap", self.gap, 0)
        found = check_scheme(tensor, self.scheme, self.mode, gap, self.by)
        if found is None:
            return self
        if self.method == "thinning":
            raise ParameterError(
                f'method="thinning" holds out no cells: found scheme={self.scheme!r} beside it.'
            )
        number, groups = found
        return self._replace(mode=number, gap=gap, by=list(groups) if self.scheme == "blocks" else None)

    def check(self, problem: Problem) -> None:
        """Raise `ParameterError` if no solution of a problem, with all penalties, could be judged."""
        if self.scheme == "future":
            check_future(problem, self.mode)


def make_split(
    tensor: WholeData, loss: Loss, splitting: Splitting, seed: int, number: int = 0
) -> ValidationSplit:
    """Return a split, random but of the future: there its number tells which period before the end is judged.

    Raises
    ------
    ParameterError
        Thinning of a loss that is not Poisson, or parts that would be empty.
    """
    if splitting.method == "cells":
        parts = _held_out(tensor, splitting, seed, number)
        return ValidationSplit(parts.train, lambda result: -parts.extended(result).score(parts.test))
    if not isinstance(loss, Poisson | PoissonLog):
        raise ParameterError(f"Thinning is for counts under a Poisson loss: found {loss.name}.")
    fraction = splitting.fraction
    train, test = _thinned(tensor, fraction, checks.generator(seed, "thinning"))
    return ValidationSplit(train, lambda result: -_scaled(result, fraction / (1 - fraction)).score(test))


def _held_out(tensor: WholeData, splitting: Splitting, seed: int, number: int) -> Split:
    _, fraction, scheme, mode, gap, by = splitting
    if scheme == "future":
        labels = tensor.labels or ModeLabels.default(tensor.shape)
        share = checks.real("fraction", fraction, above=0, below=1)
        return future(tensor, share, labels.number(mode), gap, number)  # type: ignore[arg-type]
    keep = 0.5 if scheme == "cells" else 0.0
    return hold_out(tensor, fraction, seed, scheme=scheme, mode=mode, gap=gap, by=by, keep=keep)


def _thinned(tensor: WholeData, fraction: float, rng: np.random.Generator) -> tuple[WholeData, WholeData]:
    """Return each count cut in two by the toss of a coin: independent Poisson counts of proportional means."""
    values = np.asarray(tensor.values)
    known = (
        np.ones(values.shape, bool) if tensor.entry_weights is None else np.asarray(tensor.entry_weights) > 0
    )
    counts = np.where(known, values, 0).astype(np.int64)
    training = rng.binomial(counts, 1 - fraction)
    dtype = np.float32 if tensor.dtype == np.float32 else np.float64
    return tensor.with_values(training.astype(dtype)), tensor.with_values((counts - training).astype(dtype))


def _scaled(result: FitResult, ratio: float) -> FitResult:
    """Return the model of counts whose means are in this ratio to those of the fit."""
    if isinstance(result.loss, PoissonLog):
        weight = np.log(ratio) * np.sqrt(np.prod(result.shape, dtype=float))  # of a constant component
        factors = [np.column_stack([a, np.full(len(a), len(a) ** -0.5)]) for a in result.factors]
        return replace(result, weights=np.append(result.weights, weight), factors=factors)
    effects = {name: vector * ratio for name, vector in result.main_effects.items()}
    return replace(
        result, weights=result.weights * ratio, intercept=result.intercept * ratio, main_effects=effects
    )
