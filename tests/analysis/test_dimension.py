"""Numbers of parameters: ranks of dense Jacobians made by einsum, and dimensions known from algebraic geometry."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import NegativeBinomial, fit_gcp
from gcp.analysis import information_criteria, n_parameters
from gcp.objectives.dimension import Structure, counted, dimension


def jacobian_rank(structure, rng):
    """Of every entry of the tensor in every parameter, at a random point."""
    shape, rank, ndim = structure.shape, structure.rank, len(structure.shape)
    letters = "abcd"[:ndim]
    factors = dict(structure.fixed)
    for group in structure.groups:
        factors |= dict.fromkeys(group, rng.standard_normal((shape[group[0]], rank)))
    columns = [np.zeros((math.prod(shape), 0))]
    for group in structure.groups:
        total = 0.0
        for n in group:
            operands = [factors[k] if k != n else np.eye(shape[n]) for k in range(ndim)]
            names = ",".join(letters[k] + ("z" if k == n else "r") for k in range(ndim))
            operands.append(np.ones(rank))
            total = total + np.einsum(f"{names},r->{letters}zr", *operands)
        columns.append(total.reshape(math.prod(shape), -1))
    for n in structure.effects:
        levels = np.eye(shape[n]).reshape([shape[n] if k in (n, ndim) else 1 for k in range(ndim + 1)])
        columns.append(np.broadcast_to(levels, (*shape, shape[n])).reshape(-1, shape[n]))
    if structure.effects:
        columns.append(np.ones((math.prod(shape), 1)))
    jacobian = np.concatenate(columns, axis=1)
    return np.linalg.matrix_rank(jacobian, tol=1e-9 * np.linalg.norm(jacobian, 2)) if jacobian.size else 0


SHAPES = [(6,), (5, 4), (9, 3), (12, 12), (7, 14), (3, 3, 3), (4, 4, 3), (2, 3, 4), (5, 9, 3), (2, 2, 12)]
SHAPES += [(3, 3, 12), (11, 10, 2), (2, 2, 2, 2), (3, 3, 2, 2), (2, 2, 2, 9)]


def structures(shape, rng):
    """Free, fixed and tied modes, with and without main effects, of ranks small and large."""
    modes = range(len(shape))
    free = tuple((n,) for n in modes)
    for rank in (0, 1, 2, 3, 4, 5, 7):
        for effects in {(), (0,), (modes[-1],), tuple(modes)}:
            yield Structure(shape, rank, free, effects, {})
        for n in modes if len(shape) > 1 else ():
            others = tuple((k,) for k in modes if k != n)
            for effects in ((), tuple(k for k in modes if k != n)):
                yield Structure(shape, rank, others, effects, {n: rng.standard_normal((shape[n], rank))})
        for pair in itertools.combinations(modes, 2):
            if shape[pair[0]] == shape[pair[1]]:
                yield Structure(shape, rank, (pair, *((k,) for k in modes if k not in pair)), (), {})
        if len(set(shape)) == 1 and len(shape) > 2:
            yield Structure(shape, rank, (tuple(modes),), (), {})


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dimensions_are_ranks_of_jacobians(shape, rng):
    for structure in structures(shape, rng):
        assert dimension(structure) == jacobian_rank(structure, rng), structure


def free(shape, rank):
    return Structure(shape, rank, tuple((n,) for n in range(len(shape))), (), {})


@pytest.mark.parametrize(
    ("shape", "rank", "known"),
    [
        ((3, 3, 3), 4, 26),  # Strassen's hypersurface
        ((2, 2, 2, 2), 3, 14),
        ((2, 3, 12), 5, 5 * (6 + 12 - 5)),  # unbalanced: rank 5 of the 6 x 12 matrix
        ((3, 5, 5), 6, 6 * (3 + 5 + 5 - 2)),
        ((40, 30, 2), 25, 25 * 70),
        ((100, 80), 30, 30 * (180 - 30)),
    ],
)
def test_known_dimensions_of_secant_varieties(shape, rank, known):
    assert dimension(free(shape, rank)) == known
    assert dimension(free(shape, rank)) <= counted(free(shape, rank))


def test_large_models_cost_nothing():
    assert dimension(free((10**6, 10**5, 10**4), 100)) == 100 * (10**6 + 10**5 + 10**4 - 2)
    assert dimension(free((10**6, 10**5), 50)) == 50 * (10**6 + 10**5 - 50)


@pytest.mark.parametrize("options", [{}, {"main_effects": True}, {"fixed_modes": [0]}], ids=str)
def test_criteria_of_matrices(options, rng):
    rows, columns, rank = 8, 7, 2
    x = rng.normal(size=(rows, columns))
    init = [rng.normal(size=(n, rank)) for n in x.shape]
    result = fit_gcp(x, rank, init=init, n_iter_max=3, random_state=0, **options)
    known = rank * (rows + columns - rank)
    if "main_effects" in options:
        known = 1 + (rows - 1) + (columns - 1) + rank * (rows + columns - rank - 2)
    if "fixed_modes" in options:
        known = rank * columns
    assert n_parameters(result) == known
    found = information_criteria(result, x)
    assert found.n_parameters == known + 1  # the variance
    assert_allclose(found.bic - found.aic, (known + 1) * (np.log(x.size) - 2))


def test_tied_matrices_and_estimated_parameters(rng):
    x = rng.normal(size=(9, 9))
    result = fit_gcp(x, 3, tied_modes=[(0, 1)], n_iter_max=3, random_state=0)
    assert n_parameters(result) == 3 * 9 - 3  # orthogonal transformations
    counts = rng.poisson(3.0, (6, 5))
    result = fit_gcp(counts, 1, loss=NegativeBinomial(r="estimate"), random_state=0, n_iter_max=20)
    assert n_parameters(result) == 6 + 5 - 1 + 1
