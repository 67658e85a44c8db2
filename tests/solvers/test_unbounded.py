"""Rung 5: fits whose minimum lies at infinity. Truths: known ends of such fits; a ridge, under which there is one."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import (
    Interval,
    ObservedTensor,
    RowNewton,
    available_losses,
    build_objective,
    custom_loss,
    fit_gcp,
    get_loss,
    simulate,
)
from gcp.losses.registry import example_loss

BINARY = ("bernoulli-logit", "bernoulli-odds", "bernoulli-poisson")


def listed(x, known=None):
    known = np.ones(x.shape, bool) if known is None else known
    return ObservedTensor(np.argwhere(known), x[known], x.shape)


@pytest.mark.parametrize("loss", BINARY)
@pytest.mark.parametrize("kind", ["dense", "listed"])
def test_blocks_apart_end_without_misfit(loss, kind):
    """0/1 data of two blocks are separable: the infimum is 0, or as good as that."""
    x = np.kron(np.eye(2), np.ones((3, 3)))
    result = fit_gcp(listed(x) if kind == "listed" else x, 2, loss=loss, random_state=0)
    assert result.n_iter < 400
    assert result.objective < 1e-6 * result.null_objective


@pytest.mark.parametrize("loss", ["poisson-log", "negative-binomial-logit"])
def test_rows_of_zeros_under_a_log_link(loss):
    """Of rank 1 with main effects of rows: the rows of 0 go to minus infinity, the others to their means."""
    x = np.random.default_rng(0).poisson(4.0, (6, 5)).astype(float)
    x[4:] = 0.0
    result = fit_gcp(x, 0, loss=loss, main_effects=[0], random_state=0)
    means = np.repeat(x.mean(axis=1)[:, None], 5, axis=1)
    own = get_loss(loss)
    with np.errstate(all="ignore"):
        m = np.maximum(own.link(means), -700.0)
    assert_allclose(result.objective, own.value(x, m).sum(), atol=1e-6 * result.null_objective)
    assert result.n_iter < 200


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("loss", ["poisson-log", "negative-binomial-logit"])
def test_counts_of_little_mean_do_not_use_up_their_iterations(loss, seed):
    x = np.random.default_rng(seed).negative_binomial(2, 0.5, (10, 8, 6))
    result = fit_gcp(x, 2, loss=loss, random_state=0)
    assert result.n_iter < 700
    assert result.converged or result.status == "unbounded"
    assert ("l2_reg makes one" in result.message) == (result.status == "unbounded")


@pytest.mark.parametrize("loss", ["bernoulli-odds", "bernoulli-poisson"])
@pytest.mark.parametrize("effects", [False, True])
def test_lists_of_few_yes_and_no_come_to_an_end(loss, effects):
    """A component that runs off beside main effects that vanish, each sweep by less: they took all iterations."""
    ended = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        m = np.einsum("ir,jr,kr->ijk", *(rng.standard_exponential((n, 2)) for n in (7, 6, 4)))
        x = (rng.random(m.shape) < 1 - np.exp(-m)) * 1.0
        data = listed(x, rng.random(m.shape) < 0.7)
        found = fit_gcp(data, 1, loss=loss, main_effects=effects, random_state=0)
        slow = fit_gcp(
            data, 1, loss=loss, main_effects=effects, random_state=0, solver=RowNewton(n_iter_max=20)
        )
        assert found.objective <= slow.objective
        ended.append(found.n_iter)
    assert max(ended) < 600


@pytest.mark.parametrize("loss", BINARY)
def test_models_with_a_minimum_are_not_taken_for_endless(loss):
    x = np.random.default_rng(0).integers(0, 2, (12, 11)).astype(float)
    result = fit_gcp(listed(x), 1, loss=loss, random_state=0, l2_reg=1e-3)
    assert result.converged
    assert build_objective(x, loss, l2_reg=1e-3).reach([np.ones((12, 1)), np.ones((11, 1))]) == 0
    assert build_objective(x, loss).reach([np.full((12, 1), 3.0), np.full((11, 1), -5.0)]) == 15
    assert build_objective(x + 1, "gamma").reach([np.ones((12, 1)), np.ones((11, 1))]) == 0


def test_losses_that_want_infinite_models():
    own = custom_loss(lambda x, m: m, data_domain=Interval(low=0), link=math.log, mean=math.exp)
    assert own.wants_infinity
    wanting = {name for name in available_losses() if example_loss(name).wants_infinity}
    assert wanting == {*BINARY, "poisson-log", "negative-binomial-logit", "ordinal"}


def test_a_fit_that_leaps_goes_on_from_its_checkpoint(tmp_path):
    rng = np.random.default_rng(4)
    x = (rng.random((7, 6, 4)) < 0.4) * 1.0
    data, options = listed(x), {"loss": "bernoulli-odds", "main_effects": True, "random_state": 0}
    whole = fit_gcp(data, 1, solver=RowNewton(n_iter_max=60), **options)
    for most in (15, 35, 60):
        parts = fit_gcp(data, 1, solver=RowNewton(n_iter_max=most), checkpoint=tmp_path / "c.npz", **options)
    assert parts.n_iter == whole.n_iter
    for a, b in zip(parts.factors, whole.factors, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("loss", BINARY)
@pytest.mark.parametrize("shape", [(20, 16, 14), (60, 50, 40)], ids=["small", "large"])
def test_separable_data_are_said_to_be_so_early(loss, shape):
    """Two blocks of 1 in zeros: no finite model is the best, and any large one is as good as perfect."""
    sides = [np.arange(n) >= n // 2 for n in shape]
    x = sum(np.einsum("i,j,k->ijk", *((s == k) * 1.0 for s in sides)) for k in (False, True))
    result = fit_gcp(x, 2, loss=loss, random_state=0)
    assert result.status == "separable"
    assert not result.converged
    assert "l2_reg gives a finite model" in result.message
    assert result.n_iter < 120
    finite = fit_gcp(x, 2, loss=loss, random_state=0, l2_reg=0.1)
    assert finite.converged


@pytest.mark.parametrize("loss", ["bernoulli-logit", "poisson-log", "negative-binomial-logit"])
def test_fits_without_a_minimum_end_early(loss):
    """Few ones, more components than they bear: parts can be separated. These took 350 to 2,000 iterations."""
    x = (np.random.default_rng(0).random((20, 16, 14)) < 0.05) * 1.0
    for seed in range(3):
        result = fit_gcp(x, 3, loss=loss, random_state=seed)
        assert result.status == "unbounded"
        assert "l2_reg makes one" in result.message
        assert result.n_iter < 350
        assert result.objective < 0.9 * result.null_objective
    assert fit_gcp(x, 3, loss=loss, random_state=0, l2_reg=0.1).converged


def test_a_fit_that_is_cut_short_is_not_said_to_be_endless(rng):
    """Log-odds of 8 to 11 are those of its minimum, and no way to infinity."""
    x = np.asarray(simulate((20, 16, 14), 3, "bernoulli-logit", random_state=0)[0].values)
    whole = fit_gcp(x, 3, loss="bernoulli-logit", random_state=1)
    cut = fit_gcp(x, 3, loss="bernoulli-logit", random_state=1, n_iter_max=20)
    sizes = [np.prod([abs(a).max(axis=0) for a in one.fitted_factors], axis=0).max() for one in (whole, cut)]
    assert whole.converged
    assert 8 < min(sizes) < max(sizes) < 12
    assert cut.status == "n_iter_max"
    assert "without end" not in cut.message


@pytest.mark.parametrize("loss", ["bernoulli-odds", "bernoulli-poisson"])
def test_zeros_that_a_model_of_0_fits_perfectly_are_no_separable_data(loss):
    result = fit_gcp(np.zeros((5, 4, 3)), 1, loss=loss, random_state=0)
    assert result.converged
    assert result.objective < 1e-6


def test_counts_that_a_finite_model_fits_perfectly_are_no_separable_data():
    x = np.full((5, 4, 3), 3.0)
    assert fit_gcp(x, 1, loss="poisson-log", random_state=0).converged
