"""A scikit-learn style estimator: samples along one mode, everything else a pattern to learn."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import FloatArray
from gcp.fit import fit_problem, problem_and_plan, warn_unless_converged
from gcp.losses.base import Loss
from gcp.result import FitResult
from gcp.solvers import Solver
from gcp.tensors.intake.coerce import as_tensor


class GCP:
    """Generalized CP decomposition as a transformer of samples.

    Samples are slices along one mode, the first by default; `fit` learns the factors of the other modes,
    `transform` gives the rows of new samples under them. It has scikit-learn's interface (``get_params``,
    ``set_params``, attributes that end in an underscore, ``clone``) and does not need scikit-learn.

    Parameters
    ----------
    rank : int
        Number of components.
    loss : str or Loss
    mode : int or str
        The mode of the samples, by number or name.
    n_starts : int
    solver : str or Solver
    l2_reg : float or dict
    weight_reg, dirichlet_reg : float
    main_effects : bool or sequence of int
    n_iter_max : int, optional
    tol : float, optional
    random_state : int, numpy Generator, RandomState or SeedSequence, or None
    n_threads : int, optional
        All as for `fit_gcp`.

    Attributes
    ----------
    result_ : FitResult
    weights_ : ndarray, shape (rank,)
    factors_ : list of ndarray, shapes (I_n, rank)
        Of the fit; that of the samples has a row for each.
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
        loss: str | Loss = "gaussian",
        mode: int | str = 0,
        n_starts: int = 1,
        solver: str | Solver = "auto",
        l2_reg: Any = 0.0,
        weight_reg: float = 0.0,
        dirichlet_reg: float = 0.0,
        main_effects: Any = False,
        n_iter_max: int | None = None,
        tol: float | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.rank = rank
        self.loss = loss
        self.mode = mode
        self.n_starts = n_starts
        self.solver = solver
        self.l2_reg = l2_reg
        self.weight_reg = weight_reg
        self.dirichlet_reg = dirichlet_reg
        self.main_effects = main_effects
        self.n_iter_max = n_iter_max
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(
        self, X: Any, y: Any = None, *, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : data as for `fit_gcp`
        y : ignored
        mask, entry_weights
            As for `fit_gcp`.
        """
        options = self.get_params()
        rank, mode = options.pop("rank"), options.pop("mode")
        tensor = as_tensor(X, mask, entry_weights)
        mode = (tensor.labels or ModeLabels.default(tensor.shape)).number(mode)
        self.result_: FitResult = fit_problem(*problem_and_plan(tensor, rank, options))
        warn_unless_converged(self.result_, stacklevel=2)
        self.weights_, self.factors_ = self.result_.weights, self.result_.factors
        self.n_iter_ = self.result_.n_iter
        self.n_features_in_ = math.prod(size for n, size in enumerate(tensor.shape) if n != mode)
        return self

    def transform(
        self, X: Any, *, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
    ) -> FloatArray:
        """Return rows of samples under the other modes' fitted factors, shape (n, R); see `FitResult.transform`.

        Returns
        -------
        ndarray, shape (samples, rank)
        """
        result = self._fitted()
        found = result.transform(
            X, self.mode, mask=mask, entry_weights=entry_weights, n_threads=self.n_threads
        )
        return found.rows

    def fit_transform(
        self, X: Any, y: Any = None, *, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
    ) -> FloatArray:
        """Fit, and return the rows of the samples of the fit.

        Returns
        -------
        ndarray, shape (samples, rank)
        """
        result = self.fit(X, mask=mask, entry_weights=entry_weights).result_
        return result.factors[result.labels.number(self.mode)].copy()

    def score(
        self, X: Any, y: Any = None, *, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
    ) -> float:
        """Return minus the mean loss of samples whose rows are fitted to them: higher is better.

        Hold out cells, not samples, to compare ranks: `gcp.hold_out`.
        """
        result = self._fitted()
        tensor = as_tensor(X, mask, entry_weights)
        found = result.transform(tensor, self.mode, n_threads=self.n_threads)
        factors, mode = list(result.factors), result.labels.number(self.mode)
        factors[mode] = found.rows
        effects, name = dict(result.main_effects), result.labels.names[mode]
        if found.main_effects is not None:
            effects[name] = found.main_effects
        coords = list(result.labels.coords)
        coords[mode] = None
        labels = ModeLabels(result.labels.names, coords)
        return replace(result, factors=factors, main_effects=effects, labels=labels).score(tensor)

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
        """Return tags of an unsupervised transformer of dense or sparse tensors, with missing cells."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(three_d_array=True, sparse=True, allow_nan=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` has been called."""
        return hasattr(self, "result_")

    def _fitted(self) -> FitResult:
        if not hasattr(self, "result_"):
            raise ParameterError("This GCP is not fitted yet: call fit first.")
        return self.result_


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a is b or bool(np.all(a == b)))
