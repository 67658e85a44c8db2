"""`gcp fit --tensor NAME=FILE ...`: the same fit as in Python, its file in other commands, and what is refused."""

import json

import numpy as np
import pytest

import gcp
from gcp.cli import main


@pytest.fixture
def files(tmp_path, rng):
    a, b, c = (rng.gamma(1.0, 1.0, (size, 2)) for size in (12, 6, 5))
    y = a @ rng.standard_normal((2, 4)) + 0.3 * rng.standard_normal((12, 4))
    lines = ["subject,trait,score"]
    lines += [f"s{i},t{j},{y[i, j]}" for i in rng.permutation(12) for j in range(4)]
    (tmp_path / "traits.csv").write_text("\n".join(lines))
    x = rng.poisson(3 * np.einsum("ir,jr,kr->ijk", a, b, c)).astype(float)
    labels = gcp.ModeLabels(["subject", "neuron", "time"], [[f"s{k}" for k in range(12)], None, None])
    gcp.write_tensor(tmp_path / "spikes.npz", gcp.DenseTensor(x, labels=labels))
    np.save(tmp_path / "spikes.npy", x)
    np.save(tmp_path / "traits.npy", y)
    return tmp_path


LOSS = ("--loss", "spikes=poisson,traits=gaussian")
SAME = ("--rank", "2", "--seed", "0", "--threads", "1", "--value", "score")


def fit(files, *options, spikes="spikes.npz", traits="traits.csv", loss=LOSS):
    tensors = ["--tensor", f"spikes={files / spikes}", "--tensor", f"traits={files / traits}"]
    return main(["fit", *tensors, *SAME, *loss, *options])


def test_it_is_the_fit_of_python(files, capsys):
    out = str(files / "both.npz")
    assert fit(files, "--out", out, "--json", "--quiet") == 0
    shown = json.loads(capsys.readouterr().out)
    data = {
        "spikes": gcp.read_tensor(files / "spikes.npz"),
        "traits": gcp.read_tensor(files / "traits.csv", value="score"),
    }
    losses = {"spikes": "poisson", "traits": "gaussian"}
    expected = gcp.fit_gcp(data, 2, loss=losses, random_state=0, n_threads=1)
    found = gcp.load(out)
    for mode, a in expected.factors.items():
        np.testing.assert_array_equal(found.factors[mode], a)
    assert shown["objective"] == expected.objective
    assert shown["tensors"]["traits"]["weight"] == expected.weights["traits"]
    assert fit(files) == 0
    assert "Coupled GCP model of rank 2" in capsys.readouterr().out
    assert fit(files, "--init", out, "--json", "--quiet", "--weights", "traits=2,spikes=1") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["weights"] == {"traits": 2.0, "spikes": 1.0}


def test_files_without_names_get_them(files, capsys):
    named = {"spikes": "spikes.npy:subject,neuron,time", "traits": "traits.npy:subject,trait"}
    assert fit(files, "--json", "--quiet", "--smooth", "time=2", "--main-effects", **named) == 0
    assert json.loads(capsys.readouterr().out)["tensors"]["traits"]["modes"] == ["subject", "trait"]
    assert fit(files, "--quiet", spikes="spikes.npy", traits="traits.npy:subject,trait") == 2
    assert "have no names of their own" in (told := capsys.readouterr().err)
    assert "--tensor spikes=FILE:A,B,C" in told or "modes" in told


def test_its_file_has_a_model_for_each(files, capsys):
    out = str(files / "both.npz")
    assert fit(files, "--out", out, "--quiet") == 0
    data = ["--data", str(files / "traits.csv"), "--value", "score"]
    assert main(["judge", f"{out}:traits", *data, "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    tensor = gcp.read_tensor(files / "traits.csv", value="score")
    assert judged["log_likelihood"] == pytest.approx(
        gcp.analysis.log_likelihood(gcp.load(out)["traits"], tensor)
    )
    assert main(["report", f"{out}:traits", *data, "-o", str(files / "page.html")]) == 0
    page = (files / "page.html").read_text()
    assert "It was fitted together with spikes" in page
    assert "A call of fit_gcp with this tensor and spikes" in page
    assert "result = gcp.fit_gcp(" not in page  # which would be that of one tensor
    assert main(["plot", f"{out}:spikes", "-o", str(files / "picture.png")]) == 0
    capsys.readouterr()
    for words, given in (("say which", out), ("There is no tensor 'z'", f"{out}:z")):
        assert main(["plot", given, "-o", str(files / "picture.png")]) == 2
        assert words in capsys.readouterr().err
    gcp.fit_gcp(tensor, 1, loss="gaussian").save(files / "one.npz")
    assert main(["plot", f"{files / 'one.npz'}:traits", "-o", str(files / "picture.png")]) == 2
    assert "holds the model of one tensor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mask", "m.npy"), "--mask does not go together with --tensor"),
        (("--checkpoint", "c"), "--checkpoint does not go together with --tensor: Ctrl-C"),
        (("--test-fraction", "0.1"), "--test-fraction does not go together"),
        (("--memory", "1GB"), "--memory does not go together"),
        (("--plot", "p.png"), "RESULT.npz:NAME"),
        (("--modes", "a,b"), "--tensor NAME=FILE:A,B,C"),
        (("--tensor", "spikes=x.npy"), "--tensor spikes is there twice"),
        (("--loss", "poisson"), "expected each tensor once, such as spikes=poisson,traits=gaussian"),
        (("--loss", "spikes=poisson"), "loss lacks that of 'traits'"),
        (("--param", "r=3"), "expected NAME.PARAMETER=VALUE"),
        (("--weights", "traits=x"), "expected numbers"),
        (("--main-effects", "subject"), "takes no modes"),
        (("--solver", "als"), "sum of their gradients"),
        (("--ridge", "nothing=2"), "there is no mode 'nothing'"),
        (("--tensor", "x"), "expected NAME=FILE"),
        (("--init", "nothing.npz"), "nothing.npz"),
        (("--out", "both.txt"), "--out"),
    ],
)
def test_what_is_refused_is_refused_in_one_sentence(files, capsys, options, words):
    assert fit(files, "--quiet", *options) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_input_and_tensors_are_two_ways(files, capsys):
    assert main(["fit", "nyc_flights", "--tensor", "x=y.npy", *SAME, "--loss", "poisson"]) == 2
    assert "INPUT is one tensor" in capsys.readouterr().err
    assert main(["fit", "--rank", "2"]) == 2
    assert "expected INPUT" in capsys.readouterr().err
    assert main(["fit", "--tensor", f"x={files / 'spikes.npz'}", "--rank", "1", "--loss", "x=poisson"]) == 2
    assert "two or more are coupled" in capsys.readouterr().err
    assert main(["fit", "nyc_flights", "--rank", "1", "--weights", "x=1"]) == 2
    assert "--entry-weights" in capsys.readouterr().err
