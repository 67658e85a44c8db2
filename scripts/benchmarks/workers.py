"""One process of two threads beside two worker processes of one thread: seconds and bytes of an evaluation.

    python scripts/benchmarks/workers.py [--quick] [--repeats 15] [--json docs/benchmarks/workers.json]

Dense Poisson counts in float32, cubes of 1e6 to 1e8 entries, rank 10; an evaluation is the loss and its gradient, as
L-BFGS-B asks for it. In turn: here with two threads, here with one, on one worker, on two; medians and quartiles.
Overhead is what two workers need beyond half of one thread's time; efficiency is one process of two threads over two
workers. Bytes are of arrays, as the crew counts them, beside the formula for a full all-reduce (sum of the sizes of
all modes times the rank, once for each worker, and back).

Latency is that of tensors of some cells, in 1 to 16 parts on as many threads, and in up to 256 on two; bandwidth that
of a matrix of few columns and long rows, whose factor of 8 MB goes to both workers.
scripts/benchmarks/workers_model.py makes predictions of these.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

import gcp

RANK = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1e5 and 1e6 entries, three repeats")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sizes, repeats = ((1e5, 1e6), 3) if given.quick else ((1e6, 1e7, 3e7, 1e8), given.repeats)
    found = {"rank": RANK, "repeats": repeats, "cubes": [], "latency": [], "many_parts": []}
    with cluster(1) as one, cluster(2) as two, cluster(2, threads=8) as wide:
        for entries in sizes:
            found["cubes"].append(cube(entries, one, two, repeats))
            told(found["cubes"][-1])
        for parts in (1, 2, 4, 8, 16):
            median = timed({"tiny": evaluation(tiny(), parts, wide)[0]}, 10 * repeats)["tiny"]
            found["latency"].append({"parts": parts, "seconds": median})
            print(f"{parts} parts of some cells: {1e3 * median[1]:.1f} ms", flush=True)
        for parts in (8, 64, 256):
            median = timed({"tiny": evaluation(tiny(parts), parts, two)[0]}, 2 * repeats)["tiny"]
            found["many_parts"].append({"parts": parts, "seconds": median})
            print(f"{parts} parts of some cells on two threads: {1e3 * median[1]:.1f} ms", flush=True)
        found["bandwidth"] = bandwidth(two, repeats)
    print(f"bandwidth: {found['bandwidth'] / 1e6:.0f} MB/s")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


@contextmanager
def cluster(workers: int, threads: int = 1):
    """The client of a cluster of processes of so many threads."""
    quiet = {"dashboard_address": ":0", "silence_logs": 50}
    with (
        LocalCluster(n_workers=workers, threads_per_worker=threads, processes=True, **quiet) as found,
        Client(found, set_as_default=False) as client,
    ):
        yield client


def tiny(size=16):
    return np.ones((size, 4, 4), np.float32)


def evaluation(x, parts, client):
    """A function that evaluates the parts on workers, and the tensor."""
    tensor = gcp.partition(x, parts, client=client)
    objective = gcp.build_objective(tensor, "poisson")
    factors = some_factors(x.shape)
    return (lambda: objective.value_and_grad(factors)), tensor


def some_factors(shape, rank=RANK):
    rng = np.random.default_rng(0)
    return [rng.uniform(0.1, 1.0, (n, rank)).astype(np.float32) for n in shape]


def cube(entries, one, two, repeats) -> dict:
    side = round(entries ** (1 / 3))
    shape = (side, side, side)
    x = np.random.default_rng(1).poisson(2.0, shape).astype(np.float32)
    factors = some_factors(shape)
    here = {n: gcp.build_objective(x, "poisson", n_threads=n) for n in (2, 1)}
    single, _ = evaluation(x, 1, one)
    double, tensor = evaluation(x, 2, two)
    seconds = timed(
        {
            "here, 2 threads": lambda: here[2].value_and_grad(factors),
            "here, 1 thread": lambda: here[1].value_and_grad(factors),
            "1 worker": single,
            "2 workers": double,
        },
        repeats,
    )
    account = tensor.account()
    return {
        "shape": shape,
        "entries": side**3,
        "seconds": seconds,
        "bytes": {name: account[f"bytes_{name}"] for name in ("out", "between", "back")},
        "bytes_of_all_reduce": 2 * 2 * sum(shape) * RANK * 4,
    }


def timed(calls, repeats) -> dict:
    """Lower quartile, median and upper quartile of seconds, the calls in turn."""
    found = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - began)
    return {name: [float(q) for q in np.quantile(own, (0.25, 0.5, 0.75))] for name, own in found.items()}


def bandwidth(client, repeats) -> float:
    """Bytes a second of large factors, out and back, of two workers."""
    x = np.ones((4, 200_000), np.float32)
    small, _ = evaluation(x[:, :10], 2, client)
    tensor = gcp.partition(x, 2, mode=0, client=client)
    objective, factors = gcp.build_objective(tensor, "poisson"), some_factors(x.shape)
    seconds = timed({"small": small, "large": lambda: objective.value_and_grad(factors)}, repeats)
    account = tensor.account()
    moved = account["bytes_out"] + account["bytes_between"] + account["bytes_back"]
    return moved / (seconds["large"][1] - seconds["small"][1])


def told(row) -> None:
    s = row["seconds"]
    for name, (low, median, high) in s.items():
        print(f"{row['entries']:>12,} {name:>16}: {1e3 * median:8.1f} ms ({1e3 * low:.1f}-{1e3 * high:.1f})")
    over = s["2 workers"][1] - s["here, 1 thread"][1] / 2
    ratio = s["here, 2 threads"][1] / s["2 workers"][1]
    print(f"{'':>12} overhead {1e3 * over:.1f} ms, efficiency {ratio:.2f}, bytes {row['bytes']}", flush=True)


if __name__ == "__main__":
    main()
