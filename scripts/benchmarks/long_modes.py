"""Few entries in long modes: seconds and memory by the number of positions.

    python scripts/benchmarks/long_modes.py [CHECKOUT ...] [--positions 1e4 1e6] [--case NAME ...] [--limit 120]

2,000 entries in a tensor of N x N x 100 cells, N from --positions, fitted at rank 1 with the defaults by each
checkout of the package, in a process of its own. Cases: sparse counts (Poisson), observed numbers (Gaussian, ridge
0.1), sparse numbers under Huber's loss, and links (sparse 0/1 data, Bernoulli logit, at most --limit seconds).
Prints a Markdown table: seconds of the fit (nothing is compiled any more), the largest memory of the process
before and after it, the memory of the two long factors, iterations, status and objective.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

WORKER = """
import json, resource, sys, time, warnings
sys.path.insert(0, sys.argv[1])
import numpy as np, gcp
warnings.simplefilter("ignore")
case, n, limit = sys.argv[2], int(float(sys.argv[3])), float(sys.argv[4])

def fit(shape, n_iter_max=None):
    rng = np.random.default_rng(0)
    subs = np.stack([rng.integers(0, size, 2000) for size in shape], axis=1)
    subs = np.unique(subs, axis=0)
    kind = gcp.ObservedTensor if case == "observed Gaussian" else gcp.SparseTensor
    values = {
        "sparse Poisson": rng.poisson(2.0, len(subs)) + 1.0,
        "observed Gaussian": rng.normal(size=len(subs)),
        "sparse Huber": rng.normal(size=len(subs)) + 3.0,
        "sparse logit": np.ones(len(subs)),
    }[case]
    loss = {"Poisson": "poisson", "Gaussian": "gaussian", "Huber": "huber", "logit": "bernoulli-logit"}
    options = {"loss": loss[case.split()[1]], "l2_reg": 0.1 if case == "observed Gaussian" else 0.0}
    data = kind(subs, values, shape)
    began = time.perf_counter()
    result = gcp.fit_gcp(data, 1, random_state=0, max_seconds=limit, n_iter_max=n_iter_max, **options)
    return result, time.perf_counter() - began

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

fit((60, 60, 100), 3)
before = peak()
result, seconds = fit((n, n, 100))
print(json.dumps([seconds, before, peak(), 16e-9 * n, result.n_iter, result.status, result.objective]))
"""
CASES = ("sparse Poisson", "observed Gaussian", "sparse Huber", "sparse logit")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("checkouts", nargs="*", type=Path, default=[here])
    parser.add_argument("--positions", nargs="+", type=float, default=[1e4, 1e6])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--limit", type=float, default=120.0)
    arguments = parser.parse_args()
    print(
        "| case | positions | checkout | seconds | GB before | GB after | GB of factors | iterations | status | F |"
    )
    print("|---" * 10 + "|")
    for case in arguments.case:
        for n in arguments.positions:
            for path in arguments.checkouts:
                given = [str(path.resolve()), case, str(n), str(arguments.limit)]
                line = [sys.executable, "-W", "ignore", "-c", WORKER, *given]
                done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
                seconds, before, after, own, n_iter, status, value = json.loads(done.stdout)
                print(
                    f"| {case} | {n:g} | {path.resolve().name} | {seconds:.2f} | {before:.2f} | {after:.2f} | "
                    f"{own:.2g} | {n_iter} | {status} | {value:.8g} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
