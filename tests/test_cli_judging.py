"""The commands that judge: suggest, judge, anomalies."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import gcp
from gcp.analysis import anomalies, deviance, information_criteria
from gcp.cli import main


def run(capsys, line):
    assert main(line.split()) == 0
    return capsys.readouterr().out


@pytest.fixture
def fitted(tmp_path, monkeypatch, rng):
    """A saved Poisson model and its data, as a table with labels."""
    monkeypatch.chdir(tmp_path)
    lines = ["day,place,n"]
    counts = rng.poisson(4.0, (6, 5))
    counts[2, 3] = 60
    for i, day in enumerate(["mon", "tue", "wed", "thu", "fri", "sat"]):
        lines += [f"{day},p{j},{counts[i, j]}" for j in range(5)]
    Path("table.csv").write_text("\n".join(lines) + "\n")
    options = "--modes day,place --value n --unlisted zero"
    assert (
        main(f"fit table.csv {options} --loss poisson --rank 1 --seed 0 --out fit.npz --quiet".split()) == 0
    )
    return options


def test_judge_prints_what_the_functions_return(fitted, capsys):
    found = json.loads(run(capsys, f"judge fit.npz --data table.csv {fitted} --json"))
    result = gcp.FitResult.load("fit.npz")
    data = gcp.read_tensor("table.csv", modes=["day", "place"], value="n", unlisted="zero")
    assert found["deviance"] == pytest.approx(deviance(result, data).deviance)
    assert found["aic"] == pytest.approx(information_criteria(result, data).aic)
    assert found["n_parameters"] == 10
    assert "dispersion_statistic" in found
    text = run(capsys, f"judge fit.npz --data table.csv {fitted}")
    assert "deviance explained" in text
    assert "negative-binomial" in text


def test_anomalies_have_labels(fitted, capsys):
    text = run(capsys, f"anomalies fit.npz --data table.csv {fitted} -n 3")
    rows = [line.split() for line in text.splitlines() if "p" in line]
    assert rows[0][:2] == ["day", "place"]
    assert any(row[:3] == ["wed", "p3", "60"] for row in rows)
    found = json.loads(run(capsys, f"anomalies fit.npz --data table.csv {fitted} -n 2 --side high --json"))
    assert found["anomalies"][0]["observed"] == 60
    assert len(found["anomalies"]) == 2
    run(capsys, f"anomalies fit.npz --data table.csv {fitted} -n 4 --out odd.csv")
    with open("odd.csv", newline="") as file:
        table = list(csv.DictReader(file))
    data = gcp.read_tensor("table.csv", modes=["day", "place"], value="n", unlisted="zero")
    expected = anomalies(gcp.FitResult.load("fit.npz"), data, 4)
    assert [float(row["p_value"]) for row in table] == pytest.approx(expected.p_value.tolist())
    assert list(table[0]) == ["day", "place", "observed", "expected", "p_value"]


def test_binary_models_have_scores(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    np.save("links.npy", (rng.random((8, 7, 5)) < 0.3).astype(int))
    line = "fit links.npy --loss bernoulli-logit --rank 1 --seed 0 --out a.npz --quiet"
    assert main(line.split()) == 0
    found = json.loads(run(capsys, "judge a.npz --data links.npy --json"))
    assert 0.5 < found["auc"] <= 1
    assert found["base_rate"] == pytest.approx(np.load("links.npy").mean())


def test_suggest(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    np.save("links.npy", (rng.random((8, 7, 5)) < 0.3).astype(int))
    found = json.loads(run(capsys, "suggest links.npy --json"))
    assert found["best"] == "bernoulli-logit"
    text = run(capsys, "suggest links.npy")
    assert "bernoulli-logit" in text.splitlines()[2]
    assert "possible" in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("judge none.npz --data table.csv", "none.npz"),
        ("judge fit.npz --data missing.csv", "missing.csv"),
        ("anomalies fit.npz --data other.npy", "have the shapes (3, 3)"),
        ("anomalies fit.npz --data table.csv --modes place,n --value day --unlisted zero", "day"),
        ("anomalies fit.npz --data table.csv --modes day,place --value n --unlisted zero -n 0", "n must be"),
        ("anomalies fit.npz --data table.csv --out nowhere/a.csv", "nowhere"),
        ("anomalies fit.npz --data table.csv --out a.txt", ".csv"),
        ("judge fit.npz", "--data"),
    ],
)
def test_bad_input_is_one_line(line, message, fitted, capsys):
    np.save("other.npy", np.ones((3, 3)))
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("gcp: error:")
    assert err.count("\n") == 1
    assert message in err


def test_other_labels_are_refused(fitted, capsys):
    Path("other.csv").write_text(Path("table.csv").read_text().replace("mon", "sun"))
    assert main(f"judge fit.npz --data other.csv {fitted}".split()) == 2
    assert "'mon' of mode 'day' is in fit.npz, but not in other.csv" in capsys.readouterr().err


def test_data_in_another_order_are_the_same(fitted, capsys):
    found = [
        json.loads(run(capsys, f"judge fit.npz --data table.csv {options} --json"))
        for options in (fitted, fitted.replace("day,place", "place,day"))
    ]
    assert found[0]["deviance"] == pytest.approx(found[1]["deviance"], rel=1e-9)


def test_a_bundled_data_set_may_be_the_exposure_of_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = (
        "fit us_crimes --exposure us_population --loss poisson --rank 1 --max-iter 3 --seed 0 --json --quiet"
    )
    found = json.loads(run(capsys, line))
    offences, people = gcp.datasets.load_us_crimes(), gcp.datasets.load_us_population()
    with pytest.warns(gcp.ConvergenceWarning):
        expected = gcp.fit_gcp(offences, 1, loss="poisson", exposure=people, n_iter_max=3, random_state=0)
    assert found["objective"] == pytest.approx(expected.objective)
    assert main(["info", "us_crimes", "--exposure", "nowhere"]) == 2
    assert "nor a bundled data set of this name" in capsys.readouterr().err


def test_many_parameters_are_shortened(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.chdir(tmp_path)
    x = rng.poisson(3.0, (100, 4))
    np.save("x.npy", x)
    loss = gcp.NegativeBinomial(r=tuple(np.linspace(1.0, 2.0, 100)), by=0)
    result = gcp.fit_gcp(x, 1, loss=loss, random_state=0)
    result.save("x_fit.npz")
    said = run(capsys, "judge x_fit.npz --data x.npy")
    assert "r=1,1.0101,...,2, eps=" in said
    assert max(map(len, str(result.summary()).splitlines())) < 100
