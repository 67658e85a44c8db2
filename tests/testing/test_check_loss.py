"""Rung 1: `check_loss` on every registered loss, and on losses with one fault each, which it must name."""

from dataclasses import dataclass

import numpy as np
import pytest
from helpers import LOSSES, short

import gcp
from gcp.testing import check_loss


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_every_loss_of_the_registry_is_right(loss):
    check_loss(loss)


def test_losses_of_formulas_are_right():
    check_loss(gcp.custom_loss(lambda x, m: np.sqrt(1 + (x - m) ** 2), name="pseudo-huber"))
    check_loss(
        gcp.custom_loss(lambda x, m: (x - m) ** 2, lambda x, m: 2 * (m - x), model_domain=gcp.Interval(low=0))
    )


def fault(name, **methods):
    """A Gaussian loss with other methods."""
    return dataclass(frozen=True)(type(name, (gcp.Gaussian,), methods))()


FAULTS = {
    "deriv is not the derivative of value at x = .*, m = .*: found .*, expected": {
        "df": staticmethod(lambda x, m: 2.0 * (m - x) + 1e-3)
    },
    "curvature is not the derivative of deriv": {"d2f": staticmethod(lambda x, m: 2.001 + 0.0 * m)},
    "value has no derivative at": {"f": staticmethod(lambda x, m: np.floor(1e3 * m) * 1e-3)},
    "weight must be a finite number from 0: found -2": {"weight": staticmethod(lambda x, m: -2.0 + 0.0 * m)},
    "zero_loss .* is not f": {"zero_loss": (0.0, 1.01)},
    "saturated_value is not the least value": {
        "saturated_value": lambda self, x: np.zeros(np.shape(x)) - 1e-3
    },
    "deriv does not vanish at the saturated model": {"saturated": lambda self, x: np.asarray(x) + 0.01},
    r"log_likelihood \+ value changes with m": {
        "log_likelihood": lambda self, x, m, dispersion=None: -2 * self.value(x, m)
    },
    "link is not the inverse of mean at m = ": {"link": lambda self, mean: np.asarray(mean) * 1.001},
    "sample gives other data for the same generator": {
        "sample": lambda self, m, rng: np.random.default_rng().normal(m)
    },
    "outside the data domain": {"sample": lambda self, m, rng: np.full(np.shape(m), np.nan)},
    "samples is not that of the model": {"sample": lambda self, m, rng: rng.normal(m) + 0.1},
    "sample gives shape": {"sample": lambda self, m, rng: rng.normal(np.ravel(m))},
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults_are_named(message):
    with pytest.raises(AssertionError, match=message):
        check_loss(fault("Faulty", **FAULTS[message]))


def test_values_that_are_not_finite_are_named():
    with pytest.raises(AssertionError, match=r"value must be a finite number: found inf at x = .*, m = 700"):
        check_loss(gcp.custom_loss(lambda x, m: np.exp(2 * m) - x * m, name="overflow"))


def test_a_value_that_is_not_that_of_the_compiled_formula_is_named():
    methods = {
        "value": lambda self, x, m: (np.asarray(x) - m) ** 2 + 1e-3,
        "saturated_value": lambda self, x: np.full(np.shape(x), 1e-3),
        "zero_loss": None,
    }
    with pytest.raises(AssertionError, match="compiled formula is not NumPy's, in the sum"):
        check_loss(fault("Odd", **methods))


def test_it_takes_only_losses():
    with pytest.raises(gcp.ParameterError, match="loss must be a Loss"):
        check_loss("poisson")
