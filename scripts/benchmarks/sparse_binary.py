"""Race on sparse 0/1 data: held-out AUC against seconds, under losses with and without a closed form for zeros.

    pip install .[bench]
    python scripts/benchmarks/sparse_binary.py [--density 1e-2 1e-3 1e-4] [--threads 2]

Links planted under the Bernoulli-Poisson model of rank 5 in a 400 x 300 x 200 tensor (24 million cells); a tenth of
the links and as many other cells are held out (`gcp.hold_out`). gcp fits bernoulli-poisson (row-wise Newton, exact
by its closed form) and bernoulli-odds: by default (row-wise Newton on samples of the zeros, then L-BFGS-B over all of
them), by L-BFGS-B alone, and by Adam on stratified samples;
pyttb bernoulli-odds by Adam on its stratified samples (for it held-out links are zeros: it knows no missing cells).
All start alike; a process each; tensors are part of the time, imports and compilation are not. The planted model's
own AUC is the ceiling.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
import warnings

import numpy as np
from _sparse_data import start_of
from kernels import processor

SHAPE, RANK = (400, 300, 200), 5
GCP = {
    "gcp bernoulli-poisson, rows": ("bernoulli-poisson", "rows"),
    "gcp bernoulli-odds, auto": ("bernoulli-odds", "auto"),
    "gcp bernoulli-odds, sampled-rows alone": ("bernoulli-odds", "sampled-rows"),
    "gcp bernoulli-odds, lbfgsb over all cells": ("bernoulli-odds", "lbfgsb"),
    "gcp bernoulli-odds, adam": ("bernoulli-odds", "adam"),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--density", nargs="+", type=float, default=[1e-2, 1e-3, 1e-4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-seconds", type=float, default=60.0)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(arguments.run, arguments)))
        return
    print(f"{processor()}, {arguments.threads} threads\n")
    print("| density | links | | seconds | held-out AUC | planted model's |")
    print("|---|---|---|---|---|---|", flush=True)
    threads = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    environment = os.environ | {f"{library}_NUM_THREADS": str(arguments.threads) for library in threads}
    for density in arguments.density:
        for name in [*GCP, "pyttb bernoulli-odds, adam, 5 epochs"]:
            command = [sys.executable, __file__, "--run", name, "--density", str(density)]
            command += ["--threads", str(arguments.threads), "--max-seconds", str(arguments.max_seconds)]
            try:
                done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
                lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
                row = json.loads(lines[-1]) if lines else {"failed": done.stderr.strip()[-200:]}
            except subprocess.TimeoutExpired:
                row = {"failed": "over 300 s"}
            if "failed" in row:
                print(f"| {density:g} | | {name} | {row['failed']} | | |", flush=True)
                continue
            print(
                f"| {density:g} | {row['links']:,} | {name} | {row['seconds']:.2f} | {row['auc']:.4f} | "
                f"{row['ceiling']:.4f} |",
                flush=True,
            )


def links_of(density):
    """Links drawn from a planted model, and that model."""
    rng = np.random.default_rng(5)
    factors = [rng.gamma(0.3, 1.0, (n, RANK)) + 1e-3 for n in SHAPE]
    mean = np.prod([a.mean(axis=0) for a in factors], axis=0).sum()
    factors = [a * (density / mean) ** (1 / 3) for a in factors]
    model = np.einsum("ir,jr,kr->ijk", *factors)
    return np.argwhere(rng.random(SHAPE) < -np.expm1(-model)), factors


def run(name, arguments):
    import gcp
    from gcp.analysis import prediction_scores

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    subs, planted = links_of(arguments.density[0])
    train, test = gcp.hold_out(gcp.SparseTensor(subs, np.ones(len(subs)), SHAPE), 0.1, 0)
    start = start_of(SHAPE, RANK, len(subs))
    if name in GCP:
        factors, seconds = _gcp(gcp, *GCP[name], train, start, arguments)
    else:
        factors, seconds = _pyttb(train, start)

    def auc(of):
        fixed = gcp.fit_gcp(test, RANK, loss="bernoulli-poisson", init=of, fixed_modes=[0, 1, 2])
        return prediction_scores(fixed, test).auc

    return {"links": len(subs), "seconds": seconds, "auc": auc(factors), "ceiling": auc(planted)}


def _gcp(gcp, loss, solver, train, start, arguments):
    options = {"loss": loss, "solver": solver, "n_threads": arguments.threads, "random_state": 0}
    small = gcp.SparseTensor([[0, 0, 0], [1, 1, 1]], [1.0, 1.0], (3, 3, 3))
    gcp.fit_gcp(small, RANK, n_iter_max=2, **options)  # compiled
    began = time.perf_counter()
    if solver == "sampled-rows":
        options["solver"] = gcp.SampledRowNewton(polish=False)
    result = gcp.fit_gcp(train, RANK, init=start, max_seconds=arguments.max_seconds, **options)
    seconds = time.perf_counter() - began
    return [result.factors[0] * result.weights, *result.factors[1:]], seconds


def _pyttb(train, start):
    import pyttb as ttb
    from pyttb.gcp.handles import Objectives
    from pyttb.gcp.optimizers import Adam

    began = time.perf_counter()
    tensor = ttb.sptensor(train.subs.astype(np.int64), train.values[:, None].astype(float), SHAPE)
    np.random.seed(0)  # noqa: NPY002  what pyttb draws from
    init = ttb.ktensor([a.copy() for a in start])
    solver = Adam(epoch_iters=1000, max_iters=5, rate=1e-3, printitn=0)
    model, _, _ = ttb.gcp_opt(tensor, RANK, Objectives.BERNOULLI_ODDS, solver, init=init, printitn=0)
    seconds = time.perf_counter() - began
    factors = [np.maximum(np.array(a), 0) for a in model.factor_matrices]
    factors[0] = factors[0] * np.array(model.weights)
    return factors, seconds


if __name__ == "__main__":
    main()
