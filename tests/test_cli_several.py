"""`gcp fit --loss MODE:LABEL=LOSS,...`: the same fit as in Python, and one sentence for what is no such list."""

import json

import numpy as np
import pytest

import gcp
from gcp.cli import main


@pytest.fixture
def table(tmp_path, rng):
    lines = ["person,week,variable,value"]
    for i, a in enumerate(rng.uniform(0.2, 1.5, 15)):
        for week in range(5):
            own = rng.normal(40 * a, 4), rng.poisson(4 * a), int(rng.random() < 0.4)
            lines += [
                f"p{i},{week},{name},{x}" for name, x in zip(("age", "visits", "smoker"), own, strict=True)
            ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    return path


def fit(table, loss, *options):
    words = ["fit", str(table), "--value", "value", "--rank", "1", "--seed", "0", "--quiet", "--threads", "1"]
    return main([*words, "--loss", loss, *options])


def test_several_losses_are_those_of_python(table, tmp_path, capsys):
    out = tmp_path / "r.npz"
    assert fit(table, "variable:age=gaussian,visits=poisson,*=bernoulli-logit", "--out", str(out)) == 0
    found, data = gcp.load(out), gcp.read_tensor(table, value="value")
    losses = {"variable": {"age": "gaussian", "visits": "poisson", None: "bernoulli-logit"}}
    assert found.loss == gcp.fit_gcp(data, 1, loss=losses, random_state=0, n_threads=1).loss
    assert main(["judge", str(out), "--data", str(table), "--value", "value", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert "smoker=bernoulli-logit" in judged["loss_parameters"]
    assert judged["log_likelihood"] == pytest.approx(gcp.analysis.log_likelihood(found, data))


def test_they_may_be_added_as_they_are(table, tmp_path):
    out = tmp_path / "r.npz"
    options = ["--param", "balanced=0", "--out", str(out)]
    assert fit(table, "2:age=gaussian,visits=poisson,*=bernoulli-logit", *options) == 0
    assert not gcp.load(out).loss.balanced
    assert np.isfinite(gcp.load(out).objective)


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        ("variable:age", (), "expected MODE:LABEL=LOSS"),
        ("variable:age=gaussian,nobody=poisson,*=binary", (), "does not have: 'nobody'"),
        ("variable:age=gaussian,visits=poisson", (), "have no loss: 'smoker'"),
        ("variable:age=gaussian,age=poisson,*=poisson", (), "names 'age' twice"),
        ("variable:*=poisson", ("--param", "r=3"), "takes parameters of its own"),
        ("variable:*=nothing", (), "Unknown loss 'nothing'"),
    ],
)
def test_what_is_no_list_of_losses_is_told(table, capsys, loss, options, words):
    assert fit(table, loss, *options) != 0
    assert words in capsys.readouterr().err
