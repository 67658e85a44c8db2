"""Tables whose variables are of several kinds, and their fits, for tests of several losses."""

from functools import cache

import numpy as np
import pandas as pd

import gcp
from gcp import fit_gcp

NAMES = ["age", "income", "visits", "smoker"]
LOSSES = {
    "variable": {"age": "gaussian", "income": "gaussian", "visits": "poisson", "smoker": "bernoulli-logit"}
}


def planted(rng, shape=(60, 8), unit=1.0, noise=0.5):
    """Two normal variables, one of them in another unit, two counts and two of 0/1, around one model of rank 2."""
    a, t = rng.uniform(0.1, 1.5, (shape[0], 2)), rng.uniform(0.1, 1.5, (shape[1], 2))
    v = np.array([[2.0, -2.5], [unit, 2 * unit], [3.0, 0.3], [0.5, 4.0], [3.0, -3.0], [-4.0, 2.5]])
    m = np.einsum("ir,jr,kr->ijk", a, t, v)
    x = m.copy()
    x[..., 0] += noise * rng.standard_normal(shape)
    x[..., 1] += unit * noise * rng.standard_normal(shape)
    x[..., 2:4] = rng.poisson(m[..., 2:4])
    x[..., 4:] = rng.random((*shape, 2)) < 1 / (1 + np.exp(-m[..., 4:]))
    return x, [a, t, v]


SIX = {2: ["gaussian", "gaussian", "poisson", "poisson", "bernoulli-logit", "bernoulli-logit"]}


@cache
def fitted_six():
    """Data of six variables, and their fit."""
    x, _ = planted(np.random.default_rng(3))
    return x, fit_gcp(x, 2, loss=SIX, n_starts=3, random_state=0)


@cache
def fitted_table():
    """A labelled table of 80 people by 4 variables, with missing cells, and its fit."""
    rng = np.random.default_rng(5)
    a = rng.uniform(0.2, 1.5, (80, 1))
    m = a @ np.array([[40.0, 3e4, 2.0, -1.0]])
    x = np.column_stack(
        [rng.normal(m[:, 0], 5), rng.normal(m[:, 1], 5e3), rng.poisson(m[:, 2]), rng.random(80) < 0.3]
    )
    x[rng.random(x.shape) < 0.1] = np.nan
    people = [f"p{k}" for k in range(80)]
    frame = pd.DataFrame(x, index=pd.Index(people, name="person"), columns=pd.Index(NAMES, name="variable"))
    data = gcp.DenseTensor(x, labels=gcp.ModeLabels(["person", "variable"], [people, NAMES]))
    return frame, data, fit_gcp(data, 1, loss=LOSSES, random_state=0)


def of_two_factors(rng, n, n_variables=9):
    """Models of two normal scores, whose loadings lie on a circle: every variable is told by the others."""
    angles = np.linspace(0, np.pi, n_variables, endpoint=False)
    return 1.2 * rng.normal(size=(n, 2)) @ np.array([np.cos(angles), np.sin(angles)])
