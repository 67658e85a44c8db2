"""Damages files of compiled code, and fits: no fit fails, and none gives another result.

    python scripts/benchmarks/damaged_code.py [--damages 240] [--seed 0]

Rounds of three processes, each a fit of other data (dense, sparse, observed), share one folder of compiled code.
Before each round every file of the folder is damaged in one of these ways, drawn at random: emptied, cut, a bit
flipped anywhere, a run of bytes replaced by random ones, lengthened, content taken from another file, deleted,
replaced by a folder, or made unreadable. The objectives must be those of whole files to the last bit, with exit
status 0 and nothing on stderr but the word about compiling. Prints a table of damages.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FIT = """
import sys
import numpy as np, gcp
rng = np.random.default_rng(0)
x = rng.poisson(1.0, (8, 7, 6)).astype(float)
subs = np.argwhere(x)
kinds = {
    "dense": lambda: (x, "poisson"),
    "sparse": lambda: (gcp.SparseTensor(subs, x[x > 0], x.shape), "poisson"),
    "observed": lambda: (gcp.ObservedTensor(subs, x[x > 0], x.shape), "gaussian"),
}
data, loss = kinds[sys.argv[1]]()
result = gcp.fit_gcp(data, 2, loss=loss, random_state=0, n_threads=1, n_iter_max=20)
print(result.objective.hex())
"""
KINDS = ("dense", "sparse", "observed")


def emptied(path, rng):
    path.write_bytes(b"")


def cut(path, rng):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def flipped(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def overwritten(path, rng):
    content = bytearray(path.read_bytes())
    first = rng.randrange(len(content))
    content[first : first + 64] = rng.randbytes(len(content[first : first + 64]))
    path.write_bytes(content)


def lengthened(path, rng):
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 4096)))


def swapped(path, rng):
    other = rng.choice([each for each in path.parent.iterdir() if each.is_file() and each.stat().st_size])
    path.write_bytes(other.read_bytes())


def deleted(path, rng):
    path.unlink()


def replaced_by_a_folder(path, rng):
    path.unlink()
    path.mkdir()


def unreadable(path, rng):
    path.chmod(0)


DAMAGES = (emptied, cut, flipped, overwritten, lengthened, swapped, deleted, replaced_by_a_folder, unreadable)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--damages", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, counts, faults = random.Random(arguments.seed), collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        truth = {kind: fitted(kind, folder) for kind in KINDS}
        n_rounds = 0
        while counts.total() < arguments.damages:
            n_rounds += 1
            told = damage_all(Path(folder), rng, counts)
            for kind in KINDS:
                if (found := fitted(kind, folder)) != truth[kind]:
                    status, objective, said = found
                    last = said.splitlines()[-1:]
                    faults.append([n_rounds, kind, status, objective, *last, told])
    print("| damage | files |\n|---|---|")
    for name, number in counts.most_common():
        print(f"| {name.replace('_', ' ')} | {number} |")
    print(f"\n{counts.total()} files damaged, {n_rounds * len(KINDS)} fits, {len(faults)} faults")
    print(*(json.dumps(fault) for fault in faults), sep="\n")
    sys.exit(bool(faults))


def damage_all(folder: Path, rng: random.Random, counts: collections.Counter) -> dict[str, str]:
    """Damage every file of compiled code, after folders in the place of files are removed."""
    told = {}
    for path in sorted(folder.rglob("*.compiled")):
        if path.is_dir():
            shutil.rmtree(path)
            continue
        if not path.stat().st_size:  # no fit has needed it since it was damaged
            continue
        damage = rng.choice(DAMAGES)
        if damage is not deleted:
            path.chmod(0o600)
        damage(path, rng)
        told[path.name] = damage.__name__
        counts[damage.__name__] += 1
    return told


def fitted(kind: str, folder: str) -> tuple[int, str, str]:
    """Return exit status, the objective, and what else was said, of a fit in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FIT, kind],
        env=os.environ | {"GCP_CACHE_DIR": folder},
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("gcp: compiling")]
    return done.returncode, done.stdout.strip(), "\n".join(said)


if __name__ == "__main__":
    main()
