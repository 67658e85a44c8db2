"""What an objective offers to solvers that look at samples of its entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.types import Factors, FloatArray
from gcp.losses.formula import Formula
from gcp.objectives.penalties.total import Penalties
from gcp.tensors.base import Parts, TensorData
from gcp.tensors.parts.local_engine import Partial
from gcp.tensors.parts.partitioned import Own, Shared, partial, whole
from gcp.tensors.samplers import Batch, Sampler, sampler_for

Seeds = tuple[np.random.SeedSequence, np.random.SeedSequence]
"""Seeds of the fixed sample, and of the batches."""

DEFAULT_SEEDS: Seeds = (np.random.SeedSequence(0, spawn_key=(0,)), np.random.SeedSequence(0, spawn_key=(1,)))


@dataclass(frozen=True)
class Sampling:
    """Options by which an objective is sampled.

    Attributes
    ----------
    sampler : str
        "auto", "uniform", "stratified" or "semi-stratified".
    samples, value_samples : int or None
        Entries of each batch, and of the fixed sample; None is the sampler's own number.
    least : int
        The sampler's own number for a batch is raised to this one, for data in one piece.
    """

    sampler: str = "auto"
    samples: int | None = None
    value_samples: int | None = None
    least: int = 0

    def __post_init__(self) -> None:
        for name in ("samples", "value_samples"):
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name))


ValueAndGrad = Callable[[Factors], tuple[float, list[FloatArray]]]

Functions = tuple[ValueAndGrad, Callable[[Factors], list[FloatArray]], np.random.Generator]
"""The first three fields of `Sampled`."""

Loss = Callable[[Batch, Factors, int], tuple[float, list[FloatArray]]]
"""A function of a batch, factors (I_n, R) and a number of threads that returns the value and the gradient."""


@dataclass(frozen=True)
class Sampled:
    """An objective in samples: unbiased estimates of its value and gradient. The penalty is exact in both.

    Attributes
    ----------
    value_and_grad : callable
        ``value_and_grad(factors)`` of a sample that was drawn once: a function of the factors like any other.
    gradient : callable
        ``gradient(factors)`` of a new batch at each call.
    rng : numpy.random.Generator
        That of the batches.
    saturated_value, null_value : float
        Of the objective itself; exactly, but for `null_value` beside scales or offsets where that is out of reach.
    """

    value_and_grad: ValueAndGrad
    gradient: Callable[[Factors], list[FloatArray]]
    rng: np.random.Generator
    saturated_value: float
    null_value: float

    def reach(self, factors: Factors) -> float:
        """Return 0 for any factors (I_n, R): estimates do not tell how fast an objective falls."""
        return 0.0

    @property
    def far(self) -> float:
        """Infinity, likewise."""
        return float("inf")

    @property
    def has_its_minimum_at_infinity(self) -> bool:
        """False: estimates do not tell how close a model comes."""
        return False


def sample(
    tensor: TensorData, loss: Loss, penalties: Penalties, n_threads: int, sampling: Sampling, seeds: Seeds
) -> Functions:
    """Return the two functions of `Sampled`, of factors (I_n, R), and the generator, from the loss of a batch.

    Each has a generator of its own, so that neither moves the other's draws.
    """
    sampler = sampler_for(tensor, sampling.sampler)
    fixed = sampler.draw(sampling.value_samples or sampler.value_samples, np.random.default_rng(seeds[0]))
    fixed, rng = fixed.sorted(), np.random.default_rng(seeds[1])
    size = sampling.samples or max(sampler.samples, sampling.least)

    def value_and_grad(factors: Factors) -> tuple[float, list[FloatArray]]:
        value, grad = loss(fixed, factors, n_threads)
        return penalties.add_to(value, grad, factors), grad

    def gradient(factors: Factors) -> list[FloatArray]:
        _, grad = loss(sampler.draw(size, rng), factors, 1)
        penalties.add_to(0.0, grad, factors)
        return grad

    return value_and_grad, gradient, rng


LossOfParts = Callable[
    [Callable[..., Partial], tuple[Any, ...], list[Any], Factors], tuple[float, list[FloatArray]]
]
"""A function of a function of parts, its arguments, each part's own, and factors: the value and the gradient."""


def sample_parts(
    parts: Parts, loss: LossOfParts, penalties: Penalties, sampling: Sampling, seeds: Seeds
) -> Functions:
    """Return what `sample` does, functions of factors (I_n, R), for data in parts.

    Each part draws its share with a seed of its own. So what is drawn depends neither on who holds a part nor on the
    order in which they are evaluated.
    """
    known = parts.n_stored
    fixed, rng = seeds[0], np.random.default_rng(seeds[1])

    def shares_of(samples: int | None, entropy: Any) -> list[Any]:
        shares = [None if samples is None else math.ceil(samples * n / sum(known)) for n in known]
        return [(share, entropy, k) for k, share in enumerate(shares)]

    def value_and_grad(factors: Factors) -> tuple[float, list[FloatArray]]:
        own = shares_of(sampling.value_samples, (fixed.entropy, fixed.spawn_key))
        value, grad = loss(_of_fixed_sample, (sampling.sampler,), own, factors)
        return penalties.add_to(value, grad, factors), grad

    def gradient(factors: Factors) -> list[FloatArray]:
        own = shares_of(sampling.samples, (int(rng.integers(1 << 62)), ()))
        _, grad = loss(_of_batch, (sampling.sampler,), own, factors)
        penalties.add_to(0.0, grad, factors)
        return grad

    return value_and_grad, gradient, rng


def _sampling_state(part: Any) -> dict[str, Any]:
    """Return the samplers of a part in this process, and its newest fixed sample: kept with it, and gone with it."""
    state: dict[str, Any] = part.made_here
    return state


def _sampler(part: TensorData, name: str) -> Sampler:
    state = _sampling_state(part)
    if name not in state:
        state[name] = sampler_for(part, name)
    sampler: Sampler = state[name]
    return sampler


def _generator(share: tuple[int | None, tuple[int, tuple[int, ...]], int]) -> np.random.Generator:
    _, (entropy, spawn_key), k = share
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(*spawn_key, k)))


def _of_fixed_sample(
    part: TensorData, name: str, formula: Formula, mode: int, shared: Shared, own: Own, n_threads: int
) -> Partial:
    share, state = own[2], _sampling_state(part)
    if state.get("fixed_share") != (name, share):
        sampler = _sampler(part, name)
        sample = sampler.draw(share[0] or sampler.value_samples, _generator(share)).sorted()
        state |= {"fixed_share": (name, share), "fixed_sample": sample}
    batch: Batch = state["fixed_sample"]
    return partial(mode, *batch.loss_and_mttkrps(formula, *whole(mode, shared, own, n_threads)))


def _of_batch(
    part: TensorData, name: str, formula: Formula, mode: int, shared: Shared, own: Own, n_threads: int
) -> Partial:
    sampler = _sampler(part, name)
    batch = sampler.draw(own[2][0] or sampler.samples, _generator(own[2]))
    return partial(mode, *batch.loss_and_mttkrps(formula, *whole(mode, shared, own, 1)))
