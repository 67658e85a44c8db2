"""Fitting a generalized CP model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.errors import ConvergenceWarning, DefaultLossWarning, FitError, ParameterError
from gcp.base.types import RandomSource
from gcp.coupled import fit_coupled, is_coupled
from gcp.losses.base import Loss
from gcp.losses.registry import DEFAULT_LOSS, DefaultName
from gcp.losses.several import as_loss
from gcp.objectives import fingerprint
from gcp.objectives.known_cells import matched
from gcp.objectives.model import Model
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.problem import Problem
from gcp.objectives.survey import Survey
from gcp.result import FitResult
from gcp.solvers import Solver
from gcp.solvers.observer import Storage
from gcp.solvers.outcome import IterationState
from gcp.solvers.starts.checkpoint import opened_checkpoint
from gcp.solvers.starts.fit_arguments import estimating
from gcp.solvers.starts.plan import Plan
from gcp.solvers.starts.run_search import Found, run_search
from gcp.solvers.starts.search import Search
from gcp.tensors.intake.carried import given_of
from gcp.tensors.intake.coerce import in_one_piece


def fit_gcp(
    data: Any,
    rank: int,
    *,
    loss: str | Loss | Mapping[Any, Any] = DEFAULT_LOSS,
    modes: Sequence[str] | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    init: Any = "random",
    n_starts: int = 1,
    solver: str | Solver = "auto",
    bounds: Any = None,
    fixed_modes: Sequence[int | str] = (),
    tied_modes: Sequence[Sequence[int | str]] = (),
    weights: Mapping[str, float] | None = None,
    l2_reg: float | Mapping[str, float] = 0.0,
    weight_reg: float = 0.0,
    dirichlet_reg: float = 0.0,
    penalties: Sequence[Penalty] = (),
    main_effects: bool | Sequence[int | str] = False,
    design: Mapping[int | str, Any] | None = None,
    exposure: Any = None,
    offset: Any = None,
    trials: Any = None,
    n_iter_max: int | None = None,
    tol: float | None = None,
    max_seconds: float | None = None,
    random_state: RandomSource | None = None,
    n_threads: int | None = None,
    callback: Callable[[IterationState], bool | None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
    verbose: bool = False,
) -> FitResult:
    """Fit a generalized CP decomposition: minimise the weighted sum of a loss over the entries of a tensor.

    The model of an entry is m = sum over components of the product of one number per mode; the fit minimises F =
    sum_e w_e f(x_e, m_e) + (l2_reg / 2) * sum of squared factor entries (and other penalties, if asked for), within
    bounds. Main effects, if asked for, add an intercept and a number for each position of a mode to m.

    Parameters
    ----------
    data : array_like, shape (I_0, ..., I_{N-1}), N >= 1; dict of str to such, or xarray Dataset
        NumPy arrays of any real, integer or boolean type (NaN = missing), masked arrays, `DenseTensor`, xarray
        DataArrays, pandas Series; see also `from_frame`. A `numpy.memmap`, `h5py.Dataset` or `zarr.Array` of more
        than 1 GB, and what ``read_tensor(path, memory=...)`` gives, is read in slabs, in every pass. `SparseTensor`
        and SciPy sparse matrices: entries that are not listed are 0. `ObservedTensor`: nothing is known of them.
        A kind of your own: docs/extending.md. Tensors in a dict or Dataset are coupled, see Notes. Never modified.
        float32 data are fitted in float32 arithmetic, with the objective summed in float64 (wholly in float64 if
        their root mean square is below 1e-15 or above 1e15).
    rank : int
        Number of components, at least 1 (0 with main effects); may exceed the sizes of the modes.
    loss : str, Loss or dict
        A name of `available_losses()`, another name for one (see `get_loss`), or an instance, e.g.
        ``NegativeBinomial(r=3.0)``. `suggest_loss` says which suit the data. Several losses, one for each position of
        a mode: ``{"variable": {"age": "gaussian", "visits": "poisson", None: "bernoulli-logit"}}``, None for all
        others; each is weighed by the dispersion of its position, see `SeveralLosses`. Of coupled tensors a dict with
        the loss of each: ``{"spikes": "poisson", "traits": "gaussian"}``.
    modes : sequence of str, optional
        Names for the modes of data that have none, e.g. ``["neuron", "time", "trial"]``: for tables, pictures, and
        wherever a mode is asked for. Beside data with names of their own, they must be these. Of coupled tensors a
        dict of such lists.
    mask : array_like of bool, optional
        True = observed. Shaped like the data or broadcastable; beside data in slabs a mapped file, too. For lists of
        entries: one boolean vector (or None) per mode; an entry is observed if all of its positions are. Where data
        and mask both have names and labels (xarray, pandas), they are matched by these, in any order, and the mask
        may have some of the modes; what one side lacks is an error.
    entry_weights : array_like, optional
        Nonnegative reals, shaped like the data or broadcastable; 2 counts an entry twice, 0 leaves it out. For lists
        of entries: one number per entry, where these were listed in the order of the tensor's `subs` (else it is
        refused: give them to the tensor). Matched by names as a mask is.
    init : "random", "svd", CPTensor, (weights, factors), list of factors or FitResult
        Where to start. Given factors are moved into the bounds. A FitResult is matched with the data by the names and
        labels that both have; to take it by position, give (result.weights, result.factors).
    n_starts : int
        Several starts, the one with the lowest F is kept; "svd" and given factors serve the first only, the
        others are random. With `fixed_modes` the fixed factors are common to all.
    solver : str or Solver
        "auto" (of dense data: als, then plbfgs if need be, for the Gaussian loss on complete data without entry
        weights, bounds, ties and main effects; else plbfgs; of lists of entries: rows, or sampled-rows and lbfgsb
        where zeros have no closed form, or adam, and plbfgs beside designs; see `Auto`), "adam", "als", "lbfgsb",
        "plbfgs", "rows", "sampled-rows", or an instance such as ``LBFGSB(memory=20)``.
    bounds : optional
        (lower, upper), or such pairs by mode, e.g. ``{"time": (0, None)}`` (other modes: what the loss needs), or one
        such pair per mode, or (lowers, uppers) with one item per mode; an item is None, a number or an array shaped
        like the factor, or a DataFrame or DataArray, matched by the mode's labels. None is what the loss needs: 0
        below where the model must not be negative.
    fixed_modes : sequence of int or str
        Modes, by number or name, whose factor stays as given by `init` (up to the norms of its columns, which go to
        the weights).
    tied_modes : sequence of sequences of int or str
        Groups of modes of equal size that share one factor, e.g. ``[(0, 1)]`` or ``[("from", "to")]`` for a symmetric
        relation. Their labels,
        if they have any, must be the same.
    weights : dict of str to float, optional
        Of coupled tensors: by what the loss of some is multiplied. By default 1 / the scale of a tensor's dispersion
        (2 * variance of a Gaussian one), estimated along with the model; 1 of losses without one.
    l2_reg : float or {"factors": float, "main_effects": float}
        Ridge. One number is for both; the intercept is free of it.
    weight_reg : float
        A lasso on the components' weights: weight_reg * (their sum) is added to F, so that superfluous components
        vanish and the others shrink by as much as the data leave open. As a function of the factors it is
        (weight_reg / N) * sum of ||column||**N, which of equal models is least, and then that, where the norms of a
        component are equal in all modes (which fixed modes and bounds other than 0 may not allow). Worth its price
        with models of any sign (logit and log links, Gaussian).
    dirichlet_reg : float
        Dirichlet prior of concentration 1 + dirichlet_reg for the shape of every column of nonnegative factors:
        minus dirichlet_reg * sum of log(entry / column mean) is added to F (the entry raised by a thousandth of the
        mean). It keeps entries off 0 as that many further observations would, evenly spread; weights do not shrink.
        Worth its price with nonnegative models of scarce data, where an entry of 0 forbids what was merely not seen.
    penalties : sequence of Penalty
        Further penalties on the components, of `gcp.penalties`: ``[Smooth("week", 10.0, cyclic=True)]``, `Ridge`,
        `Lasso`, `Near` and `Graph`, each of one mode and in units of the data, or your own; l2_reg, weight_reg and
        dirichlet_reg are shorthands for others.
    main_effects : bool or sequence of int or str, or dict of str to such
        True, or some modes: an intercept, and one additive effect per position of each (free) mode, beside the
        components: biases of users and films, difficulties of test items. Nonnegative where the loss needs a
        nonnegative model. Where components may be 0 and the exact objective is at hand, the result is never worse
        than the additive model alone, unless the fit is cut short. Of coupled tensors by tensor, each its own.
    design : dict, optional
        By mode, what its factor is made of: Z C, with Z a basis of `gcp.designs` (``{"week": bspline(12)}``), a
        matrix with a row for each position, dense or sparse, or a DataFrame, matched by the mode's labels. The result
        has C as `coefficients`, and `predict_at` for new positions. Bounds and penalties are on the factor.
    exposure, offset : array_like, optional
        The expected datum is exposure times the model's mean (Poisson, negative binomial, gamma); an offset is added
        to models that may have any sign. Shaped like the data, broadcastable, or one number per entry of a list;
        matched by names as a mask is; beside data in parts also files, and parts alike. An exposure of 0 or NaN
        leaves a cell out. See docs/decisions/0048.
    trials : array_like, optional
        Numbers of trials, for Bernoulli losses: the data are successes if they are of a type of whole numbers, or all
        are whole and any is above 1; else shares. Floats that are all 0 or 1 are refused where they may be both.
    n_iter_max, tol, max_seconds : optional
        Override the solver's own. `max_seconds` is for all starts together.
    random_state : int, numpy Generator, RandomState or SeedSequence, or None
        Decides the starts, and the samples of stochastic solvers, alone. The seed drawn for None is in
        `result.settings`.
    n_threads : int, optional
        None = all cores that this process may use. The result is the same on every run with the same number.
    callback : callable, optional
        ``callback(state)`` after each iteration (see `IterationState`); a true value stops the fit.
    checkpoint : path, optional
        A file for the state of the fit, of all its starts. If it is there, the fit goes on from it, to the same bits
        as if it had never stopped (with the same `n_threads` on the same machine), whether it was killed or ended at
        a limit: `n_iter_max` counts the iterations of all calls, `max_seconds` the time of this one, and `n_starts`,
        tolerances and callback may be others, too. A file of other data or other arguments is refused, and one that
        another fit is using. At the end it holds the outcome.
    checkpoint_every : float
        Seconds between writings, at the end of an iteration.
    verbose : bool
        Progress on stderr: a live bar on a terminal, plain lines otherwise.

    Returns
    -------
    FitResult
        Of coupled tensors a `CoupledResult`, with a FitResult for each.

    Raises
    ------
    DataError, DomainError
        Unusable data, or data outside the loss's domain; a checkpoint of another fit.
    ParameterError
        Unknown names, arguments out of range or of the wrong shape.
    FitError
        The objective is not finite at the start, or workers or their scheduler are gone; then the error's `result`
        is the best model so far.

    Warns
    -----
    ConvergenceWarning
        If the fit stopped before it met a tolerance.
    CheckpointWarning
        If the checkpoint cannot be written.
    DefaultLossWarning
        If `loss` is left out and the data are only 0 and 1, or counts (grades from 1 to 10 are not);
        ``loss="gaussian"`` is silent.

    Notes
    -----
    An interrupt (Ctrl-C) ends the fit and returns the best model so far, with status "interrupted". With a checkpoint
    it waits for the end of the iteration, and the file is written first; a second one does not wait.

    Of coupled tensors F is the sum of those of all, each times its weight, so that no tensor wins by its unit.
    Positions of a mode in common are matched by label, by number where no tensor has labels; what one tensor lacks is
    missing there. docs/decisions/0057-coupled-tensors.md says what does not go together with them.

    References
    ----------
    D. Hong, T. G. Kolda, J. A. Duersch: Generalized canonical polyadic tensor decomposition, SIAM Review 62
    (2020) 133-163.

    Examples
    --------
    >>> import gcp
    >>> result = gcp.fit_gcp(gcp.datasets.load_titanic(), 2, loss="poisson", random_state=0)
    >>> result.converged
    True
    """
    carried = given_of(exposure, offset, trials)
    plan = Plan.of(
        init=init,
        n_starts=n_starts,
        solver=solver,
        n_iter_max=n_iter_max,
        tol=tol,
        max_seconds=max_seconds,
        random_state=random_state,
        callback=callback,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        verbose=verbose,
    )
    options: dict[str, Any] = {"bounds": bounds, "fixed_modes": fixed_modes, "n_threads": n_threads}
    if is_coupled(data):
        beside = {"modes": modes, "mask": mask, "entry_weights": entry_weights} | carried
        refused: dict[str, Any] = {"tied_modes": tied_modes, "design": design, "weight_reg": weight_reg}
        refused["checkpoint"], options["main_effects"] = checkpoint, main_effects
        total = as_penalties(l2_reg, 0.0, dirichlet_reg, penalties)
        coupled: Any = fit_coupled(data, rank, plan, loss, weights, total, refused, beside, **options)
        warn_unless_converged(coupled, stacklevel=3)
        return coupled
    if weights is not None:
        raise ParameterError("weights are those of coupled tensors: for those of entries use entry_weights.")
    own = as_loss(loss)
    if own.unknowns:
        data = in_one_piece(data, mask, entry_weights, modes, why=estimating(own), **carried)
        mask, entry_weights, carried = None, None, {}
    problem = Problem.of(
        data,
        rank,
        own,
        modes=modes,
        mask=mask,
        entry_weights=entry_weights,
        tied_modes=tied_modes,
        main_effects=main_effects,
        design=design,
        penalties=as_penalties(l2_reg, weight_reg, dirichlet_reg, penalties),
        **options,
        **carried,
    )
    result = fit_problem(problem, plan, doubt_default if isinstance(loss, DefaultName) else None)
    warn_unless_converged(result, stacklevel=3)
    return result


def warn_unless_converged(result: FitResult, stacklevel: int) -> None:
    """Warn of a fit that stopped before it met a tolerance."""
    if not result.converged:
        warnings.warn(
            f"fit_gcp did not converge: {result.message}.", ConvergenceWarning, stacklevel=stacklevel
        )


def doubt_default(facts: Survey) -> None:
    """Warn of data that other losses than the default are made for."""
    if facts.std == 0:
        return
    if facts.numbers.are_binary:
        what, other = "0 or 1", "bernoulli-logit"
    elif facts.numbers.are_counts:
        what, other = "whole numbers from 0 on, as counts are", "poisson"
    else:
        return
    warnings.warn(
        f"All data are {what}, and loss was left at its default, 'gaussian', which is for measurements. "
        f"gcp.suggest_loss(data) says which losses suit them, such as {other!r}; loss='gaussian', given, keeps this "
        "one without a warning.",
        DefaultLossWarning,
        stacklevel=5,  # above run_search, fit_problem and fit_gcp
    )


def fit_problem(problem: Problem, plan: Plan, look: Callable[[Survey], None] | None = None) -> FitResult:
    """Fit a problem as planned; what `fit_gcp` does with its arguments, but for the warning of no convergence.

    `look` is shown the facts about the data, before the first start.
    """
    init = plan.init
    if isinstance(init, Model):
        init = matched(init, problem.tensor, "init", ParameterError)
    seed = checks.seed(None) if plan.seed is None else plan.seed
    search = Search(problem, init, plan.solver, plan.n_starts, seed)
    path = plan.checkpoint
    if path is None:
        return _result(run_search(search, plan, Storage(), look))
    identity = problem.identity() | {
        "init": fingerprint.described(plan.init),
        "solver": fingerprint.of_method(plan.solver),
    }
    with opened_checkpoint(path, plan.checkpoint_every, identity, plan.seed) as storage:
        result = _result(run_search(replace(search, seed=storage.seed), plan, storage, look))
        if result.status != "interrupted":  # then it is written
            storage.write()
        if more := _GOES_ON.get(result.status) if os.path.exists(path) and not storage.has_failed else None:
            result = replace(result, message=f"{result.message}; {more.format(path)}")
    return result


def _result(found: Found) -> FitResult:
    """Return the result of a search, or raise what cut it short, with the best model so far."""
    result = FitResult(**found.fields)
    if isinstance(found.cut, FitError):
        found.cut.result = result
        raise found.cut
    return result


def fit_in_series(problem: Problem, plan: Plan) -> FitResult:
    """Fit one of many: an interrupt ends them all."""
    result = fit_problem(problem, plan)
    if result.status == "interrupted":
        raise KeyboardInterrupt
    return result


_GOES_ON = {
    "interrupted": "{} goes on from there",
    "max_seconds": "{} goes on from there",
    "callback": "{} goes on from there",
    "n_iter_max": "with a larger n_iter_max, {} goes on from there",
}
"""Advice about an end that is none, by status, with a checkpoint."""
