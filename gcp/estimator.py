"""A scikit-learn style estimator: samples along one mode, everything else a pattern to learn."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels, is_unnamed
from gcp.base.sizes import check_memory
from gcp.base.types import Array, FloatArray, RandomSource
from gcp.fit import fit_problem, warn_unless_converged
from gcp.losses.base import Loss
from gcp.objectives.known_cells import side_of
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.refit_rows import with_rows
from gcp.result import FitResult
from gcp.solvers import Solver
from gcp.solvers.outcome import IterationState
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.tensors.intake.carried import Carried, given_of
from gcp.tensors.intake.coerce import as_tensor, in_one_piece
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.rearranged import aligned

_BASES: tuple[type, ...] = ()
try:
    from sklearn.base import BaseEstimator, TransformerMixin

    _BASES = TransformerMixin, BaseEstimator
except ImportError:  # then without what these add: set_output, HTML, routing of mask and weights
    pass

_HELD_OUT = 0.2
"""Share of the known cells of samples that their rows are judged by."""

_KEPT = 0.5
"""Least share of the known cells of a sample that its row is fitted to."""


class GCP(*_BASES):  # type: ignore[misc]
    """Generalized CP decomposition as a transformer of samples.

    Samples are slices along one mode, the first by default; `fit` learns the factors of the other modes,
    `transform` gives the rows of new samples under them. Where scikit-learn is installed it is one of its
    estimators, for `Pipeline`, `GridSearchCV` and ``set_output(transform="pandas")``; it does not need it.

    Parameters
    ----------
    rank : int
        Number of components.
    mode : int or str
        The mode of the samples, by number or name. Tools that cut samples into folds, such as `GridSearchCV`, take
        them along axis 0.
    modes, loss, init, n_starts, solver, bounds, fixed_modes, tied_modes, l2_reg, weight_reg, dirichlet_reg, penalties
        As for `fit_gcp`.
    main_effects, design, n_iter_max, tol, max_seconds, random_state, n_threads, callback
        As for `fit_gcp`.
    checkpoint, checkpoint_every, verbose
        As for `fit_gcp`.

    Attributes
    ----------
    result_ : FitResult
    weights_ : ndarray, shape (rank,)
    factors_ : list of ndarray, shapes (I_n, rank)
        Of the fit; that of the samples has a row for each.
    components_ : ndarray, shape (rank, I_1, ..., I_{N-1})
        What a component adds to a sample whose row is 1 there: the model of samples is
        ``tensordot(rows, components_, 1)``, samples first, plus main effects. Made anew whenever it is read.
    n_iter_ : int
    n_features_in_ : int
        Cells of a sample.

    Examples
    --------
    >>> import gcp
    >>> counts = gcp.datasets.load_nyc_flights()
    >>> rows = gcp.GCP(2, loss="poisson", mode=1, random_state=0).fit_transform(counts)
    >>> rows.shape
    (105, 2)
    """

    def __init__(
        self,
        rank: int = 1,
        *,
        mode: int | str = 0,
        modes: Sequence[str] | None = None,
        loss: str | Loss | Mapping[Any, Any] = "gaussian",
        init: Any = "random",
        n_starts: int = 1,
        solver: str | Solver = "auto",
        bounds: Any = None,
        fixed_modes: Sequence[int | str] = (),
        tied_modes: Sequence[Sequence[int | str]] = (),
        l2_reg: float | Mapping[str, float] = 0.0,
        weight_reg: float = 0.0,
        dirichlet_reg: float = 0.0,
        penalties: Sequence[Penalty] = (),
        main_effects: bool | Sequence[int | str] = False,
        design: Mapping[int | str, Any] | None = None,
        n_iter_max: int | None = None,
        tol: float | None = None,
        max_seconds: float | None = None,
        random_state: RandomSource | None = None,
        n_threads: int | None = None,
        callback: Callable[[IterationState], bool | None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        verbose: bool = False,
    ) -> None:
        self.rank = rank
        self.mode = mode
        self.modes = modes
        self.loss = loss
        self.init = init
        self.n_starts = n_starts
        self.solver = solver
        self.bounds = bounds
        self.fixed_modes = fixed_modes
        self.tied_modes = tied_modes
        self.l2_reg = l2_reg
        self.weight_reg = weight_reg
        self.dirichlet_reg = dirichlet_reg
        self.penalties = penalties
        self.main_effects = main_effects
        self.design = design
        self.n_iter_max = n_iter_max
        self.tol = tol
        self.max_seconds = max_seconds
        self.random_state = random_state
        self.n_threads = n_threads
        self.callback = callback
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        exposure: Any = None,
        offset: Any = None,
        trials: Any = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : data as for `fit_gcp`
        y : ignored
        mask, entry_weights, exposure, offset, trials
            As for `fit_gcp`.
        """
        options = self.get_params()
        rank, mode = options.pop("rank"), options.pop("mode")
        carried = given_of(exposure, offset, trials)
        tensor = as_tensor(X, mask, entry_weights, options.pop("modes"), **carried)
        mode = (tensor.labels or ModeLabels.default(tensor.shape)).number(mode)
        self.result_: FitResult = fit_problem(*problem_and_plan(tensor, rank, options))
        warn_unless_converged(self.result_, stacklevel=2)
        self.weights_, self.factors_ = self.result_.weights, self.result_.factors
        self.n_iter_ = self.result_.n_iter
        self.n_features_in_ = math.prod(size for n, size in enumerate(tensor.shape) if n != mode)
        return self

    def transform(
        self,
        X: Any,
        *,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        exposure: Any = None,
        offset: Any = None,
        trials: Any = None,
    ) -> FloatArray:
        """Return rows of samples under the other modes' fitted factors, shape (n, R); see `FitResult.transform`.

        Returns
        -------
        ndarray, shape (samples, rank)
            After ``set_output(transform="pandas")`` a DataFrame, with the labels of the samples if they have any.
        """
        carried = given_of(exposure, offset, trials)
        result, samples = self._fitted(), in_one_piece(X, mask, entry_weights, self.modes, **carried)
        found = result.transform(samples, self._mode, n_threads=self.n_threads)
        return self._labelled(found.rows, found.labels)

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        *,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        exposure: Any = None,
        offset: Any = None,
        trials: Any = None,
    ) -> FloatArray:
        """Fit, and return the rows of the samples of the fit; of one of which nothing is known, the mean row.

        Returns
        -------
        ndarray, shape (samples, rank)
            As of `transform`.
        """
        carried = given_of(exposure, offset, trials)
        result = self.fit(X, mask=mask, entry_weights=entry_weights, **carried).result_
        rows = result.with_mean_rows().factors[self._mode].copy()
        return self._labelled(rows, result.labels.values(self._mode, len(rows)))

    def inverse_transform(self, X: Any) -> FloatArray:
        """Return the data that are expected of samples with these rows: the mean under the loss.

        Parameters
        ----------
        X : array_like, shape (samples, rank)
            Rows, as `transform` returns them.

        Returns
        -------
        ndarray, shape (I_0, ..., I_{N-1})
            Samples stand along their mode, as in the data of the fit.

        Raises
        ------
        ParameterError
            Of a model in which samples have main effects, which are not in the rows.
        """
        result, mode = self._fitted(), self._mode
        if (name := result.labels.names[mode]) in result.main_effects:
            raise ParameterError(
                f"inverse_transform: rows do not hold the main effects of {name!r}: leave this mode out of "
                "main_effects, or take result_.predict() for the samples of the fit."
            )
        rows = checks.floats("X", X)
        if rows.ndim != 2 or rows.shape[1] != result.rank:
            raise ParameterError(
                f"X has shape {rows.shape}: expected rows as transform returns them, of shape (n, {result.rank})."
            )
        check_memory("The data of these rows", 8.0 * len(rows) * self.n_features_in_, 1)
        return with_rows(self._fitted(), self._mode, rows).predict()

    def score(
        self,
        X: Any,
        y: Any = None,
        *,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        exposure: Any = None,
        offset: Any = None,
        trials: Any = None,
    ) -> float:
        """Return minus the mean loss of cells of samples that their rows have not seen: higher is better.

        A fifth of the samples' known cells is held out at random, their rows are fitted to the others, and the loss
        of the held-out cells is averaged. So it does not rise with every further component, and `GridSearchCV` may
        choose ranks and penalties by it. `random_state` decides the cells: if it is a number, all candidates are
        judged by the same ones. `select_rank` chooses by cells of one whole tensor.

        Parameters
        ----------
        X : data as for `transform`
        y : ignored
        mask, entry_weights, exposure, offset, trials
            As for `fit_gcp`.
        """
        from gcp.analysis.holdout import hold_out

        result, mode = self._fitted(), self._mode
        samples = self._samples(X, mask, entry_weights, given_of(exposure, offset, trials))
        keep = _KEPT if samples.zeros is None else 0.0
        train, test = hold_out(samples, _HELD_OUT, result.settings["seed"], keep=keep)
        found = result.transform(train, mode, n_threads=self.n_threads)
        return with_rows(result, mode, found.rows, found.main_effects).score(test)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return names of the columns of rows: "gcp0", "gcp1", ...

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (rank,)
        """
        return np.array([f"gcp{r}" for r in range(self._fitted().rank)], dtype=object)

    @property
    def components_(self) -> FloatArray:
        """What each component adds to a sample whose row is 1 there, shape (rank, I_1, ..., I_{N-1})."""
        if not hasattr(self, "result_"):
            raise AttributeError("components_: this GCP is not fitted yet: call fit first.")
        check_memory("components_", 8.0 * self.result_.rank * self.n_features_in_, 1)
        found = self.result_.weights
        for n, a in enumerate(self.result_.with_mean_rows().factors):
            if n != self._mode:
                found = found[..., None, :] * a
        return np.ascontiguousarray(np.moveaxis(found, -1, 0))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        names = list(inspect.signature(type(self)).parameters)
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Change parameters."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ParameterError(f"GCP has no parameter {name!r}; it takes: {', '.join(known)}.")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Return the parameters that differ from their defaults."""
        defaults = inspect.signature(type(self)).parameters
        changed = {
            name: value
            for name, value in self.get_params().items()
            if name == "rank" or not _same(value, defaults[name].default)
        }
        return f"GCP({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def __sklearn_tags__(self) -> Any:
        """Return tags of a transformer of dense or sparse tensors, with missing cells."""
        tags = super().__sklearn_tags__()
        tags.input_tags = replace(tags.input_tags, three_d_array=True, sparse=True, allow_nan=True)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` has been called."""
        return hasattr(self, "result_")

    def _fitted(self) -> FitResult:
        if not hasattr(self, "result_"):
            raise ParameterError("This GCP is not fitted yet: call fit first.")
        return self.result_

    @property
    def _mode(self) -> int:
        return self.result_.labels.number(self.mode)

    def _samples(self, X: Any, mask: Any, entry_weights: Any, carried: Carried) -> Tensor:
        """Return new samples in the order of the fit's modes and positions."""
        tensor = stored(in_one_piece(X, mask, entry_weights, self.modes, **carried))
        return aligned(tensor, side_of(self._fitted(), free=(self._mode,)), "the new data")

    def _labelled(self, rows: FloatArray, labels: Array) -> Any:
        """Return rows (n, R), with the samples' labels (n,) where a DataFrame is asked for.

        The columns get their names from scikit-learn.
        """
        asked = getattr(self, "_sklearn_output_config", {}).get("transform")  # by set_output
        if asked is None and _BASES:
            from sklearn import get_config

            asked = get_config()["transform_output"]
        if asked != "pandas":
            return rows
        import pandas as pd

        name = self.result_.labels.names[self._mode]
        index: pd.Index[Any] = pd.Index(labels.tolist(), name=None if is_unnamed(name) else name)
        return pd.DataFrame(rows, index=index)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a is b or bool(np.all(a == b)))
