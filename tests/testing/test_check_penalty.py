"""`check_penalty` on every penalty of the package, and on penalties with one fault each, which it must name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import gcp
from gcp import penalties
from gcp.objectives.penalties.shorthands import SHORTHANDS
from gcp.penalties import FactorQuadratic, Penalty, Ridge
from gcp.testing import check_penalty


def of_one_mode(mode, size):
    """Every penalty of one mode of that size."""
    rng = np.random.default_rng(size)
    links = np.triu(rng.integers(0, 3, (size, size)), 1) * 0.7
    centre = rng.normal(size=(size, 1))
    return [
        Ridge(mode, 0.7),
        penalties.Smooth(mode, 0.7),
        penalties.Smooth(mode, 0.7, order=1, cyclic=True),
        penalties.Smooth(mode, 0.7, order=3, cyclic=True),
        penalties.Smooth(mode, 0.7, coordinates=rng.permutation(np.cumsum(rng.uniform(0.3, 2.0, size)))),
        penalties.Graph(mode, links + links.T, 0.7),
        penalties.Graph(mode, csr_array(links + links.T), 0.7),
        penalties.Near(mode, centre, 0.7),
        penalties.Near(mode, np.where(centre > 1, np.nan, centre), 0.7),
        penalties.Lasso(mode, 0.7),
    ]


@pytest.mark.parametrize("shape", [(6,), (4, 6), (6, 4, 3), (3, 4, 6, 2)])
def test_every_penalty_of_one_mode_is_right(shape):
    for penalty in of_one_mode(shape.index(6), 6):
        check_penalty(penalty, shapes=[shape])


@pytest.mark.parametrize("kind", SHORTHANDS.values())
def test_every_penalty_with_an_argument_of_its_own_is_right(kind):
    check_penalty(kind(0.7))


def test_the_public_penalties_are_those():
    public = {getattr(gcp.penalties, name) for name in gcp.penalties.__all__}
    assert {type(kind(0.7)) for kind in SHORTHANDS.values()} <= public


@dataclass(frozen=True)
class Roughness(Penalty):
    """(strength / 2) * sum of squared differences of neighbours along one mode."""

    mode: int
    strength: float

    def matrix(self, size):
        difference = np.diff(np.eye(size), axis=0)
        return difference.T @ difference

    def value(self, factors):
        return 0.5 * self.strength * float(np.sum(np.diff(factors[self.mode], axis=0, prepend=0)[1:] ** 2))

    def add_grad(self, factors, grad):
        a = factors[self.mode]
        grad[self.mode] += self.strength * self.matrix(len(a)) @ a

    def quadratic(self, mode, factors):
        size, rank = factors[mode].shape
        if mode != self.mode:
            return FactorQuadratic(np.zeros(rank))
        return FactorQuadratic(np.full(rank, self.strength), None, self.matrix(size))


def test_a_matrix_along_one_mode_is_right():
    check_penalty(Roughness(0, 0.4))
    check_penalty(Roughness(1, 0.4), shapes=[(5, 4), (2, 6, 3)])


def faulty(base, **methods):
    return dataclass(frozen=True)(type("Faulty", (base,), methods))


def doubled(self, factors, grad):
    for a, g in zip(factors, grad, strict=True):
        g += 2 * self.strength * a


def replaced(self, factors, grad):
    for a, g in zip(factors, grad, strict=True):
        g[:] = self.strength * a


def shifting(self, factors):
    factors[0][0, 0] += 1e-3
    return 1.0


def ridge_of(**other):
    return lambda self, mode, factors: Ridge(None, self.strength).quadratic(mode, factors)._replace(**other)


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "add_grad of mode 0 is not the derivative of value at subscript": (Ridge, {"add_grad": doubled}),
    "add_grad does not add to the gradient": (Ridge, {"add_grad": replaced}),
    "value must be finite: found nan": (
        Ridge,
        {"value": lambda self, f: np.nan},
    ),
    "value is another at the second call|modifies its factors": (Ridge, {"value": shifting}),
    "value does not change with the factor of mode 0 as its quadratic does": (
        Ridge,
        {"quadratic": ridge_of(centre=np.ones((1, 1)))},
    ),
    "is_row_wise, but the quadratic of mode 0 has a matrix": (
        Ridge,
        {"quadratic": ridge_of(matrix=np.eye(6))},
    ),
    "is_row_wise, but mode 0 has no quadratic": (Ridge, {"quadratic": lambda self, mode, factors: None}),
    "ridge of mode 0, times the factor, is not the gradient": (
        Ridge,
        {"ridge": lambda self, mode, factors: np.full(factors[0].shape[1], 2 * self.strength)},
    ),
    "curvature of mode 0 is not the mean second difference": (
        Ridge,
        {"curvature": lambda self, factors: np.full(len(factors), 2 * self.strength)},
    ),
    "has_fixed_strengths, but those of mode 0 are others for other factors": (
        Ridge,
        {
            "quadratic": lambda self, mode, f: Ridge(None, np.linalg.norm(f[0])).quadratic(mode, f),
        },
    ),
    "hessian of mode 0 is not the derivative of the gradient of mode 0": (
        Ridge,
        {"hessian": lambda self, f: [np.zeros((a.shape[1], len(a), len(a))) for a in f]},
    ),
    "price of a component of 0 is 1": (Ridge, {"price": lambda self, factors: np.ones(factors[0].shape[1])}),
    "of_new_rows of mode 0 has a ridge whose gradient is not": (
        Ridge,
        {
            "of_new_rows": lambda self, mode, f, rows: (
                Ridge(None, 1.0).of_new_rows(mode, f, rows)._replace(strengths=2.0)
            )
        },
    ),
}


@pytest.mark.parametrize("message", CASES)
def test_faults_are_named(message):
    base, methods = CASES[message]
    with pytest.raises(AssertionError, match=message):
        check_penalty(faulty(base, **methods)(None, 0.7))


def test_a_preference_for_balance_that_is_none_is_named():
    wrong = type("Wrong", (Roughness,), {"prefers_balance": True})
    with pytest.raises(AssertionError, match="prefers_balance, but an equal model"):
        check_penalty(wrong(0, 1.0))


def test_it_takes_only_penalties():
    with pytest.raises(gcp.ParameterError, match="penalty must be a Penalty"):
        check_penalty(Ridge)
