"""Messages among students: links of a network under four losses.

    python scripts/experiments/uci_messages.py [--quick] [--seed 0] [--starts 10] [--out DIR] [--data DIR]

Who sent whom a message on which day, among the 200 most active of the University of California at Irvine's online
community: 200 x 200 x 195, 9,594 ones. The first example of Hong, Kolda and Duersch (Generalized canonical polyadic
tensor decomposition, SIAM Review 62, 2020), who fit rank 7 under Bernoulli losses with odds and logit links and under
the Gaussian loss, and compare components and the prediction of held-out links. Their choice of the 200 senders, with
9,764 ones (from memory), is not reproduced by ranking users by the number of messages; so orderings are compared, no
digits. Here also Bernoulli-Poisson (a link is at least one of a Poisson number of messages), whose zeros have a
closed form, alone and with a Dirichlet prior: without one a nonnegative model forbids what it has not seen.

A tenth of the ones and as many zeros are held out, with weights that make them stand for all cells. Judged are the
likelihood and the AUC, from many random starts. A Gaussian model gives no probability: its prediction is cut off at
the two ends where the training cells are most probable. The logit model has a ridge of 0.1, without which separable
rows have no finite optimum, and at most 150 iterations a start.

Data: T. Opsahl, P. Panzarasa, Clustering in weighted networks, Social Networks 31 (2009) 155-163, through the R
package tnet (GPL-3); needed is uci_messages/uci_messages.npz in DIR or $GCP_DATA (data/README.md).

Writes losses.csv, starts.csv, components.csv, run.json and uci_messages.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels
from scipy.stats import rankdata

import gcp

RANK = 7
FIRST_DAY = np.datetime64("2004-04-15")
LOSSES = {
    "Gaussian": {},
    "Gaussian, nonnegative": {"bounds": (0, None)},
    "bernoulli-odds": {"loss": "bernoulli-odds"},
    "bernoulli-poisson": {"loss": "bernoulli-poisson"},
    "bernoulli-poisson, prior": {"loss": "bernoulli-poisson", "dirichlet_reg": 0.1},
    "bernoulli-logit": {"loss": "bernoulli-logit", "l2_reg": 0.1, "n_iter_max": 150},
}
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, "#56B4E9", "0.45")
CUTS = 10.0 ** np.arange(-6, -1)


def main() -> None:
    run = Run(
        __doc__,
        "uci_messages",
        quick="two starts of few iterations",
        starts={"type": int, "default": 10, "help": "of each loss (default: 10)"},
    )
    data = run.load("uci_messages/uci_messages.npz")
    links = gcp.SparseTensor(
        data["top200_subs"], np.ones(len(data["top200_subs"])), tuple(map(int, data["top200_shape"]))
    )
    check_constant(run, links)
    split = gcp.hold_out(links, 0.1, run.seed)
    rows, kept = [], {}
    for name, options in LOSSES.items():
        limit = {"n_iter_max": 10} if run.quick else {}
        for k in range(2 if run.quick else run.given.starts):
            result = gcp.fit_gcp(split.train, RANK, random_state=1000 * run.seed + k, **(options | limit))
            rows.append({"loss": name, "start": k} | judged(result, split))
            if name not in kept or result.objective < kept[name].objective:
                kept[name] = result
        print(f"{name} done", flush=True)
    run.csv("starts", rows)
    run.table(
        "losses",
        "Held-out links, rank 7: median of the starts (least to most); likelihood as the share of the constant "
        "model's deviance that is explained",
        [summary(name, [row for row in rows if row["loss"] == name]) for name in LOSSES],
    )
    run.table("components", "Components under Bernoulli-odds, best start", named(kept["bernoulli-odds"]))
    run.finish(draw(rows, kept))


def check_constant(run, links) -> None:
    """The likelihood of one probability for all cells."""
    n, cells = len(links.values), float(np.prod(links.shape))
    p = n / cells
    known = -(n * np.log(p) + (cells - n) * np.log1p(-p))
    for loss in ("bernoulli-odds", "bernoulli-logit", "bernoulli-poisson"):
        ours = gcp.build_objective(links, loss).null_value
        run.compare(
            f"{loss}: loss of the best constant",
            round(ours, 4),
            round(known, 4),
            source="closed form: the entropy of the share of ones",
            agrees=abs(ours / known - 1) < 1e-7,
        )


def judged(result, split) -> dict:
    """Deviance explained and AUC of the held-out cells."""
    test = split.test
    p, x, w = result.predict(test.subs), np.asarray(test.values), np.asarray(test.entry_weights)
    low = 1e-12
    if result.loss.name == "gaussian":
        low = max(CUTS, key=lambda cut: of_training(result, split.train, cut))
    density = float(np.sum(w * log_likelihood(x, p, low)) / np.sum(w))
    share = float(np.sum(w * x) / np.sum(w))
    constant = share * np.log(share) + (1 - share) * np.log1p(-share)
    ranks, ones = rankdata(p), x > 0
    n, m = int(ones.sum()), int((~ones).sum())
    return {
        "explained": 1 - density / constant,
        "auc": float((ranks[ones].sum() - n * (n + 1) / 2) / (n * m)),
        "objective": result.objective,
        "converged": result.converged,
    }


def of_training(result, train, cut) -> float:
    """The likelihood of the training cells, with 20 zeros drawn for each one and weighted to stand for all."""
    rng = np.random.default_rng(0)
    ones = np.asarray(train.subs)
    zeros = np.column_stack([rng.integers(size, size=20 * len(ones)) for size in train.shape])
    weight = float(np.prod(train.shape)) / len(zeros)
    found = [log_likelihood(x, result.predict(subs), cut) for x, subs in ((1.0, ones), (0.0, zeros))]
    return float(found[0].sum() + weight * found[1].sum())


def log_likelihood(x, p, low) -> np.ndarray:
    p = np.clip(p, low, 1 - low)
    return x * np.log(p) + (1 - x) * np.log1p(-p)


def summary(name, rows) -> dict:
    def spread(key: str, form: str) -> str:
        values = [row[key] for row in rows]
        return f"{np.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"

    return {
        "loss": name,
        "deviance explained": spread("explained", ".1%"),
        "AUC": spread("auc", ".3f"),
        "objective": spread("objective", ".1f"),
        "converged": f"{sum(row['converged'] for row in rows)} of {len(rows)}",
    }


def weekly(result) -> np.ndarray:
    """The columns of days, averaged over seven days, in their sums."""
    days = result.factors[2] / result.factors[2].sum(axis=0)
    return np.column_stack([np.convolve(column, np.ones(7) / 7, mode="same") for column in days.T])


def named(result) -> list[dict]:
    """When each component is alive, and how many people it is about."""
    total = result.weights * np.prod([a.sum(axis=0) for a in result.factors], axis=0)
    rows = []
    for r in np.argsort(-total):
        senders, receivers, days = (a[:, r] / a[:, r].sum() for a in result.factors)
        when = np.searchsorted(np.cumsum(days), (0.1, 0.5, 0.9))
        dates = [str(FIRST_DAY + int(day)) for day in when]
        rows.append(
            {
                "component": int(r),
                "share of links": f"{total[r] / total.sum():.0%}",
                "10 % by": dates[0],
                "half by": dates[1],
                "90 % by": dates[2],
                "senders of half": int(np.searchsorted(np.cumsum(np.sort(senders)[::-1]), 0.5) + 1),
                "receivers of half": int(np.searchsorted(np.cumsum(np.sort(receivers)[::-1]), 0.5) + 1),
            }
        )
    return rows


def draw(rows, kept):
    """Held-out scores of all starts; below, the days of the components under three losses."""
    figure, axes = panels(2, 3, 10, 5.6)
    for ax, key, label in zip(
        axes[0], ("explained", "auc"), ("held-out deviance explained", "held-out AUC"), strict=False
    ):
        for k, name in enumerate(LOSSES):
            values = [row[key] for row in rows if row["loss"] == name]
            ax.plot(values, np.full(len(values), k), "o", ms=4, alpha=0.6, color=BLUE, markeredgewidth=0)
        ax.set_yticks(range(len(LOSSES)), LOSSES if key == "explained" else [""] * len(LOSSES))
        ax.invert_yaxis()
        ax.set_xlabel(label, fontsize=8)
        ax.grid(axis="x", color="0.9")
    axes[0, 2].set_visible(False)
    for ax, name in zip(
        axes[1], ("bernoulli-odds", "bernoulli-poisson", "Gaussian, nonnegative"), strict=True
    ):
        curves = weekly(kept[name])
        dates = FIRST_DAY + np.arange(len(curves))
        for r, color in zip(range(curves.shape[1]), COLORS, strict=True):
            ax.plot(dates, curves[:, r], color=color, lw=1.2)
        ax.set_title(name, fontsize=8)
        ax.set_xticks([np.datetime64(f"2004-{month:02d}-01") for month in (5, 7, 9, 11)])
        ax.set_xticklabels(["May", "July", "September", "November"])
        ax.set_xlim(dates[0], dates[-1])
        ax.set_xlabel("2004", fontsize=8)
    axes[1, 0].set_ylabel("component's share of a day,\nmean of seven days", fontsize=8)
    return figure


if __name__ == "__main__":
    main()
