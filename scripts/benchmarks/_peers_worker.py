"""The competitors of peers.py, and the process that one of them lives in.

Every competitor is a function of the same arguments that fits a CP model from a given start and returns its
trajectory: after `passes` evaluations and `seconds` of the fit the objective had come down to `values`, `factors`
are the best ones, and `finished` is false if a limit of iterations or time cut the fit off. Values are the plain sum
of the loss over the entries, in the convention of gcp's formulas.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from _peers_numpy import BETA, DELTA, EPS, FORMULAS, model_of, mttkrp

import gcp

TOL = 1e-12


class OutOfTime(Exception):
    """The time limit is over."""


class Trajectory:
    """What a fit reached when; the clock starts with the instance."""

    def __init__(self, max_seconds, start):
        self.max_seconds = max_seconds
        self.passes, self.seconds, self.values = [], [], []
        self.factors, self.lowest = start, np.inf
        self.finished = False
        self.began = time.perf_counter()

    def add(self, value, factors, passes=None):
        """Note a value; true if the time is over."""
        self.seconds.append(time.perf_counter() - self.began)
        self.values.append(float(value))
        self.passes.append(passes or len(self.values))
        if value < self.lowest:
            self.lowest, self.factors = value, [np.array(a) for a in factors]
        return self.seconds[-1] > self.max_seconds

    def result(self):
        values = np.minimum.accumulate(np.nan_to_num(self.values, nan=np.inf, posinf=np.inf))
        found = {"passes": self.passes, "seconds": self.seconds, "values": values}
        return found | {"factors": self.factors, "finished": self.finished}


def loss_of(name):
    """The loss with the parameters of this race."""
    special = {"huber": gcp.Huber(DELTA), "beta-divergence": gcp.BetaDivergence(BETA)}
    loss = special.get(name) or gcp.get_loss(name)
    return replace(loss, eps=EPS) if hasattr(loss, "eps") else loss


def fit_gcp(solver, data, loss, start, n_iter_max, max_seconds, n_threads):
    """`fit_gcp`, all of it, checks and survey of the data included; its callback reports iterations."""
    loss, rank = loss_of(loss), start[0].shape[1]
    path = Trajectory(max_seconds, start)
    result = gcp.fit_gcp(
        data,
        rank,
        loss=loss,
        init=start,
        solver=solver,
        n_iter_max=n_iter_max,
        tol=TOL,
        n_threads=n_threads,
        callback=lambda state: path.add(state.objective, state.factors, state.n_eval),
    )
    path.finished = result.status not in ("n_iter_max", "callback")
    path.passes.insert(0, 1)
    path.seconds.insert(0, 0.0)
    path.values.insert(0, result.trace["objective"][0])
    return path.result()


def fit_scipy(data, loss, start, n_iter_max, max_seconds, n_threads):
    """What a good NumPy user would write: whole arrays, GEMM, SciPy's L-BFGS-B with its usual memory."""
    from scipy.optimize import minimize

    formula, low = FORMULAS[loss]
    cuts = np.cumsum([a.size for a in start])[:-1]

    def value_and_grad(vector):
        factors = [part.reshape(a.shape) for part, a in zip(np.split(vector, cuts), start, strict=True)]
        value, slope = formula(data, model_of(factors))
        grad = np.concatenate([mttkrp(slope, factors, n).ravel() for n in range(len(factors))])
        if path.add(value, factors):
            raise OutOfTime
        return value, grad

    first = np.concatenate([a.ravel() for a in start])
    options = {"maxiter": n_iter_max, "maxfun": 10**9, "ftol": 10 * np.finfo(float).eps, "gtol": 0.0}
    path = Trajectory(max_seconds, start)
    with suppress(OutOfTime):
        bounds = [(low, None)] * first.size
        found = minimize(value_and_grad, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        path.finished = found.status != 1
    return path.result()


PYTTB = {  # names, and the additional parameter of each
    "gaussian": ("GAUSSIAN", None),
    "huber": ("HUBER", DELTA),
    "poisson": ("POISSON", None),
    "poisson-log": ("POISSON_LOG", None),
    "bernoulli-logit": ("BERNOULLI_LOGIT", None),
    "bernoulli-odds": ("BERNOULLI_ODDS", None),
    "gamma": ("GAMMA", None),
    "rayleigh": ("RAYLEIGH", None),
    "beta-divergence": ("BETA", BETA),
}


def fit_pyttb(data, loss, start, n_iter_max, max_seconds, n_threads):
    """`gcp_opt` with its LBFGSB on column-major data, as pyttb holds them; every evaluation is noted."""
    import pyttb
    from pyttb.gcp import fg_setup, handles, optimizers

    name, parameter = PYTTB[loss]
    objective = fg_setup.setup(handles.Objectives[name], additional_parameter=parameter)
    tensor = pyttb.tensor(np.asfortranarray(data))
    original = optimizers.evaluate

    def evaluate(model, *rest):
        found = original(model, *rest)
        if path.add(found[0], model.factor_matrices):
            raise OutOfTime
        return found

    solver = optimizers.LBFGSB(maxiter=n_iter_max, maxfun=10**9, factr=10.0, pgtol=0.0)
    init = pyttb.ktensor([a.copy() for a in start])
    optimizers.evaluate = evaluate
    path = Trajectory(max_seconds, start)
    try:
        with suppress(OutOfTime):
            outcome = pyttb.gcp_opt(tensor, start[0].shape[1], objective, solver, init=init, printitn=0)
            path.finished = outcome[2]["warnflag"] != 1
    finally:
        optimizers.evaluate = original
    return path.result()


def fit_tensorly(data, loss, start, n_iter_max, max_seconds, n_threads):
    """`parafac` (alternating least squares): a pass is a sweep over the modes, its error comes with it."""
    from tensorly.decomposition import parafac

    square = np.vdot(data, data)
    path = Trajectory(max_seconds, start)

    def callback(model, error):
        if not path.values:
            path.began = time.perf_counter()  # the error at the start is computed for callbacks only
        return path.add(square * error**2, model.factors)

    init = (np.ones(start[0].shape[1]), start)
    parafac(data, start[0].shape[1], n_iter_max=n_iter_max, init=init, tol=TOL, callback=callback)
    path.finished = len(path.values) <= n_iter_max and path.seconds[-1] <= max_seconds
    return path.result()


def fit_pygenten(data, loss, start, n_iter_max, max_seconds, n_threads):
    """`gcp_opt` with the faster of its MTTKRPs; a pass is an iteration, evaluations are not counted.

    Its history begins after the first iteration and has f / ||data||^2; the start's value comes from NumPy. It heeds
    no limit of time, so that three iterations on trial decide how many it may make.
    """
    import pygenten

    rank = start[0].shape[1]
    tensor, square = pygenten.Tensor(data), np.vdot(data, data)

    def fit(n_iter):
        model, _, history = pygenten.gcp_opt(
            tensor,
            rank=rank,
            init=pygenten.Ktensor(np.ones(rank), [a.copy() for a in start]),
            loss_function_type=loss,
            loss_eps=EPS,
            mttkrp_method=pygenten.MttkrpPhan,
            maxiters=n_iter,
            ftol=0.0,
            gtol=0.0,
            printitn=0,
        )
        return model, [history[k] for k in range(history.size())]

    _, trial = fit(3)
    limit = min(n_iter_max, int(max_seconds * len(trial) / trial[-1].cum_time) + 1)
    model, entries = fit(limit)
    path = Trajectory(max_seconds, start)
    path.passes = list(range(1, len(entries) + 2))
    path.seconds = [0.0, *(entry.cum_time for entry in entries)]
    path.values = [FORMULAS[loss][0](data, model_of(start))[0], *(square * e.residual for e in entries)]
    path.factors = [np.array(a) for a in model.factor_matrices]
    path.factors[0] *= np.array(model.weights)
    path.finished = len(entries) < limit
    return path.result()


@dataclass(frozen=True)
class Competitor:
    fit: Callable[..., dict]
    package: str  # what it imports
    losses: frozenset[str] = frozenset(FORMULAS)


COMPETITORS = {
    "gcp auto": Competitor(partial(fit_gcp, "auto"), "gcp"),
    "gcp lbfgsb": Competitor(partial(fit_gcp, "lbfgsb"), "gcp"),
    "gcp plbfgs": Competitor(partial(fit_gcp, "plbfgs"), "gcp"),
    "pyttb": Competitor(fit_pyttb, "pyttb", frozenset(PYTTB)),
    "scipy": Competitor(fit_scipy, "scipy"),
    "tensorly": Competitor(fit_tensorly, "tensorly", frozenset({"gaussian"})),
    "pygenten": Competitor(fit_pygenten, "pygenten", frozenset({"gaussian", "poisson"})),
}


def serve(name):
    """Read jobs from stdin and write what came of each to stdout, until stdin ends; both are pickled."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # some libraries print
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            os._exit(0)  # pygenten would abort in a regular exit
        try:
            answer = COMPETITORS[name].fit(**job)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
