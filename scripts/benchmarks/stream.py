"""A stream of days: seconds, memory and loss of `FitResult.update`, beside one fit of all days.

    python scripts/benchmarks/stream.py [--loss poisson] [--days 5686] [--links 5.3e6] [--rank 50] [--first 300]
        [--starts 3] [--batch 1] [--half-life N] [--data DIR] [--results FILE.json]

Planted data of the shape of GenTen's published notebook about streaming (hours x areas x kinds of 24 x 77 x 32, 5,686
days, 5.29 million links; theirs, on 8 threads: 98.8 s for the fit of all, about 0.7 s a day, more than an hour in
all): columns of gamma variates of shape 0.3, days that wander, each link drawn from one of 50 components. Under
"poisson" the data are counts; under "bernoulli-odds" a cell is 1 where there is any link.

"static" is one fit of all days (its defaults, one random start). "stream" is a fit of the first days, the best of
three starts, and then an update for every batch of days, in a process of its own that reads the links of one batch
at a time; each state is what the next begins with, and every 500 days it is saved, as a user would. Both processes
have the machine to themselves, one after the other. The gap is (loss of all data by the model at the end -
static's) / (null - static's), where the stream's model has for each day the row that its own update left. "since"
compares the same for the last 500 days, with both models as they end; memory is the process's peak so far.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kernels import processor

import gcp

SIZES = (24, 77, 32)
EVERY = 500


def main() -> None:
    given = arguments()
    folder = given.data / f"stream_{given.days}_{int(given.links)}_{given.rank}"
    if not (folder / "truth.npz").exists():
        plant(given, folder)
    if given.run:
        {"static": static, "stream": stream}[given.run](given, folder)
        return
    for run in ("static", "stream"):
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--run", run], check=True)
    report(given, folder)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", default="poisson", choices=["poisson", "bernoulli-odds"])
    parser.add_argument("--days", type=int, default=5686)
    parser.add_argument("--links", type=float, default=5.3e6)
    parser.add_argument("--rank", type=int, default=50)
    parser.add_argument("--first", type=int, default=300, help="days of the first fit")
    parser.add_argument("--starts", type=int, default=3, help="random starts of the first fit")
    parser.add_argument("--batch", type=int, default=1, help="days of an update")
    parser.add_argument("--half-life", type=float)
    parser.add_argument("--tol", type=float, default=1e-4)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gcp-races")
    parser.add_argument("--results", type=Path, help="a JSON file")
    parser.add_argument("--run", choices=["static", "stream"], help=argparse.SUPPRESS)
    return parser.parse_args()


def plant(given: argparse.Namespace, folder: Path) -> None:
    """Draw links, and keep them by day: subscripts, counts, and where each day begins."""
    rng = np.random.default_rng(1)
    n, rank = int(given.links), given.rank
    factors = [rng.gamma(0.3, 1.0, (size, rank)) for size in SIZES]
    walk = np.cumsum(rng.standard_normal((given.days, rank)), axis=0) * 0.24 / np.sqrt(200)
    factors.append(np.exp(walk) * rng.gamma(2.0, 0.5, (given.days, rank)))
    factors = [a / a.sum(axis=0) for a in factors]
    weights = rng.gamma(2.0, 1.0, rank)
    weights *= n / weights.sum()
    component = rng.choice(rank, n, p=weights / n)
    subs = np.empty((n, 4), np.int64)
    for mode, a in enumerate(factors):
        ends, u = np.cumsum(a, axis=0), rng.random(n)
        for r in range(rank):
            own = component == r
            subs[own, mode] = np.minimum(np.searchsorted(ends[:, r], u[own]), len(a) - 1)
    days_first = subs[:, [3, 0, 1, 2]]
    shape = (given.days, *SIZES)
    cells, counts = np.unique(np.ravel_multi_index(days_first.T, shape), return_counts=True)
    found = np.stack(np.unravel_index(cells, shape), axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    found[:, [1, 2, 3, 0]].astype(np.int32).tofile(folder / "subs.bin")
    counts.astype(float).tofile(folder / "counts.bin")
    np.save(folder / "begins.npy", np.searchsorted(found[:, 0], np.arange(given.days + 1)))
    np.savez(folder / "truth.npz", weights=weights, **{f"factor_{k}": a for k, a in enumerate(factors)})


class Days:
    """The links of a range of days, read from files."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.folder = folder
        self.begins = np.load(folder / "begins.npy")
        self.is_binary = given.loss != "poisson"

    def __call__(self, first: int, end: int) -> gcp.SparseTensor:
        begin, n = int(self.begins[first]), int(self.begins[end] - self.begins[first])
        subs = np.fromfile(self.folder / "subs.bin", np.int32, 4 * n, offset=16 * begin).reshape(n, 4)
        subs[:, 3] -= first
        counts = np.fromfile(self.folder / "counts.bin", float, n, offset=8 * begin)
        values = np.ones(n) if self.is_binary else counts
        return gcp.SparseTensor(subs, values, (*SIZES, end - first))


def static(given: argparse.Namespace, folder: Path) -> None:
    data = Days(given, folder)(0, given.days)
    began = time.perf_counter()
    result = gcp.fit_gcp(data, given.rank, loss=given.loss, random_state=0)
    keep(folder, "static", result, {"seconds": time.perf_counter() - began, "iterations": result.n_iter})


def stream(given: argparse.Namespace, folder: Path) -> None:
    days = Days(given, folder)
    began = time.perf_counter()
    first = {"loss": given.loss, "n_starts": given.starts, "random_state": 0}
    result = gcp.fit_gcp(days(0, given.first), given.rank, **first)
    points = [{"days": given.first, "seconds": time.perf_counter() - began, "memory": memory()}]
    history, sweeps = days(0, given.first), []
    for first in range(given.first, given.days, given.batch):
        end = min(first + given.batch, given.days)
        result = result.update(days(first, end), 3, history=history, half_life=given.half_life, tol=given.tol)
        history = None
        sweeps.append(result.n_iter)
        if end // EVERY > first // EVERY or end == given.days:
            result.save(folder / "state.npz")
            points.append({"days": end, "seconds": time.perf_counter() - began, "memory": memory()})
    size = (folder / "state.npz").stat().st_size / 2**20
    keep(folder, "stream", result, {"points": points, "sweeps": float(np.mean(sweeps)), "file": size})


def memory() -> float:
    """The process's peak in MB, without that of the one that began it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def keep(folder: Path, name: str, result: gcp.FitResult, facts: dict) -> None:
    result.save(folder / f"{name}_model.npz")
    (folder / f"{name}.json").write_text(json.dumps(facts | {"memory": memory()}))


def report(given: argparse.Namespace, folder: Path) -> None:
    facts = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("static", "stream")}
    models = {name: gcp.load(folder / f"{name}_model.npz") for name in ("static", "stream")}
    days, whole = Days(given, folder), models["static"]
    size = whole.null_objective - whole.objective
    points = facts["stream"]["points"]
    losses = []
    for before, point in zip([{"days": 0}, *points], points, strict=False):
        first, end = before["days"], point["days"]
        own = [loss_of(model, days(first, end), first, end) for model in models.values()]
        losses.append(own)
        point["gap since"] = (own[1] - own[0]) / size * given.days / (end - first)
    gap = (sum(own[1] for own in losses) - sum(own[0] for own in losses)) / size
    print(
        f"{processor()}; {days.begins[-1]:,} links, {given.loss}, rank {given.rank}, batches of {given.batch}"
    )
    print(f"static: {facts['static']['seconds']:.1f} s, {facts['static']['iterations']} iterations")
    print("days   seconds   MB   gap since")
    for point in points:
        print(f"{point['days']:5d} {point['seconds']:8.1f} {point['memory']:6.0f} {point['gap since']:9.4f}")
    print(
        f"stream: gap {gap:.4f}, {facts['stream']['sweeps']:.2f} sweeps, state {facts['stream']['file']:.1f} MiB"
    )
    if given.results:
        found = {"processor": processor(), "arguments": vars(given), "gap": gap, **facts}
        given.results.write_text(json.dumps(found, indent=1, default=str) + "\n")


def loss_of(model: gcp.FitResult, data: gcp.SparseTensor, first: int, end: int) -> float:
    factors = [model.factors[0] * model.weights, *model.factors[1:3], model.factors[3][first:end]]
    return gcp.build_objective(data, model.loss).value_and_grad(factors)[0]


if __name__ == "__main__":
    main()
