"""The estimate about which intervals lie: the fitted parameters, or those without their first-order bias."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gcp.analysis.column_variance import Estimate
from gcp.analysis.fixed_scale import FixedScale, bias_reduced
from gcp.analysis.joint_likelihood import AnyLikelihood, JointLikelihood
from gcp.analysis.parameter_layout import ParameterLayout
from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray

_FAR_BEYOND = (10.0, 4.0)
"""Standard errors by which data want an entry beyond its bound, from which on it is taken as fixed there: the first
that leads to an estimate. Beside coupled tensors any, where none does: what another tensor wants beyond a bound that
one's model needs, that one has no likelihood of.
"""

_FEW_PARAMETERS = 2000


def find_estimate(
    likelihood: AnyLikelihood,
    section: FixedScale,
    theta: FloatArray,
    of_data: FloatArray,
    information: FloatArray,
    *,
    corrects: bool,
) -> tuple[FixedScale, Estimate | None]:
    """Return the estimate at the fitted theta (P,), or at the bias-reduced one, and the section it lies in.

    There may be none. `of_data` and `information` are of shape (P, P); the first is that of a scale of 1, without
    penalties.
    """
    if not corrects:
        return section, _estimate(likelihood, section, theta, information, corrects)
    for far in (*_FAR_BEYOND, 0.0) if isinstance(likelihood, JointLikelihood) else _FAR_BEYOND:
        section = _without_held(likelihood, section, theta, of_data, far)
        if (estimate := _estimate(likelihood, section, theta, information, corrects)) is not None:
            return section, estimate
    return section, None


def _without_held(
    likelihood: AnyLikelihood, section: FixedScale, theta: FloatArray, information: FloatArray, far: float
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


def corrects_bias(given: bool | Literal["auto"], layout: ParameterLayout, *, has_prior: bool) -> bool:
    """Return whether estimates are corrected for their bias.

    Raises
    ------
    ParameterError
        What is neither a bool nor "auto", or a correction that is not known.
    """
    if not (isinstance(given, bool) or (isinstance(given, str) and given == "auto")):
        raise ParameterError(f'bias_correction must be True, False or "auto": found {given!r}.')
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
    likelihood: AnyLikelihood, section: FixedScale, theta: FloatArray, information: FloatArray, corrects: bool
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
