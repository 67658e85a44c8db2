"""Many small fits: fits a second by several starts, bootstrap and rank choice; checkouts in turns, and peers.

    python scripts/benchmarks/many_fits.py [CHECKOUT ...] [--loss NAME ...] [--task NAME ...] [--starts 20]
                                           [--replicates 20] [--rounds 3] [--peers] [--markdown FILE]

Tensors 20 x 16 x 14 drawn from three components under every loss, rank 3, one process and one thread. A fit is a
start (`starts`), or a replicate or the fit that it is of (`bootstrap`); of `select_rank` with ranks 1 to 6 and its
defaults calls are counted (`rank`). Each checkout works in a process of its own, which has run each task before;
who begins changes from round to round. Prints numbers a second, medians over the rounds, and the ratio of the last
checkout to the first with its range. With --peers, TensorLy's `parafac` and `non_negative_parafac_hals` from
random starts, and scikit-learn's NMF of the tensor unfolded along its first mode, on the Gaussian and Poisson
tensors, with their own defaults but rank 3.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from _losses import RACED

WORKER = """
import json, sys, time, warnings
sys.path.insert(0, sys.argv[1])
import numpy as np
import gcp
from gcp import analysis
warnings.simplefilter("ignore")

def tensor(loss):
    return np.asarray(gcp.simulate((20, 16, 14), 3, loss, random_state=0)[0].values)

def starts(x, loss, n):
    gcp.fit_gcp(x, 3, loss=loss, n_starts=n, random_state=1, n_threads=1)
    return n

def bootstrap(x, loss, n):
    found = gcp.fit_gcp(x, 3, loss=loss, random_state=1, n_threads=1)
    analysis.bootstrap(found, x, n, random_state=1)
    return n + 1

def rank(x, loss, n):
    gcp.select_rank(x, range(1, n + 1), loss=loss, random_state=1, n_threads=1)
    return 1

def parafac(x, loss, n):
    from tensorly.decomposition import parafac
    for seed in range(n):
        parafac(x.astype(float), 3, init="random", random_state=seed)
    return n

def hals(x, loss, n):
    from tensorly.decomposition import non_negative_parafac_hals
    for seed in range(n):
        non_negative_parafac_hals(np.abs(x).astype(float), 3, init="random", random_state=seed)
    return n

def nmf(x, loss, n):
    from sklearn.decomposition import NMF
    matrix = np.abs(x).reshape(len(x), -1)
    for seed in range(n):
        NMF(3, init="random", solver="mu", beta_loss="kullback-leibler", random_state=seed).fit(matrix)
    return n

for line in sys.stdin:
    task, loss, n = json.loads(line)
    x = tensor(loss)
    began = time.perf_counter()
    done = globals()[task](x, loss, n)
    print(json.dumps(done / (time.perf_counter() - began)), flush=True)
"""
TASKS, PEERS = ("starts", "bootstrap", "rank"), ("parafac", "hals", "nmf")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", nargs="*", type=Path, default=[Path(__file__).resolve().parents[2]])
    parser.add_argument("--loss", nargs="+")
    parser.add_argument("--task", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    numbers = {"starts": options.starts, "bootstrap": options.replicates, "rank": 6}
    workers = [started(checkout.resolve()) for checkout in options.checkout]
    lines = [f"| task | loss | {' | '.join(str(path) for path in options.checkout)} | last / first |"]
    lines.append("|---" * (len(workers) + 3) + "|")
    print("\n".join(lines), flush=True)
    for task in options.task:
        ratios = []
        for loss in options.loss or RACED:
            if (task, loss) == ("bootstrap", "beta-divergence"):
                continue  # no distribution: nothing to draw
            found = measured(workers, (task, loss, numbers[task]), options.rounds)
            lines.append(row(task, loss, found))
            ratios.append(statistics.median(one[-1] / one[0] for one in found))
            print(lines[-1], flush=True)
        if len(workers) > 1:
            lines.append(row(task, "geometric mean", [[1.0, statistics.geometric_mean(ratios)]]))
            print(lines[-1], flush=True)
    if options.peers:
        for task in PEERS:
            for loss in ("gaussian", "poisson"):
                found = measured(workers[-1:], (task, loss, options.starts), options.rounds)
                lines.append(row(task, loss, found, blank=len(workers) - 1))
                print(lines[-1], flush=True)
    for worker in workers:
        worker.stdin.close()
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


def started(checkout: Path) -> subprocess.Popen:
    """A process that works with the package of a checkout."""
    own = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(checkout))
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(checkout)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own,
    )


def measured(workers: list, task: tuple[str, str, int], rounds: int) -> list[list[float]]:
    """Numbers a second of each round, by worker, after one that does not count."""
    found = []
    for k in range(-1, rounds):
        order = range(len(workers)) if k % 2 else range(len(workers) - 1, -1, -1)
        got = {
            which: asked(workers[which], (*task[:2], min(task[2], 2)) if k < 0 else task) for which in order
        }
        if k >= 0:
            found.append([got[which] for which in range(len(workers))])
    return found


def asked(worker: subprocess.Popen, task: tuple[str, str, int]) -> float:
    """Fits a second of one run."""
    worker.stdin.write(json.dumps(task) + "\n")
    worker.stdin.flush()
    return float(json.loads(worker.stdout.readline()))


def row(task: str, loss: str, found: list[list[float]], blank: int = 0) -> str:
    """A line of the table."""
    columns = [statistics.median(column) for column in zip(*found, strict=True)]
    ratios = sorted(one[-1] / one[0] for one in found)
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})" if len(columns) > 1 else ""
    cells = [""] * blank + [f"{value:.3g}" for value in columns]
    return f"| {task} | {loss} | {' | '.join(cells)} | {spread} |"


if __name__ == "__main__":
    main()
