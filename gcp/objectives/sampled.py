"""What an objective offers to solvers that look at samples of its entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gcp._typing import Factors, FloatArray
from gcp.errors import ParameterError
from gcp.penalties.penalty import Penalty
from gcp.samplers import Batch, sampler_for
from gcp.tensors.base import TensorData

Seeds = tuple[np.random.SeedSequence, np.random.SeedSequence]
"""Of the fixed sample, and of the batches."""

DEFAULT_SEEDS: Seeds = (np.random.SeedSequence(0, spawn_key=(0,)), np.random.SeedSequence(0, spawn_key=(1,)))


@dataclass(frozen=True)
class Sampling:
    """How an objective is to be sampled.

    Attributes
    ----------
    sampler : str
        "auto", "uniform", "stratified" or "semi-stratified".
    samples, value_samples : int or None
        Entries of each batch, and of the fixed sample; None is the sampler's own number.
    """

    sampler: str = "auto"
    samples: int | None = None
    value_samples: int | None = None

    def __post_init__(self) -> None:
        for name in ("samples", "value_samples"):
            value = getattr(self, name)
            is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if value is not None and not (is_whole and value >= 1):
                raise ParameterError(f"{name} must be an integer >= 1 or None: found {value!r}.")


ValueAndGrad = Callable[[Factors], tuple[float, list[FloatArray]]]

Loss = Callable[[Batch, Factors, int], tuple[float, list[FloatArray]]]
"""Of a batch, factors and a number of threads: the value and the gradient."""


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
        Of the objective itself, exactly.
    """

    value_and_grad: ValueAndGrad
    gradient: Callable[[Factors], list[FloatArray]]
    rng: np.random.Generator
    saturated_value: float
    null_value: float


def sample(
    tensor: TensorData, loss: Loss, penalty: Penalty, n_threads: int, sampling: Sampling, seeds: Seeds
) -> tuple[ValueAndGrad, Callable[[Factors], list[FloatArray]], np.random.Generator]:
    """The two functions of `Sampled` and the generator, from one that gives the loss of a batch and its gradient.

    Each has a generator of its own, so that neither moves the other's draws.
    """
    sampler = sampler_for(tensor, sampling.sampler)
    fixed = sampler.draw(sampling.value_samples or sampler.value_samples, np.random.default_rng(seeds[0]))
    fixed, size, rng = fixed.sorted(), sampling.samples or sampler.samples, np.random.default_rng(seeds[1])

    def value_and_grad(factors: Factors) -> tuple[float, list[FloatArray]]:
        value, grad = loss(fixed, factors, n_threads)
        return penalty.add_to(value, grad, factors), grad

    def gradient(factors: Factors) -> list[FloatArray]:
        _, grad = loss(sampler.draw(size, rng), factors, 1)
        penalty.add_to(0.0, grad, factors)
        return grad

    return value_and_grad, gradient, rng
