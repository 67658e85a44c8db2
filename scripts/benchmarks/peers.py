"""Race whole fits of gcp against the peers: seconds to given gaps, from the same starts, on planted problems.

    pip install .[bench]
    python scripts/benchmarks/peers.py [--quick] [--shape 50x50x50 ...] [--loss poisson ...] [--json FILE]

The competitors: `fit_gcp` with its default and both named solvers; pyttb's `gcp_opt` with LBFGSB; SciPy's L-BFGS-B on
an objective written in plain NumPy; for Gaussian TensorLy's `parafac`; for Gaussian and Poisson pygenten's `gcp_opt`.
Each lives in a process of its own, with the same number of threads, and computes only while the others wait. For
each start they run one after another, the order rotated from start to start. A competitor makes three iterations on
the problem before each fit that is timed: compilation and imports are not part of a fit, and neither is the copy of
the data into a peer's own tensor. All are given tight tolerances, 1000 iterations and the same time at most.

How to read the tables. The gap is the distance to the lowest value that all competitors reached from the start,
relative to the distance of the start from it; runs that failed or that a limit cut off have no say in it (unless all
were cut off), and need infinite time if they never reach it. "s to 0.0001" is the median of the seconds over the
starts (least - greatest). Passes are evaluations of the objective with its gradient; sweeps over the modes for
TensorLy, iterations for pygenten; gcp's are seen at the ends of iterations. Success is the share of starts whose end
lies within 1e-3 of the best minimum that anyone found from any start. Competitors often end in different minima:
read times together with success. A run fails if its process dies, if its values at the start or the end are not
those of gcp's objective, or if it ends before half the way to the best end from its start; its times are infinite.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import pickle
import platform
import subprocess
import sys
import threading
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _peers_numpy import FORMULAS
from _peers_worker import COMPETITORS, loss_of
from kernels import processor
from solver_race import GAPS, SUCCESS, planted

import gcp

COLLINEARITIES = (0.0, 0.5, 0.9)
LEFT_OUT = {
    "negative-binomial": "pyttb: left out, its negative-binomial gradient is not that of its objective"
}
LOSSES = [loss for loss in FORMULAS if loss not in LEFT_OUT]
AGREEMENT = 1e-8
STUCK = 0.5
N_ITER_MAX = 1000
WARM_UP = 3
PACKAGES = ("gcp-tensor", "numpy", "scipy", "llvmlite", "pyttb", "tensorly", "pygenten")


class Worker:
    """A competitor's process, started when asked and started again after its death."""

    def __init__(self, name, n_threads):
        self.name, self.process = name, None
        threads = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
        self.environment = os.environ | {f"{library}_NUM_THREADS": str(n_threads) for library in threads}
        self.environment |= {"OMP_PROC_BIND": "false"}

    def ask(self, job, patience):
        """The answer to a job; an error if the process dies, or is killed when the patience is over."""
        if self.process is None:
            command = [sys.executable, str(Path(__file__).with_name("_peers_worker.py")), self.name]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self.process = subprocess.Popen(command, env=self.environment, **pipes)
        alarm = threading.Timer(patience, self.process.kill)
        alarm.start()
        try:
            pickle.dump(job, self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.kill()
            status, self.process = self.process.wait(), None
            return {"error": f"the process ended with status {status}"}
        finally:
            alarm.cancel()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def race(workers, data, loss, rank, arguments):
    """Of every start the objective there, and the trajectory of each competitor or an error."""
    objective = gcp.build_objective(data, loss_of(loss), n_threads=arguments.threads)
    common = {"data": data, "loss": loss, "n_threads": arguments.threads}
    common["max_seconds"] = arguments.max_seconds
    patience = 60 + 3 * arguments.max_seconds
    names, runs = list(workers), []
    for seed in range(arguments.starts):
        start = random_start(data, loss, rank, seed)
        first = objective.value_and_grad(start)[0]
        found = {}
        for k in range(len(names)):
            name = names[(k + seed) % len(names)]
            job = common | {"start": start}
            workers[name].ask(job | {"n_iter_max": WARM_UP}, patience)
            answer = workers[name].ask(job | {"n_iter_max": N_ITER_MAX}, patience)
            found[name] = answer | {"error": answer.get("error") or disagreement(answer, objective, first)}
        runs.append((first, {name: found[name] for name in names}))
    return runs


def random_start(data, loss, rank, seed):
    """Where gcp would begin, with the norms of a component spread evenly over the modes, as pyttb has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gcp.ConvergenceWarning)
        begun = gcp.fit_gcp(data, rank, loss=loss_of(loss), n_iter_max=0, random_state=seed)
    norms = begun.weights ** (1 / data.ndim)
    return [np.ascontiguousarray(a * norms) for a in begun.factors]


def disagreement(answer, objective, first):
    """What is wrong with the values of a run, if anything."""
    last = objective.value_and_grad(answer["factors"])[0]
    for where, value, true in (("start", answer["values"][0], first), ("end", answer["values"][-1], last)):
        if not abs(value - true) <= AGREEMENT * max(abs(first), abs(true)):
            return f"its value at the {where} is {value:.10g}, where gcp's objective is {true:.10g}"
    return None


def summarise(runs):
    """Per competitor and start: passes and seconds to the gaps, success, the end, and why it failed."""
    columns = ("passes", "seconds", "success", "end", "finished", "failure")
    rows = {name: {column: [] for column in columns} for name in runs[0][1]}
    overall = min(min(ends(found), default=math.inf) for _, found in runs)
    for first, found in runs:
        best = min(ends(found), default=math.inf)
        for run in found.values():
            if not run["error"] and run["values"][-1] > best + STUCK * (first - best):
                run["error"] = "it ended before half the way to the best end from its start"
        finished = {name: run for name, run in found.items() if run.get("finished")}
        reached = max(ends(finished) or ends(found), default=math.inf)
        for name, run in found.items():
            row, failed = rows[name], run["error"] is not None
            at = [None if failed else reach(run["values"], reached + gap * (first - reached)) for gap in GAPS]
            row["passes"].append([math.inf if k is None else run["passes"][k] for k in at])
            row["seconds"].append([math.inf if k is None else run["seconds"][k] for k in at])
            row["end"].append(math.inf if failed else float(run["values"][-1]))
            row["success"].append(bool(row["end"][-1] <= overall + SUCCESS * (first - overall)))
            row["finished"].append(failed or run["finished"])
            row["failure"].append(run["error"])
    return rows


def ends(found):
    """The last values of the runs that did not fail."""
    return [run["values"][-1] for run in found.values() if not run["error"]]


def reach(values, target):
    """Where a trajectory has come down to a value; None if it does not."""
    return int(np.argmax(values <= target)) if values[-1] <= target else None


def problem_table(problem, rows):
    """Medians over the starts, with the least and the greatest of the seconds."""
    titles = [f"s to {gap:g}" for gap in GAPS] + ["passes", "success"]
    lines = [f"### {problem}", "", f"| | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for name, row in rows.items():
        seconds = np.array(row["seconds"])
        cells = [f"{np.median(s):.3g} ({s.min():.3g} - {s.max():.3g})" for s in seconds.T]
        cells.append(" / ".join(f"{p:.0f}" for p in np.median(row["passes"], axis=0)))
        lines.append(f"| {name} | {' | '.join(cells)} | {np.mean(row['success']):.0%} |")
    for name, row in rows.items():
        if reasons := [reason for reason in row["failure"] if reason]:
            lines += ["", f"{name} failed on {len(reasons)} of {len(row['failure'])} starts: {reasons[0]}."]
    if cut_off := [
        f"{name} {row['finished'].count(False)}" for name, row in rows.items() if not all(row["finished"])
    ]:
        lines += ["", f"Cut off by a limit, on so many starts: {', '.join(cut_off)}."]
    return "\n".join(lines) + "\n"


def summary_table(results):
    """Per competitor the time to the middle gap, relative to the first competitor's, over the problems."""
    medians = {
        problem: {name: float(np.median(row["seconds"], axis=0)[1]) for name, row in rows.items()}
        for problem, rows in results.items()
    }
    reference = next(name for name in COMPETITORS if any(name in times for times in medians.values()))
    title = f"time to {GAPS[1]:g}, relative to {reference}: median (least - greatest)"
    beaten = f"problems where {reference} succeeds less often"
    lines = ["### Summary", "", f"| | problems | {title} | success | {beaten} |", "|---|---|---|---|---|"]
    for name in COMPETITORS:
        ratios = [
            times[name] / times[reference]
            for times in medians.values()
            if name in times and math.isfinite(times.get(reference, math.inf))
        ]
        if ratios:
            spread = f"{np.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
            shared = [rows for rows in results.values() if name in rows]
            success = np.mean([rows[name]["success"] for rows in shared])
            worse = sum(
                np.mean(rows[reference]["success"]) < np.mean(rows[name]["success"]) for rows in shared
            )
            lines.append(f"| {name} | {len(ratios)} | {spread} | {success:.0%} | {worse} |")
    return "\n".join(lines) + "\n"


def environment_of(arguments):
    """What the numbers depend on."""
    found = {}
    for package in PACKAGES:
        if importlib.util.find_spec("gcp" if package == "gcp-tensor" else package):
            found[package] = version(package)
    files = ("json", "markdown", "results")
    settings = {name: str(value) for name, value in vars(arguments).items() if name not in files}
    versions = {"python": platform.python_version(), **found}
    return {
        "processor": processor(),
        "threads": arguments.threads,
        "versions": versions,
        "settings": settings,
    }


def write(path, text):
    """All of a file or nothing."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)


def record_of(environment, results):
    """As JSON, which has no infinity: null."""
    record = environment | {"gaps": GAPS, "results": results}
    return json.dumps(exchanged(record, math.inf, None), indent=1) + "\n"


def together(files):
    """The environment and the results of several races on one machine."""
    environment = {key: files[0][key] for key in ("processor", "threads", "versions")}
    results = {}
    for file in files:
        for key, value in environment.items():
            if file[key] != value:
                raise SystemExit(f"The races differ in {key}: {value} and {file[key]}.")
        results |= {problem: as_read(rows) for problem, rows in file["results"].items()}
    settings = files[0]["settings"]
    shared = {
        key: settings[key] for key in settings if all(f["settings"].get(key) == settings[key] for f in files)
    }
    return environment | {"settings": shared}, results


def as_read(rows):
    """The summary of a problem, from what `record_of` made of it."""
    numbers = ("passes", "seconds", "end")
    return {
        name: row | {key: exchanged(row[key], None, math.inf) for key in numbers}
        for name, row in rows.items()
    }


def exchanged(value, old, new):
    """With one number for another, at any depth."""
    if isinstance(value, dict):
        return {key: exchanged(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [exchanged(item, old, new) for item in value]
    return new if value == old else value


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two tiny problems, two starts")
    parser.add_argument("--shape", nargs="+", default=["50x50x50", "100x100x100"])
    parser.add_argument("--rank", nargs="+", type=int, default=[10])
    parser.add_argument("--loss", nargs="+", choices=list(FORMULAS), default=LOSSES)
    parser.add_argument("--collinearity", nargs="+", type=float, default=list(COLLINEARITIES))
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(COMPETITORS), default=list(COMPETITORS))
    parser.add_argument("--max-seconds", type=float, default=20.0, help="of one fit")
    parser.add_argument("--json", type=Path, help="written after every problem")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--results", type=Path, nargs="+", help="JSON files of races to tabulate together")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.shape, arguments.rank, arguments.starts = ["20x15x10"], [3], 2
        arguments.loss, arguments.collinearity = ["gaussian", "poisson"], [0.5]
    return arguments


def race_all(arguments):
    """Per problem the summary of its race."""
    workers = {}
    for name, competitor in COMPETITORS.items():
        if name not in arguments.only:
            continue
        if importlib.util.find_spec(competitor.package):
            workers[name] = Worker(name, arguments.threads)
        else:
            print(f"{name}: left out, {competitor.package} is not installed (pip install .[bench])\n")
    environment, results = environment_of(arguments), {}
    for loss in arguments.loss:
        if loss in LEFT_OUT:
            print(f"{LEFT_OUT[loss]}\n")
        racing = {name: worker for name, worker in workers.items() if loss in COMPETITORS[name].losses}
        for shape in arguments.shape:
            for rank in arguments.rank:
                for collinearity in arguments.collinearity:
                    problem = f"{loss} {shape} R={rank} c={collinearity:g}"
                    sizes = tuple(map(int, shape.split("x")))
                    data = planted(loss_of(loss), sizes, rank, collinearity, seed=1).astype(float)
                    results[problem] = summarise(race(racing, data, loss, rank, arguments))
                    print(problem_table(problem, results[problem]), flush=True)
                    if arguments.json:
                        write(arguments.json, record_of(environment, results))
    for worker in workers.values():
        worker.close()
    return environment, results


def main():
    arguments = parse()
    if arguments.results:
        environment, results = together([json.loads(path.read_text()) for path in arguments.results])
    else:
        environment, results = race_all(arguments)
    versions = ", ".join(f"{package} {number}" for package, number in environment["versions"].items())
    below = f"{environment['processor']}, {environment['threads']} thread(s); {versions}.\n"
    print(summary_table(results), below, sep="\n")
    if arguments.json and arguments.results:
        write(arguments.json, record_of(environment, results))
    if arguments.markdown:
        tables = [problem_table(problem, rows) for problem, rows in results.items()]
        write(arguments.markdown, "\n".join([*tables, summary_table(results), below]))


if __name__ == "__main__":
    main()
