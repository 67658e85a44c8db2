"""Data from a known model: for tests, for studies, for learning what a loss can recover."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.sizes import check_factors, check_memory
from gcp.base.types import Array, FloatArray, RandomSource
from gcp.losses.base import Loss
from gcp.losses.several import SeveralLosses, as_loss
from gcp.losses.trials import OfTrials
from gcp.objectives.exposed import check_offset, exposed
from gcp.objectives.model import normalize
from gcp.solvers.starts.initial import match_mean
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor

if TYPE_CHECKING:
    from tensorly.cp_tensor import CPTensor


def simulate(
    shape: Sequence[int],
    rank: int,
    loss: str | Loss | Mapping[Any, Any] = "gaussian",
    *,
    scale: float = 1.0,
    missing: float = 0.0,
    random_state: RandomSource | None = None,
    **carried: Unpack[Carried],
) -> tuple[DenseTensor, CPTensor]:
    """Draw a CP model, and data around it from the distribution of a loss.

    Parameters
    ----------
    shape : sequence of int
        Sizes of the modes.
    rank : int
        Number of components.
    loss : str, Loss or dict
        Names the distribution, the link and the domain of the model. Several losses by the positions of a mode, as
        for `fit_gcp`, need the `parameters` of a `SeveralLosses` where a dispersion is free.
    scale : float
        Mean of the model values where they are nonnegative (exponential factors), their standard deviation
        where they may have any sign (normal factors).
    missing : float
        Probability that an entry is missing, in [0, 1).
    random_state : int, numpy Generator, RandomState or SeedSequence, or None
        Decides everything.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the data carry them.

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

    rank = checks.whole("rank", rank)
    shape = tuple(checks.whole("shape", size) for size in checks.items("shape", shape, "a list of sizes"))
    if not shape:
        raise ParameterError("shape must be a list of sizes: found none.")
    missing = checks.real("missing", missing, least=0, below=1)
    scale = checks.real("scale", scale, above=0, below=1e150)
    loss, rng = _resolved(as_loss(loss), shape), checks.generator(random_state)
    check_memory(f"Data of shape {checks.show(shape)}", 8.0 * math.prod(shape), 3)
    check_factors(rank, shape)
    factors = _factors(shape, rank, loss, scale, rng)
    fix_signs = not isinstance(loss, SeveralLosses)  # signs of rows that are bounded stay
    truth = CPTensor(normalize(factors, keep_order=False, fix_signs=fix_signs)[:2])
    from gcp.kernels.dense.dense_pass import model_values

    m, own = model_values(factors, shape), _of_cells(loss, shape)
    values: Any = _drawn(m, own, rng, carried) if carried else own.sample(m, rng)
    mask = rng.random(shape) >= missing if missing else None
    data: Any = as_tensor(values, mask, **carried)
    return data, truth


def _drawn(m: FloatArray, loss: Loss, rng: np.random.Generator, carried: Carried) -> Array:
    """Return data, elementwise, of model values in cells that carry exposures, offsets or trials."""
    plain = as_tensor(np.zeros(m.shape), **carried)
    check_offset(plain, loss)
    columns = exposed(plain, loss).columns
    own = loss if columns.trials is None else OfTrials(loss, columns.trials)
    return own.sample(columns.argument(m), rng)


def _of_cells(loss: Loss, shape: tuple[int, ...]) -> Loss:
    """Return the loss of all cells: of losses with a parameter by the positions of a mode, with each one's own."""
    if loss.by is None:
        return loss
    if isinstance(loss, SeveralLosses):
        return loss.at(np.arange(shape[int(loss.by)]).reshape(_along(int(loss.by), shape)))
    mode, number = ModeLabels.default(shape).number(loss.by), getattr(loss, loss.parameter_by)
    if len(number) != shape[mode]:
        raise ParameterError(
            f"The {loss.name} loss has {len(number)} numbers {loss.parameter_by}, for a mode of "
            f"{shape[mode]} positions."
        )
    return loss.at(np.arange(shape[mode]).reshape(_along(mode, shape)))


def _along(mode: int, shape: tuple[int, ...]) -> list[int]:
    """Return the shape of a vector along a mode."""
    return [-1 if n == mode else 1 for n in range(len(shape))]


def _resolved(loss: Loss, shape: tuple[int, ...]) -> Loss:
    """Return several losses with one for each position of their mode, which has no labels; others as they are."""
    if not isinstance(loss, SeveralLosses):
        return loss
    mode = ModeLabels.default(shape).number(loss.by)
    return loss.of_positions(mode, np.arange(shape[mode]))


def _factors(
    shape: tuple[int, ...], rank: int, loss: Loss, scale: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return random factors (I_n, R) in the domain of the loss, of this scale."""
    if loss.model_domain.low >= 0 or (isinstance(loss, SeveralLosses) and loss.nonnegative.any()):
        factors = [rng.exponential(size=(size, rank)) for size in shape]
        match_mean(factors, scale)
        if isinstance(loss, SeveralLosses):
            free = ~loss.nonnegative
            factors[int(loss.by)][free] *= rng.choice((-1.0, 1.0), (int(free.sum()), rank))
        return factors
    factors = [rng.standard_normal((size, rank)) for size in shape]
    variance = float(np.sum(np.prod([np.mean(np.square(a), axis=0) for a in factors], axis=0)))
    return [a * (scale / np.sqrt(variance)) ** (1 / len(shape)) for a in factors]
