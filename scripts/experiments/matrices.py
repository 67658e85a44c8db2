"""The matrix case: gradient descent finds the truncated SVD, and completes a matrix of ratings.

    python scripts/experiments/matrices.py [--quick] [--seed 0] [--out results/matrices]

First, Eckart and Young (1936): the best fit of rank R to a matrix is its truncated singular value decomposition. A
matrix is a tensor of two modes; `fit_gcp` under the Gaussian loss starts at random and knows nothing of singular
values. Its excess is (||X - M||^2 - e) / e, with e the sum of the squared singular values beyond the R-th
(numpy.linalg.svd). Matrices: flights of `gcp.datasets` by destination and by month and hour, and a planted one in
noise whose singular values beyond the planted ones are close to each other.

Second, ratings of which few are known, where no SVD is defined: Funk's stochastic steps ("Netflix Update: Try This at
Home", 2006: one rating after the other, a step of a rate times the error; the learning rate and the strength of 0.02
that he names are quoted from memory), here with biases and all components at once, compiled; against Adam on
mini-batches and row-wise Newton steps of gcp. Synthetic ratings 3.6 + user + film + a product of rank 10 + noise of
standard deviation 0.8, which is the least error that anyone can have; a tenth is held out. Each method has the
settings that were best for the held-out ratings: Funk's steps a rate of 0.002 to 0.02 and a strength of 0.02 to 0.1,
gcp a ridge of 2 to 20, chosen with the row-wise steps. Seconds count making the tensor, but neither the compilation
nor judging; three runs, methods in turn. Time them on an idle machine.

Writes svd.csv, completion.csv, curves.csv, run.json and matrices.png.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, Run, panels

import gcp
from gcp.base.compiler.jit import jit

RATES, STRENGTHS = (0.002, 0.005, 0.01, 0.02), (0.02, 0.05, 0.1)
RIDGES = (2.0, 5.0, 10.0, 20.0)
NOISE, RANK = 0.8, 10
STYLES = {"Funk's steps": ORANGE, "adam": PURPLE, "row-wise Newton": BLUE}


def main() -> None:
    run = Run(__doc__, "matrices", quick="two ranks, few ratings, one run")
    rows = svd_rows(run)
    caption = "Error of rank-R fits beyond the truncated SVD's, relative; from random starts"
    run.table("svd", caption, rows)
    for solver in ("auto", "lbfgsb"):
        worst = max(row["excess"] for row in rows if row["solver"] == solver)
        run.compare(
            f"largest excess over the truncated SVD, solver {solver}",
            worst,
            "at most 1e-8",
            source="Eckart and Young 1936; numpy.linalg.svd",
            agrees=worst <= 1e-8,
        )
    data = ratings(run, *((300, 200, 12_000) if run.quick else (6_000, 4_000, 1_000_000)))
    curves = race(data, run)
    run.csv("curves", curves)
    run.table("completion", "Held-out error against seconds; noise 0.8", summary(curves))
    run.finish(draw(rows, curves))


# --- the truncated SVD ------------------------------------------------------------------------------------


def svd_rows(run) -> list[dict]:
    """The excess of every matrix, rank and solver."""
    flights = np.asarray(run.dataset("nyc_flights").values, dtype=float).sum(axis=0)
    rng = np.random.default_rng(run.seed)
    planted = rng.standard_normal((200, 5)) @ rng.standard_normal((5, 150)) + rng.standard_normal((200, 150))
    matrices = {"flights": flights.reshape(len(flights), -1), "planted": planted}
    rows = []
    for name, x in matrices.items():
        singular = np.linalg.svd(x, compute_uv=False)
        for rank in (1, 5) if run.quick else (1, 2, 5, 10, 20):
            least = float(np.sum(singular[rank:] ** 2))
            for solver in ("auto", "lbfgsb"):
                result = gcp.fit_gcp(
                    x, rank, solver=solver, tol=1e-15, n_iter_max=20_000, random_state=run.seed
                )
                error = float(np.sum((x - result.predict()) ** 2))
                rows.append(
                    {
                        "matrix": f"{name}, {' x '.join(map(str, x.shape))}",
                        "rank": rank,
                        "gap": round(float(singular[rank - 1] / singular[rank]), 3),
                        "solver": solver,
                        "excess": float(f"{error / least - 1:.2g}"),
                        "iterations": result.n_iter,
                    }
                )
    return rows


# --- completion -------------------------------------------------------------------------------------------


def ratings(run, n_users, n_films, n_known):
    """Tensors of known and of held-out ratings; some users and films have many, most have few."""
    rng = np.random.default_rng(run.seed)
    shares = [rng.gamma(a, 1, n) + b for a, b, n in ((0.8, 0.05, n_users), (0.4, 0.02, n_films))]
    drawn = [rng.choice(len(p), 2 * n_known, p=p / p.sum()) for p in shares]
    cells = rng.permutation(np.unique(drawn[0] * n_films + drawn[1]))[:n_known]
    users, films = cells // n_films, cells % n_films
    a, b = rng.standard_normal((n_users, RANK)), rng.standard_normal((n_films, RANK))
    product = 0.6 / np.sqrt(RANK) * np.einsum("er,er->e", a[users], b[films])
    effects = 0.4 * rng.standard_normal(n_users)[users] + 0.4 * rng.standard_normal(n_films)[films]
    stars = 3.6 + effects + product + NOISE * rng.standard_normal(len(cells))
    held = rng.random(len(cells)) < 0.1
    subs = np.column_stack([users, films])
    return (subs[~held], stars[~held]), (subs[held], stars[held]), (n_users, n_films)


def race(data, run) -> list[dict]:
    """All competitors in turn, several times over; a row for each iteration or epoch."""
    epochs, repeats, seconds = (2, 1, 0.3) if run.quick else (40, 3, 20.0)
    steps = list(itertools.product(RATES, STRENGTHS))[-2 if run.quick else 0 :]
    least = {s: min(e for _, e in funk(data, *s, epochs, run.seed)) for s in steps}
    rate, strength = min(least, key=least.__getitem__)
    newton = {"solver": "rows", "n_iter_max": epochs}
    adam = {"solver": gcp.Adam(polish=False, max_seconds=seconds)}
    by_gcp(ratings(run, 30, 20, 200), adam, 1.0, run.seed)  # compiles; the others are compiled by then
    ends = {ridge: min(e for _, e in by_gcp(data, newton, ridge, run.seed)) for ridge in RIDGES}
    ridge = min(ends, key=ends.__getitem__)
    print(f"\nFunk's steps: rate {rate}, strength {strength}; gcp: ridge {ridge:g}")
    methods = {
        f"Funk's steps, rate {rate}, strength {strength}": lambda: funk(
            data, rate, strength, epochs, run.seed
        ),
        f"row-wise Newton, ridge {ridge:g}": lambda: by_gcp(data, newton, ridge, run.seed),
        f"adam, ridge {ridge:g}": lambda: by_gcp(data, adam, ridge, run.seed),
    }
    return [
        {"method": name, "run": k, "step": step, "seconds": passed, "rmse": error}
        for k in range(repeats)
        for name, method in methods.items()
        for step, (passed, error) in enumerate(method())
    ]


def by_gcp(data, options, ridge, seed) -> list[tuple[float, float]]:
    """Seconds and held-out errors after every iteration."""
    (subs, x), test, shape = data
    curve, judging, began = [], 0.0, time.perf_counter()

    def judge(state):
        nonlocal judging
        now = time.perf_counter()
        curve.append((now - began - judging, rmse(*state.factors, *test)))
        judging += time.perf_counter() - now

    gcp.fit_gcp(
        gcp.ObservedTensor(subs, x, shape),
        RANK,
        main_effects=True,
        l2_reg=ridge,
        random_state=seed,
        callback=judge,
        **options,
    )
    return curve


def rmse(a, b, subs, x) -> float:
    """Of factors with a column of ones beside each column of main effects."""
    return float(np.sqrt(np.mean((np.einsum("er,er->e", a[subs[:, 0]], b[subs[:, 1]]) - x) ** 2)))


def funk(data, rate, strength, epochs, seed) -> list[tuple[float, float]]:
    """Funk's steps, with biases: the last two columns of each factor."""
    (subs, x), test, (n_users, n_films) = data
    rng = np.random.default_rng(seed)
    curve, seconds = [], 0.0
    began = time.perf_counter()
    a, b = (0.1 * rng.standard_normal((n, RANK + 2)) for n in (n_users, n_films))
    a[:, RANK], a[:, RANK + 1], b[:, RANK], b[:, RANK + 1] = 0.0, 1.0, 1.0, 0.0
    mean = x.mean()
    for _ in range(epochs):
        funk_epoch(a, b, subs, x - mean, rng.permutation(len(x)), rate, strength)
        seconds += time.perf_counter() - began
        curve.append((seconds, rmse(a, b, test[0], test[1] - mean)))
        began = time.perf_counter()
    return curve


@jit
def funk_epoch(a, b, subs, x, order, rate, strength):
    rank = a.shape[1] - 2
    for k in range(order.size):
        e = order[k]
        i, j, error = subs[e, 0], subs[e, 1], x[e]
        for r in range(rank + 2):
            error -= a[i, r] * b[j, r]
        for r in range(rank):
            mine = a[i, r]
            a[i, r] += rate * (error * b[j, r] - strength * mine)
            b[j, r] += rate * (error * mine - strength * b[j, r])
        a[i, rank] += rate * (error - strength * a[i, rank])
        b[j, rank + 1] += rate * (error - strength * b[j, rank + 1])


def summary(curves) -> list[dict]:
    """When each method was within 0.02 and 0.005 of the least error of all, and its own least."""
    least = min(row["rmse"] for row in curves)
    table = []
    for name in dict.fromkeys(row["method"] for row in curves):
        runs = sorted({row["run"] for row in curves})
        own = [[row for row in curves if (row["method"], row["run"]) == (name, k)] for k in runs]
        line = {"method": name, "least RMSE": round(min(row["rmse"] for row in own[0]), 4)}
        for limit in (0.02, 0.005):
            reached = [
                [row["seconds"] for row in one if row["rmse"] < least + limit] or [np.nan] for one in own
            ]
            first = [seconds[0] for seconds in reached]
            line[f"seconds to {least + limit:.4f}"] = (
                "not reached"
                if np.isnan(first).any()
                else f"{np.median(first):.2f} ({min(first):.2f}-{max(first):.2f})"
            )
        line["seconds a step"] = round(float(np.median([one[-1]["seconds"] / len(one) for one in own])), 3)
        table.append(line)
    return table


def draw(rows, curves):
    """The excess by rank; held-out errors against seconds."""
    figure, axes = panels(1, 2, 8.5, 3.6)
    left, right = axes[0]
    for (matrix, color), (solver, marker) in (
        (m, s)
        for m in zip(dict.fromkeys(row["matrix"] for row in rows), (BLUE, GREEN), strict=True)
        for s in (("auto", "o"), ("lbfgsb", "x"))
    ):
        own = [row for row in rows if (row["matrix"], row["solver"]) == (matrix, solver)]
        left.plot(
            [row["rank"] for row in own],
            [max(row["excess"], 1e-16) for row in own],
            marker,
            ms=5,
            color=color,
            label=f"{matrix}: {solver}",
        )
    left.axhline(1e-8, color="0.6", lw=0.8)
    left.set_yscale("log")
    left.set_xticks(sorted({row["rank"] for row in rows}))
    left.set_xlabel("rank", fontsize=8)
    left.set_ylabel("error beyond the truncated SVD's, relative", fontsize=8)
    left.legend(fontsize=7, frameon=False)
    for row_name in dict.fromkeys(row["method"] for row in curves):
        color = next(c for name, c in STYLES.items() if row_name.startswith(name))
        for k in sorted({row["run"] for row in curves}):
            own = [row for row in curves if (row["method"], row["run"]) == (row_name, k)]
            right.plot(
                [row["seconds"] for row in own],
                [row["rmse"] for row in own],
                color=color,
                lw=1.2,
                alpha=0.8,
                label=row_name if k == 0 else None,
            )
    right.axhline(NOISE, color="0.6", lw=0.8)
    right.text(right.get_xlim()[1], NOISE, "noise", fontsize=7, color="0.4", ha="right", va="bottom")
    right.set_xscale("log")
    right.set_xlabel("seconds", fontsize=8)
    right.set_ylabel("held-out RMSE", fontsize=8)
    right.legend(fontsize=7, frameon=False, loc="upper right")
    return figure


if __name__ == "__main__":
    main()
