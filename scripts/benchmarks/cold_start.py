"""The first fit on a machine where nothing is compiled yet: seconds, and where they go.

    python scripts/benchmarks/cold_start.py [CHECKOUT ...] [--case NAME ...] [--rounds 3] [--functions 10]
                                            [--json FILE] [--markdown FILE]

Each case runs in a process of its own with an empty folder for compiled code; several checkouts of the package
take turns. Seconds are from the start of `import gcp` to the end of the fit, and of the same fit once more; those
of compilation are seconds in the compiler, and among them those in LLVM (optimisation and machine code). Of checkouts
before decision 39 they are Numba's, of the fit's own process alone: another one compiled beside it. Cases:
nyc_flights (dense), nyc_aircraft (sparse) and planted data; `one more loss` is the second fit of a process, of
another loss. Prints a Markdown table of medians and ranges, and with --functions the dearest functions of each case.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WORKER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
began = time.perf_counter()
import gcp
import numpy as np

class Compilations:
    def __init__(self):
        self.running, self.functions, self.number = [], {}, 0
    def begin(self, *_):
        self.running.append([time.perf_counter(), 0.0])
    def end(self, function):
        start, inner = self.running.pop()
        seconds = time.perf_counter() - start
        if self.running:
            self.running[-1][1] += seconds
        name = f"{function.__module__}.{function.__qualname__.rpartition('.')[2]}"
        self.functions[name] = self.functions.get(name, 0.0) + seconds - inner
        self.number += 1

class Seconds:
    def __init__(self):
        self.total, self.depth, self.start = 0.0, 0, 0.0
    def begin(self, *_):
        self.start = self.start if self.depth else time.perf_counter()
        self.depth += 1
    def end(self, *_):
        self.depth -= 1
        self.total += 0.0 if self.depth else time.perf_counter() - self.start

compilations, llvm = Compilations(), Seconds()
try:
    from gcp.base.compiler import jit, machine
except ImportError:
    from numba.core import event

    class Listener(event.Listener):
        def __init__(self, whom):
            self.whom = whom
        def on_start(self, what):
            self.whom.begin()
        def on_end(self, what):
            self.whom.end(getattr((what.data or {}).get("dispatcher"), "py_func", None))

    event.register("numba:compile", Listener(compilations))
    event.register("numba:llvm_lock", Listener(llvm))
else:
    def timed(function, *arguments):
        llvm.begin()
        found = function(*arguments)
        llvm.end()
        return found

    watching = jit.compilations_seen(compilations.begin, compilations.end)
    watching.__enter__()
    object_code = machine.object_code
    machine.object_code = lambda text: timed(object_code, text)
rng = np.random.default_rng(0)
SHAPE = (300, 200, 100)

def cells(n=20_000):
    return np.unique(np.stack([rng.integers(0, size, n) for size in SHAPE], axis=1), axis=0)

def observed():
    subs = cells()
    return gcp.ObservedTensor(subs, rng.standard_normal(len(subs)), SHAPE)

def planted():
    factors = [rng.standard_normal((size, 4)) for size in (24, 30, 50)]
    return np.einsum("ir,jr,kr->ijk", *factors) + 0.1 * rng.standard_normal((24, 30, 50))

def fit(x, rank, loss, **options):
    return lambda: gcp.fit_gcp(x, rank, loss=loss, random_state=0, **options)

def counts():
    return gcp.datasets.load_nyc_flights()

CASES = {
    "dense Poisson": lambda: fit(counts(), 4, "poisson", n_iter_max=50),
    "dense Poisson, lbfgsb": lambda: fit(counts(), 4, "poisson", solver="lbfgsb", n_iter_max=50),
    "dense Gaussian": lambda: fit(planted(), 4, "gaussian"),
    "sparse Poisson": lambda: fit(gcp.datasets.load_nyc_aircraft(), 4, "poisson", n_iter_max=20),
    "observed Gaussian": lambda: fit(observed(), 4, "gaussian", n_iter_max=20),
}
LATER = {
    "dense, one more loss": (
        CASES["dense Poisson"],
        lambda: fit(counts(), 4, "negative-binomial", n_iter_max=50),
    ),
    "observed, one more loss": (
        CASES["observed Gaussian"],
        lambda: fit(observed(), 4, "huber", n_iter_max=20),
    ),
}

if sys.argv[2] in LATER:
    before, later = LATER[sys.argv[2]]
    before()()
    case = later()
    began, llvm.total = time.perf_counter(), 0.0
    compilations.functions, compilations.number = {}, 0
else:
    case = CASES[sys.argv[2]]()
case()
first = time.perf_counter() - began
found = [first, len(compilations.functions), compilations.number, sum(compilations.functions.values()), llvm.total]
functions = dict(compilations.functions)
began = time.perf_counter()
case()
print(json.dumps([*found, time.perf_counter() - began, functions]))
"""
CASES = (
    "dense Poisson",
    "dense Poisson, lbfgsb",
    "dense Gaussian",
    "sparse Poisson",
    "observed Gaussian",
    "dense, one more loss",
    "observed, one more loss",
)
COLUMNS = ("first fit", "functions", "compilations", "compiling", "LLVM", "again")
FORMATS = (".0f", ".0f", ".1f", ".1f", ".2f")  # of all but the first


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("checkouts", nargs="*", type=Path, default=[here])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--functions", type=int, default=0, help="how many of the dearest to print")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    checkouts = [path.resolve() for path in arguments.checkouts]
    found: dict[str, dict[str, list[list]]] = {case: {} for case in arguments.case}
    for case in arguments.case:
        for k in range(arguments.rounds):
            for path in _turned(checkouts, k):
                found[case].setdefault(str(path), []).append(measured(path, case))
    text = table(found, arguments.functions)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text + "\n")


def _turned(checkouts: list[Path], k: int) -> list[Path]:
    """Return the checkouts, another one first in each round."""
    return checkouts[k % len(checkouts) :] + checkouts[: k % len(checkouts)]


def measured(checkout: Path, case: str) -> list:
    """Return what a process with nothing compiled reports of a case: the `COLUMNS`, and seconds by function."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", WORKER, str(checkout), case],
            env=os.environ | {"GCP_CACHE_DIR": folder, "NUMBA_CACHE_DIR": folder},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def table(found: dict[str, dict[str, list[list]]], n_functions: int) -> str:
    """Return a Markdown table of medians, and ranges of the first fit."""
    lines = ["| case | checkout | " + " | ".join(COLUMNS) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
    for case, by_checkout in found.items():
        for checkout, rounds in by_checkout.items():
            columns = list(zip(*(each[:6] for each in rounds), strict=True))
            first, *others = map(statistics.median, columns)
            spread = f"{first:.1f} ({min(columns[0]):.1f}-{max(columns[0]):.1f})"
            numbers = " | ".join(f"{n:{form}}" for n, form in zip(others, FORMATS, strict=True))
            lines.append(f"| {case} | {Path(checkout).name} | {spread} | {numbers} |")
    for case, by_checkout in found.items():
        for checkout, rounds in by_checkout.items():
            dearest = sorted(rounds[0][6].items(), key=lambda item: -item[1])[:n_functions]
            lines += ["", f"{case}, {Path(checkout).name}:"] if dearest else []
            lines += [f"- {seconds:.2f} {name}" for name, seconds in dearest]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
