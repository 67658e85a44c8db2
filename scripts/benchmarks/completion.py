"""Race on ratings of which few are known: held-out error against seconds; and the size of the Netflix prize.

    pip install .[bench]
    python scripts/benchmarks/completion.py [--problem 1e7 netflix] [--rank 10 50] [--competitor ...] [--data DIR]

Synthetic ratings 3.6 + user + film + product of planted rows of rank 10 + noise of sd 0.8, long-tailed over users
and films: 48,019 x 17,770 with 1e7 known and 1e6 held out, and 480,189 x 17,770 with 100,480,507 and 1,408,395. gcp
fits a Gaussian loss with main effects and ridge; cornac its matrix factorisation by stochastic gradients, with
biases. Each run is a process of its own. Making the tensor (for cornac its data set) is timed apart and counted;
imports, compilation (a fit of a small problem) and judging are not. Memory is the peak of the process beyond what it
held with the ratings read in.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from _sparse_data import ratings
from kernels import processor

PROBLEMS = {
    "1e7": (48_019, 17_770, 10_000_000, 1_000_000),
    "netflix": (480_189, 17_770, 100_480_507, 1_408_395),
}
RANK, NOISE = 10, 0.8


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", nargs="+", default=["1e7"], choices=list(PROBLEMS))
    parser.add_argument("--rank", nargs="+", type=int, default=[10])
    parser.add_argument("--competitor", nargs="+", default=["gcp", "cornac"], choices=["gcp", "cornac"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sweeps", type=int, default=40, help="most sweeps of gcp")
    parser.add_argument("--epochs", nargs="+", type=int, default=[5, 10, 20, 40], help="of cornac")
    parser.add_argument("--l2-reg", type=float, default=7.0)
    parser.add_argument("--tol", type=float, default=1e-9, help="of gcp")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gcp-races")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(RUNS[arguments.run](arguments)))
        return
    print(f"{processor()}, {arguments.threads} threads\n")
    print("| problem | rank | | seconds to make the data | seconds: held-out RMSE | peak MB |")
    print("|---|---|---|---|---|---|", flush=True)
    record = []
    for problem in arguments.problem:
        ratings(*PROBLEMS[problem], RANK, NOISE, arguments.data)
        for rank in arguments.rank:
            for name in arguments.competitor:
                for row in runs(name, problem, rank, arguments):
                    record.append(row)
                    curve = "; ".join(f"{seconds:.1f}: {rmse:.4f}" for seconds, rmse in thinned(row["curve"]))
                    setup, peak = row["setup"], row["peak_mb"]
                    print(f"| {problem} | {rank} | {name} | {setup:.1f} | {curve} | {peak:.0f} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"processor": processor(), "rows": record}, indent=1) + "\n")


def thinned(curve):
    """A dozen points of a curve, the first few and the last among them."""
    kept = sorted({*range(min(6, len(curve))), *np.linspace(0, len(curve) - 1, 8).astype(int).tolist()})
    return [curve[k] for k in kept]


def runs(name, problem, rank, arguments):
    """The rows of a competitor, each from a process."""
    threads = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    environment = os.environ | {f"{library}_NUM_THREADS": str(arguments.threads) for library in threads}
    for epochs in [0] * arguments.repeat if name == "gcp" else arguments.epochs:
        command = [sys.executable, __file__, "--run", name, "--problem", problem, "--rank", str(rank)]
        command += ["--threads", str(arguments.threads), "--sweeps", str(arguments.sweeps)]
        command += ["--epochs", str(epochs), "--l2-reg", str(arguments.l2_reg), "--data", str(arguments.data)]
        command += ["--tol", str(arguments.tol)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise SystemExit(done.stderr)
        yield {"problem": problem, "rank": rank, "competitor": name, **json.loads(lines[-1])}


def run_gcp(arguments):
    import gcp

    warnings.simplefilter("ignore")
    problem, rank = arguments.problem[0], arguments.rank[0]
    options = {"main_effects": True, "l2_reg": arguments.l2_reg, "random_state": 0}
    options |= {"n_threads": arguments.threads, "n_iter_max": arguments.sweeps, "tol": arguments.tol}
    rng = np.random.default_rng(0)
    small = gcp.ObservedTensor([[0, 0], [1, 1], [1, 0]], rng.random(3).astype(np.float32), (3, 3))
    gcp.fit_gcp(small, rank, **options)  # compiled
    (subs, x), (test_subs, test_x) = ratings(*PROBLEMS[problem], RANK, NOISE, arguments.data)
    held = current_mb()
    began = time.perf_counter()
    tensor = gcp.ObservedTensor(subs, x, PROBLEMS[problem][:2])
    setup = time.perf_counter() - began
    judging, curve = 0.0, []

    def judge(state):
        nonlocal judging
        now = time.perf_counter()
        curve.append((now - began - judging, rmse(state.factors, test_subs, test_x)))
        judging += time.perf_counter() - now

    result = gcp.fit_gcp(tensor, rank, callback=judge, **options)
    total = time.perf_counter() - began - judging
    error = float(np.sqrt(np.mean((result.predict(test_subs) - test_x) ** 2)))
    curve.append((total, error))
    return {"setup": setup, "curve": curve, "peak_mb": peak_mb() - held, "status": result.status}


def rmse(factors, subs, x):
    total = 0.0
    for first in range(0, len(x), 500_000):
        part = slice(first, first + 500_000)
        m = np.einsum("er,er->e", factors[0][subs[part, 0]], factors[1][subs[part, 1]])
        total += float(np.sum((m - x[part]) ** 2))
    return float(np.sqrt(total / len(x)))


def run_cornac(arguments):
    import cornac
    from cornac.data import Dataset

    problem, rank = arguments.problem[0], arguments.rank[0]
    (subs, x), (test_subs, test_x) = ratings(*PROBLEMS[problem], RANK, NOISE, arguments.data)
    n_users, n_films = PROBLEMS[problem][:2]
    held = current_mb()
    began = time.perf_counter()
    data = Dataset(
        num_users=n_users,
        num_items=n_films,
        uid_map={k: k for k in range(n_users)},
        iid_map={k: k for k in range(n_films)},
        uir_tuple=(subs[:, 0].astype(np.int64), subs[:, 1].astype(np.int64), x.astype(np.float64)),
    )
    setup = time.perf_counter() - began
    model = cornac.models.MF(
        k=rank,
        max_iter=arguments.epochs[0],
        learning_rate=0.01,
        lambda_reg=0.02,
        use_bias=True,
        early_stop=False,
        verbose=False,
        num_threads=arguments.threads,
        seed=1,
    )
    model.fit(data)
    seconds = time.perf_counter() - began
    i, j = test_subs[:, 0], test_subs[:, 1]
    product = np.einsum("er,er->e", model.u_factors[i], model.i_factors[j])
    predicted = model.global_mean + model.u_biases[i] + model.i_biases[j] + product
    error = float(np.sqrt(np.mean((predicted - test_x) ** 2)))
    return {"setup": setup, "curve": [(seconds, error)], "peak_mb": peak_mb() - held}


def peak_mb():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def current_mb():
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmRSS:")[1].split()[0]) / 1e3


RUNS = {"gcp": run_gcp, "cornac": run_cornac}

if __name__ == "__main__":
    main()
