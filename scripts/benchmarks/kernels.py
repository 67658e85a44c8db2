"""One evaluation of the objective (loss and all gradients) against this machine's floor.

    python scripts/benchmarks/kernels.py [--quick] [--threads 1] [--dtype float64] [--json FILE] [--markdown FILE]
    python scripts/benchmarks/kernels.py --compare    # float32 against float64, every loss, in turns

The floor of an evaluation is max(bytes of the data / read bandwidth, 6 N R flops / dgemm peak) plus the loss's
transcendental functions at the throughput of NumPy's own vectorised ufuncs. Bandwidth, dgemm peak and ufunc times are
measured in the same run, before and after each case, and the medians taken; peaks are of one core, whatever
--threads (floors for n threads are those of one thread / n, but for the bandwidth, which is measured).

Prints a Markdown table: milliseconds (median, minimum), nanoseconds per entry, ratio to the floor.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is loaded: dgemm's peak is that of one core

import numpy as np  # noqa: E402

import gcp  # noqa: E402

SHAPES = ((100,) * 3, (200,) * 3, (300,) * 3, (60,) * 4, (5, 201, 61), (20, 7, 20000))
RANKS = (5, 10, 20, 50)
UFUNCS = {  # what the formulas need at least, evaluated once
    "gaussian": (),
    "huber": (),
    "poisson": ("log",),
    "poisson-log": ("exp",),
    "gamma": ("log",),
    "rayleigh": ("log",),
    "bernoulli-logit": ("exp", "log1p"),
    "bernoulli-odds": ("log1p", "log"),
    "bernoulli-poisson": ("expm1", "log"),
    "negative-binomial": ("log1p", "log"),
    "negative-binomial-logit": ("exp", "log1p"),
    "beta-divergence": ("power", "power"),
}
MAIN = ("gaussian", "poisson", "bernoulli-logit")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three shapes, two ranks, three losses")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--compare", action="store_true", help="times of float32 and float64 in turns")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    if arguments.compare:
        compare(arguments.threads, arguments.repeats)
        return
    rows, table = (
        [],
        [
            "| shape | loss | R | floor ms | ms (min) | ns / entry | ratio |",
            "|---|---|---|---|---|---|---|",
        ],
    )
    print("\n".join(table))
    for case in cases(arguments.quick):
        row = measure(*case, arguments.threads, np.dtype(arguments.dtype), arguments.repeats)
        rows.append(row)
        table.append(
            f"| {row['shape']} | {row['loss']}{row['extra']} | {row['rank']} | {row['floor_ms']:.2f} "
            f"| {row['ms']:.2f} ({row['ms_min']:.2f}) | {row['ns_per_entry']:.2f} | {row['ratio']:.2f} |"
        )
        print(table[-1], flush=True)
    versions = {name: version(name) for name in ("gcp-tensor", "numpy", "scipy", "llvmlite")}
    settings = {name: getattr(arguments, name) for name in ("quick", "threads", "dtype", "repeats")}
    if arguments.json:
        record = {"settings": settings, "processor": processor(), "versions": versions, "rows": rows}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.markdown:
        numbers = ", ".join(f"{name} {number}" for name, number in versions.items())
        below = f"{processor()}, {arguments.threads} thread(s), {arguments.dtype}; {numbers}."
        arguments.markdown.write_text("\n".join([*table, "", below, ""]))


def cases(quick: bool) -> list[tuple[tuple[int, ...], str, int, str]]:
    """Every shape and rank for three losses; every loss, a mask and weights at 200^3."""
    shapes = ((100,) * 3, (200,) * 3, (60,) * 4) if quick else SHAPES
    ranks = (10, 20) if quick else RANKS
    found = [(shape, loss, rank, "") for shape in shapes for loss in MAIN for rank in ranks]
    found += [((200,) * 3, "poisson", 10, extra) for extra in (" mask", " weights")]
    if not quick:
        found += [((200,) * 3, loss, 10, "") for loss in UFUNCS if loss not in MAIN]
    return found


def measure(
    shape: tuple[int, ...], loss: str, rank: int, extra: str, n_threads: int, dtype: np.dtype, repeats: int
) -> dict[str, float | str]:
    run, data = evaluation(shape, loss, rank, extra, n_threads, dtype)
    times, ceilings = [], []
    for _ in range(repeats):
        ceilings.append(ceiling(data, UFUNCS[loss]))
        # Several in a row, as within a fit: data in the caches that they fit, threads awake.
        times.append(clock(run, least=0.03))
    read, flop, ufunc = (statistics.median(column) for column in zip(*ceilings, strict=True))
    floor = max(read * data.size, 6 * data.size * rank * flop / n_threads) + ufunc * data.size / n_threads
    middle = statistics.median(times)
    return {
        "shape": " x ".join(map(str, shape)),
        "loss": loss,
        "extra": extra,
        "rank": rank,
        "floor_ms": 1e3 * floor,
        "ms": 1e3 * middle,
        "ms_min": 1e3 * min(times),
        "ns_per_entry": 1e9 * middle / data.size,
        "ratio": middle / floor,
    }


def evaluation(
    shape: tuple[int, ...], loss: str, rank: int, extra: str, n_threads: int, dtype: np.dtype
) -> tuple[Callable[[], object], np.ndarray]:
    """A compiled call that evaluates the loss and all gradients, and the data that it reads."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 2, shape) if "bernoulli" in loss else rng.poisson(2.0, shape)
    data = counts.astype(dtype)
    mask = rng.random(shape) < 0.9 if extra == " mask" else None
    weights = rng.uniform(0.5, 1.5, shape).astype(dtype) if extra == " weights" else None
    tensor = gcp.DenseTensor(data, mask=mask, entry_weights=weights)
    factors = [rng.uniform(0.1, 1.0, (size, rank)).astype(dtype) for size in shape]
    formula = gcp.get_loss(loss).formula
    tensor.loss_and_mttkrps(formula, factors, n_threads)
    return lambda: tensor.loss_and_mttkrps(formula, factors, n_threads), data


def compare(n_threads: int, repeats: int) -> None:
    """Print how many times faster float32 is, and how far its value is from float64's, relative to it."""
    print("| loss | R | float64 ms | float32 ms | float64 / float32 | difference of values |")
    print("|---|---|---|---|---|---|")
    for loss in UFUNCS:
        for rank in (10, 20):
            kinds = [np.dtype(np.float64), np.dtype(np.float32)]
            runs = [evaluation((200,) * 3, loss, rank, "", n_threads, kind)[0] for kind in kinds]
            pairs = [[clock(run, least=0.03) for run in runs] for _ in range(repeats)]
            double, single = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            a, b = (run()[0] for run in runs)
            print(
                f"| {loss} | {rank} | {double:.2f} | {single:.2f} | {ratio:.2f} | {abs(a - b) / abs(a):.0e} |",
                flush=True,
            )


def ceiling(data: np.ndarray, ufuncs: tuple[str, ...]) -> tuple[float, float, float]:
    """Seconds per entry to read the data, per flop of a square product, per entry for the ufuncs."""
    large = _LARGE.setdefault(data.dtype.name, np.ones(40_000_000, data.dtype))
    square = _SQUARE.setdefault(data.dtype.name, np.ones((1000, 1000), data.dtype))
    x = np.linspace(0.1, 3.0, 100_000).astype(data.dtype)
    out = np.empty_like(x)
    read = clock(lambda: large.sum()) / large.size
    flop = clock(lambda: square @ square) / (2 * 1000**3)
    calls: list[Callable[[], object]] = []
    for name in ufuncs:
        function = getattr(np, name)
        arguments = (x, x.dtype.type(0.7)) if name == "power" else (x,)
        calls.append(lambda function=function, arguments=arguments: function(*arguments, out=out))
    elementwise = sum(min(clock(call) for _ in range(5)) for call in calls) / x.size
    return read, flop, elementwise


_LARGE: dict[str, np.ndarray] = {}
_SQUARE: dict[str, np.ndarray] = {}


def clock(call: Callable[[], object], least: float = 2e-3) -> float:
    """Seconds of a call, repeated for at least this time."""
    count, spent = 0, 0.0
    began = time.perf_counter()
    while spent < least:
        call()
        count += 1
        spent = time.perf_counter() - began
    return spent / count


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
