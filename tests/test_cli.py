"""The command line: in this process where the process is not the point."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gcp
from gcp.cli import main

SCRIPT = Path(__file__).parent.parent / "scripts" / "fit.py"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A working folder with some tensors."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("counts.npy", rng.poisson(3.0, (6, 5, 4)))
    np.save("zeros.npy", rng.poisson(1.0, (6, 5, 4)) * 1.0)
    np.save("normal.npy", rng.standard_normal((6, 5, 4)))
    np.save("mask.npy", rng.random((6, 5, 4)) < 0.8)
    Path("table.csv").write_text("a,b,n\nx,p,1\nx,q,2\ny,p,3\n")
    return tmp_path


def gcp_main(line):
    return main(line.split())


def gcp_process(line, *start):
    start = start or ("-m", "gcp")
    return subprocess.run(
        [sys.executable, *start, *line.split()], capture_output=True, text=True, timeout=120, check=True
    )


def fit(line):
    return gcp_main(f"fit {line} --quiet --seed 0")


def fit_json(capsys, line):
    assert fit(f"{line} --json") == 0
    return json.loads(capsys.readouterr().out)


def assert_one_error_line(err):
    assert err.startswith("gcp: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")


class TestRoundTrip:
    def test_fit_plot_and_json_in_a_process(self, files):
        done = gcp_process("fit counts.npy --loss poisson --rank 2 --seed 0 --out r.npz --plot r.png --json")
        found = json.loads(done.stdout)
        result = gcp.FitResult.load("r.npz")
        assert found["objective"] == result.objective
        assert found["weights"] == result.weights.tolist()
        assert found["files"] == {"out": "r.npz", "plot": "r.png"}
        assert Path("r.png").read_bytes().startswith(b"\x89PNG")
        assert "iteration" in done.stderr

    def test_script_does_the_same(self, files):
        done = gcp_process("counts.npy --loss poisson --rank 2 --seed 0 --quiet --json", SCRIPT)
        again = gcp.fit_gcp(np.load("counts.npy"), 2, loss="poisson", random_state=0)
        assert json.loads(done.stdout)["objective"] == again.objective
        assert done.stderr == ""

    def test_bundled_data_keep_their_labels(self, files, capsys):
        found = fit_json(capsys, "titanic --rank 1 --loss poisson --out t.npz")
        assert found["modes"] == ["class", "sex", "age", "survived"]
        labels = gcp.FitResult.load("t.npz").labels
        assert labels.coords[0].tolist() == ["1st", "2nd", "3rd", "Crew"]

    def test_a_file_wins_over_bundled_data(self, files, capsys):
        with open("titanic", "w") as file:
            file.write("no tensor")
        assert fit("titanic --rank 1") == 2
        assert "titanic: has no ending" in capsys.readouterr().err

    def test_table_names_what_was_done(self, files, capsys):
        args = "--loss negative-binomial --param r=3 --rank 2 --seed 0 --starts 2 --out r.npz --max-iter 3"
        assert gcp_main(f"fit counts.npy {args}") == 0
        shown = capsys.readouterr()
        for part in ("6 mode_0 x 5 mode_1 x 4 mode_2", "negative-binomial (r=3", "r.npz", "(--max-iter)"):
            assert part in shown.out
        assert "start 2 is kept" in shown.out or "start 1 is kept" in shown.out
        assert "Warning" not in shown.err

    def test_quiet(self, files, capsys):
        assert fit("counts.npy --rank 1") == 0
        shown = capsys.readouterr()
        assert shown.out == shown.err == ""

    def test_options_reach_the_fit(self, files, capsys):
        args = (
            "--rank 2 --l2-reg 0.5 --lower 0 --upper 9 --max-iter 7 --tol 1e-3 --max-seconds 60 --threads 1"
        )
        found = fit_json(capsys, f"normal.npy {args} --init svd --solver lbfgsb")
        settings = found["settings"]
        assert settings["l2_reg"] == 0.5
        assert settings["bounds"] == [0, 9]
        assert settings["solver"]["n_iter_max"] == 7
        assert settings["solver"]["tol"] == 1e-3
        assert (settings["max_seconds"], settings["n_threads"], settings["seed"]) == (60, 1, 0)
        assert settings["init"] == "svd"

    def test_mask_weights_and_zeros(self, files, capsys):
        data, mask = np.load("zeros.npy"), np.load("mask.npy")
        np.save("weights.npy", mask * 2.0)
        both = mask & (data != 0)
        found = fit_json(capsys, "zeros.npy --rank 1 --loss gamma --exclude-zeros --mask mask.npy")
        expected = gcp.fit_gcp(data, 1, loss="gamma", mask=both, random_state=0)
        assert found["objective"] == expected.objective
        found = fit_json(capsys, "zeros.npy --rank 1 --loss poisson --entry-weights weights.npy")
        expected = gcp.fit_gcp(data, 1, loss="poisson", entry_weights=mask * 2.0, random_state=0)
        assert found["objective"] == expected.objective

    def test_mask_as_a_listing(self, files, capsys):
        Path("observed.csv").write_text("a,b,n\nx,p,1\nx,q,1\ny,p,1\n")
        found = fit_json(capsys, "table.csv --unlisted zero --value n --rank 1 --mask observed.csv")
        assert found["shape"] == [2, 2]
        assert found["objective"] == pytest.approx(0, abs=1e-6)  # three cells, rank 1
        Path("observed.csv").write_text("a,b,n\nx,p,1\nx,q,1\nz,p,1\n")
        assert fit("table.csv --unlisted zero --rank 1 --mask observed.csv") == 2
        assert "observed.csv: The label 'y' of mode 'a' is in the data, but not in" in capsys.readouterr().err

    def test_continues_a_saved_result(self, files, capsys):
        first = fit_json(capsys, "counts.npy --rank 2 --loss poisson --max-iter 5 --out a.npz")
        second = fit_json(capsys, "counts.npy --rank 2 --loss poisson --max-iter 5 --init a.npz")
        assert second["objective"] < first["objective"]

    def test_json_is_strict(self, files, capsys):
        np.save("constant.npy", np.full((2, 2), 3.0))
        assert fit("constant.npy --rank 1 --max-iter 0 --upper 1 --json") == 0
        found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert found["deviance_explained"] is None  # -inf


class TestErrors:
    @pytest.mark.parametrize(
        ("args", "part"),
        [
            ("fit none.npy --rank 2", "there is no such file, nor a bundled data set"),
            ("fit counts.npy --rank 2 --loss poison", "Did you mean 'poisson'?"),
            ("fit counts.npy --rank 0", "rank must be an integer >= 1: found 0"),
            ("fit counts.npy --rank two", "--rank: expected a whole number >= 0"),
            ("fit counts.npy --rank 1 --main-effects a", "there is no mode 'a'"),
            ("fit counts.npy --rank 1 --main-effects \u00b2", "there is no mode '\u00b2'"),
            ("fit counts.npy", "--rank"),
            ("fit counts.npy --rank 2 --tol nan", "--tol: expected a number >= 0"),
            ("fit counts.npy --rank 2 --seed -1", "--seed: expected a whole number >= 0"),
            ("fit normal.npy --rank 2 --loss poisson", "needs data in whole numbers"),
            ("fit zeros.npy --rank 2 --loss gamma", "--exclude-zeros leaves zeros out"),
            ("fit counts.npy --rank 2 --out no/r.npz", "--out no/r.npz: cannot be written"),
            ("fit counts.npy --rank 2 --out table.csv/r.npz", "cannot be written"),
            ("fit counts.npy --rank 2 --out r.csv", "has the ending '.csv'"),
            ("fit counts.npy --rank 2 --plot no/r.png", "--plot no/r.png: cannot be written"),
            ("fit counts.npy --rank 2 --plot r.gif", "has the ending '.gif'"),
            ("fit table.xyz --rank 2", "no such file"),
            ("fit table.csv --rank 2", "--unlisted zero"),
            ("fit titanic --rank 2 --modes a,b", "reading options are for files"),
            ("fit counts.npy --rank 2 --modes a,b", "--modes does not apply"),
            ("fit counts.npy --rank 2 --loss huber --param delta", "expected NAME=NUMBER"),
            ("fit counts.npy --rank 2 --loss huber --param delta=x", "expected NAME=NUMBER"),
            ("fit counts.npy --rank 2 --loss huber --param r=1", "no parameter 'r'"),
            ("fit counts.npy --rank 2 --init none.npz", "expected random, svd or a saved result"),
            ("fit counts.npy --rank 2 --init counts.npy", "not an .npz archive"),
            ("fit counts.npy --rank 2 --mask table.csv", "table.csv: The mode 'a' of the mask"),
            ("fit counts.npy --rank 2 --solver newton", "Unknown solver"),
            ("fit counts.npy --rank 2 --lower 2 --upper 1", "above upper"),
            ("info none.npy", "there is no such file"),
            ("convert counts.npy out.xyz", "has the ending '.xyz'"),
            ("convert counts.npy no/out.npy", "there is no folder"),
            ("plot counts.npy -o r.png", "not an .npz archive"),
            ("plot none.npz -o r.png", "there is no such file"),
            ("plot none.npz -o r.txt", "has the ending '.txt'"),
            ("plot none.npz -o r.png --components a", "whole numbers and commas"),
            ("plot none.npz -o r.png --kind class=pie", "MODE=bar|dot|line"),
            ("frobnicate", "invalid choice"),
            ("--debug", "required: COMMAND"),
        ],
    )
    def test_bad_input_is_one_line_and_status_2(self, files, capsys, args, part):
        assert main(args.split()) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert_one_error_line(shown.err)
        assert part in shown.err
        assert sorted(os.listdir()) == sorted(
            ["counts.npy", "zeros.npy", "normal.npy", "mask.npy", "table.csv"]
        )

    @pytest.mark.parametrize(
        ("line", "kept"),
        [
            ("fit data.npz --rank 1 --max-iter 2 --out ./data.npz", "data.npz"),
            ("fit counts.npy --rank 1 --max-iter 2 --mask data.npz --out data.npz", "data.npz"),
            ("fit counts.npy --rank 1 --max-iter 2 --entry-weights data.npz --out data.npz", "data.npz"),
            ("fit counts.npy --rank 1 --max-iter 2 --checkpoint state.npz --out state.npz", "state.npz"),
            ("rank data.npz --ranks 1 --splits 1 --starts 1 --out data.npz", "data.npz"),
            ("anomalies model.npz --data table.csv --unlisted zero --out table.csv", "table.csv"),
        ],
    )
    def test_does_not_overwrite_what_a_command_reads_or_writes_too(self, files, capsys, line, kept):
        counts = np.load("counts.npy")
        gcp.write_tensor("data.npz", counts)
        gcp.fit_gcp(np.ones((2, 2)), 1, random_state=0, checkpoint="state.npz", checkpoint_every=0)
        gcp.fit_gcp(np.ones((2, 2)), 1, random_state=0).save("model.npz")
        before = Path(kept).read_bytes()
        assert gcp_main(line) == 2
        assert "would overwrite" in capsys.readouterr().err
        assert Path(kept).read_bytes() == before

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_unwritable_folder(self, files, capsys):
        Path("locked").mkdir(mode=0o555)
        assert fit("counts.npy --rank 1 --out locked/r.npz") == 2
        assert "Permission denied" in capsys.readouterr().err

    def test_without_matplotlib(self, files, capsys, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert fit("counts.npy --rank 1 --plot r.png") == 2
        assert "gcp-tensor[plot]" in capsys.readouterr().err

    def test_a_picture_that_fails_leaves_the_result(self, files, capsys, monkeypatch):
        def full(*_):
            raise gcp.DataError("r.png: cannot be written: No space left on device.")

        monkeypatch.setattr("gcp.cli.fit_command.save_picture", full)
        assert fit("counts.npy --rank 1 --out r.npz --plot r.png --json") == 2
        shown = capsys.readouterr()
        assert json.loads(shown.out)["files"] == {"out": "r.npz"}
        assert_one_error_line(shown.err)
        assert gcp.FitResult.load("r.npz").rank == 1

    def test_a_bug_is_one_line_and_status_1(self, files, capsys, monkeypatch):
        def broken(*_):
            raise ZeroDivisionError("oops")

        monkeypatch.setattr("gcp.cli.fit_command.read_input_or_parts", broken)
        assert fit("counts.npy --rank 1") == 1
        assert_one_error_line(err := capsys.readouterr().err)
        assert "ZeroDivisionError: oops" in err
        assert "--debug" in err
        with pytest.raises(ZeroDivisionError):
            fit("counts.npy --rank 1 --debug")

    def test_debug_shows_where_input_errors_arise(self, files):
        with pytest.raises(gcp.DomainError):
            fit("normal.npy --rank 1 --loss poisson --debug")


class TestInterrupt:
    @pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_keeps_the_best_model(self, tmp_path, number, status):
        np.save(tmp_path / "data.npy", np.random.default_rng(0).random((40, 40, 40)))
        out = tmp_path / "r.npz"
        line = f"gcp fit data.npy --rank 30 --tol 0 --max-iter 10000000 --starts 1000 --threads 1 --out {out}"
        process = subprocess.Popen(
            [sys.executable, "-m", *line.split()],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        while "iteration" not in (line := process.stderr.readline()):
            assert "compiling" in line
        time.sleep(0.3)
        process.send_signal(number)
        shown, err = process.communicate(timeout=60)
        assert process.returncode == status
        assert "interrupted" in shown
        assert "Traceback" not in err
        assert gcp.FitResult.load(out).status == "interrupted"

    def test_elsewhere_is_one_line(self, files, capsys, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("gcp.cli.info_command.read_input", interrupted)
        assert gcp_main("info counts.npy") == 130
        assert capsys.readouterr().err == "gcp: error: interrupted\n"


class TestInfo:
    def test_json(self, files, capsys):
        data = np.load("zeros.npy")
        data[0, 0, :2] = np.nan
        np.save("data.npy", data)
        assert gcp_main("info data.npy --json") == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["shape"] == [6, 5, 4]
        assert (facts["cells"], facts["missing"]) == (120, 2)
        assert facts["zeros"] == (data == 0).sum()
        assert facts["mean"] == pytest.approx(np.nanmean(data))
        assert facts["variance"] == pytest.approx(np.nanvar(data))
        assert (facts["min"], facts["max"]) == (0, np.nanmax(data))
        losses = facts["losses"]
        assert losses.keys() == set(gcp.available_losses())
        assert losses["poisson"] == {"admitted": True, "reason": None}
        assert losses["gamma"]["reason"].startswith("The gamma loss needs data in (0, inf): found 0.0")
        assert losses["gamma"]["reason"].endswith("more.")

    def test_table(self, capsys):
        assert gcp_main("info nyc_wind") == 0
        shown = capsys.readouterr().out
        for part in ("3 x 365 x 24", "airport", "EWR, JFK, LGA", "173 (0.7%)", "rayleigh", "1255 more"):
            assert part in shown

    def test_infinite_data(self, files, capsys):
        np.save("data.npy", np.array([1.0, np.inf, -np.inf]))
        assert gcp_main("info data.npy --json") == 0
        facts = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert facts["max"] is None
        assert not any(entry["admitted"] for entry in facts["losses"].values())


class TestOtherCommands:
    def test_losses_describes_every_class(self, capsys):
        assert gcp_main("losses --json") == 0
        losses = {loss["name"]: loss for loss in json.loads(capsys.readouterr().out)["losses"]}
        assert sorted(losses) == gcp.available_losses()
        for loss in losses.values():
            assert all(
                loss[key] for key in ("formula", "distribution", "link", "data_domain", "model_domain")
            )
        assert losses["poisson"]["formula"] == "f(x, m) = m - x log(m + eps)"
        assert losses["huber"]["parameters"] == {"delta": 1.0}
        assert main(["losses"]) == 0
        shown = capsys.readouterr().out
        assert all(name in shown for name in losses)

    def test_losses_into_a_closed_pipe_is_quiet(self):
        process = subprocess.Popen(
            [sys.executable, "-m", "gcp", "losses"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() == 1

    def test_convert_round_trip(self, files, capsys):
        for step in ("titanic t.npz", "t.npz t.tns", "t.tns t.npy", "titanic t.csv", "t.csv again.npz"):
            assert gcp_main(f"convert {step}") == 0
        titanic = gcp.datasets.load_titanic()
        np.testing.assert_array_equal(np.load("t.npy"), titanic.values)
        assert gcp.read_tensor("t.npz").labels == titanic.labels
        back = gcp.read_tensor("again.npz")  # tables sort their labels: Adult, Child
        assert back.labels.names == titanic.labels.names
        np.testing.assert_array_equal(back.values[:, ::-1, ::-1], titanic.values)
        assert gcp_main("convert table.csv s.npz --modes b,a --value n --unlisted missing") == 0
        assert gcp.read_tensor("s.npz").labels.names == ("b", "a")

    @pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
    def test_plot(self, files, capsys, ending, start):
        assert fit("titanic --rank 3 --loss poisson --out r.npz") == 0
        assert main(["plot", "r.npz", "-o", f"r.{ending}", "--components", "0,2", "--kind", "class=dot"]) == 0
        assert Path(f"r.{ending}").read_bytes().startswith(start)
        assert gcp_main("plot r.npz -o r.png --components 3") == 2

    def test_plot_needs_no_custom_loss(self, files):
        loss = gcp.custom_loss(lambda x, m: (x - m) ** 2, name="mine")
        gcp.fit_gcp(np.load("normal.npy"), 1, loss=loss, random_state=0).save("r.npz")
        assert gcp_main("plot r.npz -o r.png") == 0


class TestHelp:
    @pytest.mark.parametrize("command", ["", "fit", "info", "losses", "convert", "plot"])
    def test_help_has_an_example(self, capsys, command):
        assert main([*command.split(), "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"example:\n  gcp {command}" in shown

    def test_gcp_alone_shows_its_help(self, capsys):
        assert main([]) == 0
        assert "usage: gcp" in capsys.readouterr().out

    @pytest.mark.parametrize("columns", ["1", "0", "-5", "x"])
    def test_help_on_a_narrow_terminal(self, capsys, monkeypatch, columns):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["fit", "--help"]) == 0
        assert "example:" in capsys.readouterr().out

    def test_defaults_named_in_the_help_are_those_of_the_solver(self, capsys):
        gcp_main("fit --help")
        shown = " ".join(capsys.readouterr().out.split())
        assert f"(default: the solver's, {gcp.LBFGSB().n_iter_max})" in shown
        assert f"(default: the solver's, {gcp.LBFGSB().tol})" in shown

    def test_version(self, capsys):
        from importlib.metadata import version

        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"gcp {version('gcp-tensor')}\n"

    def test_help_imports_little(self):
        code = (
            "import sys; from gcp.cli import main; main(['--help']); "
            "assert not {'llvmlite', 'scipy', 'tensorly', 'rich', 'matplotlib', 'pandas'} & set(sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
