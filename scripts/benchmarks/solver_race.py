"""Race the solvers from the same starts on planted problems and real data: passes and seconds to given gaps.

    python scripts/benchmarks/solver_race.py [--quick] [--shape 50x50x50 ...] [--rank 5 ...] [--json FILE]

A pass is one evaluation of the objective with its gradient. A gap is the distance to the lowest value that all
solvers reached from the start, relative to where the start was: they often end in different minima, and success
says how often in a good one, the share of starts that end within 1e-3 of the best minimum that any solver found
from any start. Prints a Markdown table of medians over the starts.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from contextlib import suppress
from importlib.metadata import version

import numpy as np

import gcp
from gcp.bounds import resolve
from gcp.kernels import threads
from gcp.kernels.dense import model_values
from gcp.start import match_mean, random_factors

GAPS = (1e-2, 1e-4, 1e-6)
SUCCESS = 1e-3
SOLVERS = {"lbfgsb": gcp.LBFGSB, "plbfgs": gcp.PreconditionedLBFGS}
COLLINEARITY = (0.0, 0.5, 0.9)
REAL = {
    "nyc_flights 3": (gcp.datasets.load_nyc_flights, gcp.Poisson(), 3),
    "nyc_flights 5": (gcp.datasets.load_nyc_flights, gcp.Poisson(), 5),
    "nyc_flights NB 3": (gcp.datasets.load_nyc_flights, gcp.NegativeBinomial(r=1.0), 3),
    "kinships 6": (gcp.datasets.load_kinships, gcp.BernoulliOdds(), 6),
}


class Recorder:
    """An objective that keeps the lowest value and the time of every pass, and stops a run that takes too many."""

    class Enough(Exception):
        """The passes are used up."""

    def __init__(self, objective, limit):
        self.objective, self.limit = objective, limit
        self.saturated_value, self.null_value = objective.saturated_value, objective.null_value
        self.values, self.seconds, self.began = [], [], time.perf_counter()

    def value_and_grad(self, factors):
        return self._record(self.objective.value_and_grad(factors))

    def value_grad_and_curvature(self, factors):
        return self._record(self.objective.value_grad_and_curvature(factors))

    def _record(self, found):
        if len(self.values) >= self.limit:
            raise self.Enough
        unit = self.null_value - self.saturated_value
        value = (found[0] - self.saturated_value) / unit if np.isfinite(found[0]) else np.inf
        self.values.append(min([value, *self.values[-1:]]))
        self.seconds.append(time.perf_counter() - self.began)
        return found


def planted(loss, shape, rank, collinearity, seed):
    """Data around a model whose columns have this expected cosine with each other in every mode."""
    rng = np.random.default_rng(seed)
    positive = loss.model_domain.low >= 0
    draw = rng.standard_exponential if positive else rng.standard_normal
    factors = []
    for size in shape:
        own, common = draw((size, rank)), draw((size, 1))
        factors.append(np.sqrt(collinearity) * common + np.sqrt(1 - collinearity) * own)
    if positive:
        match_mean(factors, 2.0)
    else:
        spread = 2.0 if loss.name == "bernoulli-logit" else 1.0
        amplitude = (spread / model_values(factors, shape).std()) ** (1 / len(shape))
        factors = [a * amplitude for a in factors]
    return loss.sample(model_values(factors, shape), rng)


def race(data, loss, rank, n_starts, limit):
    """Of every start and solver: the values and seconds, pass by pass."""
    objective = gcp.build_objective(data, loss, n_threads=1)
    shapes = [(size, rank) for size in objective.tensor.shape]
    bounds = resolve(None, shapes, objective.loss.model_domain, objective.loss.name)
    runs = []
    for seed in range(n_starts):
        start = random_factors(objective, rank, bounds, np.random.default_rng(seed))
        found = {}
        for name, solver in SOLVERS.items():
            recorder = Recorder(objective, limit)
            method = solver(tol=1e-12, gradient_tol=1e-10, n_iter_max=limit)
            with suppress(Recorder.Enough), threads.single_threaded_blas():
                method.solve(recorder, start, bounds)
            found[name] = (recorder.values, recorder.seconds)
        runs.append(found)
    return runs


def to_gap(values, best, gap):
    """Passes until the gap."""
    return int(np.argmax(np.array(values) <= best + gap * (values[0] - best))) + 1


def summarise(runs):
    """Per solver: passes and seconds to the gaps, and whether each start ended near the best of all."""
    overall = min(values[-1] for run in runs for values, _ in run.values())
    rows = {name: {"passes": [], "seconds": [], "success": []} for name in SOLVERS}
    for run in runs:
        reached_by_all = max(values[-1] for values, _ in run.values())
        for name, (values, seconds) in run.items():
            counts = [to_gap(values, reached_by_all, gap) for gap in GAPS]
            rows[name]["passes"].append(counts)
            rows[name]["seconds"].append([seconds[n - 1] for n in counts])
            rows[name]["success"].append(bool(values[-1] <= overall + SUCCESS * (values[0] - overall)))
    return rows


def markdown(results):
    """One row per problem: median passes to the gaps, seconds to the middle one, and success, solver by solver."""
    gaps = " / ".join(f"{gap:g}" for gap in GAPS)
    titles = [f"{name}: passes to {gaps} | s to {GAPS[1]:g} | success" for name in SOLVERS]
    lines = [f"| problem | {' | '.join(titles)} | ratio of passes |", "|---" * (3 * len(SOLVERS) + 2) + "|"]
    ratios = []
    for problem, rows in results.items():
        cells = []
        passes = [np.median(row["passes"], axis=0) for row in rows.values()]
        for row, counts in zip(rows.values(), passes, strict=True):
            seconds = np.median(row["seconds"], axis=0)[1]
            cells += [
                " / ".join(f"{p:.0f}" for p in counts),
                f"{seconds:.2f}",
                f"{np.mean(row['success']):.0%}",
            ]
        ratios.append(passes[-1] / passes[0])
        cells.append(" / ".join(f"{r:.2f}" for r in ratios[-1]))
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    lines.append(f"\nMedian ratio: {' / '.join(f'{r:.2f}' for r in np.median(ratios, axis=0))}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one shape and rank, two starts")
    parser.add_argument("--shape", nargs="+", default=["30x25x20", "50x50x50"])
    parser.add_argument("--rank", nargs="+", type=int, default=[5, 10])
    parser.add_argument("--loss", nargs="+", default=gcp.available_losses())
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--limit", type=int, default=1500, help="most passes of a run")
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    if args.quick:
        args.shape, args.rank, args.starts = args.shape[:1], args.rank[:1], 2
    results = {}
    for name in args.loss:
        loss = gcp.get_loss(name)
        for shape in args.shape:
            for rank in args.rank:
                for collinearity in COLLINEARITY:
                    sizes = tuple(map(int, shape.split("x")))
                    data = planted(loss, sizes, rank, collinearity, seed=1)
                    problem = f"{name} {shape} R={rank} c={collinearity:g}"
                    results[problem] = summarise(race(data, loss, rank, args.starts, args.limit))
                    print(problem, file=sys.stderr, flush=True)
    for problem, (load, loss, rank) in REAL.items():
        results[problem] = summarise(race(load(), loss, rank, args.starts, args.limit))
    print(markdown(results))
    if args.json:
        versions = {"gcp": version("gcp-tensor"), "numpy": np.__version__, "processor": platform.processor()}
        with open(args.json, "w") as file:
            json.dump({"versions": versions, "gaps": GAPS, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
