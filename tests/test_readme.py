"""The documents' code runs."""

import re
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_tour_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    assert len(BLOCKS) >= 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the tour must not even fail to converge
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), scope)
    assert scope["result"].converged
    assert (tmp_path / "flights.npz").exists()


def test_loss_table_names_exactly_the_registered_losses():
    import gcp

    table = (ROOT / "README.md").read_text().split("## Losses")[1].split("###")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)) == gcp.available_losses()
