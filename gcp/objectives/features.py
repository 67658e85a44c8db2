"""What an objective may have beside its value and gradient: methods say what they need, and asking builds nothing."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

import numpy as np

from gcp.base.errors import ParameterError
from gcp.losses.base import Loss
from gcp.losses.gaussian import Gaussian
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.views import hessian
from gcp.objectives.zero_policy import ZeroPolicy
from gcp.tensors.base import TensorData


class Feature(Enum):
    """A property that an objective has or lacks."""

    EXACT = auto()
    """`value_and_grad` can be had in reasonable time."""
    CURVATURE = auto()
    """`value_grad_and_curvature` can be had."""
    CURVATURE_BY_PASSES = auto()
    """`value_grad_and_curvature` can be had, if need be by a second pass, and no penalty is far more curved."""
    FULL_CURVATURE = auto()
    """A Gauss-Newton matrix beside which no penalty is far more curved."""
    HESSIAN = auto()
    """`hessian` can be had, and pays: the data are small."""
    LEAST_SQUARES = auto()
    """`least_squares` can be had: F is a plain sum of squares."""
    ROWS = auto()
    """`row_wise` can be had: the rows of a factor are problems of their own."""
    SAMPLED_ROWS = auto()
    """`sampled_rows` can be had: the rows are problems of their own up to a sample of the zeros."""
    CONTROLLED_ZEROS = auto()
    """Samples of the zeros have little variance, thanks to a polynomial that is close to their loss."""
    SAMPLES = auto()
    """`sampled` can be had: cells can be drawn at random."""


class HasFeatures(Protocol):
    """Whatever can say what it lacks."""

    def lacks(self, feature: Feature) -> str:
        """Return why a feature is lacking, in a sentence; empty if it is there."""


def check_has(objective: HasFeatures, feature: Feature) -> None:
    """Refuse an objective that lacks a feature.

    Raises
    ------
    ParameterError
        The message says why it is lacking.
    """
    if reason := objective.lacks(feature):
        raise ParameterError(reason)


def reason_to_lack(
    feature: Feature, tensor: TensorData, loss: Loss, penalties: Penalties, *, has_effects: bool
) -> str:
    """Return why the sum of a loss over a tensor lacks a feature, in a sentence; empty if it has it."""
    match feature:
        case Feature.EXACT:
            zeros = ZeroPolicy(tensor, loss)
            return "" if zeros.are_affordable else zeros.message
        case Feature.CURVATURE_BY_PASSES:
            steep = _STEEP if penalties.are_steep else ""
            return steep or reason_to_lack(Feature.EXACT, tensor, loss, penalties, has_effects=has_effects)
        case Feature.CURVATURE | Feature.FULL_CURVATURE:
            return _no_curvature(tensor, penalties, is_full=feature is Feature.FULL_CURVATURE)
        case Feature.HESSIAN:
            return _no_hessian(tensor, penalties, has_effects)
        case Feature.LEAST_SQUARES:
            return _no_least_squares(tensor, loss, penalties, has_effects)
        case Feature.ROWS:
            return _no_rows(tensor, loss, penalties)
        case Feature.SAMPLED_ROWS:
            return _no_sampled_rows(tensor, loss, penalties)
        case Feature.CONTROLLED_ZEROS:
            if loss.model_domain.low >= 0:
                return ""
            return f"Samples of zeros vary too much where models may be negative: found the {loss.name} loss."
        case Feature.SAMPLES:
            if tensor.parts is None or tensor.parts.is_resident:
                return ""
            return (
                'The solver "adam" draws cells at random, for which data in files are too slow: use solver="auto", '
                "or read the data into memory."
            )


_STEEP = "Gauss-Newton steps know too little of a penalty that is steep near 0: found a Dirichlet prior."


def _no_curvature(tensor: TensorData, penalties: Penalties, *, is_full: bool) -> str:
    if not tensor.has_marginals:
        return (
            'The solvers "plbfgs" and "als" are for dense tensors: found a tensor of listed entries, or of a kind '
            'that has no sums of curvature weights. Use solver="auto" or "lbfgsb".'
        )
    if is_full and penalties.are_steep:
        return _STEEP
    return ""


def _no_hessian(tensor: TensorData, penalties: Penalties, has_effects: bool) -> str:
    found, cells = "", tensor.stored_cells
    if cells is None or cells.x.ndim < 2:
        found = "a tensor of one mode, or one that does not store every cell in memory"
    elif cells.x.size > hessian.MOST_CELLS:
        found = f"{cells.x.size} cells"
    elif tensor.dtype != np.float64:
        found = f"data in {tensor.dtype}"
    elif has_effects:
        found = "main effects"
    elif not all(penalty.has_hessian for penalty in penalties.of_components):
        found = "a penalty without second derivatives"
    return found and f"The matrix of second derivatives is for small dense data in float64: found {found}."


def _no_least_squares(tensor: TensorData, loss: Loss, penalties: Penalties, has_effects: bool) -> str:
    found = "" if type(loss) is Gaussian else f"the {loss.name} loss"
    if not tensor.sides:
        found = found or "a list of entries, data in parts, or a kind of tensor without products with factors"
    if has_effects:
        found = found or "main effects"
    if tensor.entry_weights is not None:
        found = found or "missing entries or entry weights"
    if tensor.is_affine:
        found = found or "scales or offsets of entries"
    if not penalties.are_row_wise:
        found = found or "a penalty other than a ridge"
    return found and (
        "Alternating least squares needs the Gaussian loss on complete data without entry weights: "
        f'found {found}. Use solver="auto".'
    )


def _no_rows(tensor: TensorData, loss: Loss, penalties: Penalties) -> str:
    if tensor.zeros is not None and loss.formula.zero is None:
        return (
            f"Row-wise updates need a closed form for zeros: found sparse data under the {loss.name} loss, "
            'which has none. Use solver="sampled-rows".'
        )
    return _no_row_problems(tensor, loss, penalties)


def _no_sampled_rows(tensor: TensorData, loss: Loss, penalties: Penalties) -> str:
    found = ""
    if tensor.zeros is None:
        found = "data without unlisted zeros"
    elif loss.formula.zero is not None:
        found = f"the {loss.name} loss, whose zeros have a closed form"
    if found:
        return f'Samples of zeros are not needed: found {found}. Use solver="rows" or "auto".'
    return _no_row_problems(tensor, loss, penalties)


def _no_row_problems(tensor: TensorData, loss: Loss, penalties: Penalties) -> str:
    found = ""
    if tensor.parts is not None:
        found = "a tensor in parts"
    elif len(tensor.shape) < 2:
        found = "a tensor of one mode"
    elif not tensor.has_groups:
        found = "slices that are too large to be listed, or a kind of tensor that does not list them"
    elif not loss.formula.compiled:
        found = "a loss whose formula does not compile"
    elif not penalties.are_row_wise:
        found = "a penalty other than a ridge"
    return found and f'Row-wise updates do not apply here: found {found}. Use solver="auto".'
