"""The results page, from the records of the experiments.

    python scripts/make_results.py [RESULTS ...] [--page docs/results.md]

RESULTS are folders that experiments have written (results/amino_acids, ...): their run.json and picture are taken
into docs/results/. The page is then written anew from all that is there and from the scripts' own texts; nothing on
it is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs" / "results"
ORDER = [
    "amino_acids",
    "india_rainfall",
    "dry_months",
    "uci_messages",
    "knowledge_graphs",
    "overdispersed_counts",
    "excess_zeros",
    "flu_forecast",
    "car_parks",
    "oslo_bikes",
    "crime_rates",
    "eem_waters",
    "three_way_classics",
    "smooth_factors",
    "contingency_tables",
    "loss_matters",
    "stochastic_or_exact",
    "matrices",
    "digits",
    "infant_microbiome",
    "which_loss",
    "rank_study",
    "regularisation_study",
    "coverage",
    "forecast_coverage",
    "drift",
]
HEAD = """# Results

Written by `scripts/make_results.py` from the records that the experiments leave (`docs/results/*/run.json`), never
by hand. Each is repeated by one command; its script, `scripts/experiments/NAME.py`, says which data it needs, where
they come from, and which figures are quoted from where. Seconds are of the whole experiment, with whatever else the
machine was doing.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="*", type=Path, help="folders to take in")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    given = parser.parse_args()
    for folder in given.results:
        take_in(folder)
    records = [json.loads(path.read_text()) for path in RECORDS.glob("*/run.json")]
    records.sort(key=lambda record: ORDER.index(record["experiment"]))
    records = [record | told(record["experiment"]) for record in records]
    parts = [HEAD, overview(records), *map(section, records)]
    given.page.write_text("\n".join(parts))


def take_in(folder: Path) -> None:
    """Copy the record and the picture of a full run."""
    record = json.loads((folder / "run.json").read_text())
    name = record["experiment"]
    if record["settings"]["quick"] or name not in ORDER:
        sys.exit(f"{folder}: a quick run, or an experiment that the page does not know.")
    (RECORDS / name).mkdir(parents=True, exist_ok=True)
    for file in ("run.json", f"{name}.png"):
        shutil.copyfile(folder / file, RECORDS / name / file)


def told(name: str) -> dict[str, str]:
    """Title and text of an experiment's docstring, without its command and its files."""
    doc = ast.get_docstring(ast.parse((ROOT / "scripts" / "experiments" / f"{name}.py").read_text())) or ""
    title, *text = doc.strip().split("\n\n")
    kept = [part for part in text if not part.startswith(("    python ", "Writes "))]
    return {"title": title.rstrip("."), "about": "\n\n".join(kept)}


def overview(records: list[dict]) -> str:
    rows = []
    for record in records:
        agree = [row["agrees"] for row in record["comparisons"]]
        told = f"{sum(agree)} of {len(agree)}" if agree else "none quoted"
        rows.append(
            {
                "experiment": f"[{record['title']}](#{record['experiment'].replace('_', '-')})",
                "published figures met": told,
                "seconds": record["seconds"],
            }
        )
    return table(rows)


def section(record: dict) -> str:
    name = record["experiment"]
    options = "".join(
        f" --{key} {value}"
        for key, value in record["settings"].items()
        if isinstance(value, int) and key != "quick"
    )
    versions = ", ".join(f"{key} {value}" for key, value in record["versions"].items())
    lines = [
        f'\n<a id="{name.replace("_", "-")}"></a>\n\n## {record["title"]}\n',
        f"`python scripts/experiments/{name}.py{options}`\n",
        record["about"] + "\n",
        f"![{record['title']}](results/{name}/{name}.png)\n",
    ]
    for own in record["tables"]:
        lines += [f"`{own['name']}`: {own['caption']}.\n", table(own["rows"])]
    if record["comparisons"]:
        lines += ["Beside published figures:\n", comparisons(record["comparisons"])]
    lines.append(f"{record['seconds']} s on {record['processor']}; {versions}.\n")
    return "\n".join(lines)


def comparisons(rows: list[dict]) -> str:
    """The figures, then what explains differences."""
    told = [
        {name: row[name] for name in ("what", "ours", "published", "source")}
        | {"agrees": "yes" if row["agrees"] else "**no**"}
        for row in rows
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["why"]:
            reasons.setdefault(row["why"], []).append(row["what"])
    notes = [f"- {'; '.join(whats)}: {why}" for why, whats in reasons.items()]
    return table(told) + ("\n" + "\n".join(notes) + "\n" if notes else "")


def table(rows: list[dict]) -> str:
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(map(cell, row.values())) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value).replace("|", r"\|")


if __name__ == "__main__":
    main()
