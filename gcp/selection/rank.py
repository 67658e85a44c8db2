"""Held-out cells choose the rank and the ridge together."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp import arguments
from gcp._typing import FloatArray
from gcp.analysis.compare import factor_match_score
from gcp.domain import is_real
from gcp.errors import DataError, ParameterError
from gcp.fit import fit_gcp, fit_in_series
from gcp.losses.base import Loss
from gcp.losses.registry import get_loss
from gcp.objectives.choose import build_objective
from gcp.result import FitResult
from gcp.selection.choice import Candidate, RankChoice, chosen
from gcp.selection.splits import Split, make_split
from gcp.tensors.coerce import as_tensor

_NEW_SHARE = 0.1
"""Mean of a component that is added to a smaller model, relative to the model's mean."""


def select_rank(
    data: Any,
    ranks: Sequence[int],
    loss: str | Loss = "gaussian",
    *,
    l2_reg: float | Sequence[float] = (0.0, 0.1, 1.0),
    main_effects: bool | Sequence[int] = False,
    method: str = "cells",
    n_splits: int = 5,
    fraction: float = 0.1,
    n_starts: int = 2,
    random_state: int | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    folder: str | Path | None = None,
    verbose: bool = False,
    **options: Any,
) -> RankChoice:
    """Choose the number of components and the ridge by cells that the fits do not see.

    Parameters
    ----------
    data : as for `fit_gcp`
    ranks : sequence of int
        Candidates. 0, the best constant or the main effects alone, is always among them.
    loss : str or Loss
    l2_reg : float or sequence of float
        Ridges to try at every rank.
    main_effects : bool or sequence of int
        As for `fit_gcp`; their ridge is that of the factors.
    method : str
        "cells": random cells are held out, of each position half of the known ones at most. "thinning": for counts
        under a Poisson loss, each count is cut in two by coin tosses, and no cell is missing.
    n_splits : int
        How often.
    fraction : float
        Held-out share.
    n_starts : int
        Of each fit: the model of the next smaller rank with random components added, and random starts.
    random_state : int, optional
        Decides the splits and the starts.
    mask, entry_weights
        As for `fit_gcp`.
    folder : path, optional
        Where every fit is saved when it is done. Called again with the same data and arguments, those that are there
        are not done again, and the outcome is the same.
    verbose : bool
        A line on stderr for every fit.
    **options
        Further arguments of `fit_gcp`.

    Returns
    -------
    RankChoice

    Raises
    ------
    ParameterError
        Arguments out of range.
    DataError
        Unusable data, or a folder of other data or arguments.

    Notes
    -----
    The smallest rank whose loss is within one standard error of the least is chosen (Breiman and others, 1984), at
    its best ridge; differences are taken split by split. Costs ranks x ridges x splits fits, and one of all data for
    each rank up to the chosen one.
    """
    loss = get_loss(loss) if isinstance(loss, str) else loss
    tensor = as_tensor(data, mask, entry_weights)
    objective = build_objective(tensor, loss)
    n_splits = arguments.whole_number("n_splits", n_splits)
    found = sorted({0, *(arguments.whole_number("ranks", rank, 0) for rank in ranks)})
    ridges = _ridges(l2_reg)
    effects = bool(main_effects) if isinstance(main_effects, bool) else list(main_effects)
    seed = arguments.seed(random_state)
    search = _Search(
        loss,
        effects,
        {"n_starts": n_starts, **options},
        seed,
        None if folder is None else Path(folder),
        verbose,
    )
    search.check(tensor, [method, n_splits, fraction])
    losses: dict[tuple[int, float], list[float]] = {}
    models: dict[tuple[int, float], list[FitResult]] = {}
    seeds = np.random.SeedSequence(seed).generate_state(n_splits, np.uint32)
    for number, split_seed in enumerate(seeds.tolist()):
        split = make_split(tensor, loss, method, fraction, split_seed)
        for ridge in ridges:
            before: FitResult | None = None
            for rank in found:
                key = (rank, ridge)
                if rank == 0 and not effects:
                    losses.setdefault((0, 0.0), [])
                    if ridge == ridges[0]:
                        losses[0, 0.0].append(_constant_loss(split, loss))
                    continue
                before = search.fit(split.train, rank, ridge, before, f"split{number}")
                losses.setdefault(key, []).append(split.judge(before))
                models.setdefault(key, []).append(before)
                search.tell(number, n_splits, rank, ridge, losses[key][-1])
    table = _table(losses, models)
    best = chosen(table)
    result = None
    if best.rank or effects:
        start = None
        for rank in [rank for rank in found if rank <= best.rank and (rank or effects)]:
            start = search.fit(tensor, rank, best.l2_reg, start, "all")
        result = start
    return RankChoice(best.rank, best.l2_reg, result, table, objective.null_constant)


def _ridges(given: float | Sequence[float]) -> list[float]:
    values = [given] if is_real(given) else list(given)  # type: ignore[arg-type]
    if not values or not all(is_real(value) and value >= 0 for value in values):
        raise ParameterError(f"l2_reg must be numbers >= 0: found {given!r}.")
    return sorted({float(value) for value in values})


def _constant_loss(split: Split, loss: Loss) -> float:
    """The judge on the best constant of the training data: a model of rank 1 that is kept as it is."""
    objective = build_objective(split.train, loss)
    ones = [np.ones((size, 1)) for size in split.train.shape]
    ones[0] = ones[0] * objective.null_constant
    modes = list(range(len(ones)))
    return split.judge(fit_gcp(split.train, 1, loss=loss, init=ones, fixed_modes=modes))


def _table(
    losses: dict[tuple[int, float], list[float]], models: dict[tuple[int, float], list[FitResult]]
) -> list[Candidate]:
    arrays = {key: np.array(values) for key, values in losses.items()}
    best = min(arrays.values(), key=lambda values: float(values.mean()))
    rows = []
    for (rank, ridge), values in sorted(arrays.items()):
        n = len(values)
        error = float((values - best).std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
        stability = _stability(models.get((rank, ridge), []))
        rows.append(Candidate(rank, ridge, float(values.mean()), error, stability, values))
    return rows


def _stability(models: list[FitResult]) -> float:
    scores = [
        factor_match_score(a, b, weights=False).score for a, b in itertools.combinations(models, 2) if a.rank
    ]
    return float(np.mean(scores)) if scores else float("nan")


@dataclass(frozen=True)
class _Search:
    """Fits by name: those that are in the folder are read, the others done and saved."""

    loss: Loss
    effects: bool | list[int]
    options: dict[str, Any]
    seed: int
    folder: Path | None
    verbose: bool

    def check(self, tensor: Any, more: list[Any]) -> None:
        """The folder is empty, or of the same data and arguments.

        Raises
        ------
        DataError
            If it is not, or cannot be used.
        """
        if self.folder is None:
            return
        digest = hashlib.sha256()
        for block in tensor.blocks():
            digest.update(np.ascontiguousarray(block.x).tobytes())
            digest.update(b"" if block.weights is None else np.ascontiguousarray(block.weights).tobytes())
        if hasattr(tensor, "subs"):
            digest.update(np.ascontiguousarray(tensor.subs).tobytes())
        said = [
            repr(self.loss),
            self.effects,
            arguments.describe(list(self.options.items())),
            self.seed,
            more,
        ]
        settings = json.dumps([list(tensor.shape), digest.hexdigest(), said], default=str)
        path = self.folder / "settings.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                part = path.with_suffix(".part")
                part.write_text(settings, encoding="utf-8")
                part.replace(path)
            elif path.read_text(encoding="utf-8") != settings:
                raise DataError(
                    f"{self.folder}: holds fits of other data or with other arguments; name another folder."
                )
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be used: {error.strerror or error}.") from error

    def fit(self, tensor: Any, rank: int, ridge: float, before: FitResult | None, name: str) -> FitResult:
        """A fit that begins from a smaller one, if there is one."""
        path = None if self.folder is None else self.folder / f"{name}_rank{rank}_l2_{ridge!r}.npz"
        if path is not None and path.exists():
            return FitResult.load(path, loss=self.loss)
        words = np.frombuffer(hashlib.sha256(f"{name} {rank} {ridge!r}".encode()).digest(), np.uint32)
        rng = np.random.default_rng([self.seed, *words.tolist()])
        options = dict(self.options)
        if before is not None and before.rank:
            options["init"] = _grown(before, rank, rng)
        result = fit_in_series(
            tensor,
            rank,
            loss=self.loss,
            l2_reg=ridge,
            main_effects=self.effects,
            random_state=rng,
            **options,
        )
        if path is not None:
            result.save(path)
        return result

    def tell(self, split: int, n_splits: int, rank: int, ridge: float, loss: float) -> None:
        """A line about a fit."""
        if self.verbose:
            text = f"split {split + 1}/{n_splits}  rank {rank}  l2_reg {ridge:g}  held-out loss {loss:.6g}"
            print(text, file=sys.stderr, flush=True)


def _grown(model: FitResult, rank: int, rng: np.random.Generator) -> FitResult:
    """A model with random components added that are small beside it."""
    extra = rank - model.rank
    if extra == 0:
        return model
    is_nonnegative = model.loss.model_domain.low >= 0
    factors: list[FloatArray] = []
    for a in model.factors:
        new = (
            rng.uniform(0.1, 1.0, (len(a), extra)) if is_nonnegative else rng.standard_normal((len(a), extra))
        )
        factors.append(np.column_stack([a, new / np.linalg.norm(new, axis=0)]).astype(a.dtype))
    size = _NEW_SHARE * float(model.weights.mean()) or 1e-3
    return replace(model, weights=np.append(model.weights, np.full(extra, size)), factors=factors)
