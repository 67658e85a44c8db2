"""Fit a tensor that is larger than the memory it may take: peak memory, and passes against plain reading.

    python scripts/benchmarks/out_of_core.py --folder DIR [--size 12GB] [--memory 2GB] [--rank 10] [--page FILE]

Writes (once, to DIR) a random low-rank tensor of counts as an .npy file, slab by slab; runs `gcp fit --memory` on it
in a process of its own, whose peak resident size the operating system tells; and times passes over the file (value,
gradient and curvature) and plain reads of it, with blocks of the same size, in turns. "cold": after the file was
dropped from the page cache (os.posix_fadvise; other caches, of the disk or of a host, stay). Last, the kernel's speed
on a slab that stays in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from kernels import processor

import gcp
from gcp.base.sizes import parse_bytes, show_bytes

LOSS = "poisson"
PLANTED = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the file, which stays there")
    parser.add_argument("--size", type=parse_bytes, default="12GB")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--rank", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--page", type=Path, help="Markdown file for the table")
    arguments = parser.parse_args()
    path = written(arguments.folder, arguments.size)
    lines = report(path, arguments)
    print("\n".join(lines))
    if arguments.page:
        arguments.page.write_text("\n".join(lines) + "\n")


def written(folder: Path, size: int) -> Path:
    """The file, made if it is not there."""
    n = round((size / 8) ** (1 / 3))
    path = folder / f"counts_{n}.npy"
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    factors = [rng.gamma(1.0, 1.0, (n, PLANTED)) / PLANTED ** (1 / 3) for _ in range(3)]
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (n, n, n)}
        np.lib.format.write_array_header_1_0(file, header)
        for row in factors[0]:
            file.write(rng.poisson((factors[1] * row) @ factors[2].T).astype("<f8"))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    return path


def report(path: Path, arguments: argparse.Namespace) -> list[str]:
    size = path.stat().st_size
    tensor = gcp.read_tensor(path, memory=arguments.memory)
    if not isinstance(tensor, gcp.PartitionedTensor):
        raise SystemExit(f"{path} fits into {arguments.memory}: nothing to measure.")
    block = max(tensor.cuts.sizes) * size // tensor.shape[0]
    fit = fitted(path, arguments)
    seconds = timed(tensor, path, block, arguments)
    cold = statistics.median(seconds["plain read, cold"])
    versions = ", ".join(f"{name} {version(name)}" for name in ("gcp-tensor", "numpy", "llvmlite"))
    lines = [
        "# Data larger than memory",
        "",
        f"`python scripts/benchmarks/out_of_core.py --size {show_bytes(arguments.size).replace(' ', '')} --memory "
        f"{arguments.memory} --rank {arguments.rank}`: {processor()}, {os.cpu_count()} cores; {versions}.",
        "",
        f"{' x '.join(map(str, tensor.shape))} counts (float64, {show_bytes(size)}), {LOSS}, rank {arguments.rank}, "
        f"{tensor.crew.n_parts} slabs of {show_bytes(block)}.",
        "",
        f"`gcp fit --memory {arguments.memory} --max-iter {arguments.iterations}`: peak resident size "
        f"**{show_bytes(fit['peak'])}**; {fit['before']:.1f} s for two passes beside the iterations (are the data in "
        f"the loss's domain; the null model), loading and compiling; {fit['n_eval']} evaluations in "
        f"{fit['seconds']:.1f} s, {fit['seconds'] / fit['n_eval']:.2f} s each.",
        "",
        "| over the whole file | seconds (range) | GB/s | speed / plain read, cold |",
        "|---|---|---|---|",
    ]
    for name, times in seconds.items():
        middle = statistics.median(times)
        lines.append(
            f"| {name} | {middle:.2f} ({min(times):.2f} - {max(times):.2f}) | {size / middle / 1e9:.2f} "
            f"| {cold / middle:.2f} |"
        )
    return lines


def fitted(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Peak resident size and times of the command."""
    command = [sys.executable, "-m", "gcp", "fit", str(path), "--memory", arguments.memory, "--loss", LOSS]
    command += [
        "--rank",
        str(arguments.rank),
        "--max-iter",
        str(arguments.iterations),
        "--seed",
        "0",
        "--json",
    ]
    drop(path)
    process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.PIPE)
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the fit failed: status {os.waitstatus_to_exitcode(status)}")
    found = json.loads(told)
    solving = found["starts"][0]["seconds"]
    return {
        "peak": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "n_eval": found["n_eval"],
        "seconds": solving,
        "before": found["seconds"] - solving,
    }


def timed(tensor, path: Path, block: int, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of plain reads, of passes, and of the kernel alone as if over the whole file."""
    rng = np.random.default_rng(1)
    factors = [rng.gamma(1.0, 1.0, (n, arguments.rank)) / arguments.rank ** (1 / 3) for n in tensor.shape]
    formula = gcp.get_loss(LOSS).formula
    n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    slab = gcp.DenseTensor(np.array(next(iter(tensor.crew.parts)).values))
    own = [factors[0][: slab.shape[0]], *factors[1:]]

    def evaluate(data, at):
        return data.loss_mttkrps_and_marginals(formula, at, n_threads)

    buffer = bytearray(block)
    cases = {
        "plain read, cold": (True, lambda: read(path, buffer), 1),
        "plain read, warm": (False, lambda: read(path, buffer), 1),
        "pass, cold": (True, lambda: evaluate(tensor, factors), 1),
        "pass, warm": (False, lambda: evaluate(tensor, factors), 1),
        "kernel on a slab in memory": (
            False,
            lambda: [evaluate(slab, own) for _ in range(10)],
            tensor.shape[0] / (10 * slab.shape[0]),
        ),
    }
    seconds = {name: [] for name in cases}
    evaluate(slab, own)  # compiled
    for _ in range(arguments.repeat):
        for name, (is_cold, run, times) in cases.items():
            if is_cold:
                drop(path)
            began = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - began) * times)
    return seconds


def read(path: Path, buffer: bytearray) -> None:
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def drop(path: Path) -> None:
    """Out of the page cache, where the system can do that."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
