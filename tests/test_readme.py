"""The documents' code runs."""

import re
import runpy
import warnings
from pathlib import Path

import gcp

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_tour_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(  # test_report.py renders the page of this model, test_cli_rank.py such a plot
        "matplotlib.figure.Figure.savefig",
        lambda self, file, **options: hasattr(file, "write") and file.write(b"\x89PNG"),
    )
    scope = {}
    assert len(BLOCKS) >= 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the tour must not even fail to converge
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), scope)
    assert scope["result"].converged
    assert (tmp_path / "flights.npz").exists()
    assert (tmp_path / "flights.html").exists()
    assert scope["choice"].rank == 2  # as the ratings were made


def test_loss_table_is_what_the_losses_say_of_themselves():
    script = runpy.run_path(str(ROOT / "scripts" / "loss_table.py"))
    tables = script["ROWS"].findall((ROOT / "README.md").read_text())
    assert [rows for _, rows in tables] == [script["rows"]()], "run scripts/loss_table.py"
    names = re.findall(r"(?m)^\| `([\w-]+)` \| `.+` \|", tables[0][1])
    assert names == gcp.available_losses()
