"""Held-out error of ratings, sweep by sweep: when does a fit stop to change anything that anyone could see?

    python scripts/benchmarks/ratings_curve.py [--ratings 9100000] [--users 48000] [--items 5600] [--rank 10]
                                               [--every 3]

Planted normal factors and noise of sd 0.8; 100,000 ratings, or a tenth, are held out; Gaussian loss, l2_reg=0.25, the
defaults. To see another checkout, run it with PYTHONPATH set to that. Prints seconds, the objective's distance to its
end, relative to the end, and the root mean squared error of the held-out ratings.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import gcp


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ratings", type=int, default=9_100_000)
    parser.add_argument("--users", type=int, default=48_000)
    parser.add_argument("--items", type=int, default=5_600)
    parser.add_argument("--rank", type=int, default=10)
    parser.add_argument("--every", type=int, default=3, help="print each so many sweeps")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    u, v = (rng.normal(size=(n, options.rank)) for n in (options.users, options.items))
    cells = np.unique(rng.integers(0, options.users * options.items, options.ratings))
    rng.shuffle(cells)
    subs = np.stack([cells // options.items, cells % options.items], axis=1)
    y = np.einsum("nr,nr->n", u[subs[:, 0]], v[subs[:, 1]]) / np.sqrt(options.rank)
    y += 0.8 * rng.normal(size=len(y))
    held = min(100_000, len(y) // 10)
    test, known = y[-held:], gcp.ObservedTensor(subs[:-held], y[:-held], (options.users, options.items))
    seen = []

    def look(state):
        a, b = (factor[subs[-held:, n]] for n, factor in enumerate(state.factors))
        error = np.sqrt(np.mean((np.einsum("nr,nr->n", a, b) - test) ** 2))
        seen.append((time.perf_counter() - began, state.objective, error))

    began = time.perf_counter()
    result = gcp.fit_gcp(known, options.rank, l2_reg=0.25, random_state=0, callback=look)
    print("| sweep | seconds | objective above its end | held-out error |\n|---|---|---|---|")
    for k, (seconds, value, error) in enumerate(seen):
        if k % options.every == 0 or k == len(seen) - 1:
            above = (value - result.objective) / abs(result.objective)
            print(f"| {k + 1} | {seconds:.1f} | {above:.1e} | {error:.6f} |")
    print(f"\n{result.status}: {result.message}")


if __name__ == "__main__":
    main()
