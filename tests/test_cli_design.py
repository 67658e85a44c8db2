"""`gcp fit --design`: the same fits as in Python, and one sentence for what is no design."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.cli import main

DAYS = np.datetime64("2021-01-04") + np.arange(0, 7 * 12, 7)


@pytest.fixture
def files(tmp_path, rng):
    users = [f"u{k}" for k in range(6)]
    lines = [f"{u},{d},{rng.poisson(3)}" for u in users for d in DAYS]
    (tmp_path / "x.csv").write_text("\n".join(["user,week,n", *lines]))
    (tmp_path / "ages.csv").write_text(
        "\n".join(["user,one,age", *(f"{u},1,{k}" for k, u in enumerate(users))])
    )
    (tmp_path / "sites.csv").write_text(
        "\n".join(["user,site", *(f"{u},s{k % 2}" for k, u in enumerate(users))])
    )
    return tmp_path


def fit(files, *options):
    words = [
        "fit",
        str(files / "x.csv"),
        "--modes",
        "user,week",
        "--value",
        "n",
        "--unlisted",
        "zero",
        "--rank",
        "1",
    ]
    return main(
        [*words, "--loss", "poisson-log", "--seed", "0", "--quiet", "--out", str(files / "r.npz"), *options]
    )


def test_designs_are_those_of_python(files):
    options = ["--design", "week=fourier:28:1", "--design", f"0=features:{files / 'ages.csv'}"]
    assert fit(files, *options) == 0
    found = gcp.load(files / "r.npz")
    assert found.problem.designs[0][1].column_names == ["one", "age"]
    data = gcp.read_tensor(files / "x.csv", modes=["user", "week"], value="n", unlisted="zero")
    z = np.column_stack([np.ones(6), np.arange(6.0)])
    direct = gcp.fit_gcp(
        data, 1, loss="poisson-log", design={"week": gcp.designs.fourier(28, 1), "user": z}, random_state=0
    )
    assert_allclose(found.objective, direct.objective)
    assert fit(files, "--design", f"user=groups:{files / 'sites.csv'}", "--design", "week=bspline:4") == 0
    assert gcp.load(files / "r.npz").coefficients["user"].shape == (2, 1)


def test_a_cycle_may_be_shorter_than_the_data(files, rng):
    """As the weeks of several years: one period on, a factor is the same."""
    lines = [f"u{u},{t},{rng.poisson(3)}" for u in range(3) for t in range(24)]
    (files / "x.csv").write_text("\n".join(["user,week,n", *lines]))
    assert fit(files, "--design", "week=bspline:4:cyclic:0:12") == 0
    found = gcp.load(files / "r.npz")
    assert_allclose(found.factors[1][12:], found.factors[1][:12], rtol=1e-12)
    assert np.ptp(found.factors[1][:12]) > 0
    assert_allclose(found.predict_at({"week": [26]}), found.predict_at({"week": [2]}), rtol=1e-12)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("week", "expected MODE=BASIS"),
        ("week=spline:3", "expected bspline:N"),
        ("week=bspline:2", "n must be an integer >= 4"),
        ("week=bspline:4:cyclic:0:12", "the ends of bspline(4, cyclic=True, ends=(0.0, 12.0)) are numbers"),
        ("week=bspline:4:cyclic:12:0", "ends must be a pair (low, high)"),
        ("site=bspline:4", "there is no mode 'site'"),
        ("user=bspline:4", "needs coordinates that are numbers or dates"),
        ("user=features:none.csv", "cannot be read"),
    ],
)
def test_what_is_no_design_takes_one_line(option, words, files, capsys):
    with pytest.raises(SystemExit) as end:
        raise SystemExit(fit(files, "--design", option))
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
