"""Standard errors and intervals from the information matrix, which say how far the factors may be off."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.coupled_errors import MOST_PARAMETERS, CoupledErrors, coupled_errors
from gcp.analysis.estimate_search import corrects_bias, find_estimate
from gcp.analysis.fixed_scale import FixedScale
from gcp.analysis.information import Likelihood
from gcp.analysis.observed_information import ObservedInformation, errors_of_loss
from gcp.analysis.parameter_layout import of_penalties, parameters
from gcp.analysis.shaped_errors import shaped_errors
from gcp.analysis.standard_error_table import StandardErrors
from gcp.base.errors import ParameterError, UndeterminedWarning
from gcp.coupled import CoupledResult
from gcp.objectives.known_cells import KnownCells, check_result, known_cells, tensor_of
from gcp.result import FitResult
from gcp.solvers.starts.coupled_arguments import check_refused
from gcp.tensors.intake.carried import Carried


@overload
def standard_errors(
    result: FitResult,
    data: Any,
    *,
    bias_correction: bool | Literal["auto"] = "auto",
    dispersion: float | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> StandardErrors: ...
@overload
def standard_errors(
    result: CoupledResult,
    data: Any,
    *,
    bias_correction: bool | Literal["auto"] = "auto",
    dispersion: None = None,
    mask: Mapping[str, Any] | None = None,
    entry_weights: Mapping[str, Any] | None = None,
    **carried: Mapping[str, Any] | None,
) -> CoupledErrors: ...
def standard_errors(
    result: FitResult | CoupledResult,
    data: Any,
    *,
    bias_correction: bool | Literal["auto"] = "auto",
    dispersion: float | None = None,
    mask: ArrayLike | Mapping[str, Any] | None = None,
    entry_weights: ArrayLike | Mapping[str, Any] | None = None,
    **carried: Any,
) -> StandardErrors | CoupledErrors:
    """Return standard errors and bias-corrected estimates from the Fisher information.

    Parameters
    ----------
    result : FitResult or CoupledResult
        Of losses that are likelihoods, at its minimum.
    data, mask, entry_weights
        As they were for `fit_gcp`; of coupled tensors dicts by tensor. Of a `SparseTensor` with more than a
        million zeros, and more zeros than listed entries, a random part stands for all.
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
        Of coupled tensors `CoupledErrors`: by the name of a tensor, `StandardErrors` of its model.

    Warns
    -----
    UndeterminedWarning
        Components without standard errors; the result's `message` says it too.

    Raises
    ------
    ParameterError
        No likelihood, more than 6000 parameters, or a bias correction beside a penalty of one mode; of coupled
        tensors data that lack one, or a given weight that is not 1 / the scale of its dispersion.

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

    Coupled tensors have one matrix, in the factors of all modes: the sum of the tensors' own, each divided by the
    scale of its dispersion, as its weight says it.

    `l2_reg`, `weight_reg`, `dirichlet_reg`, `Lasso`, the choice of the rank and of strengths, and a wrong loss are
    not accounted for. The cells' weights count as numbers of cells. Costs cells x (modes x R)**2 and parameters**3,
    with the bias correction up to 60 times.

    References
    ----------
    I. Kosmidis, D. Firth: Bias reduction in exponential family nonlinear models, Biometrika 96 (2009) 793-804.

    D. Nychka: Bayesian confidence intervals for smoothing splines, Journal of the American Statistical Association 83
    (1988) 1134-1143.
    """
    if isinstance(result, CoupledResult):
        check_refused({"dispersion": dispersion})
        beside = {"mask": mask, "entry_weights": entry_weights, **carried}
        return coupled_errors(result, data, beside, bias_correction)
    check_result(result)
    if others := result.problem.coupled_with:
        raise ParameterError(
            f"This model was fitted together with {' and '.join(others)}, whose data tell of its rows, too: take the "
            "result of all tensors and the data of all, standard_errors(coupled, {...})."
        )
    if result.loss.kinds:
        raise ParameterError(
            f"standard_errors knows one loss in a tensor: found several losses ({result.loss.name}). Take "
            "gcp.analysis.bootstrap, which draws data from each."
        )
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    cells, loss = known_cells(result, tensor), result.numbered_loss
    result.loss_at(cells.subs).log_normalizer(cells.x)  # raises if there is no likelihood of such data
    layout, theta = parameters(result)
    if layout.size > MOST_PARAMETERS:
        raise ParameterError(
            f"standard_errors is for at most {MOST_PARAMETERS} parameters: found {layout.size}; use bootstrap."
        )
    likelihood = Likelihood(cells, loss, 1.0, layout)
    of_data, prior = likelihood.information(theta), of_penalties(result, layout, theta)
    observed = None
    if of_data[layout.of_loss].size:
        observed = ObservedInformation.of(result, tensor).of_all(likelihood, theta)
        of_data[layout.of_loss, layout.of_loss] = observed[layout.of_loss, layout.of_loss]
    information = of_data if prior is None else of_data + prior
    corrects = corrects_bias(bias_correction, layout, has_prior=prior is not None)
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
        section, estimate = find_estimate(likelihood, section, theta, of_data, information, corrects=corrects)
    found = shaped_errors(result, layout, section, theta, estimate, dispersion)
    if estimate is not None:
        own = errors_of_loss(result, tensor, likelihood, estimate.theta, estimate.covariance)
        found = replace(found, parameters=own)
    if found.message:
        warnings.warn(found.message, UndeterminedWarning, stacklevel=2)
    return found


def _dispersion(result: FitResult, cells: KnownCells, n_parameters: float) -> float | None:
    """Return the maximum-likelihood dispersion, made larger by what parameters have taken; NaN if they took all."""
    found = result.loss_at(cells.subs).estimate_dispersion(cells.x, cells.m, cells.w)
    if found is None:
        return None
    left = 1 - n_parameters / float(cells.w.sum())
    return found / left if left > 0 else np.nan
