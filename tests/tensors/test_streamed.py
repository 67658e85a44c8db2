"""Tensors that are read in slabs; the truth is the same array in memory."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import DataError, DenseTensor, PartitionedTensor, build_objective, fit_gcp, read_tensor
from gcp.io import array_source
from gcp.tensors.intake.coerce import as_tensor
from gcp.tensors.parts import streamed
from gcp.tensors.parts.sources import ArraySource, Converted, FileSource, Source, source_of

SHAPE = (13, 9, 7)
MEMORY = 60_000
"""Much less than the arrays need here, so that they are cut into several slabs."""


def counts(rng, shape=SHAPE, dtype=float):
    return rng.poisson(2.0, shape).astype(dtype)


def in_slabs(data, memory=MEMORY, **cells):
    tensor = streamed.streamed(source_of(data), memory, **cells)
    assert tensor.engine.n_parts > 1
    return tensor


def assert_same_objective(tensor, whole, rng, loss="poisson", rtol=1e-12):
    """Value, gradients, curvature marginals, the null model and the survey."""
    ours, truth = build_objective(tensor, loss), build_objective(whole, loss)
    assert tensor.shape == whole.shape
    assert tensor.dtype == truth.tensor.dtype
    factors = [rng.random((size, 3)).astype(tensor.dtype) for size in whole.shape]
    (value, grad), (v, g) = ours.value_and_grad(factors), truth.value_and_grad(factors)
    assert_allclose(value, v, rtol=rtol)
    for a, b in zip(grad, g, strict=True):
        assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())
    *_, ours_sums = tensor.loss_mttkrps_and_marginals(truth.loss.formula, factors)
    *_, sums = truth.tensor.loss_mttkrps_and_marginals(truth.loss.formula, factors)
    for a, b in zip(ours_sums, sums, strict=True):
        assert_allclose(a, b, rtol=10 * rtol, atol=rtol * np.abs(b).max())
    assert_allclose(ours.null_value, truth.null_value, rtol=rtol)
    assert_allclose(ours.saturated_value, truth.saturated_value, rtol=rtol, atol=rtol)
    assert_allclose(ours.survey.total_weight, truth.survey.total_weight, rtol=rtol)


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("gcp-read")]


@pytest.fixture
def npy(tmp_path):
    def save(array, name="a.npy"):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return save


class TestNpy:
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "f2", ">f2", "g", "i8", ">i2", "u1", "?"])
    def test_any_order_and_type(self, npy, rng, order, dtype):
        x = (counts(rng) > 1 if dtype == "?" else counts(rng)).astype(dtype)
        path = npy(np.asarray(x, order=order))
        x = x.astype(x.dtype.newbyteorder("="))
        memory = 2 * x.nbytes - 1
        source = gcp.io.array_source(path)
        assert isinstance(source, FileSource)
        tensor = streamed.streamed(source, max(memory, 20_000))
        assert tensor.cuts.mode == (0 if order == "C" else 2)
        small = dtype in ("f4", "f2", ">f2")
        assert_same_objective(tensor, DenseTensor(x), rng, rtol=1e-4 if small else 1e-12)

    @pytest.mark.parametrize("shape", [(5000,), (40, 60), (1, 40, 60), (2, 1, 9, 200), (5, 4, 3, 40)])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_one_to_four_modes(self, npy, rng, shape, order):
        x = counts(rng, shape)
        tensor = read_tensor(
            npy(np.asarray(x, order=order)), memory=12_000 + (0 if len(shape) > 1 else 20_000)
        )
        assert isinstance(tensor, PartitionedTensor)
        assert_same_objective(tensor, DenseTensor(x), rng)

    def test_what_fits_is_read_whole(self, npy, rng):
        x = counts(rng)
        path = npy(x)
        assert isinstance(read_tensor(path, memory=2 * x.nbytes), DenseTensor)
        assert isinstance(read_tensor(path, memory=2 * x.nbytes - 1), PartitionedTensor)
        assert np.array_equal(read_tensor(path, memory="1GB").values, x)

    def test_missing_entries_and_a_slab_of_nothing_else(self, npy, rng):
        x = counts(rng)
        x[rng.random(SHAPE) < 0.2] = np.nan
        x[2:9] = np.nan
        tensor = read_tensor(npy(x), memory=MEMORY // 6)
        assert any(np.isnan(x[a:b]).all() for a, b in tensor.cuts.ranges)
        assert_same_objective(tensor, DenseTensor(x), rng)

    def test_nothing_but_missing_entries(self, npy):
        tensor = read_tensor(npy(np.full(SHAPE, np.nan)), memory=12_000)
        with pytest.raises(DataError, match="no observed entry"):
            build_objective(tensor, "gaussian")

    def test_the_offender_has_its_subscript_in_the_whole(self, npy, rng):
        x = counts(rng)
        x[11, 3, 2] = -1
        with pytest.raises(gcp.DomainError, match=r"-1.0 at subscript \(11, 3, 2\)"):
            build_objective(read_tensor(npy(x), memory=12_000), "poisson")

    def test_a_fit_is_that_in_memory(self, npy, rng):
        # of two components, so that there is one minimum: small data in memory end by other steps (decision 37)
        x = rng.poisson(
            5.0 * np.einsum("ir,jr,kr->ijk", *(rng.uniform(0.1, 1.0, (n, 2)) for n in SHAPE))
        ).astype(float)
        tensor = read_tensor(npy(x), memory=12_000)
        for solver in ("auto", "lbfgsb"):
            ours, whole = (
                fit_gcp(data, 2, loss="poisson", random_state=0, solver=solver) for data in (tensor, x)
            )
            assert_allclose(ours.objective, whole.objective, rtol=1e-6)
        assert_allclose(ours.deviance_explained(tensor), whole.deviance_explained(x), rtol=1e-4)

    def test_the_same_memory_gives_the_same_bits(self, npy, rng):
        path = npy(counts(rng))
        first, second = (
            fit_gcp(read_tensor(path, memory="12kB"), 2, loss="poisson", random_state=0, n_threads=2)
            for _ in range(2)
        )
        assert all(np.array_equal(a, b) for a, b in zip(first.factors, second.factors, strict=True))

    def test_other_processes_can_have_it(self, npy, rng):
        x, mask = counts(rng), rng.random(SHAPE) < 0.5
        tensor = as_tensor(read_tensor(npy(x), memory=12_000), mask)
        assert_same_objective(pickle.loads(pickle.dumps(tensor)), DenseTensor(x, mask), rng)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"solver": "als"}, "in parts"),
            ({"solver": "adam"}, "in files are too slow"),
            ({"solver": "rows"}, "in parts"),
            ({"init": "svd"}, "in one piece"),
            ({"loss": gcp.NegativeBinomial(r="estimate")}, "in one piece"),
        ],
    )
    def test_what_needs_more_says_so(self, npy, rng, options, words):
        tensor = read_tensor(npy(counts(rng)), memory=12_000)
        with pytest.raises(gcp.GcpError, match=words):
            fit_gcp(tensor, 2, **options)


class TestCells:
    """Masks and weights beside slabs."""

    @pytest.mark.parametrize("cut", ["mask", "weights", "both", "both, and NaN"])
    @pytest.mark.parametrize("kind", ["array", "file", "view"])
    def test_of_the_shape_of_the_data(self, npy, rng, cut, kind):
        x, mask, weights = counts(rng), rng.random(SHAPE) < 0.7, rng.integers(0, 3, SHAPE) * 0.5
        if "NaN" in cut:
            x[rng.random(SHAPE) < 0.3] = np.nan
        mask[3:6] = False

        def kept(array, name):
            if kind == "array":
                return array
            wide = np.repeat(array, 2, axis=1) if kind == "view" else array
            mapped = np.load(npy(wide, name), mmap_mode="r")
            return mapped[:, ::2] if kind == "view" else mapped

        given = {}
        if cut != "weights":
            given["mask"] = kept(mask, "m.npy")
        if cut != "mask":
            given["entry_weights"] = kept(weights, "w.npy")
        tensor = as_tensor(read_tensor(npy(x), memory=12_000), **given)
        assert isinstance(tensor, PartitionedTensor)
        whole = DenseTensor(
            x,
            mask=None if cut == "weights" else mask,
            entry_weights=None if cut == "mask" else weights,
        )
        assert_same_objective(tensor, whole, rng)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("shape", [(), (1,), (7,), (9, 1), (13, 1, 1), (1, 9, 7), (13, 1, 7)])
    def test_that_broadcast(self, npy, rng, shape, order):
        x = counts(rng)
        weights = np.asarray(rng.random(shape) + 0.5)
        tensor = read_tensor(npy(np.asarray(x, order=order)), memory=12_000)
        assert_same_objective(as_tensor(tensor, None, weights), DenseTensor(x, entry_weights=weights), rng)

    def test_given_twice_both_count(self, npy, rng):
        shape = (26, 9, 7)
        x, one, other = counts(rng, shape), rng.random(shape) < 0.7, rng.random(shape) < 0.7
        w, v = rng.random(shape), rng.random(shape)
        tensor = as_tensor(as_tensor(read_tensor(npy(x), memory=20_000), one, w), other, v)
        assert_same_objective(tensor, DenseTensor(x, mask=one & other, entry_weights=w * v), rng)

    def test_a_list_is_an_array(self, npy, rng):
        x = counts(rng)
        tensor = as_tensor(read_tensor(npy(x), memory=12_000), mask=[True, False] + [True] * 5)
        assert_same_objective(tensor, DenseTensor(x, mask=[True, False] + [True] * 5), rng)

    @pytest.mark.parametrize(
        ("cells", "words"),
        [
            ({"mask": np.ones((4, 4), bool)}, "mask has shape"),
            ({"mask": np.ones(7)}, "expected booleans"),
            ({"entry_weights": np.ones(7, complex)}, "expected nonnegative real numbers"),
            ({"mask": gcp.SparseTensor([[0, 0, 0]], [1.0], SHAPE)}, "mask is a SparseTensor"),
        ],
    )
    def test_that_do_not_fit(self, npy, rng, cells, words):
        tensor = read_tensor(npy(counts(rng)), memory=12_000)
        with pytest.raises(DataError, match=words):
            as_tensor(tensor, **cells)

    def test_bad_weights_are_found_as_they_are_read(self, npy, rng):
        weights = np.ones(SHAPE)
        weights[12, 3, 2] = -1
        tensor = as_tensor(read_tensor(npy(counts(rng)), memory=12_000), None, weights)
        first, _ = tensor.cuts.ranges[-1]
        with pytest.raises(
            DataError, match=rf"-1.0 at \({12 - first}, 3, 2\).* begin at its position {first}"
        ):
            build_objective(tensor, "poisson")


class TestMappedFiles:
    def test_small_ones_are_copied(self, npy, rng):
        mapped = np.load(npy(counts(rng)), mmap_mode="r")
        assert not np.shares_memory(as_tensor(mapped).values, mapped)

    @pytest.fixture
    def little(self, monkeypatch):
        monkeypatch.setattr(streamed, "DEFAULT_MEMORY", 12_000)

    @pytest.mark.parametrize(
        "part",
        [
            lambda a: a,
            lambda a: a.T,
            lambda a: a[3:],
            lambda a: a[4:, ::2],
            lambda a: a[::-1],
            lambda a: a[:, 1:8],
            lambda a: np.swapaxes(a, 0, 1),
        ],
        ids=["whole", "T", "run", "step", "backwards", "inner", "swapped"],
    )
    @pytest.mark.parametrize("offset", [0, 3, 5000])
    def test_parts_of_them(self, tmp_path, rng, little, part, offset):
        x = counts(rng, (26, 9, 7))
        path = tmp_path / "raw"
        path.write_bytes(b"\xff" * offset + x.tobytes())
        mapped = part(np.memmap(path, float, "r", offset, x.shape))
        tensor = as_tensor(mapped)
        assert isinstance(tensor, PartitionedTensor)
        is_run = part(x).flags.forc
        assert isinstance(tensor.engine.parts.source, FileSource if is_run else ArraySource)
        assert_same_objective(tensor, DenseTensor(part(x)), rng)

    @pytest.mark.parametrize("mode", ["r+", "c"])
    def test_changes_count_that_the_file_does_not_have_yet(self, npy, rng, little, mode):
        x = counts(rng)
        mapped = np.load(npy(x), mmap_mode=mode)
        mapped[5:7] = x[5:7] = 11
        assert_same_objective(as_tensor(mapped), DenseTensor(x), rng)

    def test_what_is_computed_from_one_is_in_memory(self, npy, rng, little):
        mapped = np.load(npy(counts(rng)), mmap_mode="r")
        assert isinstance(as_tensor(mapped + 1), DenseTensor)

    def test_with_mask_and_weights(self, npy, rng, little):
        x, mask, weights = counts(rng), rng.random(SHAPE) < 0.5, rng.random(SHAPE)
        tensor = as_tensor(np.load(npy(x), mmap_mode="r"), mask, weights)
        assert_same_objective(tensor, DenseTensor(x, mask, weights), rng)

    def test_what_needs_one_piece_gets_the_mapping(self, npy, rng, little):
        train, test = gcp.hold_out(np.load(npy(counts(rng)), mmap_mode="r"), 0.2, random_state=0)
        assert isinstance(train, DenseTensor)
        assert len(test.values)
        assert gcp.partition(np.load(npy(counts(rng)), mmap_mode="r"), 2).is_resident


class TestChunks:
    """Arrays of other libraries."""

    @pytest.mark.parametrize("chunks", [(4, 9, 7), (5, 4, 3), (13, 2, 7), (13, 9, 2), (1, 1, 7), None])
    def test_hdf5(self, tmp_path, rng, chunks):
        h5py = pytest.importorskip("h5py")
        x = counts(rng)
        x[rng.random(SHAPE) < 0.1] = np.nan
        with h5py.File(tmp_path / "a.h5", "w") as file:
            data = file.create_dataset("x", data=x, chunks=chunks, compression="gzip" if chunks else None)
            assert_same_objective(in_slabs(data), DenseTensor(x), rng)

    @pytest.mark.parametrize("chunks", [(4, 9, 7), (5, 4, 3), (13, 2, 7), (13, 9, 2), (1, 1, 7)])
    @pytest.mark.parametrize("dtype", ["f8", "i4", "u1"])
    def test_zarr(self, tmp_path, rng, chunks, dtype):
        zarr = pytest.importorskip("zarr")
        x = counts(rng, dtype=dtype)
        data = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=SHAPE, chunks=chunks, dtype=dtype)
        data[:] = x
        assert_same_objective(in_slabs(data, 30_000 if dtype == "u1" else MEMORY), DenseTensor(x), rng)

    @pytest.mark.parametrize("chunks", [(4, 9, 7), (5, 4, 3), (13, 2, 7), (13, 9, 2), (6, 5, 4)])
    def test_slabs_are_layers_of_chunks(self, rng, chunks):
        class Chunked:
            shape, dtype = SHAPE, np.dtype(float)

        array = Chunked()
        array.chunks = chunks
        cuts = streamed.slabs_of(source_of(array), MEMORY)
        assert len(cuts.sizes) > 1
        assert all(size % chunks[cuts.mode] == 0 for size in cuts.sizes[:-1])

    def test_no_chunk_of_zarr_is_read_twice_in_a_pass(self, rng, monkeypatch, tmp_path):
        zarr = pytest.importorskip("zarr", minversion="3")
        data = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=SHAPE, chunks=(3, 4, 3), dtype=float)
        data[:] = counts(rng)
        tensor = in_slabs(data)
        seen = []
        get = type(data.store).get

        async def counted(self, key, *args, **options):
            seen.append(key)
            return await get(self, key, *args, **options)

        monkeypatch.setattr(type(data.store), "get", counted)
        tensor.map(lambda part, _: None)
        read = [key for key in seen if not key.endswith(".json")]
        assert len(read) == len(set(read)) == 5 * 3 * 3

    def test_small_ones_are_read_whole_and_large_ones_stay(self, tmp_path, rng, monkeypatch):
        h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
        x = counts(rng)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            stored = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=SHAPE, chunks=(1, 9, 7), dtype=float)
            stored[:] = x
            arrays = [file.create_dataset("x", data=x), stored]
            mask = rng.random(SHAPE) < 0.5
            for array in arrays:
                assert np.array_equal(as_tensor(array).values, x)
            monkeypatch.setattr(streamed, "DEFAULT_MEMORY", 13_000)
            for array in arrays:
                assert_same_objective(as_tensor(array, mask), DenseTensor(x, mask), rng)
                with pytest.raises(DataError, match="in one piece"):
                    gcp.hold_out(array, 0.2)

    def test_what_is_no_array_of_numbers(self, tmp_path):
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["text"], file["one"] = "hello", 3.0
            file["none"] = h5py.Empty("f8")
            for thing, words in (
                (file, "one array"),
                (file["text"], "object"),
                (file["one"], "single number"),
            ):
                with pytest.raises(DataError, match=words):
                    as_tensor(thing)
            with pytest.raises(DataError, match="one array"):
                as_tensor(file["none"])
            kept = file["one"]
        with pytest.raises(DataError, match="cannot be read"):
            as_tensor(kept)

    def test_any_array_that_gives_slices(self, rng):
        x = counts(rng)

        class Lazy:
            shape, dtype, chunks = SHAPE, np.dtype(float), ((5, 5, 3), (9,), (7,))  # as Dask has them

            def __getitem__(self, key):
                return Slice(x[key])

        class Slice:
            def __init__(self, values):
                self.values = values

            def __array__(self, dtype=None, copy=None):
                return self.values

        assert_same_objective(in_slabs(Lazy()), DenseTensor(x), rng)


class TestCuts:
    @staticmethod
    def of(shape, memory, order="C", dtype="f8", grain=None):
        class Array:
            pass

        array = Array()
        array.shape, array.dtype, array.chunks = shape, np.dtype(dtype), grain
        if order == "F":
            array.strides = np.empty(shape, np.uint8, order="F").strides
        return streamed.slabs_of(source_of(array), memory)

    def test_the_slowest_mode_is_cut_into_equal_slabs_of_bounded_size(self):
        cuts = self.of((1200, 1118, 1118), 2_000_000_000)
        assert cuts.mode == 0
        assert sum(cuts.sizes) == 1200
        assert max(cuts.sizes) * 1118**2 * 8 <= 1 << 26
        assert max(cuts.sizes) - min(cuts.sizes[:-1]) == 0
        assert cuts == self.of((1200, 1118, 1118), 8_000_000_000)  # larger slabs gain nothing

    def test_the_next_mode_is_cut_where_positions_are_too_large(self):
        cuts = self.of((3, 30_000, 20_000), 2_000_000_000)
        assert cuts.mode == 1

    def test_fewer_positions_at_a_time_in_less_memory(self):
        sizes = [self.of((1200, 1118, 1118), memory).sizes[0] for memory in (10**9, 5 * 10**8, 4 * 10**8)]
        assert sizes == sorted(sizes, reverse=True)
        for memory, size in zip((5 * 10**8, 4 * 10**8), sizes[1:], strict=True):
            assert 2.5 * size * 1118**2 * 8 <= memory / 2

    def test_positions_that_do_not_fit(self, npy, rng):
        path = npy(counts(rng))
        with pytest.raises(
            DataError, match=r"a.npy: one position of mode 0 takes .* Give at least (\S+ \S+)\."
        ) as told:
            read_tensor(path, memory=2000)
        enough = str(told.value).split("at least ")[1].rstrip(".")
        assert isinstance(read_tensor(path, memory=enough), PartitionedTensor)

    def test_chunks_that_do_not_fit(self):
        with pytest.raises(DataError, match=r"one layer of chunks \(500 positions\) .* smaller chunks"):
            self.of((1000, 1000, 1000), 10**9, grain=(500, 500, 500))


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording(Source):
    """A source in memory that tells what is read, when and by whom."""

    values: np.ndarray
    seen: list
    fail_at: int = -1

    @classmethod
    def of(cls, values, fail_at=-1):
        modes = tuple(range(values.ndim))
        common = {"name": "memory", "shape": values.shape, "dtype": values.dtype, "order": modes}
        return cls(**common, grain=(1,) * values.ndim, values=values, seen=[], fail_at=fail_at)

    @contextmanager
    def opened(self):
        def read(mode, first, end):
            self.seen.append((mode, first, end, threading.current_thread().name))
            if first <= self.fail_at < end:
                raise OSError(5, "Input/output error")
            return self.values[(slice(None),) * mode + (slice(first, end),)].copy()

        self.seen.append("opened")
        try:
            yield read
        finally:
            self.seen.append("closed")


class TestReading:
    def test_each_pass_reads_every_position_once_in_order_and_in_a_thread(self, rng):
        source = Recording.of(counts(rng))
        tensor = streamed.streamed(source, 12_000)
        assert source.seen == []
        objective = build_objective(tensor, "poisson")
        ranges = [(0, *ends) for ends in tensor.cuts.ranges]
        for evaluate in (
            lambda: build_objective(tensor, "poisson"),
            lambda: objective.null_value,
            lambda: objective.value_and_grad([np.ones((size, 1)) for size in SHAPE]),
        ):
            source.seen.clear()
            evaluate()
            assert source.seen[0] == "opened"
            assert source.seen[-1] == "closed"
            assert [seen[:3] for seen in source.seen[1:-1]] == ranges
            assert all(seen[3].startswith("gcp-read") for seen in source.seen[1:-1])

    def test_a_fit_makes_no_more_passes_than_evaluations_and_two(self, rng):
        source = Recording.of(counts(rng))
        result = fit_gcp(streamed.streamed(source, 12_000), 2, loss="poisson", random_state=0)
        assert source.seen.count("opened") == source.seen.count("closed") == result.n_eval + 2

    @pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux")
    def test_each_pass_over_a_file_reads_its_bytes_once(self, npy, rng):
        path = npy(rng.random((40, 90, 70)))
        tensor = read_tensor(path, memory=600_000)

        def bytes_read():
            return int(Path("/proc/self/io").read_text().split()[1])

        tensor.map(lambda part, _: None)
        before = bytes_read()
        tensor.map(lambda part, _: None)
        assert 40 * 90 * 70 * 8 <= bytes_read() - before < 40 * 90 * 70 * 8 + 20_000

    def test_the_next_slab_is_read_while_the_last_is_in_use_and_no_further_one(self, rng):
        source = Recording.of(counts(rng))
        tensor = streamed.streamed(source, 12_000)
        n, parts = tensor.engine.n_parts, iter(tensor.engine.parts)
        for k in range(n):
            next(parts)
            deadline = time.monotonic() + 10
            while len(source.seen) - 1 < min(k + 2, n) and time.monotonic() < deadline:
                time.sleep(0.001)
            assert len(source.seen) - 1 == min(k + 2, n)
        assert next(parts, None) is None

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_whoever_stops_early_leaves_no_thread_and_no_open_file(self, rng, error):
        source = Recording.of(counts(rng))
        tensor = streamed.streamed(source, 12_000)

        def stop(part, own):
            if own == 2:
                raise error

        with pytest.raises(error) as kept:  # whose traceback keeps all frames alive
            tensor.map(stop, own=list(range(tensor.engine.n_parts)))
        assert source.seen[-1] == "closed"
        assert not reading_threads()
        del kept

    def test_an_interrupt_ends_a_fit_with_the_best_model_so_far(self, rng):
        source = Recording.of(counts(rng))

        def stop(state):
            if state.iteration == 3:
                signal.raise_signal(signal.SIGINT)

        result = fit_gcp(streamed.streamed(source, 12_000), 2, loss="poisson", random_state=0, callback=stop)
        assert result.status == "interrupted"
        assert source.seen[-1] == "closed"
        assert not reading_threads()

    def test_an_error_while_reading_reaches_the_caller(self, rng):
        source = Recording.of(counts(rng), fail_at=5)
        with pytest.raises(DataError, match="memory: cannot be read: Input/output error"):
            build_objective(streamed.streamed(source, 12_000), "poisson")
        assert source.seen[-1] == "closed"
        assert not reading_threads()

    def test_a_source_that_gives_something_else(self, rng):
        wrong = Converted.of(Recording.of(counts(rng)), lambda x: x[..., 1:], float)
        with pytest.raises(
            DataError, match=r"found float64 numbers of shape \(1, 9, 6\) at positions 0 to 0 of"
        ):
            build_objective(streamed.streamed(wrong, 12_000), "poisson")

    def test_a_file_that_is_cut_short_changed_or_gone(self, npy, rng):
        x = counts(rng)
        path = npy(x)
        tensor = read_tensor(path, memory=12_000)
        mapped = np.load(path, mmap_mode="r+")
        patient = in_slabs(mapped, 12_000)  # of a file that may be written to
        content = path.read_bytes()
        path.write_bytes(content[:-100])
        with pytest.raises(DataError, match=r"a\.npy: the file has changed"):
            build_objective(tensor, "poisson")
        with pytest.raises(gcp.FormatError, match=r"a\.npy: the file was cut short"):
            build_objective(patient, "poisson")
        with pytest.raises(gcp.FormatError, match=r"a\.npy: .*cut short"):
            read_tensor(path, memory=12_000)
        path.unlink()
        with pytest.raises(DataError, match=r"a\.npy: cannot be read: No such file"):
            build_objective(tensor, "poisson")

    def test_a_damaged_chunk(self, tmp_path, rng):
        h5py = pytest.importorskip("h5py")
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=rng.random(SHAPE), chunks=(1, 9, 7), compression="gzip")
        with h5py.File(path, "r") as file:
            chunk = file["x"].id.get_chunk_info(3)
        with open(path, "r+b") as file:
            file.seek(chunk.byte_offset)
            file.write(b"\xff" * chunk.size)
        tensor = read_tensor(path, memory=12_000)
        with pytest.raises(DataError, match=r"a\.h5: cannot be read"):
            build_objective(tensor, "gaussian")


def stored(kind, folder, x):
    """A file or folder, and the array in it."""
    if kind == "npy":
        np.save(folder / "a.npy", x)
        return folder / "a.npy", np.load(folder / "a.npy", mmap_mode="r")
    if kind == "h5":
        h5py = pytest.importorskip("h5py")
        file = h5py.File(folder / "a.h5", "w")
        file.create_dataset("x", data=x, chunks=(1, 9, 7))
        return folder / "a.h5", file["x"]
    zarr = pytest.importorskip("zarr", minversion="3")
    data = zarr.open(str(folder / "a.zarr"), mode="w", shape=SHAPE, chunks=(1, 9, 7), dtype=float)
    data[...] = x
    return folder / "a.zarr", data


def other_numbers(path):
    """In the same place, as many."""
    if path.is_dir():
        path = max((one for one in path.rglob("*") if one.is_file()), key=lambda one: one.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content[:-8] + b"\0" * 8)


def replaced(path):
    if path.is_dir():
        stored("zarr", path.parent, np.ones(SHAPE))
        return
    (new := path.with_name("new")).write_bytes(path.read_bytes())
    other_numbers(new)
    new.replace(path)


CHANGES = {
    "gone": lambda path: shutil.rmtree(path) if path.is_dir() else path.unlink(),
    "a chunk gone": lambda path: next(one for one in path.rglob("c/*/*/*") if one.is_file()).unlink(),
    "other numbers": other_numbers,
    "replaced": replaced,
    "longer": lambda path: (path / "c" / "99" if path.is_dir() else path).open("ab").write(b"0" * 100),
}


@pytest.mark.parametrize(
    ("kind", "change"),
    [(k, c) for k in ("npy", "h5", "zarr") for c in CHANGES if k == "zarr" or c != "a chunk gone"],
)
@pytest.mark.parametrize("given", ["path", "array", "mask"])
@pytest.mark.parametrize("when", ["first", "last"])
def test_data_that_change_during_a_fit_are_noticed(kind, change, given, when, tmp_path, rng):
    """Wherever a fit reads them from, be it in the last pass, whose numbers nobody would look at again."""
    x = counts(rng)
    path, array = stored(kind, tmp_path, x if given != "mask" else np.ones(SHAPE))
    if kind == "h5" and given == "path":
        array.file.close()  # or it cannot be opened again
    source = array_source(path) if given == "path" else source_of(array)
    data = streamed.streamed(source, 12_000)
    if given == "mask":
        mask = Converted.of(source, lambda part: part != 0, bool)
        data = streamed.streamed(source_of(x), 12_000, masks=[mask])
    n_passes, at = [], 0 if when == "first" else 2
    real = streamed.Slabs._part

    def part(self, values, beside, first, end):
        if first == 0:
            n_passes.append(1)
        if len(n_passes) == at + 1 and end == SHAPE[0]:  # the last slab is read before it is seen
            found = real(self, values, beside, first, end)
            CHANGES[change](path)
            return found
        return real(self, values, beside, first, end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed.Slabs, "_part", part)
        with pytest.raises(DataError, match=rf"a\.{kind}.*(chang|no such|No such)"):
            fit_gcp(data, 1, loss="poisson", random_state=0, n_iter_max=0, n_threads=1)
    assert len(n_passes) == at + 1


CHILD = """
import sys, numpy as np, warnings
import gcp
warnings.simplefilter("ignore")
def fit(data): gcp.fit_gcp(data, 2, loss="poisson", random_state=0, n_iter_max=1, n_threads=2)
rng = np.random.default_rng(0)
fit(rng.poisson(2.0, (9, 8, 7)).astype(float))
if sys.argv[1:]:
    tensor = gcp.read_tensor(sys.argv[1], memory=sys.argv[2])
    assert tensor.engine.n_parts > 1
    fit(tensor)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_fit_keeps_within_its_memory(tmp_path):
    path = tmp_path / "large.npy"
    shape = (300, 500, 500)  # 600 MB, most of them never written
    large = np.lib.format.open_memmap(path, mode="w+", dtype=float, shape=shape)
    large[::50, 3] = 1.0
    del large

    def peak(*arguments):
        command = [sys.executable, "-c", CHILD, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        return 1024 * int(done.stdout)

    assert peak(path, "400MB") - peak() < 300_000_000
