"""The outcome of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.equality import is_same
from gcp.base.errors import ConvergenceWarning
from gcp.base.types import FloatArray, RandomSource
from gcp.io import result_file
from gcp.io.export import ExportedModel
from gcp.io.summary import SummarisedModel
from gcp.losses.base import Loss
from gcp.objectives.evaluation import evaluate
from gcp.objectives.forecast import Forecast, forecast
from gcp.objectives.memory import Memory
from gcp.objectives.refit_rows import NewRows, transform
from gcp.objectives.top_positions import TopPositions, top
from gcp.solvers.starts.multistart import Starts
from gcp.solvers.updates import updated
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class FitResult(ExportedModel, SummarisedModel):
    """A fitted model, and what is needed to judge and to repeat the fit.

    Attributes
    ----------
    weights : ndarray, shape (R,)
        Component weights, nonnegative, falling.
    factors : list of ndarray, shapes (I_n, R)
        Factor matrices with columns of unit Euclidean norm. Signs, which only their product determines, are
        such that the largest entry of each column is positive in every mode but the last. A component that the
        fit switched off has weight 0. With fixed modes, order and signs are those of `init`; with bounds that
        differ from component to component, the order is theirs. Positions of which nothing is known have rows of 0;
        see `unknown`.
    loss : Loss
        With its parameters, `eps` included.
    objective : float
        F = sum of w f(x, m), plus the penalty if there is one.
    penalty : float
        The penalty's part of F.
    null_objective : float
        F of the best constant model.
    saturated_objective : float
        F of a model free at every entry: no model lies below.
    converged : bool
        True if a tolerance was met.
    status, message : str
        Why the fit stopped: one word and one sentence. "separable" and "unbounded" say that there is no finite
        minimum.
    n_iter, n_eval : int
        Iterations and evaluations of the objective, of the start that is kept.
    training_deviance_explained : float
        1 - (F - F saturated) / (F null - F saturated), without penalty, on the data and weights of the fit; of
        constant data 1 for a perfect model, else NaN.
    total_weight : float
        Sum of the weights of the entries in F; NaN in a result from a file that gcp wrote before it kept it.
    projected_gradient_norm : float
        Scale-free: the largest over modes of the norm of the factor's projected gradient times the norm of the
        factor, divided by the null model's deviance. 0 at a stationary point; may be huge where the model grows
        without end (status "unbounded").
    seconds : float
        Of the whole fit, all starts included.
    trace : dict of str to ndarray, shapes (points,)
        "seconds", "objective" and "projected_gradient_norm" at the start (not if the fit was interrupted) and after
        each iteration.
    starts : Starts, a list of dict
        Of each start: index, objective, converged, status, n_iter, n_eval, seconds, and a trace of at most 100 points
        (seconds and objective); `to_frame` has them as a table. Where a parameter of the loss was estimated, all but
        the one that is kept ended under its first value.
    settings : dict
        Resolved options, seed and versions: enough to repeat the fit.
    labels : ModeLabels
        Names, coordinates and units of the modes, and the unit of the data.
    intercept : float
        Added to every entry of the model; 0 without main effects.
    main_effects : dict of str to ndarray, shapes (I_n,)
        By the mode's name, a vector of mean 0 that is added to the model; empty without main effects.
    unknown : dict of str to ndarray of int, shapes (positions,)
        By the mode's name, the positions whose rows nothing determines: neither an entry nor a penalty that pulls
        them to 0. Predictions take the mean row of the others for them. Empty if there is none.
    fitted_factors : list of ndarray, shapes (I_n, R)
        The factors as the solver left them, within their bounds, which hold for these and cannot be seen in columns
        of norm 1; components in the order of `factors`, whose columns are these, scaled and with signs of their own.
        Empty if the result is from a file that gcp wrote before it kept them.
    row_bounds : list of ndarray, shapes (2, R)
        Lower and upper bounds of a row of each fitted factor; where rows differ, the widest. Empty like those.
    problem : ProblemDescription
        What was asked of the fit: penalties, designs, fixed and tied modes, main effects, bounds, what it estimated.
    memory : Memory
        What `update` remembers of data that are gone; false before the first update.
    """

    objective: float
    penalty: float
    null_objective: float
    saturated_objective: float
    converged: bool
    status: str
    message: str
    n_iter: int
    n_eval: int
    projected_gradient_norm: float
    seconds: float
    trace: dict[str, FloatArray]
    starts: Starts
    settings: dict[str, Any]
    training_deviance_explained: float = np.nan
    total_weight: float = np.nan
    memory: Memory = field(default_factory=Memory)

    def score(
        self, data: Any, *, mask: Any = None, entry_weights: Any = None, **carried: Unpack[Carried]
    ) -> float:
        """Return minus the weighted mean loss on data of this shape: higher is better.

        Parameters
        ----------
        data, mask, entry_weights, exposure, offset, trials
            As for `fit_gcp`; of the last three, those of the fit. To score held-out entries, pass the mask of these.
        """
        found = evaluate(self, data, mask, entry_weights, **carried)
        return -found.value / found.total_weight

    def deviance_explained(
        self, data: Any, *, mask: Any = None, entry_weights: Any = None, **carried: Unpack[Carried]
    ) -> float:
        """Return the share of the deviance from the best constant to a perfect model that this model explains.

        1 is a perfect fit, 0 no better than the best constant on the same entries, negative worse. Of constant data,
        which the best constant leaves nothing of: 1 for a perfect model, else NaN.

        Parameters
        ----------
        data, mask, entry_weights, exposure, offset, trials
            As for `score`.
        """
        return evaluate(self, data, mask, entry_weights, **carried).explained

    def transform(
        self,
        data: Any,
        mode: int | str,
        *,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        n_threads: int | None = None,
        **carried: Unpack[Carried],
    ) -> NewRows:
        """Fit new positions of one mode (trials, samples, users), everything else as it is in this model.

        Parameters
        ----------
        data, mask, entry_weights, exposure, offset, trials
            As for `score`; shaped like the data of the fit, but of any size in the mode. Labels of the other modes
            may be in any order; those that the new data lack are missing there (not 0: for zeros, give all labels).
        mode : int or str
            Number or name.
        bounds : (lower, upper), optional
            Of the entries of the rows, None for no bound. By default the bounds of the fit, which hold for a row
            times the norms of `fitted_factors`; where they differ from position to position, the widest.
        n_threads : int, optional
            None is all cores.

        Returns
        -------
        NewRows
            ``rows`` of shape (n, R), ``main_effects`` of shape (n,) or None, and ``labels`` of the new positions.

        Raises
        ------
        DataError
            Data of another shape, or with labels of the other modes that the model does not know.
        ParameterError
            A loss whose formula does not compile, or a model of one mode.

        Notes
        -----
        The minimum of the same objective over those rows alone, found by Newton's method row by row (if not in 5000
        steps, a `ConvergenceWarning` says so); the best of a few starts, each near one component, where the loss is
        not convex (gamma, Rayleigh, odds, beta-divergence outside 1 to 2). Penalties of the fit are included: a
        lasso on the weights as the ridge that it is at the fitted weights (where no mode was fixed), a Dirichlet
        prior as what one more entry of the fitted column costs; `Smooth`, `Graph` and `Near` of this mode say nothing
        of new rows. A position of which nothing is known gets what penalties prefer, or the mean row.
        """
        options: dict[str, Any] = {"entry_weights": entry_weights, "bounds": bounds, "n_threads": n_threads}
        number, penalties = self.labels.number(mode), self.problem.penalties
        return transform(self, data, number, mask=mask, penalties=penalties, **options, **carried)

    def update(
        self,
        new: Any,
        mode: int | str | None = None,
        *,
        unlisted: str | None = None,
        history: Any = None,
        half_life: float | None = None,
        window: int | None = None,
        n_iter_max: int = 100,
        tol: float = 1e-5,
        mask: ArrayLike | None = None,
        entry_weights: ArrayLike | None = None,
        n_threads: int | None = None,
        **carried: Unpack[Carried],
    ) -> FitResult:
        """Return the model with new positions of a mode (days, trials, users), the other modes refreshed by them.

        Parameters
        ----------
        new, mask, entry_weights, n_threads, exposure, offset, trials
            As for `transform`: positions of one mode that come behind those of the model. New labels in other modes
            are taken.
        mode : int or str, optional
            Number or name. None is that of the last update, else the only mode whose coordinates are dates.
        unlisted : {"zero", "missing"}, optional
            What is at labels of the model that the new data lack; needed if they do, but of an `ObservedTensor`.
        history : data as for `fit_gcp`, or {"data": ..., "exposure": ..., ...}, optional
            The data of the fit, or those positions of the mode that are to be remembered: the first update looks at
            them, later ones need none. By default expected data of the model take their place, if the fit saw every
            cell: entries at a bound are then freer than by data.
        half_life, window : float and int, optional
            Number of new positions after which what is remembered counts half, and number of the latest positions,
            about, that are remembered at all. None forgets nothing.
        n_iter_max : int
            Most sweeps over all modes. What is left to do after them is remembered, and done by the next update.
        tol : float
            Stop when a sweep lowered the objective by less than `tol` times the null deviance of the new data; a
            `ConvergenceWarning` says if none did.

        Returns
        -------
        FitResult
            Components keep their order and signs, and positions of the mode that the model had their rows: where much
            is forgotten, earlier results predict these better. Objectives and weights are sums over the fit and all
            updates, as each ended; iterations and trace are the last update's.

        Raises
        ------
        DataError
            Positions that the model has already; labels on one side alone.
        ParameterError
            Main effects, designs, ties, several losses, parameters by position, penalties that tie rows; no `history`
            where the fit did not see every cell.

        Notes
        -----
        Rows of new positions begin as those of `transform`. Then all rows but old ones of the mode are refreshed, row
        by row: the loss of the new data, penalties and what is remembered of the old are least together. That is, of
        every row, the second-order expansion of the old data's loss about where their own update ended: R**2 numbers
        for each row of other modes (some times that with `window`), however long the stream. It takes other rows as
        they were: many updates are not quite a fit of all data.

        References
        ----------
        S. Zhou et al.: Accelerating online CP decompositions for higher order tensors, KDD (2016) 1375-1384.
        """
        forgetting: dict[str, Any] = {"half_life": half_life, "window": window, "history": history}
        options: dict[str, Any] = {"unlisted": unlisted, "n_iter_max": n_iter_max, "tol": tol}
        tensor = in_one_piece(new, mask, entry_weights, **carried)
        found = replace(self, **updated(self, tensor, mode, n_threads=n_threads, **forgetting, **options))
        if not found.converged:
            warnings.warn(f"update did not converge: {found.message}.", ConvergenceWarning, stacklevel=2)
        return found

    def forecast(
        self,
        horizon: Any,
        mode: int | str | None = None,
        *,
        lags: int | Sequence[int] | None = None,
        dispersion: float | None = None,
        n_draws: int = 1000,
        random_state: RandomSource | None = None,
        **carried: Unpack[Carried],
    ) -> Forecast:
        """Return predictive distributions of the data at positions to come of a mode, such as the next days.

        Parameters
        ----------
        horizon : int, or coordinates
            How many positions after the last one, in the step of the mode's dates, months or numbers, which are
            equally spaced, in any order. Of a mode with a design also coordinates, as for `predict_at`.
        mode : int or str, optional
            Number or name. None is the only mode whose coordinates are dates, or the only one with a smooth design.
        lags : int or list of int, optional
            Of the autoregression of a mode without a design: 2 is [1, 2]; 0 is none; [1, 7] has yesterday and the day
            a week ago. By default the number that BIC prefers for each component, up to 12 (T / 100)**(1/4).
        dispersion : float, optional
            Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is that of the residuals of
            the fit, whose degrees of freedom are the cells less the parameters.
        n_draws : int
            Draws of what comes, from which the mean and the intervals are.
        random_state : int, numpy Generator, RandomState or SeedSequence, or None
            Decides the draws.
        **carried
            ``exposure``, ``offset`` and ``trials`` of what comes, shaped like the forecast; a fit that had some needs
            them.

        Returns
        -------
        Forecast
            ``mean``, ``interval(level)``, ``sample(n)``, ``to_frame()``; `gcp.analysis.proper_scores` judges it.

        Raises
        ------
        ParameterError
            Coordinates that are not equally spaced, a design that ends at the last one, too few positions.

        Notes
        -----
        Rows to come of a mode with a design are those of the design. Of others, each component's column of the factor
        (and the main effects) is an autoregression with an intercept, fitted by least squares after the fit. Its
        coefficients and innovations are drawn from their posterior under the flat prior, those of all components
        together; entries are kept within the bounds of the fit, so that nonnegative ones stay so, also where some are
        0, which logarithms do not admit. Then data are drawn from the loss. Not included is that the factors are
        estimates: intervals are too narrow where the fit has few cells for each parameter, but for the dispersion.
        """
        options: dict[str, Any] = {"n_draws": n_draws, "random_state": random_state}
        return forecast(self, horizon, mode, lags=lags, dispersion=dispersion, **options, **carried)

    def top(
        self, mode: int | str, at: Mapping[Any, Any] | None = None, n: int = 10, *, exclude: Any = None
    ) -> TopPositions:
        """Return the positions of a mode with the largest predictions at given labels of all other modes.

        Parameters
        ----------
        mode : int or str
            Number or name: ``result.top("film", {"user": "me"}, 5, exclude=ratings)``.
        at : dict
            By every other mode, a label (a position, if the mode has no labels).
        n : int
            How many positions, at most.
        exclude : data as for `fit_gcp`, or array_like of labels, optional
            What is left out: labels of the mode, or data of the model's shape. Of these, the cells at this place that
            an `ObservedTensor` knows, or that are not 0 in a `SparseTensor` or an array with every cell.

        Returns
        -------
        TopPositions
            ``labels``, ``predicted`` and ``positions``, the largest first; equal ones in the order of the mode.

        Raises
        ------
        ParameterError
            A mode without a label, and labels that the model does not know.
        DataError
            Data to exclude of another shape, or with missing cells and known zeros, which may mean either.
        """
        return top(self, mode, at, n, exclude=exclude)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to a file (`.npz` without pickle; see docs/result-format.md)."""
        result_file.write(path, vars(self))

    @staticmethod
    def load(path: str | os.PathLike[str], loss: Loss | None = None) -> FitResult:
        """Read a result that `save` or `gcp fit --out` wrote; `gcp.load` is the same.

        Parameters
        ----------
        path : path
        loss : Loss, optional
            Needed if the fit had a custom loss: a formula is not stored.

        Raises
        ------
        FormatError
            A file that holds no result of gcp, or one that is damaged.
        """
        return FitResult(**result_file.read(path, loss))

    def __post_init__(self) -> None:
        """Make the starts a table."""
        object.__setattr__(self, "starts", Starts(self.starts))

    def __eq__(self, other: object) -> bool:
        """Return whether all fields are equal, bit for bit."""
        if not isinstance(other, FitResult):
            return NotImplemented
        return all(is_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
