"""`gcp fit --memory`: data in slabs; the truth is the same command without it."""

import json
from pathlib import Path

import numpy as np
import pytest

import gcp
from gcp.cli import main

SHAPE = (30, 9, 7)


@pytest.fixture
def x(rng):
    x = rng.poisson(2.0, SHAPE).astype(float)
    x[rng.random(SHAPE) < 0.1] = np.nan
    return x


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch, x, rng):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    np.save("f.npy", np.asfortranarray(x))
    mask = rng.random(SHAPE)
    np.save("mask.npy", mask < 0.8)
    np.save("numbers.npy", np.where(mask < 0.6, 2.0, np.where(mask < 0.8, np.nan, 0.0)))
    np.save("weights.npy", np.where(mask < 0.9, rng.integers(0, 3, SHAPE), np.nan))
    np.save("row.npy", np.array([1.0, 0, 2, 1, 1, 1, 3]))


def fit(line):
    return main(f"fit {line} --loss poisson --rank 2 --seed 0 --quiet".split())


def objective(capsys, line):
    assert fit(f"{line} --json") == 0
    return json.loads(capsys.readouterr().out)["objective"]


@pytest.mark.parametrize(
    "cells",
    [
        "",
        "--mask mask.npy",
        "--mask numbers.npy",
        "--entry-weights weights.npy",
        "--entry-weights row.npy --mask mask.npy",
    ],
)
@pytest.mark.parametrize("name", ["x.npy", "f.npy"])
def test_the_same_fit_as_with_all_in_memory(capsys, monkeypatch, name, cells):
    whole = objective(capsys, f"{name} {cells} --solver plbfgs")
    built = []
    of_slabs = gcp.tensors.parts.streamed.streamed
    monkeypatch.setattr(
        gcp.tensors.parts.streamed, "streamed", lambda *a, **k: built.append(a) or of_slabs(*a, **k)
    )
    assert objective(capsys, f"{name} {cells} --memory 20kB") == pytest.approx(whole, rel=1e-5)
    assert built


def test_hdf5_and_zarr(capsys, x):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    with h5py.File("x.h5", "w") as file:
        file["a/x"], file["y"] = x, x + 1
    zarr.open("x.zarr", mode="w", shape=SHAPE, chunks=(2, 9, 7), dtype=float)[:] = x
    whole = objective(capsys, "x.npy --solver plbfgs")
    for line in (
        "x.h5 --variable a/x",
        "x.h5 --variable a/x --memory 25kB",
        "x.zarr",
        "x.zarr --memory 25kB",
    ):
        assert objective(capsys, line) == pytest.approx(whole, rel=1e-5)


def test_result_picture_and_report(capsys):
    line = "fit x.npy --loss poisson --rank 2 --seed 0 --memory 20kB --out r.npz --plot r.png --main-effects"
    assert main(line.split()) == 0
    told = capsys.readouterr()
    assert "30 mode_0 x 9 mode_1 x 7 mode_2" in told.out
    assert Path("r.png").exists()
    assert gcp.FitResult.load("r.npz").shape == SHAPE


def test_a_checkpoint_goes_on_to_the_same_bits(capsys):
    line = "x.npy --memory 20kB --threads 1"
    whole = objective(capsys, line)
    assert fit(f"{line} --checkpoint state.npz --checkpoint-every 0 --max-iter 100") == 0
    assert objective(capsys, f"{line} --checkpoint state.npz --max-iter 100") == whole
    np.save("x.npy", np.nan_to_num(np.load("x.npy")))
    assert fit(f"{line} --checkpoint state.npz --max-iter 100") == 2
    assert "checkpoint is of a fit with other data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x.npy --memory much", "argument --memory: it must be a size"),
        ("x.npy --memory 2kB", "x.npy: one position of mode 0 takes"),
        ("x.npy --memory 20kB --exclude-zeros", "--exclude-zeros needs the data in one piece"),
        ("x.npy --memory 20kB --test-fraction 0.1", "--test-fraction needs the data in one piece"),
        ("x.npy --memory 20kB --solver adam", "in files are too slow"),
        ("x.npy --memory 20kB --solver als --loss gaussian", "in parts"),
        ("x.npy --memory 20kB --init svd", "in one piece"),
        ("x.npy --memory 20kB --param r=estimate --loss negative-binomial", "in one piece"),
        ("x.npy --memory 20kB --mask x.csv", "does not apply to this format, only to .npy"),
        ("x.npy --memory 20kB --mask f.npz", "does not apply"),
        ("x.npy --memory 20kB --loss gamma", "The gamma loss needs data in (0, inf)"),
        ("titanic --memory 1GB", "titanic is a bundled data set"),
    ],
)
def test_what_cannot_be_had_takes_one_line(capsys, line, words):
    try:
        status = main(f"fit --loss poisson --rank 2 --quiet {line}".split())
    except SystemExit as end:
        status = end.code
    assert status == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.startswith("gcp: error: ")
    assert err.count("\n") == 1


def test_data_that_fit_are_as_without_it(capsys):
    assert objective(capsys, "x.npy --memory 1GB") == objective(capsys, "x.npy")
    line = "x.npy --memory 1GB --exclude-zeros --test-fraction 0.1"
    assert fit(line) == 0
