"""`--hold-out` of the command line. Truths: the same by functions."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.cli import main


@pytest.fixture
def counts(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    x = rng.poisson(np.einsum("i,j->ij", rng.gamma(2.0, 1.0, 9), rng.gamma(2.0, 1.0, 16))).astype(float)
    rows = [f"{who},{week},{x[who, week]:g}" for who in range(9) for week in range(16)]
    (tmp_path / "x.csv").write_text("\n".join(["who,week,n", *rows]))
    return gcp.read_tensor("x.csv", value="n", unlisted="missing")


FIT = "fit x.csv --value n --unlisted missing --loss poisson --rank 1 --seed 0 --quiet --json --test-fraction 0.25"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("cells", {}),
        ("rows:who", {"scheme": "rows", "mode": "who"}),
        ("rows:0", {"scheme": "rows", "mode": "who"}),
        ("blocks:week:gap=1", {"scheme": "blocks", "mode": "week", "gap": 1}),
        ("blocks:week:by=who", {"scheme": "blocks", "mode": "week", "by": "who"}),
    ],
)
def test_fits_are_judged_as_in_python(text, options, counts, capsys):
    assert main([*FIT.split(), "--hold-out", text]) == 0
    found = json.loads(capsys.readouterr().out)["held_out"]
    split = gcp.hold_out(counts, 0.25, 0, **options)
    expected = split.judge(gcp.fit_gcp(split.train, 1, loss="poisson", random_state=0))
    assert found == {name: pytest.approx(value) for name, value in vars(expected).items()}


def test_rank_takes_the_same(counts, capsys):
    line = "rank x.csv --value n --unlisted missing --loss poisson --ranks 1 --splits 2 --starts 1 --seed 0 --json"
    assert main([*line.split(), "--quiet", "--hold-out", "blocks:week", "--dirichlet-reg", "0.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    options = {"loss": "poisson", "scheme": "blocks", "mode": "week", "n_splits": 2, "n_starts": 1}
    choice = gcp.select_rank(counts, [1], dirichlet_reg=0.1, random_state=0, **options)
    assert_allclose(found["table"][1]["losses"], choice.table[1].losses)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            f"{FIT} --hold-out future:week",
            "--hold-out future: a CP model without a design on 'week' knows nothing",
        ),
        (f"{FIT} --hold-out rows", "expected cells, or rows:, blocks: or future: with the name of a mode"),
        (f"{FIT} --hold-out weeks:week", "expected cells, or rows:"),
        (f"{FIT} --hold-out rows:day", "--hold-out: there is no mode 'day': expected names (who, week)"),
        (f"{FIT} --hold-out rows:who:gap=1", "gap is for scheme"),
        (FIT.replace(" --test-fraction 0.25", " --hold-out cells"), "--hold-out needs --test-fraction"),
        (
            "rank x.csv --value n --unlisted missing --ranks 1 --hold-out future:week",
            "knows nothing of positions",
        ),
    ],
)
def test_bad_input_is_one_line(line, message, counts, capsys):
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
