"""Held-out cells choose the rank and the penalty together."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.compare import factor_match_score
from gcp.analysis.selection import search_folder
from gcp.analysis.selection.penalty_grid import alternatives_of, candidates, effects_strength
from gcp.analysis.selection.rank_choice import Candidate, RankChoice, Strengths, chosen
from gcp.analysis.selection.validation_splits import Splitting, ValidationSplit, make_split
from gcp.analysis.selection.warm_starts import Start, grown, reduced
from gcp.base import checks, processes
from gcp.base.errors import ParameterError
from gcp.base.sizes import check_factors
from gcp.base.types import RandomSource
from gcp.fit import fit_gcp, fit_in_series
from gcp.losses.base import Loss
from gcp.losses.several import SeveralLosses, as_loss
from gcp.objectives.build import build_objective
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.fingerprint import LIMITS, described, of_method
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.problem import Problem
from gcp.objectives.standard_form import null_factors, null_mean
from gcp.result import FitResult
from gcp.solvers.outcome import can_go_on
from gcp.solvers.progress import ProgressReport, series
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.solvers.starts.plan import Plan
from gcp.tensors.intake.carried import popped
from gcp.tensors.intake.coerce import in_one_piece

_NOT_KEPT = (*LIMITS, "callback", "n_threads")
"""Options that do not tell one search from another."""


def select_rank(
    data: Any,
    ranks: Sequence[int],
    loss: str | Loss = "gaussian",
    *,
    l2_reg: float | Sequence[float] | None = None,
    weight_reg: float | Sequence[float] | None = None,
    dirichlet_reg: float | Sequence[float] | None = None,
    penalties: Sequence[Any] = (),
    main_effects: bool | Sequence[int | str] = False,
    method: str = "cells",
    n_splits: int = 5,
    fraction: float = 0.1,
    scheme: str = "cells",
    mode: int | str | None = None,
    gap: int = 0,
    by: int | str | Sequence[int | str] | None = None,
    n_starts: int = 2,
    random_state: RandomSource | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    folder: str | Path | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> RankChoice:
    """Choose the number of components and the penalty by cells that the fits do not see.

    Parameters
    ----------
    data : as for `fit_gcp`
    ranks : sequence of int
        Candidates. 0, the best constant or the main effects alone, is always among them.
    loss : str or Loss
    l2_reg, weight_reg, dirichlet_reg : float or sequence of float, optional
        Strengths to try at every rank, in all combinations. If none is given: of losses with a nonnegative model,
        Dirichlet priors worth 0, 0.1 and 1 observation; of others, lassos on the weights of 0, 0.1 and 0.4 of the
        strength at which noise has no components.
    penalties : sequence of Penalty, or sequence of such sequences
        Further penalties of every fit; or alternatives, of which one is chosen, in all combinations with strengths:
        ``[(), [Smooth("week", 10.0)], [Smooth("week", 100.0)]]``. Units of strengths are those of all data.
    main_effects : bool or sequence of int
        As for `fit_gcp`. Their ridge is l2_reg; if that is not given, it is worth one cell under losses with a model
        of any sign, and 0 under others.
    method : str
        "cells": cells are held out, as `scheme` says. "thinning": for counts under a Poisson loss, each count is cut
        in two by coin tosses, and no cell is missing.
    n_splits : int
        How often.
    fraction : float
        Held-out share.
    scheme : {"cells", "rows", "blocks", "future"}
        Which cells, as for `hold_out`: single random ones, of each position half of the known ones at most; whole
        positions of `mode`; runs of its positions; its last positions. The splits of "future" judge the last share,
        then the one before it, and so on, each fitted to what lies before.
    mode, gap, by
        As for `hold_out`.
    n_starts : int
        Of each fit: the model of the next smaller rank with random components added, and random starts. One more
        is the model of the next larger rank without its least components.
    random_state : int, numpy Generator, RandomState or SeedSequence, optional
        Decides the splits and the starts.
    mask, entry_weights
        As for `fit_gcp`.
    folder : path, optional
        Where every fit is saved when it is done, and its state every minute. Called again with the same data and
        arguments, those that are there are not done again, and the outcome is the same (with another `n_jobs` or
        `n_threads`, up to rounding). More splits and penalties may be asked for, and fits that ended at `n_iter_max`,
        `max_seconds` or by the callback go on under those of this call. If `random_state` is None, the seed is that
        of the folder.
    n_jobs : int, optional
        Processes that fit side by side, for different splits and penalties; -1 is one for each core. None is 1, whose
        fits use `n_threads` threads each.
    verbose : bool
        Progress on stderr: a live bar on a terminal, elsewhere a line for every candidate of every split. It moves
        on when all ranks of a split and a penalty are done.
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
    An interrupt (Ctrl-C) ends the search and returns the choice by the splits that are done, with status
    "interrupted" and without a model; before there is one, it is raised. With a folder, the search can go on.
    The smallest rank whose loss is within one standard error of the least is chosen (Breiman and others, 1984), or
    within a thousandth of the gain on rank 0, at its best penalty; differences are taken split by split. Costs ranks
    x penalties x splits x (starts + 1) fits, and those of all data for each rank up to the one after the chosen one.
    Why these penalties: docs/decisions/0019.
    """
    if foreign := sorted({"checkpoint", "checkpoint_every"} & set(options)):
        raise ParameterError(f"select_rank has no {foreign[0]}: a folder keeps the state of every fit.")
    loss = as_loss(loss)
    _check_loss(loss)
    tensor = in_one_piece(data, mask, entry_weights, options.pop("modes", None), **popped(options))
    n_splits = checks.whole("n_splits", n_splits, most=checks.MOST_REPEATS)
    n_jobs = processes.jobs(n_jobs)
    candidate_ranks = checks.items("ranks", ranks, "a list of candidates, e.g. [1, 2, 3]")
    found = sorted({0, *(checks.whole("ranks", rank, 0) for rank in candidate_ranks)})
    check_factors(found[-1], tensor.shape)
    known = {name: of_method(option, LIMITS) for name, option in options.items() if name not in _NOT_KEPT}
    n_threads = processes.threads_of_each(n_jobs, options.pop("n_threads", None))
    is_switch = main_effects is None or isinstance(main_effects, bool | np.bool_)
    effects = bool(main_effects) if is_switch else checks.items("main_effects", main_effects, "True or modes")
    own = options | {"loss": loss, "main_effects": effects, "n_threads": n_threads, "n_starts": n_starts}
    base, plan = problem_and_plan(tensor, max(found[-1], 1), own)
    objective = base.objective
    assert isinstance(objective, EntrywiseObjective)  # of one loss
    given = [Penalties(own) for own in alternatives_of(penalties)]
    alternatives = [base.with_penalties(own).penalties.of_components for own in given]
    grid = candidates(objective, (l2_reg, weight_reg, dirichlet_reg), alternatives, plan.solver)
    effects_ridge = effects_strength(objective) if l2_reg is None else None
    splitting = Splitting(method, fraction, scheme, mode, gap, by).resolved(tensor)
    for others in alternatives:
        splitting.check(base.changed(tensor, base.rank, Penalties(others)))
    for number in (0, n_splits - 1):  # raises what would be raised after the folder is made
        make_split(tensor, loss, splitting, 0, number)
    seed = None if random_state is None and folder is not None else checks.seed(random_state)
    path = None if folder is None else checks.path("folder", folder)
    if path is not None:
        known["n_starts"] = plan.n_starts
        own = {"main_effects": [effects, effects_ridge], "splits": splitting.in_json(), "options": known}
        seed = search_folder.prepare(path, tensor, loss, {"ranks": found} | own, seed)
    assert seed is not None
    search = _Search(base, plan, effects_ridge, splitting, seed, path)
    with series(verbose, n_splits * len(grid) * len(found) + 1) as steps:
        table, is_whole = _compare(search, found, grid, n_splits, n_jobs, steps)
        best = chosen(table)
        upto = found[: found.index(best.rank) + 2]  # the next larger one may find a better way there
        result, status = None, "interrupted"
        with suppress(KeyboardInterrupt):
            if is_whole:
                result, status = search.last_model(upto, best.rank, best.strengths), "complete"
                steps.done(f"all data  rank {best.rank}  {best.strengths}")
    return RankChoice(
        best.rank,
        *best.strengths[:3],
        result,
        table,
        objective.null_constant,
        status,
        best.strengths.penalties,
    )


def _compare(
    search: _Search,
    ranks: list[int],
    grid: list[Strengths],
    n_splits: int,
    n_jobs: int,
    steps: ProgressReport,
) -> tuple[list[Candidate], bool]:
    """Return every rank and penalty, judged by every split; after an interrupt by those that are done, and False."""
    losses: dict[tuple[int, Strengths], list[float]] = {}
    models: dict[tuple[int, Strengths], list[FitResult]] = {}
    tasks = [(search, n, seed, s, ranks) for n, seed in enumerate(search.splits(n_splits)) for s in grid]
    n_done = 0
    try:
        for task, curve in zip(tasks, processes.each(_curve, tasks, n_jobs), strict=True):
            _, split, _, strengths, _ = task
            for rank, value, model in curve:
                steps.done(
                    f"split {split + 1}/{n_splits}  rank {rank}  {strengths}  held-out loss {value:.6g}"
                )
                has_effects = bool(search.problem.effect_modes)
                alone = Strengths(strengths.l2_reg if has_effects else 0.0)  # no components to penalise
                key = (rank, strengths) if rank else (0, alone)
                if len(losses.setdefault(key, [])) == split:  # rank 0 has no components to penalise
                    losses[key].append(value)
                    models.setdefault(key, []).extend([model] if model is not None else [])
            n_done += 1
    except KeyboardInterrupt:
        n_whole = n_done // len(grid)
        if not n_whole:
            raise
        losses = {key: values[:n_whole] for key, values in losses.items()}
        models = {key: own[:n_whole] for key, own in models.items()}
    modes = search.splitting.modes_in_every_part(search.problem.labels)
    return _table(losses, models, grid, modes), n_done == len(tasks)


def _curve(
    search: _Search, number: int, split_seed: int, strengths: Strengths, ranks: list[int]
) -> list[tuple[int, float, FitResult | None]]:
    """Return held-out losses and models of all ranks, of one split and one penalty."""
    tensor: Any = search.problem.tensor
    loss = search.problem.loss
    split = make_split(tensor, loss, search.splitting, split_seed, number)
    return [
        (rank, _constant_loss(split, loss) if model is None else split.judge(model), model)
        for rank, model in search.fits(split.train, ranks, strengths, f"split{number}")
    ]


def _check_loss(loss: Loss) -> None:
    """Refuse losses under which ranks cannot be compared by fits to parts of the data."""
    if isinstance(loss, SeveralLosses):
        raise ParameterError(
            "select_rank is for one loss in a tensor: under several, fit each rank to the training part of "
            "gcp.hold_out, and compare what split.judge says."
        )
    if loss.unknowns:
        raise ParameterError(
            f"select_rank needs numbers for {', '.join(loss.unknowns)}: estimate by one fit first."
        )


def _constant_loss(split: ValidationSplit, loss: Loss) -> float:
    """Return the judge's loss on the best constant of the training data: a model of rank 1 that is kept as it is."""
    if (mean := null_mean(split.train, loss)) is not None:  # one m for all would mean different data
        factors = null_factors(split.train, loss, mean)
    else:
        factors = [np.ones((size, 1)) for size in split.train.shape]
        objective = build_objective(split.train, loss)
        assert isinstance(objective, EntrywiseObjective)  # of one loss
        factors[0] = factors[0] * objective.null_constant
    modes = list(range(len(factors)))
    return split.judge(fit_gcp(split.train, 1, loss=loss, init=factors, fixed_modes=modes))


def _table(
    losses: dict[tuple[int, Strengths], list[float]],
    models: dict[tuple[int, Strengths], list[FitResult]],
    grid: list[Strengths],
    modes: list[int],
) -> list[Candidate]:
    """Return a row for each rank and penalty, by rank and then in the order of the grid."""
    arrays = {key: np.array(values) for key, values in losses.items()}
    best = min(arrays.values(), key=lambda values: float(values.mean()))
    rows = []
    order = {strengths: k for k, strengths in enumerate(grid)}
    for rank, strengths in sorted(arrays, key=lambda key: (key[0], key[1][:3], order.get(key[1], 0))):
        values = arrays[rank, strengths]
        n = len(values)
        error = float((values - best).std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
        stability = _stability(models.get((rank, strengths), []), modes)
        loss = float(values.mean())
        rows.append(Candidate(rank, *strengths[:3], loss, error, stability, values, strengths.penalties))
    return rows


def _stability(models: list[FitResult], modes: list[int]) -> float:
    pairs = [(a, b) for a, b in itertools.combinations(models, 2) if a.rank and modes]
    scores = [factor_match_score(a, b, weights=False, modes=modes).score for a, b in pairs]
    return float(np.mean(scores)) if scores else float("nan")


@dataclass(frozen=True)
class _Search:
    """Fits by name: those that are in the folder are read, the others done and saved."""

    problem: Problem
    plan: Plan
    effects_ridge: float | None
    splitting: Splitting
    seed: int
    folder: Path | None

    def splits(self, n: int) -> list[int]:
        """Return the seeds of the splits."""
        return np.random.SeedSequence(self.seed).generate_state(n, np.uint32).tolist()

    def fits(
        self, tensor: Any, ranks: list[int], strengths: Strengths, name: str
    ) -> list[tuple[int, FitResult | None]]:
        """Return models of growing ranks; None is the best constant.

        Each is begun from the one before; then, downwards, from the next larger one without its least components,
        where that ends lower: a model with room to spare finds its way round local minima.
        """
        if self.folder is not None:
            done = [rank for rank in ranks if rank or self.problem.effect_modes]
            search_folder.reopen(
                [self._path(name, rank, strengths) for rank in done]
                + [self._path(f"{name}_down", rank, strengths) for rank in reversed(done)],
                self.problem.loss,
                float(getattr(self.plan.solver, "n_iter_max", np.inf)),
            )
        models: list[FitResult | None] = []
        for rank in ranks:
            before = models[-1] if models else None
            start = grown(before, rank, tensor) if before is not None and before.weights.any() else None
            is_model = rank or self.problem.effect_modes
            models.append(self._fit(tensor, rank, strengths, start, name) if is_model else None)
        for k in reversed(range(len(ranks) - 1)):
            own, larger = models[k], models[k + 1]
            if own is None or larger is None or not ranks[k]:
                continue
            again = self._fit(tensor, ranks[k], strengths, reduced(larger, ranks[k], tensor), f"{name}_down")
            if again.objective < own.objective:
                models[k] = again
        return list(zip(ranks, models, strict=True))

    def last_model(self, ranks: list[int], rank: int, strengths: Strengths) -> FitResult | None:
        """Return the model of all data of one of these ranks."""
        return dict(self.fits(self.problem.tensor, ranks, strengths, f"all_upto{ranks[-1]}"))[rank]

    def _fit(self, tensor: Any, rank: int, strengths: Strengths, start: Start | None, name: str) -> FitResult:
        """Return a fit that is read, or done and saved; one start is from another model if there is one."""
        words = _words(name, rank, strengths)
        path = None if self.folder is None else self._path(name, rank, strengths)
        if path is not None and path.exists():
            return FitResult.load(path, loss=self.problem.loss)
        rng = np.random.default_rng(
            [self.seed, *np.frombuffer(hashlib.sha256(words.encode()).digest(), np.uint32).tolist()]
        )
        strengths_of_effects = strengths.l2_reg if self.effects_ridge is None else self.effects_ridge
        penalties = as_penalties(
            {"factors": strengths.l2_reg, "main_effects": strengths_of_effects}, *strengths[1:]
        )
        model = None if start is None else start(rng)
        state = None if path is None else path.with_suffix(".state")
        plan = replace(self.plan, seed=checks.seed(rng), checkpoint=state)
        if model is not None:
            plan = replace(plan, init=model, n_starts=1 if name.endswith("_down") else plan.n_starts)
        result = fit_in_series(self.problem.changed(tensor, rank, penalties), plan)
        if path is not None and state is not None:
            result.save(path)
            if not can_go_on(result.status, result.n_iter, np.inf):
                state.unlink(missing_ok=True)
        return result

    def _path(self, name: str, rank: int, strengths: Strengths) -> Path:
        assert self.folder is not None
        return self.folder / f"{_words(name, rank, strengths)}.npz"


def _words(name: str, rank: int, strengths: Strengths) -> str:
    """Return what a fit is called."""
    words = f"{name}_rank{rank}_l2_{strengths.l2_reg!r}"
    if rank:
        words += f"_weight_{strengths.weight_reg!r}_dirichlet_{strengths.dirichlet_reg!r}"
        if strengths.penalties:
            text = json.dumps(described(strengths.penalties))
            words += f"_others_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return words
