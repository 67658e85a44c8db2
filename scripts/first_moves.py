"""What a newcomer tries first, a move a line: run all of them, and write docs/first_moves.md, what each gives.

    python scripts/first_moves.py [--check]

A move works, or ends in a sentence: of gcp, or of Python about an argument that is not there. With --check nothing is
written. It is a failure if a move does neither, or ends otherwise than the page says. The names that moves use stand
in `at_hand`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import gcp
from gcp.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "first_moves.md"
MOVES = Path(__file__).with_suffix(".txt")
INTRODUCTION = """# First moves

What people try first, and what they get: `python scripts/first_moves.py` makes this page. At hand are `x`, counts of
6 x 5 x 4; `noise`, real numbers of that shape; `result`, a Poisson model of `x`; `named`, the same with names and
labels (animal, item, day); `ratings`, a table of user, film and stars; `events`, of user, page and time; and files as
other programs write them. A move works, or ends in a sentence.
"""


def at_hand() -> dict[str, Any]:
    """Return the names that moves use."""
    import pandas as pd
    import xarray as xr

    rng = np.random.default_rng(0)
    x = rng.poisson(3.0, (6, 5, 4))
    coords = {"animal": list("uvwxyz"), "item": list("pqrst"), "day": pd.date_range("2024-05-01", periods=4)}
    named = xr.DataArray(
        x, dims=("animal", "item", "day"), coords=coords, name="count", attrs={"units": "1/h"}
    )
    users, films = rng.integers(100, 130, 400), rng.integers(10, 30, 400)
    ratings = pd.DataFrame({"user": users, "film": films, "stars": rng.integers(1, 6, 400)})
    ratings = ratings.drop_duplicates(["user", "film"]).reset_index(drop=True)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10 * 86400, 300), unit="s")
    events = pd.DataFrame(
        {"user": rng.choice(list("abcde"), 300), "page": rng.choice(list("xyz"), 300), "time": times}
    )
    taste = gcp.fit_gcp(
        gcp.from_frame(ratings, ["user", "film"], "stars", "missing"),
        1,
        main_effects=True,
        l2_reg=1.0,
        random_state=0,
    )
    return {
        **{
            "np": np,
            "pd": pd,
            "xr": xr,
            "gcp": gcp,
            "analysis": gcp.analysis,
            "x": x,
            "noise": rng.normal(size=x.shape),
        },
        **{"named": named, "ratings": ratings, "events": events, "taste": taste},
        "result": gcp.fit_gcp(x, 2, loss="poisson", random_state=0),
        "of_named": gcp.fit_gcp(named, 2, loss="poisson", random_state=0),
    }


def run(move: str, names: dict[str, Any]) -> tuple[str, str]:
    """Return how a move ended, "works", "says" or "FAILS", and what it gave, in a line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if move.startswith("gcp "):
                return _of_status(main(move.split()[1:]), out.getvalue(), err.getvalue())
            return "works", _value(move, dict(names), out)
        except gcp.GcpError as error:
            return "says", str(error)
        except SystemExit as end:
            return _of_status(end.code, out.getvalue(), err.getvalue())
        except Exception as error:
            if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
                return "says", str(error)
            return "FAILS", f"{type(error).__name__}: {error}"


def _value(move: str, names: dict[str, Any], out: io.StringIO) -> str:
    """Return what the last expression of a move is, or what it printed."""
    *before, last = ast.parse(move).body
    exec(compile(ast.Module(before, []), "move", "exec"), names)
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), "move", "exec"), names)
        return out.getvalue()
    found = eval(compile(ast.Expression(last.value), "move", "eval"), names)
    return out.getvalue() if found is None else repr(found)


def _of_status(status: Any, out: str, err: str) -> tuple[str, str]:
    return {0: ("works", out), None: ("works", out), 2: ("says", err)}.get(
        status, ("FAILS", f"{status}: {err}")
    )


def write_files(folder: Path) -> None:
    """Write the files that moves read, as other programs do."""
    import h5py
    import pandas as pd
    import scipy.io
    import scipy.sparse
    import sparse
    import xarray as xr

    texts = {
        "u.data": "196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n",
        "ratings.dat": "1::1193::5::978300760\n2::661::3::978302109\n",
        "semicolon.csv": "user;item;value\na;x;1,5\nb;y;2,5\n",
        "plain.tsv": "user\titem\tvalue\na\tx\t1\nb\ty\t2\n",
        "plain.csv": "user,item,value\na,x,1\nb,y,2\nb,x,3\n",
        "no_header.csv": "a,x,1\nb,y,2\na,y,3\n",
        "wide.csv": "country,1990,1991,1992\nA,1.5,2.5,3.5\nB,4.5,5.5,6.5\n",
        "many_columns.csv": ",".join(f"c{k}" for k in range(100_000)) + "\n" + ",".join("1" * 100_000) + "\n",
        "frostt.tns": "# by hand\n3 2\n5 6 7\n1 1 1 1.0\n2 3 4 2.5\n",
        "zero_based.tns": "0 0 0 1.0\n1 2 3 2.5\n",
        "toolbox.tns": "sptensor\n3\n5 4 3\n2\n1 1 1 1.0\n1 3 3 2.0\n",
        "matrix.mtx": "%%MatrixMarket matrix coordinate real general\n% by hand\n3 3 2\n1 1 5\n3 2 1\n",
        "empty.csv": "",
        "picture.png": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "latin1.csv").write_bytes("user,item,value\n\xc5se,x,1\nb,y,2\n".encode("latin-1"))
    x, table = (
        np.arange(24.0).reshape(2, 3, 4),
        pd.DataFrame({"user": ["a", "b"], "film": ["x", "y"], "stars": [3, 4]}),
    )
    scipy.sparse.save_npz(folder / "scipy.npz", scipy.sparse.csr_array(x[0]))
    sparse.save_npz(folder / "pydata.npz", sparse.COO.from_numpy(x))
    np.savez(folder / "cut.npz", x=x)
    (folder / "cut.npz").write_bytes((folder / "cut.npz").read_bytes()[:200])
    scipy.io.savemat(folder / "old.mat", {"X": x})
    scipy.io.savemat(folder / "struct.mat", {"data": {"spikes": x, "fs": 1e3}})
    with h5py.File(folder / "v73.mat", "w", userblock_size=512) as file:
        file["X"] = x.T
        file["X"].attrs["MATLAB_class"] = np.bytes_("double")
    header = b"MATLAB 7.3 MAT-file, by hand".ljust(116) + b"\0" * 8 + b"\x00\x02IM"
    (folder / "v73.mat").write_bytes(header + (folder / "v73.mat").read_bytes()[len(header) :])
    (folder / "cut.h5").write_bytes((folder / "v73.mat").read_bytes()[512:900])
    xr.DataArray(x, dims=("place", "month", "year"), name="rain").to_netcdf(
        folder / "array.nc", engine="h5netcdf"
    )
    with h5py.File(folder / "cells.h5ad", "w") as file:  # as AnnData's page on its format has it
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        file["X"] = x[0]
        file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for group, names in (("obs", list("abc")), ("var", list("WXYZ"))):
            file[f"{group}/_index"] = names
            file[f"{group}/_index"].attrs.update(
                {"encoding-type": "string-array", "encoding-version": "0.2.0"}
            )
            kind = {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"}
            file[group].attrs.update(kind | {"column-order": np.array([], "S1")})
    table.to_feather(folder / "table.feather")
    table.to_excel(folder / "table.xlsx", index=False)


def sections() -> dict[str, list[str]]:
    """Return the moves by heading."""
    found: dict[str, list[str]] = {}
    for line in filter(None, MOVES.read_text().splitlines()):
        if line.startswith("# "):
            found[line[2:]] = moves = []
        else:
            moves.append(line)
    return found


def page(folder: Path) -> tuple[str, list[str]]:
    """Return the page, and the moves that fail."""
    names, failed, lines = at_hand(), [], [INTRODUCTION]
    for heading, moves in sections().items():
        lines += [f"## {heading}", "", "| move | | |", "|---|---|---|"]
        for move in moves:
            how, what = run(move, names)
            if how == "FAILS":
                failed.append(f"{move}\n    {what}")
            lines.append(f"| `{_escaped(move)}` | {how} | {_short(what, folder)} |")
        lines.append("")
    return "\n".join(lines), failed


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _short(text: str, folder: Path) -> str:
    """Return the first line, of a table what fits into a line, without what changes from run to run."""
    lines = [line.strip() for line in text.replace(f"{folder}{os.sep}", "").splitlines() if line.strip()]
    line = re.sub(r"\s+", " ", " ".join(lines[:1] if text.startswith("GCP model") else lines))
    line = re.sub(r" at 0x[0-9a-f]+|, (Linux|macOS|Windows)\S*", "", line)
    cut = line if len(line) <= 160 else f"{line[:157]}..."
    return f"`{_escaped(cut)}`" if cut else ""


def statuses(text: str) -> list[str]:
    """Return the moves of a page with how they ended."""
    return re.findall(r"^\| (`.*` \| (?:works|says|FAILS)) \|", text, re.MULTILINE)


def start() -> int:
    """Run all moves; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    import matplotlib

    matplotlib.use("agg")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write_files(folder)
        with contextlib.chdir(folder):
            text, failed = page(folder)
    print(*failed, sep="\n")
    if not check:
        PAGE.write_text(text)
        return bool(failed)
    was, now = statuses(PAGE.read_text()), statuses(text)
    changed = sorted(set(was) ^ set(now))
    print(*changed, sep="\n")
    return bool(failed or changed)


if __name__ == "__main__":
    sys.exit(start())
