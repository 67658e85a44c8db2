"""Standard errors and intervals from the information matrix, which say how far the factors may be off."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.coefficient_errors import DesignCoefficients, design_errors, errors_of_designs
from gcp.analysis.column_variance import Component, Estimate, component, confusion, determined
from gcp.analysis.fixed_scale import FixedScale, bias_reduced
from gcp.analysis.information import Likelihood
from gcp.analysis.observed_information import ObservedInformation, errors_of_loss
from gcp.analysis.parameter_layout import ParameterLayout, of_penalties, parameters
from gcp.analysis.standard_error_table import StandardErrors
from gcp.base.errors import ParameterError, UndeterminedWarning
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import KnownCells, check_result, known_cells, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried

_MOST_PARAMETERS = 6000
_FEW_PARAMETERS = 2000
_MOST_CONFUSION = 0.2
"""Sum over modes of `confusion` from which on intervals of a nominal 95 % hold the truth in less than 90 %."""

_POWER = 3
"""Power of the widening of columns' errors for weights, which follow the differences of columns, beyond linear
theory.
"""

_FAR_BEYOND = (10.0, 4.0)
"""Standard errors by which data want an entry beyond its bound, from which on it is taken as fixed there: the first
that leads to an estimate.
"""

_MOST_ERROR = 0.5
"""Error of a weight, in the weight, at most: else intervals of a positive number reach below 0."""

_MIXED = (
    "Not determined by the data, and without standard errors: {}; other values give the same entries of the model "
    "(as in matrices of rank 2 and more, or beside main effects, any mixture of components does)."
)
_NOISY = (
    "Too uncertain for standard errors: {}; the errors of its columns are so large beside what sets them apart from "
    "other components', or that of its weight beside the weight, that normal theory does not hold. Use fewer "
    "components, or bootstrap."
)
_WEAK = (
    "The data are too few for standard errors of this model: it has as many parameters as cells, or estimates that "
    "they do not bound; use fewer components, or a ridge."
)


def standard_errors(
    result: FitResult,
    data: Any,
    *,
    bias_correction: bool | Literal["auto"] = "auto",
    dispersion: float | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> StandardErrors:
    """Return standard errors and bias-corrected estimates from the Fisher information.

    Parameters
    ----------
    result : FitResult
        Of a loss that is a likelihood, at its minimum.
    data, mask, entry_weights
        As they were for `fit_gcp`. Of a `SparseTensor` with more than a million zeros, and more zeros than listed
        entries, a random part stands for all.
    bias_correction : bool or "auto"
        Whether the estimates' first-order bias is taken off, and standard errors are those at the corrected model.
        "auto" does so for up to 2000 parameters, without penalties of one mode.
    dispersion : float, optional
        Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is the maximum-likelihood
        estimate on these data, times cells / (cells - parameters).
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    StandardErrors

    Warns
    -----
    UndeterminedWarning
        Components without standard errors; the result's `message` says it too.

    Raises
    ------
    ParameterError
        No likelihood, more than 6000 parameters, or a bias correction beside a penalty of one mode.

    Notes
    -----
    The inverse of J' W J on a complement of the freedom of scaling, with J the derivatives of the model's entries
    and W the expected curvatures, carried to weights and unit-norm columns by the delta method. An estimated r of a
    negative binomial is one of the parameters; beside estimated thresholds, gates and r by position, the second
    derivatives of the likelihood take the place of their expectations, and no bias is taken off. Where directions
    beyond scaling leave all entries as they are (matrices of rank 2 and more), the weights and factors that they
    change have NaN.

    Columns of components look more different than they are by their errors, and what tells the components apart looks
    surer: with the bias correction, errors are divided by the roots of 1 - variance / difference, by mode; those of
    weights, which depend on it beyond linear theory, by their third powers.

    The bias: the estimates that solve Kosmidis and Firth's adjusted score, less the bias that curvature leaves in
    weights and columns. Maximum-likelihood weights of 0/1 data are too large, by 10 % where there are a hundred
    answers for each parameter, and without bound where there are ten.

    Where a bound holds an entry, the others follow it: intervals lie about what the likelihood would prefer without
    bounds, as far as it is defined there. Without the bias correction, entries at a bound are taken as fixed; with it
    those are that the data want beyond it by more than ten standard errors, or four if else no estimate is found.

    Penalties of one mode (`Smooth`, `Graph`, `Near`, `Ridge` of a mode) are information, too, as of a normal prior:
    the matrix is J' W J plus theirs, and intervals are those of smoothing splines (Nychka), which hold the truth as
    often as they say on average over the positions. The fit's shrinkage is not taken off.

    `l2_reg`, `weight_reg`, `dirichlet_reg`, `Lasso`, the choice of the rank and of strengths, and a wrong loss are
    not accounted for. The cells' weights count as numbers of cells. Costs cells x (modes x R)**2 and parameters**3,
    with the bias correction up to 60 times.

    References
    ----------
    I. Kosmidis, D. Firth: Bias reduction in exponential family nonlinear models, Biometrika 96 (2009) 793-804.

    D. Nychka: Bayesian confidence intervals for smoothing splines, Journal of the American Statistical Association 83
    (1988) 1134-1143.
    """
    check_result(result)
    if result.loss.kinds:
        raise ParameterError(
            f"standard_errors knows one loss in a tensor: found several losses ({result.loss.name}). Take "
            "gcp.analysis.bootstrap, which draws data from each."
        )
    if not (
        isinstance(bias_correction, bool) or (isinstance(bias_correction, str) and bias_correction == "auto")
    ):
        raise ParameterError(f'bias_correction must be True, False or "auto": found {bias_correction!r}.')
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    cells, loss = known_cells(result, tensor), result.numbered_loss
    result.loss_at(cells.subs).log_normalizer(cells.x)  # raises if there is no likelihood of such data
    layout, theta = parameters(result)
    if layout.size > _MOST_PARAMETERS:
        raise ParameterError(
            f"standard_errors is for at most {_MOST_PARAMETERS} parameters: found {layout.size}; use bootstrap."
        )
    likelihood = Likelihood(cells, loss, 1.0, layout)
    of_data, prior = likelihood.information(theta), of_penalties(result, layout, theta)
    observed = None
    if of_data[layout.of_loss].size:
        observed = ObservedInformation.of(result, tensor).of_all(likelihood, theta)
        of_data[layout.of_loss, layout.of_loss] = observed[layout.of_loss, layout.of_loss]
    information = of_data if prior is None else of_data + prior
    corrects = _corrects(bias_correction, layout, has_prior=prior is not None)
    held = likelihood.at_bound(theta) if corrects else layout.bound
    section = FixedScale.of(information, layout.free & ~held)
    if observed is not None:
        information = observed if prior is None else observed + prior
    estimate, n_free = None, float(section.basis.shape[1])
    if prior is not None and (covariance := section.covariance(information)) is not None:
        n_free = float(np.sum(covariance * of_data))  # degrees of freedom: the trace of their product
    if n_free < cells.w.sum():  # else nothing is left to tell errors from
        if dispersion is None:
            dispersion = _dispersion(result, cells, n_free)
        if dispersion is not None:
            likelihood = replace(likelihood, scale=loss.density_scale(dispersion))
            information = information / likelihood.scale
        for far in _FAR_BEYOND if corrects else ():
            section = _without_held(likelihood, section, theta, of_data, far)
            if (estimate := _estimate(likelihood, section, theta, information, corrects)) is not None:
                break
        if not corrects:
            estimate = _estimate(likelihood, section, theta, information, corrects)
    found = _shaped(result, layout, section, theta, estimate, dispersion)
    if estimate is not None:
        own = errors_of_loss(result, tensor, likelihood, estimate.theta, estimate.covariance)
        found = replace(found, parameters=own)
    if found.message:
        warnings.warn(found.message, UndeterminedWarning, stacklevel=2)
    return found


def _without_held(
    likelihood: Likelihood, section: FixedScale, theta: FloatArray, information: FloatArray, far: float
) -> FixedScale:
    """Return the section without entries at a bound that data want beyond it by `far` standard errors, at theta (P,).

    Such an entry is as good as fixed: what the likelihood would prefer without bounds is another model. The
    information (P, P) is that of a scale of 1.
    """
    layout = likelihood.layout
    covariance = section.covariance(information / likelihood.scale) if layout.bound.any() else None
    if covariance is None:
        return section
    wanted = np.abs(likelihood.score(theta)) * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    held = layout.bound & (wanted > far)
    return FixedScale.of(information, section.known & ~held) if held.any() else section


def _corrects(given: bool | Literal["auto"], layout: ParameterLayout, *, has_prior: bool) -> bool:
    """Return whether estimates are corrected for their bias."""
    if has_prior and given is True:
        raise ParameterError(
            "bias_correction=True is for estimates without penalties of one mode, whose bias is wanted; "
            'leave it at "auto".'
        )
    knows_bias = layout.of_loss.start == layout.of_loss.stop
    if given is True and not knows_bias:
        raise ParameterError(
            "bias_correction=True does not know what estimated parameters of this loss add to the bias; leave it at "
            '"auto", which takes none off.'
        )
    return (
        knows_bias and not has_prior and (layout.size <= _FEW_PARAMETERS if given == "auto" else bool(given))
    )


def _estimate(
    likelihood: Likelihood, section: FixedScale, theta: FloatArray, information: FloatArray, corrects: bool
) -> Estimate | None:
    """Return the estimate at the fitted theta (P,), or at the bias-reduced one; None if there is none.

    The information is (P, P).
    """
    if not corrects:
        covariance = section.covariance(information)
        return None if covariance is None else Estimate(theta, covariance, None)
    found = bias_reduced(likelihood, section, theta)
    if found is None:
        return None
    theta, covariance = found
    return Estimate(theta, covariance, covariance @ likelihood.biases(theta, covariance)[1])


def _shaped(
    result: FitResult,
    layout: ParameterLayout,
    section: FixedScale,
    theta: FloatArray,
    estimate: Estimate | None,
    dispersion: float | None,
) -> StandardErrors:
    """Return errors and corrected estimates in the shapes of the model; the message says which there are not."""
    errors, factors = np.full(result.rank, np.nan), [np.full(a.shape, np.nan) for a in result.factors]
    weights = np.array(result.weights, dtype=float)
    columns = [np.array(a, dtype=float) for a in result.factors]
    effects = {name: np.full(len(vector), np.nan) for name, vector in result.main_effects.items()}
    of_designs = {n: DesignCoefficients.of(result, n) for n in layout.designs}
    if estimate is None:
        own = weights, columns, _WEAK, result, *errors_of_designs(result, of_designs)
        return StandardErrors(errors, factors, np.nan, effects, dispersion, *own)
    components = [component(layout, estimate, r) for r in range(result.rank)]
    wider = _widening(components, result.converged, estimate.biases is not None)
    mixed, weak = [], []
    for r, found in enumerate(components):
        if found is None:  # switched off
            continue
        weight, entries = determined(layout, section, theta, r)
        if not (weight and all(each.all() for each in entries)):
            mixed.append(f"component {r}")
        elif np.isnan(wider[r]):
            weak.append(f"component {r}")
        errors[r] = found.error * wider[r] ** _POWER if weight else np.nan
        for n, (column, is_determined) in enumerate(zip(found.columns, entries, strict=True)):
            fixed = n in result.problem.fixed_modes
            at = layout.columns(n, r)
            held = ~layout.touched(n, at, ~layout.bound)
            is_determined = is_determined & ~layout.touched(n, at, ~section.known) & ~held
            factors[n][:, r] = 0.0 if fixed else np.where(is_determined, column.error * wider[r], np.nan)
            if estimate.biases is not None:
                own = layout.signs[n][r] * columns[n][:, r]
                unit = np.where(held, own, column.unit - column.bias)
                columns[n][:, r] = layout.signs[n][r] * unit / np.linalg.norm(unit)
            if n in of_designs and wider[r] == wider[r]:
                of_designs[n].fill(r, design_errors(layout, section, theta, estimate, found, n, r), wider[r])
        if estimate.biases is not None:
            weights[r] = found.weight - found.bias
    intercept = _effects(result, layout, section, estimate.covariance, effects)
    mixed += [f"the main effects of {name}" for name, e in effects.items() if np.isnan(e).all()]
    message = " ".join(
        text.format(", ".join(names)) for text, names in ((_MIXED, mixed), (_NOISY, weak)) if names
    )
    own = weights, columns, message, result, *errors_of_designs(result, of_designs)
    return StandardErrors(errors, factors, intercept, effects, dispersion, *own)


def _widening(components: list[Component | None], converged: bool, corrects: bool) -> FloatArray:
    """Return numbers (R,) that errors are multiplied by, for components look more different than they are.

    NaN stands for what is beyond normal theory, as all components of a fit that is on its way to infinity are.
    """
    noise = confusion(components)
    unsure = np.array([c is not None and not c.error <= _MOST_ERROR * c.weight for c in components], bool)
    if unsure.any() and not converged:
        return np.full(len(components), np.nan)
    unsure |= noise.sum(axis=1) > _MOST_CONFUSION
    if not corrects or len(components) == 1:
        noise = np.zeros_like(noise)
    return np.where(unsure, np.nan, np.prod(1 / np.sqrt(1 - np.where(unsure[:, None], 0.0, noise)), axis=1))


def _effects(
    result: FitResult,
    layout: ParameterLayout,
    section: FixedScale,
    covariance: FloatArray,
    effects: dict[str, FloatArray],
) -> float:
    """Fill in standard errors (I_n,) of centred main effects from a covariance (P, P); return the intercept's."""
    if not effects:
        return 0.0
    mean = np.zeros(layout.size)
    for name, errors in effects.items():
        at = layout.effects[result.labels.names.index(name)] + np.arange(len(errors))
        mean[at] = 1 / len(at)
        centre = np.eye(len(at)) - 1 / len(at)
        variance = np.sum((centre @ covariance[np.ix_(at, at)]) * centre, axis=1)
        determined = section.determines(at, centre)
        errors[determined] = np.sqrt(np.maximum(variance[determined], 0.0))
    if not section.determines(np.arange(layout.size), mean[None])[0]:
        return np.nan
    return float(np.sqrt(np.maximum(mean @ covariance @ mean, 0.0)))


def _dispersion(result: FitResult, cells: KnownCells, n_parameters: float) -> float | None:
    """Return the maximum-likelihood dispersion, made larger by what parameters have taken; NaN if they took all."""
    found = result.loss_at(cells.subs).estimate_dispersion(cells.x, cells.m, cells.w)
    if found is None:
        return None
    left = 1 - n_parameters / float(cells.w.sum())
    return found / left if left > 0 else np.nan
