"""Which features go together: run each beside every kind of data, option and later step, and write the page of it.

    python scripts/combinations.py [--check] [--only FEATURE ...]

The page is docs/combinations.md. A combination works, or ends in a sentence of gcp. On every kind of data a feature
must come to the same minimum as on the array. With --check nothing is written; it fails if the page says otherwise.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import gcp
from gcp.cli import main as command
from gcp.designs import bspline, fourier
from gcp.penalties import Graph, Lasso, Near, Ridge, Smooth

PAGE = Path(__file__).parents[1] / "docs" / "combinations.md"
SHAPE = (18, 5, 6)
INTRODUCTION = """# What goes together

`python scripts/combinations.py` runs every combination and makes this page: a feature of models in each line; kinds
of data, further options of the fit and later steps in the columns. ✓ works, and on every kind of data comes to the
minimum that the array has; a number is a sentence below, with which gcp refuses.
"""


@dataclass
class Feature:
    """What a user asks for, beside a rank-1 model of small data."""

    loss: Any = "poisson"
    options: dict[str, Any] = field(default_factory=dict)
    cells: dict[str, Any] = field(default_factory=dict)
    """Numbers of the cells: exposure, offset, trials."""
    on_command_line: tuple[str, ...] = ()


def data_of(loss: str, rng: np.random.Generator) -> np.ndarray:
    """Data that the loss takes, of one component and few zeros."""
    mean = np.einsum("i,j,k->ijk", *(rng.uniform(1.0, 2.0, n) for n in SHAPE))
    if loss == "gaussian, poisson and gamma":
        return 1.0 + rng.poisson(mean)
    if loss == "ordinal":
        model = np.einsum("i,j,k->ijk", *(rng.choice([-1, 1], n) * rng.uniform(0.7, 1.4, n) for n in SHAPE))
        return 1.0 + np.searchsorted([-3.0, -1.0, 1.0, 3.0], 3 * model + rng.logistic(size=SHAPE))
    if loss.startswith("bernoulli"):
        return (rng.random(SHAPE) < mean / 8).astype(float)
    if loss.startswith("zero-truncated"):
        return 1.0 + rng.poisson(mean)
    if loss.startswith(("zero", "hurdle", "tweedie")):
        counts = rng.poisson(mean) if "gamma" not in loss and loss != "tweedie" else rng.gamma(2.0, mean)
        return np.where(rng.random(SHAPE) < 0.3, 0.0, counts)
    if loss in ("gamma", "inverse-gaussian", "rayleigh"):
        return rng.gamma(2.0, mean / 2)
    if loss in ("gaussian", "student-t", "quantile"):
        return mean + rng.standard_normal(SHAPE)
    return rng.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(float)


def features() -> dict[str, Feature]:
    """Return what is tried."""
    rng = np.random.default_rng(1)
    n = SHAPE[0]
    chain = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    by_modes = np.einsum("i,j,k->ijk", *(rng.uniform(0.5, 2.0, size) for size in SHAPE))
    trials = np.full(SHAPE, 3.0)
    found = {
        "Smooth": Feature(options={"penalties": [Smooth(0, 1.0)]}, on_command_line=("--smooth", "0=1")),
        "Ridge": Feature(options={"penalties": [Ridge(0, 1.0)]}, on_command_line=("--ridge", "0=1")),
        "Lasso": Feature(options={"penalties": [Lasso(0, 0.1)]}, on_command_line=("--lasso", "0=0.1")),
        "Near": Feature(
            options={"penalties": [Near(0, np.ones((n, 1)), 1.0)]},
            on_command_line=("--near", "0=1:FOLDER/shapes.csv"),
        ),
        "Graph": Feature(
            options={"penalties": [Graph(0, chain, 1.0)]}, on_command_line=("--graph", "0=1:FOLDER/links.csv")
        ),
        "design: splines": Feature(
            options={"design": {0: bspline(5)}}, on_command_line=("--design", "0=bspline:5")
        ),
        "design: matrix": Feature(
            options={"design": {0: rng.uniform(0.1, 1.0, (n, 3))}},
            on_command_line=("--design", "0=features:FOLDER/shapes.csv"),
        ),
        "design: waves": Feature(
            "poisson-log", {"design": {0: fourier(18.0, 1)}}, on_command_line=("--design", "0=fourier:18:1")
        ),
        "exposure, a product": Feature(cells={"exposure": by_modes}),
        "exposure, any": Feature(cells={"exposure": rng.uniform(0.5, 2.0, SHAPE)}),
        "offset": Feature("poisson-log", cells={"offset": 0.3 * rng.standard_normal(SHAPE)}),
        "trials": Feature("bernoulli-logit", cells={"trials": trials}),
        "r estimated": Feature(
            gcp.NegativeBinomial(r="estimate"),
            on_command_line=("--loss", "negative-binomial", "--param", "r=estimate"),
        ),
        "r by position": Feature(
            gcp.NegativeBinomial(r="estimate", by=1),
            on_command_line=("--loss", "negative-binomial", "--param", "r=estimate", "--param", "by=1"),
        ),
    }
    found["several losses"] = Feature(
        gcp.SeveralLosses(1, {0: "gaussian", 1: "poisson", None: "gamma"}),
        on_command_line=("--loss", "1:0=gaussian,1=poisson,*=gamma"),
    )
    for name in NEW_LOSSES:
        found[name] = Feature(name, on_command_line=("--loss", name))
    return found


NEW_LOSSES = (
    "zero-truncated-poisson",
    "tweedie",
    "inverse-gaussian",
    "student-t",
    "quantile",
    "ordinal",
    "zero-inflated-poisson",
    "zero-inflated-negative-binomial",
    "hurdle-poisson",
    "hurdle-negative-binomial",
    "hurdle-gamma",
)


class Tried:
    """A feature beside its data, and what is tried of it."""

    def __init__(self, feature: Feature, folder: Path) -> None:
        loss = feature.loss if isinstance(feature.loss, str) else feature.loss.name
        self.x = data_of(loss, np.random.default_rng(0))
        self.feature, self.folder = feature, folder
        if "trials" in feature.cells:
            model = np.einsum("i,j,k->ijk", *(np.random.default_rng(2).normal(size=n) for n in SHAPE))
            self.x = np.random.default_rng(0).binomial(3, 1 / (1 + np.exp(-model))).astype(float)
        self._plain: gcp.FitResult | None = None

    @property
    def plain(self) -> gcp.FitResult:
        """The fit of the array."""
        if self._plain is None:
            self._plain = self.fit(self.x)
        return self._plain

    def fit(self, data: Any, cells: dict[str, Any] | None = None, **more: Any) -> gcp.FitResult:
        """Fit data; the numbers of cells are those of the array, unless others are given."""
        cells = self.feature.cells if cells is None else cells
        options = {"loss": self.feature.loss, "random_state": 0, "tol": 1e-10}
        return gcp.fit_gcp(data, 1, **options | self.feature.options | cells | more)

    def same(self, data: Any, cells: dict[str, Any] | None = None) -> None:
        """Fit data of another kind, and compare the minimum; from there, if the fit's own start leads to another."""
        given = self.plain.factors
        starts = {}, {"init": [given[0] * self.plain.weights, *given[1:]]}
        ends = [self.plain.objective]
        for more in starts:
            ends.append(self.fit(data, cells, **more).objective)
            if math.isclose(ends[-1], ends[0], rel_tol=1e-4, abs_tol=1e-2):
                return
        raise AssertionError(f"F of the array, from the fit's start, from there: {ends}")

    # Kinds of data

    def sparse(self) -> None:
        subs = np.argwhere(self.x)
        self.same(gcp.SparseTensor(subs, self.x[tuple(subs.T)], SHAPE))

    def observed(self) -> None:
        subs = np.argwhere(np.ones(SHAPE))
        cells = {
            name: gcp.ObservedTensor(subs, given.ravel(), SHAPE) for name, given in self.feature.cells.items()
        }
        self.same(gcp.ObservedTensor(subs, self.x.ravel(), SHAPE), cells)

    def streamed(self) -> None:
        np.save(self.folder / "x.npy", self.x)
        data = gcp.read_tensor(self.folder / "x.npy", memory="8kB")
        if not isinstance(data, gcp.PartitionedTensor):
            raise AssertionError("the array is read whole")
        self.same(data)

    def partitioned(self) -> None:
        self.same(gcp.partition(gcp.DenseTensor(self.x), 3, mode=1))

    def of_dask(self) -> None:
        import dask.array

        self.same(dask.array.from_array(self.x, chunks=(6, 5, 3)))

    # Options of the fit

    def mask(self) -> None:
        self.fit(self.x, mask=np.random.default_rng(0).random(SHAPE) > 0.2)

    def weights(self) -> None:
        self.fit(self.x, entry_weights=np.random.default_rng(0).uniform(0.5, 2.0, SHAPE))

    def bounds(self) -> None:
        self.fit(self.x, bounds=(0.0, 50.0))

    def effects(self) -> None:
        self.fit(self.x, main_effects=True)

    def fixed(self) -> None:
        self.fit(self.x, init=[np.ones((n, 1)) for n in SHAPE], fixed_modes=[2])

    def checkpoint(self) -> None:
        path = self.folder / "checkpoint.npz"
        path.unlink(missing_ok=True)
        first = self.fit(self.x, checkpoint=path)
        again = self.fit(self.x, checkpoint=path)
        if again.objective != first.objective:
            raise AssertionError("the checkpoint leads to another end")

    def coupled(self) -> None:
        """Beside a matrix that shares the first mode: penalties name their mode."""
        beside = np.random.default_rng(3).normal(size=(SHAPE[0], 4))
        penalties = [replace(one, mode="a") for one in self.feature.options.get("penalties", ())]
        options = {name: given for name, given in self.feature.options.items() if name != "penalties"}
        if "design" in options:
            options["design"] = {"a": options["design"][0]}
        gcp.fit_gcp(
            {"x": self.x, "y": beside},
            1,
            loss={"x": self.feature.loss, "y": "gaussian"},
            modes={"x": ["a", "b", "c"], "y": ["a", "d"]},
            penalties=penalties,
            random_state=0,
            **options,
            **{name: {"x": given} for name, given in self.feature.cells.items()},
        )

    # Later steps

    def held_out(self, **scheme: Any) -> None:
        split = gcp.hold_out(self.x, 0.3, 0, **scheme, **self.feature.cells)
        split.judge(self.fit(split.train, {}))

    def cells(self) -> None:
        self.held_out()

    def rows(self) -> None:
        self.held_out(scheme="rows", mode=2)

    def blocks(self) -> None:
        self.held_out(scheme="blocks", mode=2)

    def future(self) -> None:
        self.held_out(scheme="future", mode=0)

    def rank(self) -> None:
        options = {"loss": self.feature.loss, "random_state": 0, "n_splits": 2, "n_starts": 1}
        penalties = self.feature.options.get("penalties")
        given = {} if penalties is None else {"penalties": [penalties]}
        more = {k: v for k, v in self.feature.options.items() if k != "penalties"}
        gcp.select_rank(self.x, [1], **options, **given, **more, **self.feature.cells)

    def transform(self) -> None:
        cells = {name: given[:, :, :2] for name, given in self.feature.cells.items()}
        self.plain.transform(self.x[:, :, :2], 2, **cells)

    def update(self) -> None:
        """New positions behind those of the fit, which what is remembered of it must not pull far from their own."""
        known = {"data": self.x, **self.feature.cells}
        cells = {name: given[:, :, :2] for name, given in self.feature.cells.items()}
        new = self.plain.update(self.x[:, :, :2], 2, history=known, **cells)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = self.plain.transform(self.x[:, :, :2], 2, **cells).rows
        own, then = new.weights * new.factors[2][-2:], self.plain.weights * rows
        if not np.allclose(own, then, rtol=0.2, atol=0.1 * np.abs(then).max()):
            raise AssertionError(f"rows of an update {own}, of transform {then}")

    def forecast(self) -> None:
        cells = {name: given[:2] for name, given in self.feature.cells.items()}
        self.plain.forecast(2, 0, n_draws=20, random_state=0, **cells).interval()

    def errors(self) -> None:
        gcp.analysis.standard_errors(self.plain, self.x, **self.feature.cells)

    def bootstrap(self) -> None:
        gcp.analysis.bootstrap(self.plain, self.x, 2, random_state=0, **self.feature.cells)

    def likelihood(self) -> None:
        value = gcp.analysis.log_likelihood(self.plain, self.x, **self.feature.cells)
        if not math.isfinite(value):
            raise AssertionError(f"the likelihood is {value}")

    def saved(self) -> None:
        self.plain.save(self.folder / "saved.npz")
        again = gcp.load(self.folder / "saved.npz")
        if not np.array_equal(again.model_values(), self.plain.model_values()):
            raise AssertionError("another model is read back")

    def report(self) -> None:
        gcp.write_report(self.plain, self.x, self.folder / "report.html", **self.feature.cells)

    def command_line(self) -> None:
        np.save(self.folder / "x.npy", self.x)
        (self.folder / "links.csv").write_text(
            "from,to\n" + "".join(f"{k},{k + 1}\n" for k in range(SHAPE[0] - 1))
        )
        (self.folder / "shapes.csv").write_text("at,one\n" + "".join(f"{k},1\n" for k in range(SHAPE[0])))
        arguments = [str(self.folder / "x.npy"), "--rank", "1", "--seed", "0", "--quiet"]
        own = self.feature.on_command_line
        if "--loss" not in own:
            arguments += ["--loss", self.feature.loss]
        for name, given in self.feature.cells.items():
            np.save(self.folder / f"{name}.npy", given)
            arguments += [f"--{name}", str(self.folder / f"{name}.npy")]
        own = tuple(text.replace("FOLDER", str(self.folder)) for text in own)
        if command(["fit", *arguments, *own]) != 0:
            raise AssertionError("the command line fails")


COLUMNS: dict[str, dict[str, Callable[[Tried], None]]] = {
    "Kinds of data": {
        "sparse": Tried.sparse,
        "listed": Tried.observed,
        "streamed": Tried.streamed,
        "in parts": Tried.partitioned,
        "Dask": Tried.of_dask,
    },
    "Options of the fit": {
        "mask": Tried.mask,
        "weights": Tried.weights,
        "bounds": Tried.bounds,
        "main effects": Tried.effects,
        "fixed mode": Tried.fixed,
        "checkpoint": Tried.checkpoint,
        "coupled": Tried.coupled,
        "`select_rank`": Tried.rank,
        "command line": Tried.command_line,
    },
    "Held out": {
        "cells": Tried.cells,
        "rows": Tried.rows,
        "blocks": Tried.blocks,
        "future": Tried.future,
    },
    "Later": {
        "transform": Tried.transform,
        "update": Tried.update,
        "forecast": Tried.forecast,
        "standard errors": Tried.errors,
        "bootstrap": Tried.bootstrap,
        "likelihood": Tried.likelihood,
        "save, load": Tried.saved,
        "report": Tried.report,
    },
}


def told(feature: Feature, step: Callable[[Tried], None], tried: Tried) -> str:
    """Return the sentence with which a combination is refused; empty if it works."""
    try:
        step(tried)
    except gcp.GcpError as error:
        return " ".join(str(error).replace(str(tried.folder), "FOLDER").split())
    return ""


def found(names: list[str]) -> dict[str, dict[str, str]]:
    """Return what every combination says, by feature and column."""
    table: dict[str, dict[str, str]] = {}
    for name in names:
        feature = features()[name]
        with tempfile.TemporaryDirectory() as folder:
            tried = Tried(feature, Path(folder))
            table[name] = {
                column: told(feature, step, tried)
                for part in COLUMNS.values()
                for column, step in part.items()
            }
        print(
            name, sum(not text for text in table[name].values()), "of", len(table[name]), "work", flush=True
        )
    return table


def page(table: dict[str, dict[str, str]]) -> str:
    """Return the page's text."""
    sentences: list[str] = []
    lines = [INTRODUCTION]
    for title, part in COLUMNS.items():
        lines += [f"\n## {title}\n", "| | " + " | ".join(part) + " |", "|---|" + "---|" * len(part)]
        for name, own in table.items():
            marks = []
            for column in part:
                if own[column] and own[column] not in sentences:
                    sentences.append(own[column])
                marks.append(str(sentences.index(own[column]) + 1) if own[column] else "✓")
            lines.append(f"| {name} | " + " | ".join(marks) + " |")
    lines += ["\n## Sentences\n", *(f"{k}. {text}" for k, text in enumerate(sentences, start=1))]
    return "\n".join(lines) + "\n"


def written() -> dict[str, dict[str, str]]:
    """Return what the page says, as `found` does."""
    lines = PAGE.read_text().splitlines()
    numbered = (line.partition(". ") for line in lines if line[:1].isdigit())
    sentences = {"✓": ""} | {number: text for number, _, text in numbered}
    table: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in lines:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("| |"):
            columns = cells
        elif line.startswith("| "):
            table.setdefault(name, {}).update(zip(columns, (sentences[cell] for cell in cells), strict=True))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare with the page, and write nothing")
    parser.add_argument("--only", nargs="+", metavar="FEATURE", help="run these alone, and write nothing")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    table = found(given.only or list(features()))
    if given.check:
        says = {name: own for name, own in written().items() if not given.only or name in given.only}
        if differ := [name for name in table | says if table.get(name) != says.get(name)]:
            sys.exit(
                f"{PAGE} says otherwise of {', '.join(differ)}: run python scripts/combinations.py, and look at what "
                "has changed."
            )
    elif given.only:
        print(page(table))
    else:
        PAGE.write_text(page(table))


if __name__ == "__main__":
    main()
