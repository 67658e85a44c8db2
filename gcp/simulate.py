"""Data from a known model: for tests, for studies, for learning what a loss can recover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.arguments import whole_number
from gcp.errors import ParameterError
from gcp.losses.base import Loss
from gcp.losses.registry import get_loss
from gcp.normal_form import normalize
from gcp.start import match_mean
from gcp.tensors.dense import DenseTensor

if TYPE_CHECKING:
    from tensorly.cp_tensor import CPTensor


def simulate(
    shape: Sequence[int],
    rank: int,
    loss: str | Loss = "gaussian",
    *,
    scale: float = 1.0,
    missing: float = 0.0,
    random_state: int | np.random.Generator | None = None,
) -> tuple[DenseTensor, CPTensor]:
    """Draw a CP model, and data around it from the distribution of a loss.

    Parameters
    ----------
    shape : sequence of int
        Sizes of the modes.
    rank : int
        Number of components.
    loss : str or Loss
        Names the distribution, the link and the domain of the model.
    scale : float
        Mean of the model values where they are nonnegative (exponential factors), their standard deviation
        where they may have any sign (normal factors).
    missing : float
        Probability that an entry is missing, in [0, 1).
    random_state : int, Generator or None
        Decides everything.

    Returns
    -------
    data : DenseTensor
    truth : CPTensor
        Unit-norm columns, components by falling weight.

    Examples
    --------
    >>> import gcp
    >>> data, truth = gcp.simulate((20, 15, 10), 3, "poisson", scale=5.0, random_state=0)
    >>> data.shape
    (20, 15, 10)
    """
    from tensorly.cp_tensor import CPTensor

    rank = whole_number("rank", rank)
    shape = tuple(whole_number("shape", size) for size in shape)
    if not 0 <= missing < 1:
        raise ParameterError(f"missing must be a probability in [0, 1): found {missing!r}.")
    if not (np.isfinite(scale) and scale > 0):
        raise ParameterError(f"scale must be a positive number: found {scale!r}.")
    loss = get_loss(loss) if isinstance(loss, str) else loss
    rng = np.random.default_rng(random_state)
    factors = _factors(shape, rank, loss, scale, rng)
    truth = CPTensor(normalize(factors, keep_order=False, fix_signs=True)[:2])
    from gcp.kernels.dense import model_values

    values: Any = loss.sample(model_values(factors, shape), rng)
    mask = rng.random(shape) >= missing if missing else None
    return DenseTensor(values, mask=mask), truth


def _factors(
    shape: tuple[int, ...], rank: int, loss: Loss, scale: float, rng: np.random.Generator
) -> list[np.ndarray]:
    if loss.model_domain.low >= 0:
        factors = [rng.exponential(size=(size, rank)) for size in shape]
        match_mean(factors, scale)
        return factors
    factors = [rng.standard_normal((size, rank)) for size in shape]
    variance = float(np.sum(np.prod([np.mean(np.square(a), axis=0) for a in factors], axis=0)))
    return [a * (scale / np.sqrt(variance)) ** (1 / len(shape)) for a in factors]
