"""How many files it takes to ship a loss and a penalty inside a copy of the package, as docs/extending.md says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LOSS = '''
from dataclasses import dataclass

from gcp.losses.poisson import Poisson
from gcp.losses.registry import register


@register("half-normal")
@dataclass(frozen=True)
class HalfNormal(Poisson):
    """A stand-in.

    - **Loss:** f(x, m) = m - 2 x log(m + eps)
    - **Domain:** that of counts
    """
'''

LOOK = """
import gcp, runpy
assert gcp.HalfNormal().name == "half-normal"
assert type(gcp.get_loss("half-normal")) is gcp.HalfNormal
rows = runpy.run_path("scripts/loss_table.py")["rows"]()
assert "| `half-normal` | `m - 2 x log(m)` | counts | m >= 0 | |" in rows.splitlines()
from gcp.penalties import Smooth
assert gcp.penalties.Smooth is Smooth
"""


@pytest.fixture
def copy(tmp_path):
    leave = shutil.ignore_patterns("__pycache__", "_data", "*.npz")
    shutil.copytree(ROOT / "gcp", tmp_path / "gcp", ignore=leave)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=leave)
    return tmp_path


def test_a_loss_and_a_penalty_take_two_files_each(copy):
    package = copy / "gcp"
    (package / "losses" / "half_normal.py").write_text(LOSS)
    with open(package / "__init__.pyi", "a") as stub:
        stub.write("from .losses.half_normal import HalfNormal as HalfNormal\n")
    penalty = "from gcp.objectives.penalties.base import Penalty\n\n\nclass Smooth(Penalty):\n    pass\n"
    (package / "objectives" / "penalties" / "smooth.py").write_text(penalty)
    with open(package / "penalties.py", "a") as public:
        public.write("from gcp.objectives.penalties.smooth import Smooth as Smooth\n")
    env = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=copy, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
