"""The objective and its gradient as a good NumPy user would write them: whole arrays, products by GEMM.

The formulas are those of gcp's losses, written a second time, so that peers.py can hold one against the other.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

EPS = 1e-10  # pyttb's; gcp's own default depends on the data's scale
DELTA, BETA = 1.0, 0.5  # gcp's defaults


def _gaussian(x, m):
    d = m - x
    return np.vdot(d, d), 2 * d


def _huber(x, m):
    d = m - x
    c = np.clip(d, -DELTA, DELTA)
    return np.sum(c * (2 * d - c)), 2 * c


def _poisson(x, m):
    v = m + EPS
    return np.sum(m - x * np.log(v)), 1 - x / v


def _poisson_log(x, m):
    e = np.exp(m)
    return np.sum(e - x * m), e - x


def _bernoulli_odds(x, m):
    v = m + EPS
    return np.sum(np.log1p(m) - x * np.log(v)), 1 / (1 + m) - x / v


def _bernoulli_logit(x, m):
    t = np.exp(-np.abs(m))
    return np.sum(np.maximum(m, 0) + np.log1p(t) - x * m), np.where(m >= 0, 1, t) / (1 + t) - x


def _gamma(x, m):
    v = m + EPS
    r = x / v
    return np.sum(r + np.log(v)), (1 - r) / v


def _rayleigh(x, m):
    v = m + EPS
    r2 = (x / v) ** 2
    return np.sum(2 * np.log(v) + np.pi / 4 * r2), (2 - np.pi / 2 * r2) / v


def _beta_divergence(x, m):
    v = m + EPS
    p = v ** (BETA - 1)
    return np.sum(p * (v / BETA - x / (BETA - 1))), p * (1 - x / v)


def _negative_binomial(x, m):
    v = m + EPS
    return np.sum((1 + x) * np.log1p(m) - x * np.log(v)), (1 + x) / (1 + m) - x / v


REAL, NONNEGATIVE = None, 0.0  # lower bounds of the factors
FORMULAS = {
    "gaussian": (_gaussian, REAL),
    "huber": (_huber, REAL),
    "poisson": (_poisson, NONNEGATIVE),
    "poisson-log": (_poisson_log, REAL),
    "bernoulli-logit": (_bernoulli_logit, REAL),
    "bernoulli-odds": (_bernoulli_odds, NONNEGATIVE),
    "gamma": (_gamma, NONNEGATIVE),
    "rayleigh": (_rayleigh, NONNEGATIVE),
    "beta-divergence": (_beta_divergence, NONNEGATIVE),
    "negative-binomial": (_negative_binomial, NONNEGATIVE),
}


def khatri_rao(matrices):
    return reduce(lambda a, b: (a[:, None, :] * b).reshape(-1, b.shape[1]), matrices)


def model_of(factors):
    """The model at all entries."""
    return (khatri_rao(factors[:-1]) @ factors[-1].T).reshape([len(a) for a in factors])


def mttkrp(tensor, factors, mode):
    """The tensor's unfolding times the Khatri-Rao product of the other factors, without moving the tensor."""
    last = len(factors) - 1
    if mode == last:
        return tensor.reshape(-1, tensor.shape[mode]).T @ khatri_rao(factors[:last])
    right = khatri_rao(factors[mode + 1 :])
    partial_sum = (tensor.reshape(-1, len(right)) @ right).reshape(-1, *factors[mode].shape)
    if mode == 0:
        return partial_sum[0]
    return np.einsum("lir,lr->ir", partial_sum, khatri_rao(factors[:mode]))
