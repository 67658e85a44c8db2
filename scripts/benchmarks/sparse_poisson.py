"""Race on sparse counts under the Poisson loss: excess loss against seconds, all set-up counted.

    pip install .[bench]
    python scripts/benchmarks/sparse_poisson.py [--problem 1e6 1e7 chicago] [--competitor ...] [--threads 2]
        [--data DIR] [--results DIR]

Planted problems: 2000 x 1500 x 1000 with 1.05e6 nonzeros (rank 10) and 1.03e7 (rank 16), and one with the shape and
the histogram of counts of the Chicago crime tensor (6186 x 24 x 77 x 32, 5,330,673 nonzeros, rank 10). The excess is
(exact loss - the planted model's) / nonzeros. All start from the same factors. Each competitor has a process of its
own, one after the other; making its tensor from subscripts and values is part of its time, imports and compilation
(a run of a few iterations on a small tensor) are not. gcp's excess is known after every sweep or iteration; a peer's
is computed exactly from the factors it ends with, in one run for each number of epochs, so that nothing of it is in
its time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _sparse_data import PROBLEMS, counts_of, poisson_loss, start_of
from kernels import processor

GCP = ("rows", "lbfgsb")
PEERS = {"pyttb-adam": (1, 2, 5), "pygenten-semi": (1, 2, 5), "pygenten-strat": (1, 2), "pyttb-apr": (1, 3)}
LIMITS = (0.14, 0.05, 0.0)
GAP = 1e-4


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--competitor", nargs="+", default=[*GCP, *PEERS], choices=[*GCP, *PEERS])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each of gcp's solvers")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds before a run is given up")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gcp-races")
    parser.add_argument("--results", type=Path, help="folder for a JSON file for each problem")
    parser.add_argument("--run", nargs=2, metavar=("COMPETITOR", "EPOCHS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(arguments.run[0], int(arguments.run[1]), arguments)))
        return
    packages = ("gcp-tensor", "numpy", "llvmlite", "scipy", "pyttb", "pygenten")
    found = ", ".join(f"{name} {version(name)}" for name in packages if _is_installed(name))
    print(f"{processor()}, {arguments.threads} threads; {found}\n", flush=True)
    for problem in arguments.problem:
        rows = [row for name in arguments.competitor for row in _runs(name, problem, arguments)]
        _report(problem, rows)
        if arguments.results:
            arguments.results.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"versions": found, "processor": processor(), "runs": rows}, indent=1)
            (arguments.results / f"sparse_poisson_{problem}.json").write_text(text + "\n")


def _is_installed(name):
    with contextlib.suppress(Exception):
        return bool(version(name))
    return False


def _runs(name, problem, arguments):
    counts_of(problem, arguments.data)  # made before anyone is timed
    epochs = [0] * arguments.repeat if name in GCP else PEERS[name]
    threads = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    environment = os.environ | {f"{library}_NUM_THREADS": str(arguments.threads) for library in threads}
    environment |= {"OMP_PROC_BIND": "false"}
    for count in epochs:
        command = [sys.executable, __file__, "--run", name, str(count), "--problem", problem]
        command += ["--threads", str(arguments.threads), "--data", str(arguments.data)]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=arguments.patience
            )
        except subprocess.TimeoutExpired:
            yield {"competitor": name, "epochs": count, "failed": f"over {arguments.patience:.0f} s"}
            return
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
            yield {"competitor": name, "epochs": count, "failed": last[:200]}
            return
        found = json.loads(lines[-1])
        end = found["trace"][-1] if "trace" in found else (found["seconds"], found["excess"])
        print(f"{problem}, {name}, {count} epochs: {end[0]:.1f} s, {end[1]:.5f}", file=sys.stderr, flush=True)
        yield {"competitor": name, "epochs": count, **found}


def run(name, epochs, arguments):
    """One competitor on one problem, in this process."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    problem = arguments.problem[0]
    shape, rank, _ = PROBLEMS[problem]
    subs, values, planted = counts_of(problem, arguments.data)
    start = start_of(shape, rank, values.sum())
    base = poisson_loss(planted, subs, values)
    if name in GCP:
        trace = _gcp(name, shape, rank, subs, values, start, arguments.threads)
        return {"trace": [(seconds, (value - base) / len(values)) for seconds, value in trace]}
    factors, seconds = _peer(name, shape, rank, subs, values, start, epochs, arguments.threads)
    return {"seconds": seconds, "excess": (poisson_loss(factors, subs, values) - base) / len(values)}


def _gcp(solver, shape, rank, subs, values, start, n_threads):
    import gcp

    options = {"loss": "poisson", "solver": solver, "n_threads": n_threads}
    small = gcp.SparseTensor([[0] * len(shape), [1] * len(shape)], [1.0, 2.0], (3,) * len(shape))
    gcp.fit_gcp(small, rank, random_state=0, n_iter_max=3, **options)  # compiled
    began = time.perf_counter()
    trace = []
    gcp.fit_gcp(
        gcp.SparseTensor(subs, values, shape),
        rank,
        init=start,
        callback=lambda state: trace.append((time.perf_counter() - began, state.objective)),
        max_seconds=300.0,
        n_iter_max=1000,
        **options,
    )
    return trace


def _peer(name, shape, rank, subs, values, start, epochs, n_threads):
    """A peer's factors after some epochs or outer iterations, and the seconds it took."""
    samples = int(np.ceil(3 * len(values) / 1000))
    if name.startswith("pyttb"):
        import pyttb as ttb

        began = time.perf_counter()
        tensor = ttb.sptensor(subs, values[:, None], shape)
        init = ttb.ktensor([a.copy() for a in start])
        if name == "pyttb-apr":
            model, _, _ = ttb.cp_apr(
                tensor, rank, algorithm="mu", init=init, maxiters=epochs, stoptime=1e6, printitn=0
            )
        else:
            from pyttb.gcp.handles import Objectives
            from pyttb.gcp.optimizers import Adam
            from pyttb.gcp.samplers import GCPSampler, Samplers

            np.random.seed(0)  # noqa: NPY002  what pyttb draws from
            solver = Adam(epoch_iters=1000, max_iters=epochs, rate=1e-3, printitn=0)
            sampler = GCPSampler(tensor, gradient_sampler=Samplers.SEMISTRATIFIED)
            model, _, _ = ttb.gcp_opt(
                tensor, rank, Objectives.POISSON, solver, init=init, sampler=sampler, printitn=0
            )
        seconds = time.perf_counter() - began
        factors, weights = model.factor_matrices, model.weights
    else:
        import pygenten as pg

        began = time.perf_counter()
        tensor = pg.Sptensor(shape, subs, values)
        init = pg.Ktensor(np.ones(rank), [a.copy() for a in start])
        kind = pg.SemiStratified if name.endswith("semi") else pg.Stratified
        counts = {f"num_samples_{what}_grad": samples for what in ("nonzeros", "zeros")}
        model, _, _ = pg.gcp_sgd(
            tensor,
            rank=rank,
            init=init,
            printitn=0,
            loss_function_type="poisson",
            sampling_type=kind,
            rate=1e-3,
            epoch_iters=1000,
            maxiters=epochs,
            **counts,
        )
        seconds = time.perf_counter() - began
        factors, weights = model.factor_matrices, np.array(model.weights)
    factors = [np.array(a) for a in factors]
    factors[0] = factors[0] * np.array(weights)
    return factors, seconds


def _report(problem, rows):
    ends = [row["trace"][-1][1] for row in rows if "trace" in row]
    optimum = min(ends, default=0.0)
    limits = [*LIMITS, optimum + GAP]
    print(f"## {problem}: lowest excess {optimum:.5f}\n")
    titles = " | ".join(f"s to {limit:.2f}" for limit in LIMITS)
    print(f"| | {titles} | s to the lowest + {GAP:g} | end: seconds, excess |")
    print("|---|" + "---|" * (len(limits) + 1))
    for name in dict.fromkeys(row["competitor"] for row in rows):
        own = [row for row in rows if row["competitor"] == name]
        traces = [row["trace"] for row in own if "trace" in row]
        if traces:
            cells = [_seconds([_first(trace, limit) for trace in traces]) for limit in limits]
            end = _seconds([trace[-1][0] for trace in traces]) + f", {traces[0][-1][1]:.5f}"
            print(f"| gcp {name} | " + " | ".join(cells) + f" | {end} |", flush=True)
            continue
        found = [
            f"{row['epochs']} epochs {row['failed']}"
            if "failed" in row
            else f"{row['epochs']}: {row['seconds']:.1f} s, {row['excess']:.3f}"
            for row in own
        ]
        print(f"| {name} | | | | | epochs: " + "; ".join(found) + " |", flush=True)
    print(flush=True)


def _first(trace, limit):
    return next((seconds for seconds, excess in trace if excess <= limit), np.inf)


def _seconds(values):
    if not np.isfinite(values).all():
        return "-"
    return f"{np.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
