"""The numbers are facts about the sources, computed outside this package."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import datasets
from gcp.base.errors import DataError

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.mark.parametrize("name", datasets.available_datasets())
def test_every_data_set_is_labelled_and_documented(name):
    load = getattr(datasets, f"load_{name}")
    tensor = load()
    assert tensor.labels is not None
    assert all(coord is not None for coord in tensor.labels.coords)
    assert str(tensor.shape) in load.__doc__
    assert str(tensor.values.dtype) in load.__doc__
    assert " x ".join(tensor.labels.names) in load.__doc__


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("ucb_admissions", 4526),
        ("hair_eye_color", 592),
        ("titanic", 2201),
        ("accident", 186730),
        ("yamaguchi", 28887),
        ("tv_viewing", 37610),
        ("nyc_flights", 336776),
        ("us_crimes", 487083774),
    ],
)
def test_counts(name, total):
    """Totals; test_golden.py has the likelihood ratios."""
    assert getattr(datasets, f"load_{name}")().values.sum() == total


def test_nyc_flights():
    tensor = datasets.load_nyc_flights()
    assert tensor.shape == (3, 105, 12, 24)
    assert np.count_nonzero(tensor.values) == 13945
    assert tensor.values.max() == 149
    assert tensor.labels.coords[0].tolist() == ["EWR", "JFK", "LGA"]
    assert tensor.labels.coords[2].tolist() == list(range(1, 13))


def test_nyc_wind():
    x = datasets.load_nyc_wind().values
    seen = ~np.isnan(x)
    assert seen.sum() == 26107
    assert np.count_nonzero(x == 0) == 1256
    assert_allclose([x[seen].max(), x[seen].mean()], [42.58, 10.478], atol=5e-3)


def test_trondheim_bikes():
    tensor = datasets.load_trondheim_bikes()
    seen = tensor.entry_weights
    assert tensor.shape == (69, 231, 24)
    assert not seen[:, :, 1:6].any()
    assert seen.any(axis=(0, 1)).sum() == 19
    assert_allclose(seen.mean(), 0.7417, atol=5e-5)
    counts = tensor.values[seen]
    assert np.count_nonzero(counts) == np.count_nonzero(tensor.values) == 82709
    assert counts.min() == 0
    assert_allclose([counts.mean(), counts.var()], [0.4816, 0.9049], atol=5e-5)
    dates = tensor.labels.coords[1]
    assert dates[[0, -1]].tolist() == np.array(["2021-04-07", "2021-11-23"], "M8[D]").tolist()
    assert np.all(np.diff(dates) == np.timedelta64(1, "D"))


def test_india_rainfall():
    tensor = datasets.load_india_rainfall()
    x = tensor.values
    seen = ~np.isnan(x)
    assert seen.sum() == 49322
    assert np.count_nonzero(x == 0) == 3628
    assert x[seen].max() == 2362.8
    missing = dict(zip(tensor.labels.coords[0].tolist(), (~seen).sum(axis=(1, 2)).tolist(), strict=True))
    assert missing["ARUNACHAL PRADESH"] == 228
    assert missing["LAKSHADWEEP"] == 44


def test_us_crimes_and_population_miss_the_same_years():
    crimes, people = datasets.load_us_crimes(), datasets.load_us_population()
    for coords, own in zip(crimes.labels.coords[:2], people.labels.coords, strict=True):
        assert coords.tolist() == own.tolist()
    assert (~crimes.entry_weights).sum() == 265
    gone = ~people.entry_weights
    assert gone.sum() == 16
    assert set(people.labels.coords[0][gone.any(axis=1)]) == {"MS"}
    assert not crimes.entry_weights[gone].any()
    year = people.labels.coords[1].tolist().index(2019)
    assert (
        people.values[:, year].sum() == 328239523
    )  # the Census Bureau's estimate for July 2019, first vintage


def test_relations():
    for load, ones, density in [
        (datasets.load_nations, 1992, 0.1848),
        (datasets.load_kinships, 10686, 0.0395),
    ]:
        tensor = load()
        assert set(np.unique(tensor.values)) == {0, 1}
        assert tensor.values.sum() == ones
        assert_allclose(tensor.values.mean(), density, atol=5e-5)
        assert tensor.labels.coords[0].tolist() == tensor.labels.coords[1].tolist()


def test_titanic_by_its_labels():
    tensor = datasets.load_titanic()
    people, _, age, survived = (list(coord) for coord in tensor.labels.coords)
    assert tensor.values[people.index("Crew"), :, age.index("Child")].sum() == 0
    assert tensor.values[..., survived.index("Yes")].sum() == 711


def test_checksums_and_licences_in_the_readme():
    rows = re.findall(r"(?m)^\| `(\w+\.npz)` \|(.*)\| `([0-9a-f]{64})` \|$", (DATA / "README.md").read_text())
    assert sorted(name for name, _, _ in rows) == sorted(path.name for path in DATA.glob("*.npz"))
    assert sorted(name for name, _, _ in rows) == [f"{name}.npz" for name in datasets.available_datasets()]
    for name, middle, digest in rows:
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest
        assert all(field.strip() for field in middle.split("|"))


def test_missing_installation(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "_FOLDERS", (tmp_path,))
    with pytest.raises(DataError, match=r"looked for titanic\.npz"):
        datasets.load_titanic()
