"""Fits on extreme data: every one ends with a finite model inside its bounds, or in a clear error.

    python scripts/benchmarks/reliability.py [--starts 100] [--seed 0] [--processes 2] [--quick]
        [--page docs/reliability.md]

Every loss, for dense, sparse and observed data, with every solver, from 100 random starts, which take the cases below
in turn. A fit has at most 200 iterations and 30 seconds. What may happen:

- converged: finite, inside the bounds, no higher than the start
- not converged: the same, with a status that says why it stopped
- refused: one of gcp's own errors (data outside the domain, a solver not for them, an infinite start)
- wrong: anything else; each is listed

Needs no extra. Writes the tables to --page.
"""

from __future__ import annotations

import argparse
import collections
import signal
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from _losses import RACED

import gcp

SOLVERS = {
    "auto": "auto",
    "lbfgsb": "lbfgsb",
    "plbfgs": "plbfgs",
    "als": "als",
    "rows": "rows",
    "sampled-rows": "sampled-rows",
    "adam": gcp.Adam(epoch_iters=30, n_iter_max=30),
}
KINDS = ("dense", "sparse", "observed")
OUTCOMES = ("converged", "not converged", "refused", "wrong")
SHAPE, RANK = (10, 8, 6), 2
LIMIT = 30


class Hang(Exception):
    """A fit took longer than the limit."""


# --- the cases: data, weights, and the arguments of the fit, from data that suit the loss -------------------


def plain(x, rng):
    return x, None, {}


def huge_values(x, rng):
    """To 1e6; counts stay whole, yes/no data as they are."""
    if x.max() <= 1 and set(np.unique(x)) <= {0.0, 1.0}:
        return x, None, {}
    scaled = x * (1e6 / max(x.max(), 1e-300))
    return (np.round(scaled) if np.array_equal(x, np.round(x)) else scaled), None, {}


def huge_model(x, rng):
    """A start whose model reaches 1e3 in size."""
    factors = [rng.uniform(0.5, 1.0, (n, RANK)) * 10 for n in x.shape]
    return x, None, {"init": factors}


def all_zeros(x, rng):
    return np.zeros_like(x), None, {}


def all_ones(x, rng):
    return np.ones_like(x), None, {}


def one_nonzero(x, rng):
    y = np.zeros_like(x)
    y[tuple(rng.integers(0, n) for n in x.shape)] = 1.0
    return y, None, {}


def constant_slice(x, rng):
    y = x.copy()
    y[0] = y[0].flat[0]
    return y, None, {}


def zero_slice(x, rng):
    y = x.copy()
    y[:, 1] = 0.0
    return y, None, {}


def size_one(x, rng):
    return x[:, :1], None, {}


def rank_above(x, rng):
    return x[:2, :2, :2], None, {"rank": 5}


def duplicated_slices(x, rng):
    return np.repeat(x[:1], len(x), axis=0), None, {}


def collinear_start(x, rng):
    return x, None, {"init": [np.repeat(rng.uniform(0.1, 1.0, (n, 1)), RANK, axis=1) for n in x.shape]}


def mostly_missing(x, rng):
    known = rng.random(x.shape) < 0.01
    known[tuple(rng.integers(0, n) for n in x.shape)] = True
    return x, known.astype(float), {}


def wild_weights(x, rng):
    return x, 10.0 ** rng.uniform(-12, 12, x.shape), {}


def single_precision(x, rng):
    return x.astype(np.float32), None, {}


CASES = {
    "data that suit the loss": plain,
    "values to 1e6": huge_values,
    "model to 1e3 at the start": huge_model,
    "all zeros": all_zeros,
    "all ones": all_ones,
    "one nonzero": one_nonzero,
    "a constant slice": constant_slice,
    "a slice of zeros": zero_slice,
    "a mode of size 1": size_one,
    "rank above the sizes": rank_above,
    "equal slices": duplicated_slices,
    "collinear start": collinear_start,
    "99 % missing": mostly_missing,
    "weights 1e-12 to 1e12": wild_weights,
    "float32": single_precision,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=100, help="of each loss, kind of data and solver")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one start for each case of two losses")
    parser.add_argument("--loss", nargs="+", default=None, help="these losses only")
    parser.add_argument("--page", type=Path, help="file for the tables")
    given = parser.parse_args()
    losses = given.loss or (["poisson", "bernoulli-logit"] if given.quick else list(RACED))
    starts = len(CASES) if given.quick else given.starts
    counts: collections.Counter = collections.Counter()
    wrong, began = [], time.perf_counter()
    tasks = [(loss, k, starts, given.seed) for k, loss in enumerate(losses)]
    with ProcessPoolExecutor(given.processes) as pool:
        for loss, (own, bad) in zip(losses, pool.map(campaign, tasks), strict=True):
            counts.update(own)
            wrong += bad
            print(f"{loss} done, {len(bad)} wrong, {time.perf_counter() - began:.0f} s", flush=True)
    text = page(counts, wrong, losses, starts)
    print(text)
    if given.page:
        given.page.write_text(text)
    sys.exit(1 if wrong else 0)


def campaign(task) -> tuple[collections.Counter, list[str]]:
    """The outcomes of one loss, counted by case, solver, loss and kind of data; and what went wrong."""
    loss, number, starts, seed = task
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _ring)
    counts: collections.Counter = collections.Counter()
    wrong = []
    for kind, solver, k in product(KINDS, SOLVERS, range(starts)):
        case = list(CASES)[k % len(CASES)]
        key = [seed, k, number, KINDS.index(kind)]
        outcome, told = attempt(loss, kind, solver, case, key)
        for group in (case, f"solver {solver}", f"loss {loss}", kind):
            counts[group, outcome] += 1
        if outcome == "wrong":
            wrong.append(f"{loss}, {kind}, {solver}, {case}, key {key}: {told}")
            print(wrong[-1], flush=True)
    return counts, wrong


def attempt(loss, kind, solver, case, key) -> tuple[str, str]:
    """What one fit comes to."""
    rng = np.random.default_rng(key)
    seed = int(rng.integers(1 << 31))
    scale = 1.0
    x = np.asarray(gcp.simulate(SHAPE, RANK, loss, scale=scale, random_state=seed)[0].values)
    x, weights, options = CASES[case](x.astype(float), rng)
    rank = options.pop("rank", RANK)
    signal.alarm(LIMIT)
    try:
        data = as_kind(kind, x, weights, rng)
        own = gcp.get_loss(loss)
        limit = {} if solver == "adam" else {"n_iter_max": 200}
        result = gcp.fit_gcp(
            data, rank, loss=own, solver=SOLVERS[solver], random_state=seed, n_threads=1, **options, **limit
        )
    except gcp.GcpError:
        return "refused", ""
    except Hang:
        return "wrong", f"took more than {LIMIT} s"
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    if found := faults(result, own):
        return "wrong", found
    return ("converged" if result.converged else "not converged"), ""


def as_kind(kind, x, weights, rng):
    """The data as a dense array, a list of nonzeros, or a list of some cells."""
    if kind == "dense":
        return gcp.DenseTensor(x, entry_weights=weights)
    if kind == "sparse":
        subs = np.argwhere(x != 0)
        own = None if weights is None else weights[x != 0]
        return gcp.SparseTensor(subs, x[x != 0], x.shape, entry_weights=own)
    known = rng.random(x.shape) < 0.7
    known.flat[0] = True
    return gcp.ObservedTensor(
        np.argwhere(known), x[known], x.shape, entry_weights=None if weights is None else weights[known]
    )


def faults(result, loss) -> str:
    """What is wrong with a result, or nothing."""
    arrays = [result.weights, *result.factors]
    if not all(np.isfinite(a).all() for a in arrays):
        return "the model is not finite"
    if not np.isfinite(result.objective):
        return f"the objective is {result.objective}"
    if loss.model_domain.low >= 0 and any((a < 0).any() for a in arrays):
        return "a factor is negative"
    first = result.trace["objective"][0]
    if "sample" not in result.message and result.objective > first + 1e-6 * abs(first) + 1e-9:
        return f"the objective rose from {first} to {result.objective}"
    return ""


def page(counts, wrong, losses, starts) -> str:
    """The tables."""
    n = sum(count for (group, _), count in counts.items() if group in KINDS)
    lines = [
        "# Reliability",
        "",
        f"Written by `scripts/benchmarks/reliability.py`: {n:,} fits, {starts} starts of each of {len(losses)}",
        f"losses, {len(KINDS)} kinds of data and {len(SOLVERS)} solvers, which take the cases in turn. What the",
        "outcomes mean, and the cases, are in the script. Data are {} x {} x {}, rank {}.".format(
            *SHAPE, RANK
        ),
        "",
    ]
    for title, groups in (
        ("case", list(CASES)),
        ("solver", [f"solver {name}" for name in SOLVERS]),
        ("loss", [f"loss {name}" for name in losses]),
        ("data", list(KINDS)),
    ):
        lines += [f"| {title} | {' | '.join(OUTCOMES)} |", "|---|" + "---:|" * len(OUTCOMES)]
        for group in groups:
            lines.append(
                f"| {group.removeprefix('solver ').removeprefix('loss ')} | "
                + " | ".join(f"{counts[group, outcome]:,}" for outcome in OUTCOMES)
                + " |"
            )
        lines.append("")
    lines += [f"- {line}" for line in wrong]
    return "\n".join(lines) + "\n"


def _ring(*_):
    raise Hang


if __name__ == "__main__":
    main()
