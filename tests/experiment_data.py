"""Small stand-ins for the data that may not be shipped: the same files, names and types, drawn from models."""

import numpy as np
from helpers import full
from scipy.io import savemat

import gcp


def write(folder):
    """Every file that an experiment loads from $GCP_DATA."""
    rng = np.random.default_rng(0)
    for name, arrays in (
        ("amino_acids/amino_acids", amino_acids(rng)),
        ("kg_relations/kg_relations", knowledge_graphs(rng)),
        ("uci_messages/uci_messages", messages(rng)),
        ("enron/enron", mails(rng)),
        ("norway_bikes/oslo", bikes(rng)),
        ("norway_bikes/oslo_5way", bikes_by_year(rng)),
        ("flu_bybw/flu_bybw", influenza(rng)),
        ("flu_bybw/flu_population", districts()),
        ("eem_waters/eem_waters", fluorescence(rng)),
        ("ecam/ecam", infants(rng)),
        ("traffic/traffic", traffic(rng)),
        ("three_way_classics/three_way_classics", classics(rng)),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        np.savez_compressed(folder / f"{name}.npz", **arrays)
    savemat(folder / "kg_relations" / "uml.mat", semantic_network(rng))


def classics(rng):
    """Value added, labour and ratings of 30 students."""
    shapes = {"va3way": (12, 5, 6), "ulabor": (9, 5, 5), "tv": (30, 6, 5)}
    made = {name: full([rng.gamma(1.0, 1.0, (n, 2)) for n in shape]) for name, shape in shapes.items()}
    return {name: x + 0.2 * rng.standard_normal(x.shape) for name, x in made.items()}


def amino_acids(rng):
    concentrations = np.diag([3e-6, 1e-5, 9e-4])[[0, 1, 2, 0, 1]] + rng.uniform(1e-7, 4e-7, (5, 3))
    shapes = [
        np.exp(-0.5 * ((np.arange(n)[:, None] - n * np.array([0.3, 0.5, 0.8])) / (n / 8)) ** 2)
        for n in (21, 13)
    ]
    x = 1e6 * full([concentrations * [1.0, 0.3, 0.01], *shapes])
    return {
        "X": x + 0.05 * rng.standard_normal(x.shape),
        "concentrations": concentrations,
        "emission_nm": np.arange(250, 271),
        "excitation_nm": np.arange(240, 253),
    }


def listed(shape, rank, loss, rng, scale=1.0):
    data, _ = gcp.simulate(shape, rank, loss, scale=scale, random_state=int(rng.integers(1 << 30)))
    x = np.asarray(data.values)
    return np.argwhere(x > 0).astype(np.int16), x[x > 0].astype(np.int32)


def knowledge_graphs(rng):
    found = {}
    for name, shape in (("nations", (10, 10, 8)), ("umls", (14, 14, 6)), ("kinships", (12, 12, 5))):
        subs, _ = listed(shape, 2, "bernoulli-odds", rng, scale=0.2)
        subs = rng.permutation(subs)
        ends = [int(0.8 * len(subs)), int(0.9 * len(subs))]
        for part, rows in zip(("train", "valid", "test"), np.split(subs, ends), strict=True):
            found[f"{name}_{part}"] = rows
        found[f"{name}_entities"] = np.array([f"{name} {k}" for k in range(shape[0])])
        found[f"{name}_relations"] = np.array([f"relation {k}" for k in range(shape[2])])
        found[f"{name}_shape"] = np.array(shape)
    subs, _ = listed((12, 12, 5), 2, "bernoulli-odds", rng, scale=0.2)
    return found | {"alyawarra_full_subs": subs, "alyawarra_full_shape": np.array((12, 12, 5))}


def semantic_network(rng):
    subs, _ = listed((14, 14, 6), 2, "bernoulli-odds", rng, scale=0.2)
    links = np.zeros((14, 14, 6), np.uint8)
    links[tuple(subs.T)] = 1
    names = [[f"{kind} {k}" for k in range(n)] for kind, n in (("entity", 14), ("relation", 6))]
    entities, relations = (np.array(own, dtype=object)[:, None] for own in names)
    return {"Rs": links, "names": entities, "relnames": relations}


def messages(rng):
    shape = (20, 20, 30)
    subs, counts = listed(shape, 2, "poisson", rng, scale=0.05)
    n = 400
    return {
        "seconds": np.sort(rng.integers(0, 30 * 86_400, n)).astype(np.int32),
        "sender": rng.integers(1, 41, n).astype(np.int16),
        "receiver": rng.integers(1, 41, n).astype(np.int16),
        "top200_users": np.arange(1, 21, dtype=np.int16),
        "top200_subs": subs,
        "top200_counts": counts.astype(np.int16),
        "top200_shape": np.array(shape),
    }


def mails(rng):
    shape = (16, 16, 12)
    subs, counts = listed(shape, 2, "negative-binomial", rng, scale=0.3)
    n = int(counts.sum())
    return {
        "sender": rng.integers(0, 16, n).astype(np.int16),
        "receiver": rng.integers(0, 16, n).astype(np.int16),
        "unix_seconds": np.sort(rng.integers(910_000_000, 941_000_000, n)),
        "reciptype": rng.integers(0, 3, n).astype(np.int8),
        "reciptype_names": np.array(["bcc", "cc", "to"]),
        "topic_ldc": rng.integers(-1, 9, n).astype(np.int16),
        "role_note": np.array(["NA", "Vice President", "Trader", "Employee, Specialist"] * 4),
        "month_subs": subs,
        "month_counts": counts,
        "month_shape": np.array(shape),
        "month0": np.array("1998-11"),
    }


def bikes(rng):
    data, _ = gcp.simulate((12, 35, 24), 2, "poisson", scale=1.0, random_state=1)
    x = np.asarray(data.values).astype(np.int16)
    x[:, :, 1:5] = -1
    dates = np.datetime64("2021-04-07") + np.arange(x.shape[1])
    return {"X": x, "station_id": np.arange(377, 389), "date": dates.astype(str)}


def bikes_by_year(rng):
    data, _ = gcp.simulate((14, 2, 12, 7, 24), 2, "poisson", scale=1.0, random_state=2)
    x = np.asarray(data.values).astype(np.int16)
    x[:, :, 0] = 0
    return {
        "X": x,
        "station": np.array([f"station {k}" for k in range(14)]),
        "lat": 59.9 + 0.01 * rng.standard_normal(14),
        "lon": 10.7 + 0.02 * rng.standard_normal(14),
        "year": np.array([2020, 2021]),
        "month": np.arange(1, 13),
        "day_of_week": np.arange(7),
        "hour": np.arange(24),
    }


def influenza(rng):
    season = 0.1 + np.exp(-0.5 * ((np.arange(12) - 3) / 1.5) ** 2)
    mean = full([rng.gamma(1.0, size=(9, 1)), rng.gamma(2.0, size=(4, 1)), season[:, None]])
    x = rng.negative_binomial(1.0, 1.0 / (1.0 + mean)).astype(np.int16)
    return {"X": x, "district": np.arange(9001, 9010), "year": np.arange(2001, 2005)}


def districts():
    """Of the influenza: on a line, neighbours beside each other."""
    people = np.arange(1.0, 10.0)
    near = (np.abs(np.subtract.outer(np.arange(9), np.arange(9))) == 1).astype(np.int8)
    return {
        "population_fraction": people / people.sum(),
        "neighbourhood": near,
        "district": np.arange(9001, 9010),
    }


def fluorescence(rng):
    spectra = [np.exp(-0.5 * ((np.arange(n)[:, None] / n - [0.3, 0.6]) / 0.15) ** 2) for n in (16, 9)]
    x = full([rng.gamma(2.0, size=(6, 2)), *spectra])
    return {
        "X": (x + 0.05 * rng.standard_normal(x.shape)).astype(np.float32),
        "emission_nm": np.linspace(290, 650, 16),
        "excitation_nm": np.linspace(230, 400, 9),
    }


def infants(rng):
    subject, month = (a.ravel() for a in np.indices((12, 5)))
    mean = rng.gamma(0.5, size=(2, 9)) * rng.gamma(1.0, size=9)
    cesarean, n = subject % 2, len(subject)
    depth = rng.integers(2_000, 9_000, n)
    share = mean[cesarean] / mean[cesarean].sum(axis=1, keepdims=True)
    counts = rng.negative_binomial(0.7, 0.7 / (0.7 + share * depth[:, None])).T
    taxon, sample = np.nonzero(counts)
    return {
        "taxon": taxon.astype(np.int32),
        "sample": sample.astype(np.int32),
        "count": counts[taxon, sample].astype(np.int32),
        "shape": np.array(counts.shape),
        "subject": subject.astype(np.int16),
        "month": np.array([f"{m}.0" for m in month]),
        "day_of_life": 30.0 * month,
        "delivery": np.where(cesarean, "Cesarean", "Vaginal"),
        "diet": np.where(subject % 3 == 0, "fd", "bd"),
        "depth": counts.sum(axis=0),
    }


def traffic(rng):
    week = 1 + 0.3 * np.sin(2 * np.pi * np.arange(77)[:, None] / 7 + [0.0, 1.0])
    x = full([100 * rng.gamma(2.0, size=(7, 2)), week, rng.gamma(3.0, size=(18, 2))])
    cars = rng.gamma(20.0, x / 20).astype(np.uint16) + 1
    cars[:, 50] = 0
    return {"birmingham": np.where(rng.random(x.shape) < 0.1, 0, cars).astype(np.uint16)}
