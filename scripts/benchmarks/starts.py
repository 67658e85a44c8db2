"""How many starts end near the best minimum known, and what that takes; checkouts of the package in turns.

    python scripts/benchmarks/starts.py [CHECKOUT ...] [--case TEXT ...] [--starts 5] [--seconds 20] [--best FILE]

The problems are those of peers.py (nine losses, 50 x 50 x 50 with collinearity 0, 0.5 and 0.9, and 100 x 100 x 100
with 0.5, rank 10), and real data: nyc_flights, trondheim_bikes and kinships. Each start is a fit by default from
its own seed, on one thread. An end is good if it lies within 1e-3 of the best value known, relative to where its
start was. With --best, best values are read from a JSON file, and lower ones written to it. --case takes the
problems whose name holds one of the texts. Prints a Markdown table: good ends, evaluations and seconds in the mean
over the starts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

GOOD = 1e-3
LOSSES = (
    *("gaussian", "huber", "poisson", "poisson-log", "bernoulli-logit", "bernoulli-odds"),
    *("gamma", "rayleigh", "beta-divergence"),
)
PLANTED = [("50x50x50", 0.0), ("50x50x50", 0.5), ("50x50x50", 0.9), ("100x100x100", 0.5)]
REAL = (
    *("nyc_flights poisson 3", "nyc_flights poisson 4", "nyc_flights poisson 5", "nyc_flights sparse-nb 2"),
    *("trondheim_bikes poisson 5", "kinships bernoulli-odds 5", "kinships bernoulli-logit 5"),
)
CASES = (*(f"{loss} {shape} c={c:g}" for loss in LOSSES for shape, c in PLANTED), *REAL)
WORKER = """
import json, os, sys, time, warnings
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import numpy as np
import gcp
from solver_race import planted
warnings.simplefilter("ignore")
made = {}

def problem(name):
    first, second, third = name.split()
    if "x" not in second:
        data = getattr(gcp.datasets, "load_" + first)()
        loss = gcp.NegativeBinomial(r=0.2) if second == "sparse-nb" else gcp.get_loss(second)
        return data, loss, int(third)
    loss = gcp.BetaDivergence(beta=0.5) if first == "beta-divergence" else gcp.get_loss(first)
    shape = tuple(map(int, second.split("x")))
    return planted(loss, shape, 10, float(third[2:]), seed=1).astype(float), loss, 10

for line in sys.stdin:
    name, seed, seconds = json.loads(line)
    if name not in made:
        made.clear()
        made[name] = problem(name)
        gcp.fit_gcp(made[name][0], made[name][2], loss=made[name][1], random_state=0, n_iter_max=3, n_threads=1)
    data, loss, rank = made[name]
    options = {"loss": loss, "random_state": seed, "n_threads": 1}
    first = gcp.fit_gcp(data, rank, n_iter_max=0, **options).objective
    began = time.perf_counter()
    found = gcp.fit_gcp(data, rank, max_seconds=seconds, **options)
    took = time.perf_counter() - began
    print(json.dumps([first, found.objective, found.n_eval, took, found.status]), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", nargs="*", type=Path, default=[Path(__file__).resolve().parents[2]])
    parser.add_argument("--case", nargs="+", default=[""])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a fit, at most")
    parser.add_argument("--best", type=Path)
    options = parser.parse_args()
    best = json.loads(options.best.read_text()) if options.best and options.best.exists() else {}
    workers = [started(checkout.resolve()) for checkout in options.checkout]
    names = [str(path) for path in options.checkout]
    print(f"| problem | {' | '.join(f'{name}: good, evaluations, seconds' for name in names)} | ends |")
    print("|---" * (len(workers) + 2) + "|", flush=True)
    totals = [[0, 0, 0.0] for _ in workers]
    number = 0
    for case in CASES:
        if not any(text in case for text in options.case):
            continue
        runs = [[] for _ in workers]
        for seed in range(options.starts):
            for k in range(len(workers)):
                which = (k + seed) % len(workers)
                runs[which].append(asked(workers[which], [case, seed, options.seconds]))
        best[case] = min([run[1] for own in runs for run in own] + [best.get(case, float("inf"))])
        number += options.starts
        cells = []
        for own, total in zip(runs, totals, strict=True):
            good = sum(run[1] - best[case] <= GOOD * (run[0] - best[case]) for run in own)
            evaluations, seconds = (sum(run[k] for run in own) / len(own) for k in (2, 3))
            total[:] = total[0] + good, total[1] + evaluations, total[2] + seconds
            cells.append(f"{good} {evaluations:.0f} {seconds:.2f}")
        ends = "; ".join(
            " ".join(
                f"{(run[1] - best[case]) / (run[0] - best[case]):.0e}{'' if run[4] == 'converged' else run[4][0]}"
                for run in own
            )
            for own in runs
        )
        print(f"| {case} | {' | '.join(cells)} | {ends} |", flush=True)
        if options.best:
            options.best.write_text(json.dumps(best, indent=1))
    cells = [f"{good} of {number}, {evaluations:.0f}, {seconds:.1f}" for good, evaluations, seconds in totals]
    print(f"| all | {' | '.join(cells)} | |")
    for worker in workers:
        worker.stdin.close()


def started(checkout: Path) -> subprocess.Popen:
    """A process that works with the package of a checkout."""
    own = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(checkout))
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(checkout), str(Path(__file__).resolve().parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own,
    )


def asked(worker: subprocess.Popen, job: list) -> list:
    """The answer of a worker: objective at the start and at the end, evaluations, seconds, status."""
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


if __name__ == "__main__":
    main()
