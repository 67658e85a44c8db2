"""Two checkouts of the package in turns, on the same tasks: seconds as ratios, and whether results agree.

    python scripts/benchmarks/versions.py OLD NEW [--task NAME ...] [--rounds 7] [--race 12] [--json FILE]

Each checkout runs in a process of its own, whose tasks another process has run before, so that nothing is compiled
any more; the two take turns, and who begins changes from round to round. One thread. Tasks: passes over dense tensors
(`pass ...`), over a sparse one with 1e6 entries (`sparse pass`), fits (`fit ...`), ratings (`ratings 1e7`, five
sweeps), and every third problem of the solver race (`race`, a start each, at most 10 seconds). Prints a Markdown
table: medians of the ratio new / old over the rounds and their range, the ratio of the processes' peak memory so far,
and the largest relative difference of what the tasks return (values of the objective).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import json, os, resource, sys, tempfile, time, warnings
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import numpy as np
import gcp
from _losses import RACED
from _sparse_data import ratings
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
made = {}

def factors(shape, rank):
    return [rng.uniform(0.1, 1.0, (n, rank)) for n in shape]

def dense_pass(loss, shape=(200, 150, 100), rank=10, dtype=float):
    x = rng.integers(0, 2, shape).astype(dtype)
    objective, a = gcp.build_objective(x, loss, n_threads=1), factors(shape, rank)
    return lambda: objective.value_and_grad(a)[0]

def sparse(n=1_000_000, shape=(20_000, 15_000, 1_000)):
    subs = np.unique(np.stack([rng.integers(0, size, n) for size in shape], axis=1), axis=0)
    return gcp.SparseTensor(subs, rng.poisson(1.0, len(subs)) + 1.0, shape)

def sparse_pass(rank=10):
    tensor = sparse()
    objective, a = gcp.build_objective(tensor, "poisson", n_threads=1), factors(tensor.shape, rank)
    return lambda: objective.value_and_grad(a)[0]

def fit(x, rank, **options):
    return lambda: gcp.fit_gcp(x, rank, random_state=0, n_threads=1, **options).objective

def sparse_fit():
    return fit(sparse(), 10, loss="poisson", n_iter_max=5)

def ratings_fit():
    folder = os.path.join(tempfile.gettempdir(), "gcp-races")
    (subs, values), _ = ratings(48_019, 17_770, 10_000_000, 1_000_000, 10, 0.8, folder)
    tensor = gcp.ObservedTensor(subs, values, (48_019, 17_770))
    return fit(tensor, 10, main_effects=True, l2_reg=7.0, n_iter_max=5)

def race(number):
    losses, ranks, collinearity = RACED, (5, 10, 20), (0.0, 0.5, 0.9)
    shapes = ((50, 50, 50), (30, 30, 30, 30))
    problems = [(s, r, c, l) for s in shapes for r in ranks for c in collinearity for l in losses][::3]
    shape, rank, mix, name = problems[number % len(problems)]
    draw = np.random.default_rng(number)
    loss = gcp.get_loss(name)
    positive = loss.model_domain.low >= 0
    of = draw.standard_exponential if positive else draw.standard_normal
    truth = [np.sqrt(mix) * of((n, 1)) + np.sqrt(1 - mix) * of((n, rank)) for n in shape]
    m = np.einsum(",".join("abcd"[k] + "z" for k in range(len(shape))) + "->" + "abcd"[:len(shape)], *truth)
    m = m / m.std() if not positive else 2 * m / m.mean()
    return fit(loss.sample(m, draw).astype(float), rank, loss=loss, max_seconds=10.0)

SMALL = rng.poisson(2.0, (20, 15, 10)).astype(float)
TASKS = {
    "pass poisson": lambda: dense_pass("poisson"),
    "pass logit": lambda: dense_pass("bernoulli-logit"),
    "pass gaussian float32": lambda: dense_pass("gaussian", dtype=np.float32),
    "sparse pass": sparse_pass,
    "fit small als": lambda: fit(SMALL, 3),
    "fit small poisson": lambda: fit(SMALL, 3, loss="poisson"),
    "fit small rows": lambda: fit(gcp.ObservedTensor(np.argwhere(SMALL >= 0), SMALL.ravel(), SMALL.shape), 3),
    "fit sparse 1e6": sparse_fit,
    "ratings 1e7": ratings_fit,
}
for line in sys.stdin:
    name = json.loads(line)
    if name not in made:
        made.clear()
        made[name] = race(int(name.split()[1])) if name.startswith("race") else TASKS[name]()
        made[name]()
    began = time.perf_counter()
    value = made[name]()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([seconds, float(value), peak]), flush=True)
"""
TASKS = (
    "pass poisson",
    "pass logit",
    "pass gaussian float32",
    "sparse pass",
    "fit small als",
    "fit small poisson",
    "fit small rows",
    "fit sparse 1e6",
    "ratings 1e7",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--task", nargs="+", default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--race", type=int, default=0, help="so many problems of the solver race, too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tasks = [*arguments.task, *(f"race {k}" for k in range(arguments.race))]
    checkouts = [path.resolve() for path in (arguments.old, arguments.new)]
    for checkout in checkouts:  # compiles, whose memory would count
        with started(checkout) as worker:
            for task in tasks:
                asked(worker, task)
    workers = [started(checkout) for checkout in checkouts]
    found = {}
    print("| task | seconds, old | new / old: median (range) | peak memory, new / old | difference |")
    print("|---|---|---|---|---|", flush=True)
    for task in tasks:
        rounds = 1 if task.startswith("race") else arguments.rounds
        runs = []
        for k in range(rounds):
            pair = [None, None]
            for which in (0, 1) if k % 2 == 0 else (1, 0):
                pair[which] = asked(workers[which], task)
            runs.append(pair)
        found[task] = runs
        if not task.startswith("race"):
            print(row(task, runs), flush=True)
    if arguments.race:
        print(
            row(
                f"race, {arguments.race} problems",
                [run for k in range(arguments.race) for run in found[f"race {k}"]],
            )
        )
    for worker in workers:
        worker.stdin.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(found))


def started(checkout: Path) -> subprocess.Popen:
    """A process that works with the package of a checkout."""
    own = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(checkout))
    beside = str(Path(__file__).resolve().parent)
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(checkout), beside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own,
    )


def asked(worker: subprocess.Popen, task: str) -> list[float]:
    """Seconds, value and peak memory of one run."""
    worker.stdin.write(json.dumps(task) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def row(task: str, runs: list) -> str:
    """A line of the table."""
    ratios = sorted(new[0] / old[0] for old, new in runs)
    seconds = sorted(old[0] for old, _ in runs)
    memory = runs[-1][1][2] / runs[-1][0][2]
    difference = max(abs(new[1] - old[1]) / max(abs(old[1]), 1e-300) for old, new in runs)
    median = ratios[len(ratios) // 2]
    return (
        f"| {task} | {seconds[len(seconds) // 2]:.3g} | {median:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) | "
        f"{memory:.2f} | {difference:.0e} |"
    )


if __name__ == "__main__":
    main()
