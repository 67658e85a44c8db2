"""Conversions in bounded memory: the same file as through memory, and nothing left on failure."""

import gzip
import math
import os
import signal
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gcp import ObservedTensor, SparseTensor, read_tensor, write_tensor
from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.cli import main
from gcp.io import convert as convert_module
from gcp.io import external_sort, files, spool, text_rows
from gcp.io.convert import convert

SHAPE = (300, 4000, 200)  # far too many cells for a DenseTensor


@pytest.fixture(autouse=True)
def any_budget(monkeypatch):
    """Small files are read in many pieces, and any budget is enough."""
    monkeypatch.setattr(convert_module, "_LEAST", 0)
    monkeypatch.setattr(text_rows, "_PIECE", 1000)
    monkeypatch.setattr(text_rows, "_SMALL", 100)


@pytest.fixture
def save(tmp_path):
    def write(text, name="a.tns.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def random_text(rng, n=600, shape=SHAPE, pool=150):
    """Rows with repeated cells: whole and other numbers, remarks and blank lines."""
    choice = rng.integers(0, shape, (pool, len(shape)))[rng.integers(0, pool, n)]
    values = np.where(
        rng.random(n) < 0.3, rng.integers(-2, 3, n), rng.normal(size=n) * 10.0 ** rng.integers(-9, 9, n)
    )
    lines = [" ".join(map(str, [*s, v])) for s, v in zip(choice + 1, values.tolist(), strict=True)]
    for k in rng.integers(0, n, 20):
        lines[k] += rng.choice(["  # a remark", "\n", "\n# 1 2 3 4", "\r"])
    return "\n".join(lines) + "\n"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def through_memory(path, **options):
    """What `write_tensor` makes of the same file."""
    write_tensor(path.parent / "memory.npz", read_tensor(path, **options))
    return members(path.parent / "memory.npz")


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("ending", [".tns", ".tns.gz"])
@pytest.mark.parametrize("memory", [1, 3000, 20_000, 10**6])
@pytest.mark.parametrize("aggregate", ["sum", "mean", "first", "last", "max"])
@pytest.mark.parametrize("unlisted", ["zero", "missing"])
def test_the_same_archive_as_through_memory(save, rng, ending, memory, aggregate, unlisted):
    text = random_text(rng, n=150 if memory == 1 else 600)
    for header in ("", "# gcp-tensor shape: 300 4001 5000\n"):
        path = save(header + text, f"a{ending}")
        out = path.with_name("out.npz")
        done = convert(path, out, memory=memory, unlisted=unlisted, aggregate=aggregate)
        assert members(out) == through_memory(path, unlisted=unlisted, aggregate=aggregate)
        assert str(done) == repr(read_tensor(out))
        assert left(path.parent) == sorted([path.name, "memory.npz", "out.npz"])


def test_sums_in_the_order_of_the_listing(save, rng):
    """Against a dictionary: to the last bit, of numbers whose sum depends on the order."""
    text = random_text(rng)
    expected, count = Counter(), Counter()
    for line in text.splitlines():
        if fields := line.partition("#")[0].split():
            cell = tuple(int(field) - 1 for field in fields[:3])
            expected[cell] = expected[cell] + float(fields[3]) if cell in expected else float(fields[3])
            count[cell] += 1
    path = save(text)
    for aggregate in ("sum", "mean"):
        convert(path, path.with_name("out.npz"), memory=3000, aggregate=aggregate, unlisted="missing")
        tensor = read_tensor(path.with_name("out.npz"))
        assert isinstance(tensor, ObservedTensor)
        found = dict(zip(map(tuple, tensor.subs.tolist()), tensor.values.tolist(), strict=True))
        assert found == {c: v / (count[c] if aggregate == "mean" else 1) for c, v in expected.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3000, 2**32, 2**32 + 1]),
            st.integers(1, 4),
            st.sampled_from([0, -1, 1, 0.1, math.inf, -math.inf]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 3000),
)
@example([(1, 1, math.inf), (2, 1, 1), (1, 1, -math.inf)], 1)
def test_any_listing_and_budget(tmp_path, listing, memory):
    """Ties over many runs, subscripts that get wide late, zeros, and infinities, which may add up to NaN."""
    path = tmp_path / "a.tns"
    path.write_text("# gcp-tensor shape: 4294967300 4\n" + "".join(f"{i} {j} {v}\n" for i, j, v in listing))
    for unlisted in ("zero", "missing"):
        options = {"unlisted": unlisted, "aggregate": "sum"}
        try:
            expected = through_memory(path, **options)
        except DataError:
            with pytest.raises(DataError, match="no observed entry"):
                convert(path, tmp_path / "out.npz", memory=memory, **options)
        else:
            convert(path, tmp_path / "out.npz", memory=memory, **options)
            assert members(tmp_path / "out.npz") == expected


def test_subscripts_that_get_wide_in_the_end(save, rng):
    lines = [f"{i} {j} 1\n" for i, j in rng.integers(1, 2**32, (400, 2))]
    path = save("".join(lines) + f"{2**32 + 1} 7 2\n")
    convert(path, path.with_name("out.npz"), memory=5000)
    assert members(path.with_name("out.npz")) == through_memory(path)
    assert read_tensor(path.with_name("out.npz")).subs.dtype == np.uint64


@pytest.mark.parametrize("shape", [(2_000_000,), (40, 3, 50, 2, 600, 7), (2**40, 2**50, 2**33)])
def test_other_numbers_of_modes(save, rng, shape):
    path = save(random_text(rng, 300, shape))
    convert(path, path.with_name("out.npz"), memory=4000)
    assert members(path.with_name("out.npz")) == through_memory(path)


def test_one_cell_alone(save):
    """Longer than every block."""
    path = save("# gcp-tensor shape: 2000 2000\n" + "".join(f"5 7 {k / 7!r}\n" for k in range(1000)))
    convert(path, path.with_name("out.npz"), memory=2000)
    assert read_tensor(path.with_name("out.npz")).values.tolist() == [sum(k / 7 for k in range(1000))]


def test_small_shapes_stay_lists(save):
    path = save("1 1 5\n2 3 -1.5\n2 3 1.5\n")
    convert(path, path.with_name("out.npz"), memory=100)
    tensor = read_tensor(path.with_name("out.npz"))
    assert isinstance(tensor, SparseTensor)
    assert tensor.values.tolist() == [5]
    assert tensor.to_dense().values.tolist() == read_tensor(path).values.tolist()


def test_no_rows_but_a_shape(save):
    path = save("# gcp-tensor shape: 5000 3000\n")
    convert(path, path.with_name("out.npz"), memory=100)
    assert members(path.with_name("out.npz")) == through_memory(path)


def test_parts_hold_no_more_rows_than_fit(save, rng, monkeypatch):
    """Sorted, reversed, and with a cell that alone exceeds what fits."""
    sizes = []
    sort = external_sort._sorted_block
    monkeypatch.setattr(
        external_sort, "_sorted_block", lambda block, shape: sizes.append(len(block)) or sort(block, shape)
    )
    tensor = SparseTensor(rng.integers(0, SHAPE, (500, 3)), np.ones(500), SHAPE, aggregate="sum")
    heavy = np.insert(np.tile(tensor.subs[250], (400, 1)), 200, tensor.subs, axis=0)
    for subs in (tensor.subs, tensor.subs[::-1], heavy):
        lines = "".join(f"{i} {j} {k} {e / 7!r}\n" for e, (i, j, k) in enumerate((subs + 1).tolist()))
        path = save("# gcp-tensor shape: 300 4000 200\n" + lines)
        convert(path, path.with_name("out.npz"), memory=3000)
        assert members(path.with_name("out.npz")) == through_memory(path)
        assert sum(sizes) == len(subs)
        assert max(sizes) < 60
        sizes.clear()


@pytest.mark.parametrize("memory", [1, 2500, 10**6])
def test_repeated_cells_refused_with_their_lines(save, rng, memory):
    text = random_text(rng, 200)
    path = save(text)
    with pytest.raises(DataError) as expected:
        read_tensor(path, aggregate="error")
    with pytest.raises(DataError) as found:
        convert(path, path.with_name("out.npz"), memory=memory, aggregate="error")
    assert str(found.value) == str(expected.value)
    assert left(path.parent) == [path.name]
    lines = dict.fromkeys(line for line in text.splitlines() if line and "#" not in line)
    cells = dict.fromkeys(line.rpartition(" ")[0] for line in lines)
    path = save("".join(f"{cell} 1\n" for cell in cells))
    convert(path, path.with_name("out.npz"), memory=memory, aggregate="error")
    assert members(path.with_name("out.npz")) == through_memory(path)


# ---- what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 2\n" * 500 + "1 1 x\n", "line 501: 'x' is not a number"),
        ("1 1 2\n" * 500 + "1 2\n", "line 501: expected 2 subscripts and a value"),
        ("# gcp-tensor shape: 2 3\n1 0 1\n", "line 2: subscript 0 of mode 1"),
        ("1 1 1\n# c\n1 2 nan\n", "line 3: the value is NaN"),
        ("# nothing\n", "lists no entry"),
        ("# gcp-tensor shape: 2 3\n1 4 1\n", "line 2: subscript 4 of mode 1"),
    ],
)
@pytest.mark.parametrize("ending", [".tns", ".tns.gz"])
def test_bad_lines(save, text, message, ending):
    path = save(text, f"a{ending}")
    with pytest.raises(FormatError, match=rf"^\S+a{ending}: .*{message}"):
        convert(path, path.with_name("out.npz"), memory=10**5)
    assert left(path.parent) == [path.name]


def test_damage(save, rng):
    path = save(random_text(rng))
    content = path.read_bytes()
    for damaged in (content[:-3], content[: len(content) // 2], content[:-6] + b"123456", content + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"a\.tns\.gz: the file is damaged or was cut short"):
            convert(path, path.with_name("out.npz"), memory=10**5)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.tns\.gz: the file is empty"):
        convert(path, path.with_name("out.npz"), memory=10**5)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.tns\.gz: there is no such file"):
        convert(path, path.with_name("out.npz"), memory=10**5)
    assert left(path.parent) == []


def test_options(save, monkeypatch):
    path = save("1 1 2\n")
    out = path.with_name("out.npz")
    for one, other in ((path, "b.csv"), ("b.csv", out), (out, path)):
        with pytest.raises(ParameterError, match=r"from \.tns or \.tns\.gz to \.npz: found \S+ and \S+"):
            convert(one, other, memory=10**9)
    with pytest.raises(ParameterError, match='aggregate must be "sum"'):
        convert(path, out, memory=10**9, aggregate="median")
    with pytest.raises(ParameterError, match='unlisted must be "zero" or "missing"'):
        convert(path, out, memory=10**9, unlisted="one")
    with pytest.raises(DataError, match=r"^no/out\.npz: there is no folder"):
        convert(path, "no/out.npz", memory=10**9)
    (path.parent / "d.npz").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        convert(path, path.parent / "d.npz", memory=10**9)
    monkeypatch.undo()
    with pytest.raises(ParameterError, match="memory must be at least 64 MB: found 1,000 bytes"):
        convert(path, out, memory=1000)


# ---- nothing is left behind


@pytest.fixture
def listing(save, rng):
    """A listing, and a result of earlier days that a failure must not touch."""
    path = save(random_text(rng))
    path.with_name("out.npz").write_bytes(b"old")
    return path


def untouched(path):
    return left(path.parent) == [path.name, "out.npz"] and path.with_name("out.npz").read_bytes() == b"old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_full_disk(listing, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(spool.tempfile, "TemporaryFile", lambda dir: open("/dev/full", "w+b"))  # noqa: SIM115
        with pytest.raises(DataError, match=r"out\.npz: cannot be written: No space left on device"):
            convert(listing, listing.with_name("out.npz"), memory=3000)
    assert untouched(listing)

    def full(path, mode):
        path.write_bytes(b"begun") if mode == "wb" else None
        return open("/dev/full" if mode == "wb" else path, mode)

    monkeypatch.setattr(files, "open", full, raising=False)
    with pytest.raises(DataError, match=r"out\.npz: cannot be written: No space left on device"):
        convert(listing, listing.with_name("out.npz"), memory=3000)
    assert untouched(listing)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("stage", ["reading", "sorting", "packing"])
def test_interrupts(listing, monkeypatch, capsys, stage, number, status):
    out, seen = listing.with_name("out.npz"), []
    owner, name = {
        "reading": (convert_module, "_with"),
        "sorting": (external_sort, "_sorted_block"),
        "packing": (convert_module, "write_listing"),
    }[stage]
    original = getattr(owner, name)

    def interrupted(*arguments):
        seen.append(left(listing.parent))
        if len(seen) == (1 if stage == "packing" else 3):
            os.kill(os.getpid(), number)
        return original(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    assert main(["convert", str(listing), str(out), "--memory", "3kB"]) == status
    assert untouched(listing)
    assert len(seen[-1]) == (3 if stage == "packing" else 2)  # only the unfinished result has a name


def test_a_process_that_is_killed_leaves_nothing(listing):
    code = (
        "import os, sys; from gcp.io import convert, external_sort; convert._LEAST = 0; "
        "external_sort._sorted_block = lambda *a: os.kill(os.getpid(), 9); "
        "convert.convert(*sys.argv[1:], memory=3000)"
    )
    line = [sys.executable, "-c", code, str(listing), str(listing.with_name("out.npz"))]
    assert subprocess.run(line).returncode == -signal.SIGKILL
    assert untouched(listing)


# ---- memory


CHILD = """
import sys
from gcp.io.convert import convert
convert(sys.argv[1], sys.argv[2], memory=64_000_000)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak is told by Linux only")
def test_peak_memory(tmp_path, rng):
    """Of three million rows, 60 MB as numbers alone, beyond what a short listing takes: less than was allowed."""
    n, times = 300_000, 10
    cells = rng.choice(20_000 * 3000 * 500, n, replace=False)
    subs = np.stack(np.unravel_index(cells, (20_000, 3000, 500)), axis=1)
    table = np.column_stack([subs + 1, rng.integers(1, 9, n)])
    text = ("%d %d %d %d\n" * n % tuple(table.ravel().tolist())).encode()
    (tmp_path / "short.tns.gz").write_bytes(gzip.compress(text[: text.index(b"\n", 200_000) + 1], 1))
    (tmp_path / "long.tns.gz").write_bytes(gzip.compress(text, 1) * times)
    peaks = []
    for name in ("short", "long"):
        line = [sys.executable, "-c", CHILD, str(tmp_path / f"{name}.tns.gz"), str(tmp_path / f"{name}.npz")]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    assert peaks[1] - peaks[0] < 64_000_000
    found = read_tensor(tmp_path / "long.npz")
    expected = SparseTensor(subs, times * table[:, 3].astype(float), found.shape)
    np.testing.assert_array_equal(found.subs, expected.subs)
    np.testing.assert_array_equal(found.values, expected.values)
