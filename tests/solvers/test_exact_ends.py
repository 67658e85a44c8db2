"""Rung 5: ends of small fits, where all second derivatives lead the way. Truth: SciPy's L-BFGS-B from there, and the
ends of row-wise steps on the same cells as a list.
"""

import numpy as np
import pytest
from scipy.optimize import minimize

from gcp import ObservedTensor, Poisson, build_objective, fit_gcp, get_loss, simulate

SHAPE, RANK = (20, 16, 14), 3


def gain_of_scipy(x, loss, result, **penalties):
    """What SciPy gains from the end of a fit, relative to the excess."""
    norms = result.weights ** (1 / 3)
    a = [b * norms for b in result.factors]  # balanced, for its scaling
    objective = build_objective(x, loss, **penalties)
    sizes = np.cumsum([b.size for b in a])[:-1]

    def value_and_grad(vector):
        factors = [part.reshape(b.shape) for part, b in zip(np.split(vector, sizes), a, strict=True)]
        value, grad = objective.value_and_grad(factors)
        return value, np.concatenate([g.ravel() for g in grad])

    start = np.concatenate([b.ravel() for b in a])
    low = 0.0 if loss.model_domain.low >= 0 else None
    options = {"maxiter": 3000, "maxfun": 10_000, "ftol": 0.0, "gtol": 0.0, "maxcor": 50}
    found = minimize(
        value_and_grad, start, jac=True, method="L-BFGS-B", bounds=[(low, None)] * start.size, options=options
    )
    return (value_and_grad(start)[0] - found.fun) / (value_and_grad(start)[0] - objective.saturated_value)


@pytest.mark.parametrize("eps", [1e-10, 1e-14])
@pytest.mark.parametrize("seed", range(3))
def test_sparse_counts_end_at_the_minimum(eps, seed, rng):
    """Rows of zeros: ends were called converged up to 4e-6 above the minimum, and more with a small eps."""
    x = rng.poisson(np.einsum("ir,jr,kr->ijk", *(rng.gamma(0.5, 1.0, (n, RANK)) for n in SHAPE))).astype(
        float
    )
    loss = Poisson(eps=eps)
    result = fit_gcp(x, RANK, loss=loss, random_state=seed)
    assert result.converged
    assert result.n_iter < 60
    assert gain_of_scipy(x, loss, result) < 1e-10
    listed = ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE)
    other = fit_gcp(listed, RANK, loss=loss, random_state=seed)
    if other.objective < result.objective * (1 + 1e-4):  # they came to the same minimum
        assert result.objective <= other.objective * (1 + 1e-9)


@pytest.mark.parametrize(
    "name", ["gamma", "rayleigh", "bernoulli-odds", "poisson-log", "huber", "negative-binomial"]
)
@pytest.mark.parametrize(
    "penalty", [{}, {"l2_reg": 0.3}, {"dirichlet_reg": 0.5}, {"weight_reg": 1.0}], ids=str
)
def test_ends_are_minima(name, penalty):
    loss = get_loss(name)
    if "dirichlet_reg" in penalty and loss.model_domain.low < 0:
        pytest.skip("a prior of nonnegative factors")
    x, _ = simulate(SHAPE, RANK, loss, random_state=0)
    result = fit_gcp(x, RANK, loss=loss, random_state=1, **penalty)
    assert result.converged
    assert gain_of_scipy(np.asarray(x.values), result.loss, result, **penalty) < 1e-9
