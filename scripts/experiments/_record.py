"""What every study leaves: a table and a record of how it was made."""

import csv
import json
import platform
from importlib.metadata import version

import numpy as np


def write(folder, experiment, file, rows, **facts):
    """Rows to a csv file, and facts beside the versions to run.json."""
    with open(folder / file, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    record = {
        "experiment": experiment,
        **facts,
        "versions": {
            "gcp": version("gcp-tensor"),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "processor": platform.processor() or platform.machine(),
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n")
