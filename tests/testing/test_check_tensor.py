"""Rung 3: `check_tensor` on every kind of tensor, on one written here, and on one with a fault."""

import numpy as np
import pytest

import gcp
from gcp import DenseTensor, ObservedTensor, SparseTensor
from gcp.kernels.shared import reference
from gcp.tensors.base import Block
from gcp.tensors.parts.sources import source_of
from gcp.tensors.parts.streamed import streamed
from gcp.testing import check_tensor

SHAPES = ((6,), (4, 3), (3, 4, 2), (2, 3, 2, 2))
KINDS = ("dense", "observed", "sparse", "parts", "streamed")


def made(kind, x, w):
    if kind == "dense":
        return DenseTensor(x, entry_weights=w)
    if kind == "observed":
        return ObservedTensor(np.argwhere(w > 0), x[w > 0], x.shape, w[w > 0])
    if kind == "sparse":
        listed = (x != 0) | (w != 1)
        return SparseTensor(np.argwhere(listed), x[listed], x.shape, w[listed])
    if kind == "parts":
        return gcp.partition(DenseTensor(x, entry_weights=w), 2)
    return streamed(source_of(x), 9000, weights=[w])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_keeps_the_protocol(kind, shape, rng):
    x = rng.poisson(1.0, shape).astype(float)
    w = rng.integers(0, 3, shape).astype(float)
    w.flat[0] = x.flat[0] = 1.0
    check_tensor(made(kind, x, w), x, w)


def test_kinds_without_weights_and_in_single_precision(rng):
    x = rng.poisson(1.0, (4, 3, 2)).astype(float)
    for data in (x, x.astype(np.float32)):
        check_tensor(DenseTensor(data), x)


def test_scales_and_offsets(rng):
    x, s, o = rng.poisson(1.0, (4, 3, 2)), rng.uniform(0.5, 2.0, (4, 3, 2)), rng.uniform(0, 1, (4, 3, 2))
    check_tensor(DenseTensor(x).with_columns(scale=s, offset=o), x, scale=s, offset=o)
    subs = np.argwhere(x >= 0)
    observed = ObservedTensor(subs, x.ravel(), x.shape).with_columns(scale=s.ravel(), offset=o.ravel())
    check_tensor(observed, x, scale=s, offset=o)


class Plain:
    """A kind of tensor in few lines: all passes by NumPy."""

    def __init__(self, x):
        self.values, self.shape, self.dtype = x, x.shape, np.dtype(float)
        self.entry_weights = self.labels = None
        self.is_affine = self.has_marginals = False
        self.sides = ()

    def blocks(self):
        yield Block(self.values.ravel(), None, 0)

    def subscript(self, position):
        return np.unravel_index(position, self.shape)

    def known_positions(self):
        return [np.ones(size, bool) for size in self.shape]

    def loss_and_mttkrps(self, formula, factors, n_threads=1, effects=()):
        m = reference.model_values(factors)
        for mode, vector in enumerate(effects):
            m = m + vector.reshape([-1 if k == mode else 1 for k in range(m.ndim)])
        y = formula.df(self.values, m, *formula.params)
        sums = [y.sum(axis=tuple(k for k in range(m.ndim) if k != n)) for n in range(m.ndim)]
        value = float(formula.f(self.values, m, *formula.params).sum())
        return value, reference.mttkrps(y, factors), sums if effects else []


def test_a_kind_of_ones_own_keeps_the_protocol(rng):
    x = rng.poisson(1.0, (4, 3, 2)).astype(float)
    check_tensor(Plain(x), x)


def test_faults_are_named(rng):
    x = rng.poisson(1.0, (4, 3, 2)).astype(float)
    other = x.copy()
    other[1, 2, 0] += 1
    with pytest.raises(AssertionError, match=r"entry whose subscript is \(1, 2, 0\) has not the datum there"):
        check_tensor(Plain(other), x)
    with pytest.raises(AssertionError, match="shape is"):
        check_tensor(Plain(x), x[:3])
    for kind, message in (
        (WrongSum, "the sum of the loss: found"),
        (WrongGradient, "the gradient of mode 1 is wrong"),
        (Forgetting, "known_positions of mode 0 are wrong"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_tensor(kind(x), x)


class WrongSum(Plain):
    def loss_and_mttkrps(self, *args):
        value, *grads = super().loss_and_mttkrps(*args)
        return value + 1e-3, *grads


class WrongGradient(Plain):
    def loss_and_mttkrps(self, *args):
        value, grad, effects = super().loss_and_mttkrps(*args)
        return value, [grad[0], grad[1] + 1e-3, *grad[2:]], effects


class Forgetting(Plain):
    def known_positions(self):
        return [np.zeros(size, bool) for size in self.shape]
