"""Checks of kinds of tensors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import DataError
from gcp.base.types import Array, FloatArray
from gcp.kernels.shared import reference
from gcp.losses.base import Loss
from gcp.losses.gaussian import Gaussian
from gcp.losses.poisson import Poisson
from gcp.tensors.base import TensorData
from gcp.testing.agreement import demand, demand_close


def check_tensor(
    tensor: TensorData,
    x: Array,
    entry_weights: Array | None = None,
    scale: Array | None = None,
    offset: Array | None = None,
    random_state: int = 0,
) -> None:
    """Check that a kind of tensor keeps its protocol, `gcp.tensors.base.TensorData`, on data that are known.

    The truth is the plain sum of w f(x, s m + o) over all cells, with the model and its derivatives by einsum.

    - ``shape``, and ``dtype``, which is float32 or float64
    - ``blocks``: every entry once, with its weight and with the subscript that ``subscript`` gives; sums of weights
      and of weighted data are those of all cells (data in parts may refuse this and the next with a DataError)
    - ``known_positions`` of every mode
    - ``loss_and_mttkrps`` of ranks 1 and 3, with and without main effects, by one thread and two, of the Gaussian
      and (where the data are counts and their scales and offsets are not negative) the Poisson loss
    - ``loss_mttkrps_and_marginals``, if it has them: also the sums of curvature weights over slices
    - ``contract``, if it has sides, against the products of `numpy.einsum`
    - the same answers after pickling
    - factors are not modified

    Parameters
    ----------
    tensor : TensorData
    x : array_like, shape (I_0, ..., I_{N-1})
        What the tensor holds, as a whole; whatever you like where the weight is 0.
    entry_weights, scale, offset : array_like, shape (I_0, ..., I_{N-1}), optional
        What its cells carry; weight 0 is a missing entry.
    random_state : int
        Decides the factors.

    Raises
    ------
    AssertionError
        A sentence that says which property fails.

    Examples
    --------
    >>> import gcp, numpy as np
    >>> x = np.arange(24.0).reshape(2, 3, 4)
    >>> gcp.testing.check_tensor(gcp.DenseTensor(x), x)
    """
    rng = np.random.default_rng(checks.seed(random_state))
    weights = np.ones(np.shape(x)) if entry_weights is None else np.asarray(entry_weights, float)
    data = np.where(weights > 0, np.asarray(x, float), 1.0)
    s = np.ones(data.shape) if scale is None else np.asarray(scale, float)
    o = np.zeros(data.shape) if offset is None else np.asarray(offset, float)
    what = type(tensor).__name__
    demand(
        tuple(tensor.shape) == data.shape, f"{what}: shape is {tensor.shape}, but the data have {data.shape}."
    )
    demand(
        tensor.dtype in (np.float32, np.float64), f"{what}: dtype is {tensor.dtype}, not float32 or float64."
    )
    try:
        _check_blocks(tensor, what, data, weights)
        _check_known(tensor, what, weights)
    except DataError:  # data in parts, which are looked through part by part
        pass
    losses: list[Loss] = [Gaussian()]
    if Poisson().data_domain.contains(data).all() and min(s.min(), o.min()) >= 0:
        losses.append(Poisson())
    twin = pickle.loads(pickle.dumps(tensor))
    for loss in losses:
        for rank in (1, 3):
            for has_effects in (False, True):
                factors = [rng.uniform(0.2, 1.5, (size, rank)) for size in data.shape]
                effects: list[FloatArray] = (
                    [rng.uniform(0.1, 1.0, (size,)) for size in data.shape] if has_effects else []
                )
                for one, n_threads, name in (
                    (tensor, 1, what),
                    (tensor, 2, f"{what} with two threads"),
                    (twin, 1, f"{what}, pickled,"),
                ):
                    _check_pass(one, name, loss, (data, weights, s, o), factors, effects, n_threads)
    _check_contract(tensor, what, data, [rng.normal(size=(size, 3)) for size in data.shape])


def _check_known(tensor: TensorData, what: str, weights: FloatArray) -> None:
    for mode, known in enumerate(tensor.known_positions()):
        others = tuple(k for k in range(weights.ndim) if k != mode)
        name = f"{what}: known_positions of mode {mode} are wrong"
        demand_close(name, known, weights.sum(axis=others) > 0, rtol=0.0)


def _check_blocks(tensor: TensorData, what: str, data: FloatArray, weights: FloatArray) -> None:
    n, total, first = 0, 0.0, 0.0
    for block in tensor.blocks():
        w = np.ones(block.x.size) if block.weights is None else np.asarray(block.weights, float)
        n += block.x.size * block.times
        total += float(w.sum())  # that of an entry that stands for many is theirs together
        first += float(w @ np.where(w > 0, block.x, 0.0))
        if block.times != 1:
            continue
        for k in range(block.x.size):
            if w[k] > 0:
                subscript = tensor.subscript(block.first + k)
                place = f"{what}: a block's entry whose subscript is {tuple(map(int, subscript))} has not the"
                demand_close(f"{place} datum there", block.x[k], data[subscript], rtol=1e-6)
                demand_close(f"{place} weight there", w[k], weights[subscript], rtol=1e-6)
    demand(n <= data.size, f"{what}: blocks have {n} entries, but there are {data.size} cells.")
    demand_close(f"{what}: the weights of all blocks have another sum", total, weights.sum(), rtol=1e-6)
    size = float(np.sum(weights * np.abs(data)))
    demand_close(
        f"{what}: the data of all blocks have another weighted sum",
        first,
        np.sum(weights * data),
        rtol=0.0,
        atol=1e-6 * size,
    )


def _check_pass(
    tensor: TensorData,
    what: str,
    loss: Loss,
    columns: tuple[FloatArray, ...],
    factors: list[FloatArray],
    effects: list[FloatArray],
    n_threads: int,
) -> None:
    x, w, s, o = columns
    rtol = 1e-9 if tensor.dtype == np.float64 else 1e-4
    m = reference.model_values(factors)
    for mode, vector in enumerate(effects):
        m = m + vector.reshape([-1 if k == mode else 1 for k in range(m.ndim)])
    values, y = w * loss.value(x, s * m + o), w * s * loss.deriv(x, s * m + o)
    before = [a.copy() for a in factors]
    value, grad, effect_grad = tensor.loss_and_mttkrps(loss.formula, factors, n_threads, effects)
    what = f"{what} under the {loss.name} loss at rank {factors[0].shape[1]}"
    what = f"{what} with main effects" if effects else what
    demand(
        all(np.array_equal(a, b) for a, b in zip(factors, before, strict=True)), f"{what} modifies factors."
    )
    demand_close(
        f"{what}: the sum of the loss", value, values.sum(), rtol=0.0, atol=rtol * np.abs(values).sum()
    )
    _compare(f"{what}: the gradient", grad, reference.mttkrps(y, factors), rtol)
    if effects:
        _compare(f"{what}: the gradient of main effects", effect_grad, _slice_sums(y), rtol)
    if tensor.has_marginals:
        formula = loss.formula._replace(weight=None)
        found = tensor.loss_mttkrps_and_marginals(formula, factors, n_threads, effects)
        curvature = w * s**2 * np.maximum(loss.curvature(x, s * m + o), 0.0)
        demand_close(f"{what}: the sum of the loss beside marginals", found[0], value, rtol=rtol)
        _compare(f"{what}: the gradient beside marginals", found[1], grad, rtol)
        _compare(f"{what}: marginals", found[3], _slice_sums(curvature), rtol)


def _compare(what: str, found: Any, expected: list[FloatArray], rtol: float) -> None:
    for mode, (a, b) in enumerate(zip(found, expected, strict=True)):
        scale = float(np.abs(b).max(initial=0.0))
        demand_close(f"{what} of mode {mode} is wrong", a, b, rtol=rtol, atol=rtol * scale)


def _slice_sums(values: FloatArray) -> list[FloatArray]:
    """Return the sums over the slices of each mode, shapes (I_n,)."""
    modes = range(values.ndim)
    return [values.sum(axis=tuple(k for k in modes if k != n)) for n in modes]


def _check_contract(tensor: TensorData, what: str, data: FloatArray, factors: list[FloatArray]) -> None:
    if not tensor.sides or tensor.entry_weights is not None:
        return
    named = sorted(mode for side in tensor.sides for mode in side)
    demand(named == list(range(data.ndim)), f"{what}: sides {tensor.sides} are not all modes, each once.")
    letters = "abcdefghijklmnopqrstuvwxy"
    for side in tensor.sides:
        others = [k for k in range(data.ndim) if k not in side]
        out = np.empty((factors[0].shape[1], int(np.prod([data.shape[k] for k in side]))))
        tensor.contract(side, factors, out, 1)
        terms = ",".join([letters[: data.ndim], *(letters[k] + "z" for k in others)])
        result = "z" + "".join(letters[k] for k in side) if others else "".join(letters[k] for k in side)
        expected = np.einsum(f"{terms}->{result}", data, *(factors[k] for k in others))
        expected = (
            expected.reshape(-1, out.shape[1]) if others else np.broadcast_to(expected.ravel(), out.shape)
        )
        rtol = 1e-9 if tensor.dtype == np.float64 else 1e-4
        scale = float(np.abs(expected).max(initial=0.0))
        demand_close(f"{what}: contract of side {side} is wrong", out, expected, rtol=rtol, atol=rtol * scale)
