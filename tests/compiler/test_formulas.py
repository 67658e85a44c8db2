"""Losses whose formulas cannot be compiled run as NumPy, with the same results."""

import importlib
import sys

import numpy as np
import pytest
from scipy import special

import gcp
from gcp.losses.gaussian import Gaussian
from gcp.losses.registry import example_loss

UNKNOWN = """
class Typed(Gaussian):
    @staticmethod
    def f(x, m):
        return (x - m) * (x - m)
"""


def typed():
    """As at a bare prompt: nobody knows the text."""
    scope = {"Gaussian": Gaussian, "__name__": __name__}
    exec(UNKNOWN, scope)
    return scope["Typed"]()


class Foreign(Gaussian):
    """Calls what is not known to the compiler."""

    @staticmethod
    def f(x, m):
        return special.huber(np.inf, x - m) * 2.0


@pytest.mark.parametrize("make", [typed, Foreign])
@pytest.mark.parametrize("kind", ["dense", "observed"])
def test_a_loss_that_cannot_be_compiled_is_as_any_other(make, kind, rng):
    loss, x = make(), rng.normal(size=(6, 5, 4))
    assert not loss.formula.compiled
    data = x if kind == "dense" else gcp.ObservedTensor(np.argwhere(x > -9), x.ravel(), x.shape)
    factors = [rng.normal(size=(n, 2)) for n in x.shape]
    found, expected = (gcp.build_objective(data, own).value_and_grad(factors) for own in (loss, "gaussian"))
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    for own, truth in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(own, truth, rtol=1e-11, atol=1e-12)
    assert gcp.fit_gcp(data, 2, loss=loss, random_state=0).converged


def test_a_file_that_was_changed_and_read_again_is_compiled(tmp_path, monkeypatch):
    text = """
from gcp.losses.gaussian import Gaussian

class Own(Gaussian):
    @staticmethod
    def f(x, m):
        return FACTOR * (x - m) * (x - m)
"""
    path = tmp_path / "own_loss.py"
    monkeypatch.syspath_prepend(tmp_path)
    totals = []
    for factor in ("1.0", "20.0"):
        path.write_text(text.replace("FACTOR", factor))
        importlib.invalidate_caches()
        module = importlib.reload(sys.modules["own_loss"]) if totals else importlib.import_module("own_loss")
        loss = module.Own()
        assert loss.formula.compiled
        objective = gcp.build_objective(np.ones((4, 3)), loss)
        totals.append(objective.value_and_grad([np.zeros((4, 1)), np.zeros((3, 1))])[0])
    del sys.modules["own_loss"]
    assert totals == [12.0, 240.0]


@pytest.mark.parametrize("name", gcp.available_losses())
def test_the_losses_of_the_package_can(name):
    assert example_loss(name).formula.compiled
