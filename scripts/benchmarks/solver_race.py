"""Race the solvers from the same starts on planted problems: seconds and passes to given gaps.

    python scripts/benchmarks/solver_race.py [--quick] [--shape 50x50x50 ...] [--rank 5 ...] [--loss poisson ...]
        [--json FILE] [--markdown FILE]

One thread. The solvers take turns at every start, and who begins changes from start to start. They have their own
tolerances, but for a tighter `tol`, and at most 1000 iterations. Times are those of the ends of iterations; a pass is
one evaluation of the objective with its gradient, or one sweep of ALS. A gap is the distance to the lowest value that
all solvers reached from the start, relative to where the start was: they often end in different minima, and success
says how often in a good one, the share of starts that end within 1e-3 of the best minimum that any solver found from
any start.

Prints a Markdown table of medians, loss by loss, of the ratio to `lbfgsb`: of seconds and passes to the middle gap
(problem by problem the ratio of the medians over the starts), and the success of each. The JSON file has the medians
of every problem; it is rewritten after each. `--results A.json B.json` tabulates earlier races, of parts of the
problems, together.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _losses import RACED
from kernels import processor  # first: it sets the number of BLAS threads

import gcp
from gcp.base import threads
from gcp.kernels.dense.dense_pass import model_values
from gcp.objectives.bounds import resolve
from gcp.solvers import Auto
from gcp.solvers.starts.initial import match_mean, random_factors

GAPS = (1e-2, 1e-4, 1e-6)
SUCCESS = 1e-3
SOLVERS = {"lbfgsb": gcp.LBFGSB, "auto": Auto, "plbfgs": gcp.PreconditionedLBFGS}
COLLINEARITY = (0.0, 0.5, 0.9)
SHAPES = ("50x50x50", "100x100x100", "60x80x100", "30x30x30x30")
RANKS = (5, 10, 20)
TOL = 1e-10
N_ITER_MAX = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small shape, one rank, two starts")
    parser.add_argument("--shape", nargs="+", default=SHAPES)
    parser.add_argument("--rank", nargs="+", type=int, default=RANKS)
    parser.add_argument("--loss", nargs="+", default=list(RACED))
    parser.add_argument("--collinearity", nargs="+", type=float, default=COLLINEARITY)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--max-seconds", type=float, default=20.0, help="of a run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--results", type=Path, nargs="+", help="JSON files of races to tabulate together")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.shape, arguments.rank, arguments.starts = ["20x15x10"], [3], 2
    problems = [p for path in arguments.results or [] for p in json.loads(path.read_text())["problems"]]
    for shape in arguments.shape if not problems else []:
        for rank in arguments.rank:
            for collinearity in arguments.collinearity:
                for name in arguments.loss:
                    problem = {"loss": name, "shape": shape, "rank": rank, "collinearity": collinearity}
                    problem["solvers"] = race(problem, arguments.starts, arguments.max_seconds)
                    problems.append(problem)
                    save(arguments.json, json.dumps(record(problems, arguments.starts), indent=1) + "\n")
    save(arguments.json, json.dumps(record(problems, arguments.starts), indent=1) + "\n")
    text = markdown(problems, arguments.starts)
    print(text)
    save(arguments.markdown, text + "\n")


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


def race(problem, n_starts, max_seconds):
    """Of every solver medians of seconds and passes to the gaps, their range, and the share of good ends."""
    loss = gcp.get_loss(problem["loss"])
    shape = tuple(map(int, problem["shape"].split("x")))
    data = planted(loss, shape, problem["rank"], problem["collinearity"], seed=1)
    objective = gcp.build_objective(data, loss, n_threads=1)
    shapes = [(size, problem["rank"]) for size in shape]
    bounds = resolve(None, shapes, objective.loss.model_domain, objective.loss.name)
    # Without ALS, "auto" is plbfgs.
    names = [name for name in SOLVERS if name != "plbfgs" or loss.name == "gaussian"]
    runs = []
    for seed in range(n_starts):
        start = random_factors(objective, problem["rank"], bounds, np.random.default_rng(seed))
        found = {}
        for k in range(len(names)):
            name = names[(k + seed) % len(names)]
            if seed == 0:
                run(objective, name, start, bounds, 3, max_seconds)  # compiles
            found[name] = run(objective, name, start, bounds, N_ITER_MAX, max_seconds)
        runs.append(found)
    return {name: summary(name, runs) for name in names}


def run(objective, name, start, bounds, n_iter_max, max_seconds):
    """Objective, seconds and passes at the start and after every iteration."""
    value, _ = objective.value_and_grad(start)
    rows = [(value, 0.0, 1)]
    method = SOLVERS[name](tol=TOL, n_iter_max=n_iter_max, max_seconds=max_seconds)
    began = time.perf_counter()

    def record(state):
        rows.append((state.objective, time.perf_counter() - began, state.n_eval))

    with threads.single_threaded_blas():
        out = method.solve(objective, start, bounds, record)
    rows.append((out.objective, time.perf_counter() - began, out.n_eval))
    values, seconds, passes = np.array(rows).T
    return np.minimum.accumulate(values), seconds, passes


def summary(name, runs):
    """Of one solver in one problem."""
    overall = min(values[-1] for found in runs for values, _, _ in found.values())
    seconds, passes, good = [], [], []
    for found in runs:
        reached_by_all = max(values[-1] for values, _, _ in found.values())
        values, clock, counts = found[name]
        at = [int(np.argmax(values <= reached_by_all + gap * (values[0] - reached_by_all))) for gap in GAPS]
        seconds.append(clock[at])
        passes.append(counts[at])
        good.append(bool(values[-1] <= overall + SUCCESS * (values[0] - overall)))
    return {
        "seconds": np.median(seconds, axis=0).tolist(),
        "least": np.min(seconds, axis=0).tolist(),
        "greatest": np.max(seconds, axis=0).tolist(),
        "passes": np.median(passes, axis=0).tolist(),
        "success": float(np.mean(good)),
    }


def record(problems, n_starts):
    """What the JSON file holds."""
    versions = {
        name: version(package)
        for name, package in (
            ("gcp", "gcp-tensor"),
            ("numpy", "numpy"),
            ("scipy", "scipy"),
            ("llvmlite", "llvmlite"),
        )
    }
    return {
        "versions": versions,
        "processor": processor(),
        "threads": 1,
        "starts": n_starts,
        "gaps": GAPS,
        "problems": problems,
    }


def ratios(problems, key, gap=1, solver="auto"):
    """Problem by problem, the medians of a solver by those of lbfgsb."""
    found = [problem["solvers"] for problem in problems]
    return np.array([f[solver][key][gap] / max(f["lbfgsb"][key][gap], 1e-9) for f in found])


def markdown(problems, n_starts):
    """A row per loss, then per shape, rank and collinearity, then all."""
    lines = [
        f"Ratio of `auto` to `lbfgsb`, to a gap of {GAPS[1]:g}: median over the problems (quartiles).",
        "",
        "| problems | number | seconds | passes | seconds to 0.01 | to 1e-06 | slower | success auto / lbfgsb |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in ("loss", "shape", "rank", "collinearity"):
        for value in sorted({problem[key] for problem in problems}):
            lines.append(row(f"{key} {value}", [p for p in problems if p[key] == value]))
    lines.append(row("**all**", problems))
    if both := [p for p in problems if "plbfgs" in p["solvers"]]:
        als = np.array(
            [p["solvers"]["auto"]["seconds"][1] / p["solvers"]["plbfgs"]["seconds"][1] for p in both]
        )
        lines += ["", f"Gaussian: seconds of `auto` (ALS first) to those of `plbfgs`: {spread(als)}."]
    about = record(problems, n_starts)
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    lines += ["", f"{versions}; {about['processor']}, one thread; {n_starts} starts a problem."]
    return "\n".join(lines)


def row(title, problems):
    seconds = ratios(problems, "seconds")
    success = [np.mean([p["solvers"][name]["success"] for p in problems]) for name in ("auto", "lbfgsb")]
    cells = [
        title,
        str(len(problems)),
        spread(seconds),
        spread(ratios(problems, "passes")),
        f"{np.median(ratios(problems, 'seconds', 0)):.2f}",
        f"{np.median(ratios(problems, 'seconds', 2)):.2f}",
        f"{np.mean(seconds > 1):.0%}",
        f"{success[0]:.0%} / {success[1]:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def spread(values):
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


def save(path, text):
    """Replace a file at once, if one was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(text)
        os.replace(temporary, path)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
