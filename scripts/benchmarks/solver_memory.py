"""Memory of each solver at its peak, in units of all factors; checkouts of the package side by side.

    python scripts/benchmarks/solver_memory.py [CHECKOUT ...] [--rank 32] [--markdown FILE]

Long factors and few data: dense counts 100,000 x 6, and 130,000 entries in 100,000 x 50,000 x 20, sparse (Poisson;
ones under Bernoulli odds) and observed (Gaussian). Four iterations by one thread; a process for each number. The
peak is of what Python and NumPy allocate from the call of `fit_gcp` on (`tracemalloc`), lists in the order of each
mode and the result included, which has factors of its own (2 units: as fitted, and normalised).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

WORKER = """
import json, sys, tracemalloc, warnings
sys.path.insert(0, sys.argv[1])
import numpy as np, gcp
warnings.simplefilter("ignore")
case, solver, rank = sys.argv[2], sys.argv[3], int(sys.argv[4])
rng, n = np.random.default_rng(0), 100_000
shape = (n, 6) if case == "dense" else (n, n // 2, 20)
if case == "dense":
    data = rng.poisson(1.0, shape).astype(float)
else:
    subs = np.unique(np.stack([rng.permutation(np.arange(130_000) % size) for size in shape], axis=1), axis=0)
    values = np.ones(len(subs)) if case == "sparse odds" else rng.poisson(2.0, len(subs)) + 1.0
    data = (gcp.ObservedTensor if case == "observed" else gcp.SparseTensor)(subs, values, shape)
loss = {"dense": "poisson", "sparse": "poisson", "sparse odds": "bernoulli-odds", "observed": "gaussian"}[case]
options = {"loss": loss, "solver": solver, "random_state": 0, "n_threads": 1}
gcp.fit_gcp(data, 2, n_iter_max=1, **options)
tracemalloc.start()
gcp.fit_gcp(data, rank, n_iter_max=4, **options)
print(json.dumps(tracemalloc.get_traced_memory()[1] / (8 * rank * sum(shape))))
"""
CASES = (
    *(("dense", solver) for solver in ("rows", "plbfgs", "lbfgsb", "adam")),
    *(("sparse", solver) for solver in ("rows", "lbfgsb", "adam")),
    *(("observed", solver) for solver in ("rows", "lbfgsb", "adam")),
    *(("sparse odds", solver) for solver in ("sampled-rows", "adam")),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("checkouts", nargs="*", type=Path, default=[here])
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    lines = [f"| data | solver | {' | '.join(str(path) for path in options.checkouts)} |"]
    lines.append("|---" * (2 + len(options.checkouts)) + "|")
    print("\n".join(lines), flush=True)
    for case, solver in CASES:
        found = []
        for path in options.checkouts:
            line = [sys.executable, "-c", WORKER, str(path.resolve()), case, solver, str(options.rank)]
            done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
            found.append(f"{json.loads(done.stdout):.1f}")
        lines.append(f"| {case} | {solver} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
