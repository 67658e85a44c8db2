"""
The command line, without Python
================================

Short answer: ``gcp fit FILE`` does what `gcp.fit_gcp` does, and writes a result and a picture. ``gcp COMMAND
--help`` shows every option; :doc:`all of them on one page </generated/command_line>`.

This page runs each line as you would type it, in an empty folder. INPUT is a file or the name of a data set.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp())


def run(line):
    """Run a line as a shell would, and print what it prints."""
    command = [sys.executable, "-m", "gcp", *shlex.split(line)[1:]]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=FOLDER, env=os.environ | {"COLUMNS": "96"}
    )
    print(f"$ {line}\n{done.stdout}")


# %%
# What is in the file?
# --------------------

run("gcp convert titanic titanic.csv")
run("gcp info titanic.csv --value value")

# %%
# Fit, look, keep
# ---------------

run(
    "gcp fit titanic.csv --value value --loss poisson --rank 2 --starts 5 --seed 0 --out result.npz --plot plot.png --quiet"
)
print(sorted(os.listdir(FOLDER)))

# %%
# How good is it, and where does it fail?
# ---------------------------------------

run("gcp judge result.npz --data titanic")

# %%

run("gcp anomalies result.npz --data titanic -n 3")

# %%
# One page for a colleague
# ------------------------

run("gcp report result.npz --data titanic -o page.html")
print((FOLDER / "page.html").stat().st_size > 10_000)

# %%
# Numbers for scripts
# -------------------
#
# ``--json`` prints what other programs read. Exit status: 0 done, 2 bad usage or data, 1 anything else.

run("gcp info titanic --json")
