"""Where more workers stop paying: predictions from measured kernel time, latency and bandwidth.

    python scripts/benchmarks/workers_model.py [--json docs/benchmarks/workers.json] [--page FILE]

An evaluation on W workers of one thread takes

    entries * (kernel seconds per entry) / W  +  latency(W)  +  bytes(W) / bandwidth

where latency(W) = a + b * (number of tasks) is fitted to tensors of some cells (W parts on two workers of eight
threads: scheduler and client have the same work as with W workers, which would be less crowded), the kernel's time to
one thread here on the largest cube, and bytes(W) are those of tensors cut along mode 0: the other factors to every
worker and their gradient back (summed eight at a time beyond eight), the rows of mode 0 once each way. All of it
passes through one client. The predictions for 1 and 2 workers stand beside what was measured.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from gcp.tensors.parts.dask.placement import sums_of

NUMBER = 4
WORKERS = (1, 2, 8, 64, 512)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=Path("docs/benchmarks/workers.json"))
    parser.add_argument("--page", type=Path, help="where to write the tables, with what was measured")
    given = parser.parse_args()
    found = json.loads(given.json.read_text())
    model = Model(found)
    text = page(found, model)
    print(text)
    if given.page:
        given.page.write_text(text)


class Model:
    """Predicted seconds of an evaluation."""

    def __init__(self, found) -> None:
        largest = max(found["cubes"], key=lambda row: row["entries"])
        self.per_entry = largest["seconds"]["here, 1 thread"][1] / largest["entries"]
        tasks = np.array([n_tasks(row["parts"], 2) for row in found["latency"]], float)
        seconds = np.array([row["seconds"][1] for row in found["latency"]])
        columns = np.stack([np.ones(len(tasks)), tasks], axis=1)
        (self.a, self.b), _ = nnls(columns / seconds[:, None], np.ones(len(tasks)))  # relative errors
        self.bandwidth, self.rank = found["bandwidth"], found["rank"]

    def seconds(self, shape, workers) -> float:
        kernel = math.prod(shape) * self.per_entry / workers
        return (
            kernel + self.a + self.b * n_tasks(workers, workers) + self.moved(shape, workers) / self.bandwidth
        )

    def moved(self, shape, workers) -> float:
        """Bytes out, between and back."""
        others, own = sum(shape[1:]) * self.rank * NUMBER, shape[0] * self.rank * NUMBER
        return (
            2 * own + others * workers + others * workers
        )  # each worker's sums move once, up or to the client

    def best(self, shape) -> int:
        """Workers beyond which an evaluation takes longer."""
        return min((2**k for k in range(15)), key=lambda workers: self.seconds(shape, workers))


def n_tasks(parts, workers) -> int:
    """Tasks of an evaluation, one part a thread; beyond eight, also sums, what goes elsewhere for them, and rows."""
    homes = [str(k * workers // parts) for k in range(parts)]
    levels = sums_of(homes)
    if not levels:
        return parts
    sent = sum(homes[k] != place for numbers, place in levels[0] for k in numbers)
    return parts + sum(map(len, levels)) + sent + len(set(homes))


def page(found, model) -> str:
    lines = [
        "# Data in parts on workers",
        "",
        "Written by `scripts/benchmarks/workers_model.py` from what `scripts/benchmarks/workers.py` measured:",
        f"dense Poisson counts, float32, rank {found['rank']}, cut along mode 0; loss and gradient; medians of "
        f"{found['repeats']} (quartiles) in ms. The workers are processes of a Dask cluster; those of",
        "`gcp fit --workers` are threads of one process, between which nothing travels.",
        "",
        "| entries | here, 2 threads | here, 1 thread | 1 worker | 2 workers | overhead | efficiency | "
        "kB out, back | kB of an all-reduce |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["cubes"]:
        s = row["seconds"]
        over = s["2 workers"][1] - s["here, 1 thread"][1] / 2
        cells = [f"{1e3 * m:.1f} ({1e3 * low:.1f}-{1e3 * high:.1f})" for low, m, high in s.values()]
        moved = f"{row['bytes']['out'] / 1e3:.0f}, {row['bytes']['back'] / 1e3:.0f}"
        lines.append(
            f"| {row['entries']:.2g} | {' | '.join(cells)} | {1e3 * over:.1f} | "
            f"{s['here, 2 threads'][1] / s['2 workers'][1]:.2f} | {moved} | {row['bytes_of_all_reduce'] / 1e3:.0f} |"
        )
    lines += [
        "",
        "Overhead: two workers beyond half of one thread's time. Efficiency: one process of two threads over two",
        "workers. They share two cores and the memory with scheduler and client, which the model leaves out.",
        "",
        f"The model: {1e9 * model.per_entry:.2f} ns an entry on one thread, latency {1e3 * model.a:.1f} ms + "
        f"{1e3 * model.b:.2f} ms a task, {model.bandwidth / 1e6:.0f} MB/s.",
        "",
        "| entries | measured, 1 worker | predicted | measured, 2 workers | predicted |",
        "|---|---|---|---|---|",
    ]
    for row in found["cubes"]:
        cells = []
        for workers, name in ((1, "1 worker"), (2, "2 workers")):
            predicted = model.seconds(row["shape"], workers)
            cells += [f"{1e3 * row['seconds'][name][1]:.1f}", f"{1e3 * predicted:.1f}"]
        lines.append(f"| {row['entries']:.2g} | {' | '.join(cells)} |")
    lines += [
        "",
        "Predicted: how many times as fast as one thread, for cubes and for a tensor of users (whose long mode is",
        "cut), and the number of workers (a power of 2) beyond which an evaluation takes longer again:",
        "",
        f"| shape | one thread | {' | '.join(f'{w} workers' for w in WORKERS[1:])} | stops paying |",
        "|---|---|" + "---|" * len(WORKERS),
    ]
    for shape in ((464,) * 3, (1000,) * 3, (2154,) * 3, (4642,) * 3, (1_000_000, 1000, 100)):
        alone = math.prod(shape) * model.per_entry
        gains = [f"{alone / model.seconds(shape, workers):.1f}" for workers in WORKERS[1:]]
        shown = " x ".join(f"{n:,}" for n in shape)
        lines.append(f"| {shown} | {alone:.2f} s | {' | '.join(gains)} | {model.best(shape)} |")
    lines += ["", "Parts of some cells on two workers of one thread, medians (quartiles) in ms:", ""]
    for row in found["many_parts"]:
        low, median, high = (1e3 * one for one in row["seconds"])
        lines.append(f"- {row['parts']} parts: {median:.0f} ({low:.0f}-{high:.0f})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
