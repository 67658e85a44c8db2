"""Microbes of infants: do components of counts tell how the infants were born?

    python scripts/experiments/infant_microbiome.py [--quick] [--seed 0] [--out results/infant_microbiome]
        [--data DIR]

Stool of 42 infants of the ECAM study over two years (Bokulich et al. 2016), 24 born vaginally and 18 by cesarean:
reads by taxon, infant and month. Samples have depths (reads of all taxa) from 2,000 to 68,000, which say nothing
of the infants; a month without a sample is missing. Others transform: compositional tensor factorization
(Martino et al.
2020) takes least squares of log-ratios. Here the counts are taken as they are, negative binomial with one r for each
taxon and the depth as exposure, beside the same without the depth, Poisson with it, and least squares of log(1 + x)
and of centred log-ratios; 123 taxa that a tenth of the samples have (88 % of the reads), 19 months, one start each.

Asked is whether the infants' rows tell their delivery: logistic regression of standardised rows, five folds, the area
under the ROC curve (0.5 is chance), means of folds, and the spread of these means over repeated folds. A model sees
no labels, so that it may see all infants. As for infants who come later, it is fitted to the training infants of each
fold, and the others get rows by `transform` (r alone is that of all infants). Shuffled labels say what chance gives.
The rank is what held-out cells prefer, of each way under its own loss: log-likelihoods of counts and of logarithms
are not comparable.

Least squares of logarithms and Poisson counts tell the delivery at least as well as the negative binomial, whose
higher ranks tell it of infants that the model has seen, and not of new ones: with so few infants, a component is of
one or two. Mean log-ratios of the taxa, without any tensor model, do as well. The depth as exposure does not help:
of new infants, the models without it tell the delivery no worse at four ranks of five. From one start each, minima of
the negative binomial depend on rounding: on another day's build its areas at ranks 3 to 5 were up to 0.14 off these.

    gcp fit results/infant_microbiome/counts.npz --loss negative-binomial --param r=estimate --param by=taxon \\
        --exposure results/infant_microbiome/depth.npz --rank 3 --seed 0 --out infants.npz --plot infants.png

Data: ecam/ecam.npz in DIR or $GCP_DATA (data/README.md), from the tutorials of biocore/gemelli (BSD-3), which have
the names of the taxa, too. N. A. Bokulich et al., Science Translational Medicine 8 (2016) 343ra82; C. Martino, L.
Shenhav et al., Nature Biotechnology (2020), doi 10.1038/s41587-020-0660-7. No figures are quoted.

Writes counts.npz and depth.npz for the command, heldout.csv, auc.csv, by_rank.csv, chosen.csv, elsewhere.csv,
components.csv, run.json and infant_microbiome.png.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels

import gcp

SHARE, SAMPLES = 0.1, 10
"""Of the samples that have a taxon, and of a month: with less, it is left out."""
PICTURED = 3
"""Rank of the components that are listed and drawn, whatever held-out cells prefer."""
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, "0.4", "#56B4E9", "#F0E442")
NAMES = """
174 Bifidobacterium; 88 Enterobacteriaceae; 0 Bacteroides; 128 Ruminococcus gnavus; 9 Faecalibacterium
prausnitzii; 270 Enterobacteriaceae; 58 Bacteroides fragilis; 269 Bifidobacterium; 316 Clostridium
neonatale; 349 Bacteroides; 28 Bacteroides; 272 Clostridium ramosum; 21 Bacteroides uniformis; 318
Clostridium paraputrificum; 27 Parabacteroides distasonis; 6 Faecalibacterium prausnitzii; 308
Enterobacteriaceae; 686 Clostridium perfringens; 689 Bifidobacterium; 46 Roseburia faecis; 350 Bacteroides;
57 Blautia; 317 Lachnospiraceae; 309 Veillonella; 12 Bacteroides; 7 Bacteroides caccae; 327 Veillonella
dispar; 230 Streptococcus; 306 Haemophilus parainfluenzae; 55 Clostridium celatum; 175 Dorea; 1024
Citrobacter koseri; 276 Roseburia; 84 Lachnospira; 2 Alistipes onderdonkii; 312 Veillonella dispar; 154
Clostridium hathewayi; 47 Akkermansia muciniphila; 44 Roseburia inulinivorans; 409 Parabacteroides; 228
Clostridium; 217 Megasphaera; 330 Clostridium; 200 Oscillospira; 663 Clostridium; 41 Clostridium
clostridioforme; 694 Enterobacteriaceae; 14 Lachnospira; 8 Sutterella; 40 Lachnospira; 112 Gemmiger
formicilis; 397 Roseburia faecis; 5 Alistipes putredinis; 310 Enterococcus; 289 Eubacterium dolichum; 102
Peptostreptococcaceae; 700 Streptococcus luteciae; 17 Lachnospira; 446 Akkermansia muciniphila; 321
Veillonella parvula
"""
"""What the source's taxonomy calls the sixty taxa with most reads, by the row of its table."""


@dataclass(frozen=True)
class Way:
    """One way to decompose the samples: of what, under which loss, with the depth or without."""

    data: str
    loss: gcp.Loss
    color: str
    line: str = "-"
    has_depth: bool = False


OWN_R = gcp.NegativeBinomial(r="estimate", by="taxon")
WAYS = {
    "negative binomial, depth": Way("counts", OWN_R, BLUE, has_depth=True),
    "negative binomial": Way("counts", OWN_R, "#56B4E9", "--"),
    "Poisson, depth": Way("counts", gcp.Poisson(), GREEN, has_depth=True),
    "squares of log(1 + x)": Way("logs", gcp.Gaussian(), ORANGE),
    "squares of log-ratios": Way("ratios", gcp.Gaussian(), RED, "--"),
}
SHOWN = "negative binomial, depth"


@dataclass(frozen=True)
class Amount:
    """How much a run does."""

    ranks: tuple[int, ...] = (1, 2, 3, 4, 5)
    splits: int = 2  # of cells
    folds: int = 5
    repeats: int = 20  # of the folds, where a model has seen all infants
    refits: int = 2  # of the folds, where it has not
    shuffles: int = 30
    steps: int = 200


QUICK = Amount((1, 2), splits=1, folds=2, repeats=2, refits=1, shuffles=3, steps=20)


@dataclass(frozen=True)
class Study:
    """Reads by taxon, infant and month (DataArrays; months without a sample are missing), and what infants are."""

    counts: Any
    logs: Any
    ratios: Any
    depth: Any
    is_cesarean: np.ndarray
    has_formula: np.ndarray

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Study:
        """Samples of one infant in one month are added up, reads and depths."""
        import xarray

        at, of, infant = arrays["taxon"], arrays["sample"], arrays["subject"]
        months, month, samples = np.unique(
            arrays["month"].astype(float), return_inverse=True, return_counts=True
        )
        n, first = int(arrays["shape"][0]), np.unique(infant, return_index=True)[1]
        x, depth = np.zeros((n, len(first), len(months))), np.zeros((len(first), len(months)))
        np.add.at(x, (at, infant[of], month[of]), arrays["count"])
        np.add.at(depth, (infant, month), arrays["depth"])
        taxa, kept = np.bincount(at, minlength=n) >= SHARE * len(month), samples >= SAMPLES
        names = dict(entry.split(maxsplit=1) for entry in NAMES.replace("\n", " ").split("; "))
        coords = {
            "taxon": [f"{names.get(str(k), 'taxon')} {k}" for k in np.flatnonzero(taxa)],
            "infant": np.arange(len(first)),
            "month": months[kept],
        }
        depth = xarray.DataArray(depth[:, kept], {k: coords[k] for k in ("infant", "month")})
        counts = xarray.DataArray(x[taxa][:, :, kept], coords, list(coords))
        depth, counts = depth.where(depth > 0), counts.where(depth > 0)
        logs = np.log1p(counts)
        told = arrays["delivery"][first] == "Cesarean", arrays["diet"][first] == "fd"
        return cls(counts, logs, logs - logs.mean("taxon"), depth, *told)

    def given(self, way: str, infants: Any = slice(None)) -> tuple[Any, dict[str, Any]]:
        """The data of infants as a way takes them, and their depth, if it does."""
        asked = WAYS[way]
        exposure = {"exposure": self.depth.isel(infant=infants)} if asked.has_depth else {}
        return getattr(self, asked.data).isel(infant=infants), exposure | {"n_threads": 1}


def main() -> None:
    run = Run(__doc__, "infant_microbiome", quick="ranks 1 and 2, few folds and iterations")
    amount = QUICK if run.quick else Amount()
    study = Study.of(run.load("ecam/ecam.npz"))
    for name, data in (("counts", study.counts), ("depth", study.depth)):
        gcp.write_tensor(run.out / f"{name}.npz", data)
    asked = list(product(WAYS, amount.ranks))
    fits = dict(zip(asked, side_by_side(lambda way, rank: fit(study, way, rank, run), asked), strict=True))
    print("all infants: fitted", flush=True)
    unseen = heldout(study, fits, amount, run)
    run.csv("heldout", unseen)
    rows = judged(study, fits, amount, run)
    run.csv("auc", rows)
    run.table("by_rank", "Area under the curve for delivery, by rank", by_rank(rows, amount))
    run.table("chosen", "At the rank that held-out cells prefer", chosen(rows, unseen))
    run.table("elsewhere", "What tells the delivery without a tensor model", elsewhere(study, amount, run))
    shown = fits[SHOWN, min(PICTURED, max(amount.ranks))]
    run.table("components", f"Components of {SHOWN}, rank {shown.rank}", components(shown, study))
    run.finish(draw(rows, shown, study, amount))


def side_by_side(task: Callable, arguments: Iterable[tuple]) -> list:
    """Results of a task for each of its arguments, by two threads."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda own: task(*own), arguments))


def fit(study, way, rank, run, infants=slice(None), **options):
    data, others = study.given(way, infants)
    others |= {"tol": 1e-6, "n_iter_max": 20 if run.quick else None} | options
    loss = others.pop("loss", WAYS[way].loss)
    return gcp.fit_gcp(data, rank, loss=loss, random_state=run.seed, **others)


# --- cells that a model has not seen ----------------------------------------------------------------------


def heldout(study, fits, amount, run) -> list[dict]:
    """Shares of the deviance, each of its own loss, that models explain at held-out cells; r is that of all cells."""
    splits = []
    for split in range(amount.splits):
        test = gcp.hold_out(study.counts, 0.1, run.seed + split).test
        mask = np.zeros(study.counts.shape, bool)
        mask[tuple(test.subs.T)] = True
        splits.append(mask)

    def explained(way, rank, split):
        data, others = study.given(way)
        known, held = data.notnull().values & ~splits[split], splits[split]
        own = fit(study, way, rank, run, mask=known, loss=fits[way, rank].loss, n_iter_max=amount.steps)
        others.pop("n_threads")
        row = {"way": way, "rank": rank, "split": split}
        row["deviance explained"] = own.deviance_explained(data, mask=held, **others)
        if WAYS[way].data == "counts":
            found = gcp.analysis.log_likelihood(own, data, mask=held, **others)
            row["log-likelihood per cell"] = found / held.sum()
        return row | {"log-likelihood per cell": row.get("log-likelihood per cell")}

    found = side_by_side(explained, product(WAYS, amount.ranks, range(amount.splits)))
    print("held-out cells: done", flush=True)
    return found


def best_rank(unseen, way) -> int:
    ranks = dict.fromkeys(row["rank"] for row in unseen)
    return max(ranks, key=lambda rank: mean_of(unseen, "deviance explained", way=way, rank=rank))


def mean_of(rows, name, **where) -> float:
    own = [row[name] for row in rows if all(row[key] == value for key, value in where.items())]
    return float("nan") if None in own else float(np.mean(own))


# --- delivery ---------------------------------------------------------------------------------------------


def judged(study, fits, amount, run) -> list[dict]:
    """Areas under the curve: of rows of a fit of all infants, and of rows of infants that a fit has not seen."""
    again = folds(study.is_cesarean, amount.folds, amount.refits, run.seed)

    def new_rows(way, rank, k):
        train, test = again[k]
        loss = fits[way, rank].loss
        own = fit(study, way, rank, run, train, loss=loss, n_iter_max=amount.steps)
        data, others = study.given(way, test)
        return own.factors[1], own.transform(data, "infant", **others).rows

    asked = list(product(WAYS, amount.ranks, range(len(again))))
    new = dict(zip(asked, side_by_side(new_rows, asked), strict=True))
    print("new infants: done", flush=True)
    rows, rng = [], np.random.default_rng(run.seed)
    shuffled = [rng.permutation(study.is_cesarean) for _ in range(amount.shuffles)]
    for way, rank in product(WAYS, amount.ranks):
        row = {"way": way, "rank": rank}
        seen = fits[way, rank].factors[1]
        parts = folds(study.is_cesarean, amount.folds, amount.repeats, run.seed)
        of_new = [(*again[k], *new[way, rank, k]) for k in range(len(again))]
        of_seen = [(train, test, seen[train], seen[test]) for train, test in parts]
        for name, own in (("all infants", of_seen), ("new infants", of_new)):
            values = areas(own, study.is_cesarean).reshape(-1, amount.folds).mean(axis=1)
            null = [np.nanmean(areas(own[: len(again)], y)) for y in shuffled if way == SHOWN] or [np.nan]
            row |= {f"{name}: area": values.mean(), f"{name}: spread": values.std()}
            row |= {f"{name}: shuffled, {q} %": float(np.quantile(null, q / 100)) for q in (5, 50, 95)}
        rows.append(row)
    return rows


def folds(labels, n, repeats, seed) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import RepeatedStratifiedKFold

    how = RepeatedStratifiedKFold(n_splits=n, n_repeats=repeats, random_state=seed)
    return list(how.split(labels, labels))


def areas(parts, labels) -> np.ndarray:
    """Areas under the curve of logistic regressions, one for each (train, test, rows of train, rows of test)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = np.full(len(parts), np.nan)
    for k, (train, test, known, new) in enumerate(parts):
        if len(set(labels[train])) == len(set(labels[test])) == 2:  # shuffled labels may be all the same
            judge = make_pipeline(StandardScaler(), LogisticRegression()).fit(known, labels[train])
            found[k] = roc_auc_score(labels[test], judge.decision_function(new))
    return found


def by_rank(rows, amount) -> list[dict]:
    return [
        {"way": way, "rows of": name}
        | {
            f"rank {rank}": round(mean_of(rows, f"{name}: area", way=way, rank=rank), 3)
            for rank in amount.ranks
        }
        for name in ("all infants", "new infants")
        for way in WAYS
    ]


def chosen(rows, unseen) -> list[dict]:
    table = []
    for way in WAYS:
        where = {"way": way, "rank": best_rank(unseen, way)}
        row = where | {
            "deviance explained": round(mean_of(unseen, "deviance explained", **where), 3),
            "log-likelihood per cell": round(mean_of(unseen, "log-likelihood per cell", **where), 4),
        }
        for name in ("all infants", "new infants"):
            value, spread = (mean_of(rows, f"{name}: {what}", **where) for what in ("area", "spread"))
            row |= {f"area, {name}": f"{value:.3f} ({spread:.3f})"}
        table.append(row)
    return table


def elsewhere(study, amount, run) -> list[dict]:
    """Areas under the curve of what is no row of a model."""
    features = {
        "diet": study.has_formula[:, None].astype(float),
        "number of months with a sample": study.depth.notnull().sum("month").values[:, None].astype(float),
        "mean log-ratios of all taxa": study.ratios.mean("month").values.T,
    }
    parts = folds(study.is_cesarean, amount.folds, amount.repeats, run.seed)
    told = []
    for name, x in features.items():
        values = areas([(train, test, x[train], x[test]) for train, test in parts], study.is_cesarean)
        values = values.reshape(-1, amount.folds).mean(axis=1)
        row = {"what": name, "area": round(values.mean(), 3), "spread": round(values.std(), 3)}
        told.append(row | {"features": x.shape[1]})
    return told


# --- components -------------------------------------------------------------------------------------------


def components(result, study) -> list[dict]:
    """What a component is about, and who has more of it."""
    rows, (taxa, _, months) = [], result.labels.coords
    share = expected(result)
    for r in range(result.rank):
        top = np.argsort(-share[r].sum(axis=(1, 2)))[:4]
        row = {
            "component": r,
            "share of the reads": round(float(share[r].sum() / share.sum()), 3),
            "highest month": float(months[result.factors[2][:, r].argmax()]),
            "taxa with most reads": ", ".join(map(str, np.asarray(taxa)[top])),
        }
        for name, labels in (("born by cesarean", study.is_cesarean), ("with formula", study.has_formula)):
            row[f"more of it {name}"] = round(higher(result.factors[1][:, r], labels), 3)
        rows.append(row)
    return rows


def expected(result) -> np.ndarray:
    """Expected shares of the reads, by component, taxon, infant and month."""
    a, b, c = result.factors
    odds = np.einsum("r,ir,jr,kr->rijk", result.weights, a, b, c)
    return odds * (np.asarray(result.loss.r)[:, None, None] if hasattr(result.loss, "r") else 1.0)


def higher(values, labels) -> float:
    """Probability that one with the label has more than one without."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, values))


def draw(rows, result, study, amount):
    """Areas by rank, the infants' rows, months, and the taxa of the component that tells most."""
    figure, axes = panels(2, 3, 13, 7)
    for ax, name in zip(axes[0], ("all infants", "new infants"), strict=False):
        own = [row for row in rows if row["way"] == SHOWN]
        low, middle, high = ([row[f"{name}: shuffled, {q} %"] for row in own] for q in (5, 50, 95))
        ax.fill_between(amount.ranks, low, high, color="0.9", label="labels shuffled, 5 to 95 %")
        ax.plot(amount.ranks, middle, color="0.6", lw=1)
        for way, how in WAYS.items():
            value, spread = (
                np.array([row[f"{name}: {what}"] for row in rows if row["way"] == way])
                for what in ("area", "spread")
            )
            ax.errorbar(
                amount.ranks, value, spread, fmt="o", ms=3, ls=how.line, lw=1.3, color=how.color, label=way
            )
        ax.set_xticks(amount.ranks)
        ax.set_ylim(0.3, 1)
        ax.set_xlabel("rank", fontsize=8)
        ax.set_ylabel(f"area under the curve, {name}", fontsize=8)
    axes[0, 0].legend(fontsize=7, frameon=False, loc="lower right")
    tells = [abs(higher(a, study.is_cesarean) - 0.5) for a in result.factors[1].T]
    two = np.argsort(tells)[::-1][:2]
    draw_infants(axes[0, 2], result, two, study)
    for r in range(result.rank):
        axes[1, 0].plot(
            result.labels.coords[2],
            result.factors[2][:, r],
            "o-",
            ms=3,
            lw=1.3,
            color=COLORS[r % len(COLORS)],
            label=f"component {r}",
        )
    axes[1, 0].set_xlabel("month", fontsize=8)
    axes[1, 0].set_ylabel(f"months' factor, {SHOWN}", fontsize=8)
    axes[1, 0].legend(fontsize=7, frameon=False)
    for ax, r in zip(axes[1, 1:], two, strict=False):
        draw_taxa(ax, result, r, study)
    return figure


def draw_infants(ax, result, two, study):
    x, y = result.factors[1][:, two[0]], result.factors[1][:, two[-1]]
    for is_cesarean, color in ((False, BLUE), (True, RED)):
        for has_formula, marker in ((False, "o"), (True, "^")):
            own = (study.is_cesarean == is_cesarean) & (study.has_formula == has_formula)
            label = (
                f"{'cesarean' if is_cesarean else 'vaginal'}, {'formula' if has_formula else 'breast milk'}"
            )
            ax.plot(x[own], y[own], marker, ms=5, color=color, alpha=0.8, label=label)
    ax.set_xlabel(f"infants' factor, component {two[0]}", fontsize=8)
    ax.set_ylabel(f"infants' factor, component {two[-1]}", fontsize=8)
    ax.legend(fontsize=7, frameon=False)


def draw_taxa(ax, result, r, study):
    """Reads of the four leading taxa of a component, by month and delivery: means over infants, standard errors."""
    top = np.argsort(-expected(result)[r].sum(axis=(1, 2)))[:4]
    share = (study.counts / study.depth)[top].sum("taxon").where(study.depth.notnull())
    for is_cesarean, color, name in ((False, BLUE, "vaginal"), (True, RED, "cesarean")):
        own = share[study.is_cesarean == is_cesarean]
        mean, n = own.mean("infant"), own.notnull().sum("infant")
        ax.errorbar(
            share.month, mean, own.std("infant") / np.sqrt(n), fmt="o-", ms=3, lw=1.3, color=color, label=name
        )
    taxa = "\n".join(str(name) for name in np.asarray(result.labels.coords[0])[top])
    ax.set_title(taxa, fontsize=7)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("month", fontsize=8)
    ax.set_ylabel(f"share of reads, taxa of component {r}", fontsize=8)
    ax.legend(fontsize=7, frameon=False)


if __name__ == "__main__":
    main()
