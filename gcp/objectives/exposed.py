"""What cells carry, as a loss takes it: exposures become scales or offsets of the model, trials are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gcp.base.errors import GcpError, ParameterError
from gcp.base.interval import Interval
from gcp.base.types import FloatArray
from gcp.kernels.shared.columns import CellColumns
from gcp.losses.base import Loss
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import MOST_SEEN, TITLES, carried_by
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import cells_of
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

SHARES = Interval(0.0, 1.0)
"""The domain of data that are shares of trials."""


def exposed(tensor: TensorData, loss: Loss) -> Any:
    """Return the tensor with scales or offsets in the place of exposures: itself, if there are none.

    Raises
    ------
    ParameterError
        A loss that takes no exposure, offsets or trials, which the tensor carries.
    """
    found = carried_by(tensor)
    if "trials" in found and not loss.takes_trials:
        raise ParameterError(
            f"The {loss.name} loss takes no trials: with successes of trials, use bernoulli-logit, bernoulli-odds or "
            "bernoulli-poisson."
        )
    if "exposure" in found:
        _is_scale(loss)  # raises if it takes none
    if (parts := tensor.parts) is not None:
        if "exposure" not in found:
            return tensor
        left = tuple(name for name in found if name != "exposure")
        return parts.changed(_exposed_part, loss, cells_of(tensor.shape), is_affine=True, carried=left)
    columns = getattr(tensor, "columns", None)
    return tensor if columns is None else _exposed(tensor, loss, cells_of(tensor.shape))


def _exposed_part(part: Any, loss: Loss, n_cells: int, _: None = None) -> Any:
    return _exposed(part, loss, n_cells)


def _exposed(tensor: Any, loss: Loss, n_cells: int) -> Any:
    """Return a tensor, or a part of one of so many cells, with scales or offsets in the place of exposures."""
    if isinstance(tensor, SparseTensor):
        return _sparse(tensor, loss, n_cells)
    columns = tensor.columns
    exposure = columns.exposure
    if exposure is None:
        return tensor
    plain = columns._replace(exposure=None)
    if _is_scale(loss):
        scale = exposure if columns.scale is None else columns.scale * exposure
        plain = plain._replace(scale=scale)
    else:
        own = np.log(exposure)
        plain = plain._replace(offset=own if columns.offset is None else columns.offset + own)
    if isinstance(tensor, ObservedTensor):
        return ObservedTensor.of(replace(tensor.entries, columns=plain), tensor.labels)
    return DenseTensor.part_of(plain, tensor.labels)


def _sparse(tensor: SparseTensor, loss: Loss, n_cells: int) -> Any:
    """Return a sparse tensor with scales or offsets of all cells, or the dense one where zeros need to be seen."""
    cells, zero = tensor.zeros, loss.zero_loss
    if not isinstance(cells.exposure, np.ndarray):
        return tensor if cells.exposure is None else tensor.with_cells(_of_cells(cells, loss))
    if _is_scale(loss) and zero is not None and zero[1] == 0:
        return tensor.with_cells(cells._replace(exposure=None, scale=cells.exposure))
    if zero is not None or n_cells <= MOST_SEEN:
        return _exposed(tensor.to_dense(), loss, n_cells)
    return tensor.with_cells(_of_array(cells, loss))


def _of_array(cells: CellColumns, loss: Loss) -> CellColumns:
    """Return columns of all cells with one array of scales or offsets; the zeros are sampled then."""
    exposure, plain = np.asarray(cells.exposure), cells._replace(exposure=None)
    if _is_scale(loss):
        return plain._replace(scale=exposure)
    if cells.offset is not None:
        raise ParameterError(
            "An offset beside an exposure of a SparseTensor that is no product over modes: give the exposure times "
            "numpy.exp(offset) as one exposure."
        )
    return plain._replace(offset=np.log(np.where(exposure > 0, exposure, 1.0)))  # those at 0 are missing


def _of_cells(cells: CellColumns, loss: Loss) -> CellColumns:
    """Return columns of all cells with scales or offsets in the place of exposures."""
    vectors: Any = cells.exposure
    plain = cells._replace(exposure=None)
    if _is_scale(loss):
        own: Any = cells.scale or [np.ones(len(v)) for v in vectors]
        return plain._replace(scale=[s * v for s, v in zip(own, vectors, strict=True)])
    # The logarithm of a product is a sum: of a product for each mode, in which the others have ones.
    n_modes = len(vectors)
    offsets = [np.ones((len(v), n_modes)) for v in vectors]
    for n, vector in enumerate(vectors):
        offsets[n][:, n] = np.log(vector)
    if cells.offset is not None:
        given: Any = cells.offset
        pairs = zip(offsets, given, strict=True)
        offsets = [np.column_stack([a, b]) for a, b in pairs]
    return plain._replace(offset=offsets)


def _is_scale(loss: Loss) -> bool:
    """Return whether exposures multiply the model; else their logarithms are added to it."""
    if loss.exposure_is is None:
        raise ParameterError(f"The {loss.name} loss takes no exposure: {loss.instead_of_exposure}")
    return loss.exposure_is == "scale"


def check_offset(tensor: TensorData, loss: Loss) -> None:
    """Raise `ParameterError` where offsets are added to a model that must not be negative."""
    if "offset" in carried_by(tensor):
        _check_offset(loss)


def _check_offset(loss: Loss) -> None:
    if loss.kinds:
        raise ParameterError("Several losses in one tensor take no offset: leave it out.")
    if loss.model_domain.low >= 0:
        raise ParameterError(
            f"The {loss.name} loss takes no offset, for its model must not be negative: give an exposure, which "
            "multiplies what is expected, or take a loss with a log or logit link."
        )


def expected(
    model: FloatArray, loss: Loss, exposure: Any, offset: Any, numbers: Callable[[str, Any], FloatArray]
) -> FloatArray:
    """Return the data expected of model values, elementwise: exposure times the mean at model + offset.

    `numbers` reads what is given for exposures and offsets, by its name; None is 1 and 0.

    Raises
    ------
    ParameterError
        A loss that takes none.
    """
    if offset is not None:
        _check_offset(loss)
        model = model + numbers("offset", offset)
    mean = loss.mean(model)
    if exposure is None:
        return mean
    _is_scale(loss)
    return mean * numbers("exposure", exposure)


def check_carried(of_fit: tuple[str, ...], found: tuple[str, ...], error: type[GcpError]) -> None:
    """Raise unless data carry what those of the fit did, and no exposure or offset besides."""
    if lacking := [name for name in of_fit if name not in found]:
        raise error(
            f"The model was fitted with {_and(lacking)}, and the data here have none: give {_names(lacking)}, or "
            "data that carry them."
        )
    if further := [name for name in found if name not in of_fit and name != "trials"]:
        raise error(
            f"The model was fitted without {_and(further)}, which the data here have: leave {_names(further)} out, "
            "or fit with them."
        )


def _and(names: list[str]) -> str:
    return " and ".join(TITLES[name] for name in names)


def _names(names: list[str]) -> str:
    return " and ".join(names)
