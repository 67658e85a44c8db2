"""Fits that go on from a checkpoint end with the bits of those that never stopped."""

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import chdir
from functools import cache

import numpy as np
import pytest
from helpers import full, random_factors
from scipy.optimize import minimize

import gcp
from gcp import fit_gcp
from gcp.analysis import log_likelihood
from gcp.cli import main
from gcp.designs import bspline
from gcp.objectives import fingerprint
from gcp.penalties import Ridge, Smooth
from gcp.solvers.pieces.scipy_lbfgsb import Routine
from gcp.solvers.run import Run
from gcp.solvers.starts import checkpoint


class Stopped(Exception):
    """Instead of a kill."""


def dense(rng):
    return full(random_factors((9, 8, 7), 3, rng)) + 0.3 * rng.standard_normal((9, 8, 7))


def counts(rng):
    return rng.poisson(full([np.abs(a) for a in random_factors((9, 8, 7), 2, rng)])).astype(float)


def sparse(rng):
    x = counts(rng) * (rng.random((9, 8, 7)) < 0.3)
    return gcp.SparseTensor(np.argwhere(x), x[x != 0], x.shape)


def ones(rng):
    x = rng.random((12, 10, 8)) < 0.1
    return gcp.SparseTensor(np.argwhere(x), np.ones(x.sum()), x.shape)


def far(rng):
    """Nearly all beyond delta, over seven powers of ten: fits go on from the minimum of squared error."""
    a = [rng.gamma(1.0, 1.0, (n, 2)) + 0.05 for n in (9, 8, 7)]
    a[0] *= np.logspace(0, 7, 9)[:, None]
    return full(a) + rng.standard_normal((9, 8, 7))


def relation(rng):
    return (rng.random((8, 8, 5)) < 0.3).astype(float)


FITS = {
    "lbfgsb": (counts, {"loss": "poisson", "solver": "lbfgsb"}),
    "lbfgsb, no bounds": (dense, {"solver": "lbfgsb"}),
    "plbfgs": (counts, {"loss": "poisson", "solver": "plbfgs"}),
    "plbfgs, huber": (dense, {"loss": "huber", "solver": "plbfgs", "l2_reg": 0.1}),
    "auto, huber": (far, {"loss": "huber"}),
    "als": (dense, {"solver": "als"}),
    "als, then plbfgs": (dense, {"solver": "auto", "tol": 1e-14}),
    "rows": (sparse, {"loss": "poisson", "solver": "rows"}),
    "rows of ratings": (sparse, {"solver": "rows", "main_effects": True, "l2_reg": 0.5}),
    "sampled rows": (ones, {"loss": "bernoulli-odds", "solver": "sampled-rows", "l2_reg": 0.1}),
    "sampled rows alone": (ones, {"loss": "bernoulli-odds", "solver": gcp.SampledRowNewton(polish=False)}),
    "adam": (counts, {"loss": "poisson", "solver": gcp.Adam(epoch_iters=20, n_iter_max=12)}),
    "adam, stratified": (sparse, {"loss": "poisson", "solver": gcp.Adam(epoch_iters=20, n_iter_max=12)}),
    "starts": (counts, {"loss": "poisson", "n_starts": 3}),
    "main effects": (dense, {"loss": "gaussian", "main_effects": True, "n_starts": 2, "l2_reg": 1.0}),
    "lasso": (dense, {"weight_reg": 3.0}),
    "ties": (relation, {"loss": "bernoulli-logit", "l2_reg": 0.2, "tied_modes": [(0, 1)]}),
    "estimated r": (counts, {"loss": gcp.NegativeBinomial(r="estimate")}),
    "smooth": (counts, {"loss": "poisson", "penalties": [Smooth(0, 5.0), Ridge(1, 0.5)]}),
    "design and exposure": (
        counts,
        {"loss": "poisson", "design": {0: bspline(5)}, "exposure": np.linspace(0.5, 2.0, 8)[:, None]},
    ),
}


def bits(result):
    arrays = [result.weights, *result.factors, *result.main_effects.values(), result.trace["objective"]]
    return [a.tobytes() for a in arrays] + [result.objective, result.n_iter, result.n_eval, result.status]


@cache
def fitted(name):
    """Data of a fit, its arguments, and its result without a checkpoint."""
    make, options = FITS[name]
    data = make(np.random.default_rng(20261122))
    options = {"random_state": 3, "n_threads": 1} | options
    return data, options, fit_gcp(data, 2, **options)


@pytest.mark.parametrize("name", FITS)
def test_going_on_ends_with_the_same_bits(name, tmp_path, monkeypatch):
    data, options, whole = fitted(name)
    path, offers = tmp_path / "state.npz", []
    offered = checkpoint.Checkpoint.save_state
    monkeypatch.setattr(
        checkpoint.Checkpoint, "save_state", lambda self, *a: (offers.append(1), offered(self, *a))[1]
    )
    kept = fit_gcp(data, 2, checkpoint=path, checkpoint_every=1e9, **options)
    assert bits(kept) == bits(whole)

    def until(self, *arguments):
        offered(self, *arguments)
        seen.append(1)
        if len(seen) > last:
            raise Stopped

    for when in (0.1, 0.5, 0.95):
        path.unlink()
        last, seen = int(when * len(offers)), []
        monkeypatch.setattr(checkpoint.Checkpoint, "save_state", until)
        with pytest.raises(Stopped):
            fit_gcp(data, 2, checkpoint=path, checkpoint_every=0.0, **options)
        monkeypatch.setattr(checkpoint.Checkpoint, "save_state", offered)
        again = fit_gcp(data, 2, checkpoint=path, checkpoint_every=1e9, **options)
        assert bits(again) == bits(whole)
    done = fit_gcp(data, 2, checkpoint=path, **options)  # the file now holds the outcome
    assert bits(done) == bits(whole)


def stopping(every):
    """A callback that asks to stop at one in so many iterations, counted from now."""
    seen = []
    return lambda state: seen.append(1) or len(seen) >= every


def late(after):
    """A clock that runs out when it has been looked at so often."""
    seen = []
    return lambda self: seen.append(1) or len(seen) >= after


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("limit", ["n_iter_max", "callback", "max_seconds"])
def test_a_fit_that_ended_at_a_limit_goes_on_to_the_same_bits(name, limit, tmp_path, monkeypatch):
    """It stops at early iterations and late ones: the distances grow."""
    data, options, whole = fitted(name)
    options, ends = options | {"checkpoint": tmp_path / "state.npz"}, []
    if limit == "n_iter_max":
        for most in (0, 1, 5, 11):
            ends.append(fit_gcp(data, 2, **options, n_iter_max=most))
            assert ends[-1].n_iter <= most
    for number in range(60):
        distance = int(4 * 1.3**number)
        own = {"callback": stopping(distance)} if limit == "callback" else {}
        if limit == "max_seconds":
            monkeypatch.setattr(Run, "is_late", late(distance + 1))
            own = {"max_seconds": 1e6}
        ends.append(fit_gcp(data, 2, **options, **own))
        if bits(ends[-1]) == bits(whole):
            break
    monkeypatch.undo()
    assert len(ends) > 1
    assert ends[0].status == limit
    assert "state.npz goes on from there" in ends[0].message
    assert bits(ends[-1]) == bits(whole) == bits(fit_gcp(data, 2, **options))


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_converged_goes_on_under_another_tolerance(name, rng, tmp_path):
    make, options = FITS[name]
    data = make(rng)
    options = {"random_state": 3, "n_threads": 1, "checkpoint": tmp_path / "a.npz"} | options
    rough = fit_gcp(data, 2, **(options | {"tol": 1.0}))
    fine = fit_gcp(data, 2, **options)
    if "sampled" not in name and "adam" not in name:  # whose ends may be polished
        if name == "estimated r":  # F and its gradient are those of two losses
            assert log_likelihood(fine, data) > log_likelihood(rough, data)
        else:
            is_exact = rough.projected_gradient_norm < 1e-7  # at once: there is nothing to go on from
            is_new = name == "auto, huber"  # its later stages begin anew, and end at the same minimum
            assert fine.objective < rough.objective * (1 + 1e-10 * (is_exact or is_new))
            if name != "auto, huber":  # the slope of a nearly piecewise linear F need not fall with it
                assert is_exact or fine.projected_gradient_norm < rough.projected_gradient_norm
    assert bits(fit_gcp(data, 2, **options)) == bits(fine)


def test_further_starts_are_those_of_a_fit_that_had_them_at_once(rng, tmp_path):
    x, options = counts(rng), {"loss": "poisson", "random_state": 3, "n_threads": 1}
    path = tmp_path / "a.npz"
    one = fit_gcp(x, 2, **options, checkpoint=path)
    three = fit_gcp(x, 2, n_starts=3, **options, checkpoint=path)
    assert bits(three) == bits(fit_gcp(x, 2, n_starts=3, **options))
    assert three.starts[0]["objective"] == one.objective
    assert bits(fit_gcp(x, 2, **options, checkpoint=path)) == bits(one)


@pytest.mark.parametrize("options", [["--max-seconds", "1e-9"], ["--max-iter", "5"]])
def test_the_command_goes_on_until_it_has_converged(options, rng, tmp_path, capsys):
    np.save(tmp_path / "x.npy", counts(rng))
    line = f"fit {tmp_path}/x.npy --loss poisson --rank 2 --seed 3 --threads 1 --checkpoint {tmp_path}/c.npz --json"
    whole = fit_gcp(np.load(tmp_path / "x.npy"), 2, loss="poisson", random_state=3, n_threads=1)
    results = []
    while not (results and results[-1].converged):
        assert main([*line.split(), "--quiet", *options, "--out", f"{tmp_path}/r.npz"]) == 0
        message = json.loads(capsys.readouterr().out)["message"]
        results.append(gcp.FitResult.load(tmp_path / "r.npz"))
        assert results[-1].converged or "c.npz goes on from there" in message
        if "--max-iter" in options:
            options = []
    assert 1 < len(results) <= whole.n_iter + 1
    assert bits(results[-1]) == bits(whole)


def test_the_routine_is_scipys(rng):
    """Bit by bit, with all kinds of bounds, over every iteration."""
    a = rng.standard_normal((30, 12))
    target = rng.standard_normal(30)

    def f(z):
        r = a @ z - target
        return float(r @ r + 0.1 * np.sum(z**4)), 2 * a.T @ r + 0.4 * z**3

    lower = np.where(np.arange(12) % 2, -np.inf, 0.0)
    upper = np.where(np.arange(12) % 3, np.inf, 0.5)
    seen = []
    found = minimize(
        f,
        np.full(12, 0.2),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lower, upper, strict=True)),
        callback=lambda x: seen.append(x.copy()),
        options={"maxcor": 5, "ftol": 0.0, "gtol": 0.0, "maxls": 30, "maxiter": 10_000, "maxfun": 10**6},
    )
    routine, own = Routine(np.full(12, 0.2), lower, upper, 5), []
    while routine.iterate(f):
        own.append(routine.x.copy())
    assert len(own) == len(seen) > 10
    assert all(x.tobytes() == y.tobytes() for x, y in zip(own, seen, strict=True))
    assert routine.converged == found.success


@pytest.fixture
def kept(tmp_path, rng):
    """Data, a checkpoint of them, and the arguments that it is of."""
    x = counts(rng)
    options = {"loss": "poisson", "random_state": 1}
    fit_gcp(x, 2, checkpoint=tmp_path / "a.npz", **options)
    return x, tmp_path / "a.npz", options


def test_other_fits_are_refused(kept):
    x, path, options = kept
    for data, rank, changed, word in (
        (x + 1, 2, {}, "data"),
        (x, 3, {}, "rank"),
        (x, 2, {"loss": "poisson-log"}, "loss"),
        (x, 2, {"random_state": 2}, "random_state"),
        (x, 2, {"l2_reg": 0.1}, "l2_reg"),
    ):
        with pytest.raises(gcp.DataError, match=f"a.npz: the checkpoint is of a fit with other .*{word}"):
            fit_gcp(data, rank, checkpoint=path, **(options | changed))


FURTHER = {
    "penalties": ({"penalties": [Smooth(0, 5.0)]}, {"penalties": [Smooth(0, 5.0, order=1)]}),
    "design": ({"design": {0: bspline(5)}}, {"design": {0: bspline(5, cyclic=True)}}),
    "loss": ({"loss": gcp.NegativeBinomial(r="estimate")}, {"loss": gcp.NegativeBinomial("estimate", by=0)}),
    "data": ({"exposure": np.full((9, 1, 1), 2.0)}, {"exposure": np.full((9, 1, 1), 3.0)}),
}


@pytest.mark.parametrize("word", FURTHER)
def test_fits_with_and_without_a_feature_are_told_apart(word, tmp_path, rng):
    x, own = counts(rng), {"loss": "poisson", "random_state": 1, "n_iter_max": 2}
    each = [own, *(own | further for further in FURTHER[word])]
    for k, options in enumerate(each):
        path = tmp_path / f"{k}.npz"
        fit_gcp(x, 2, checkpoint=path, **options)
        for other in each:
            if other is not options:
                with pytest.raises(
                    gcp.DataError, match=f"{k}.npz: the checkpoint is of a fit with other {word}"
                ):
                    fit_gcp(x, 2, checkpoint=path, **other)


def test_exposures_of_zeros_are_told_from_offsets_of_equal_numbers(tmp_path, rng):
    data, vectors = sparse(rng), [np.full(9, 2.0), np.ones(8), np.ones(7)]
    options = {"loss": "poisson-log", "random_state": 1, "n_iter_max": 2, "checkpoint": tmp_path / "a.npz"}
    fit_gcp(data, 1, exposure=vectors, **options)
    with pytest.raises(gcp.DataError, match="a fit with other data;"):
        fit_gcp(data, 1, offset=vectors, **options)


def in_slabs(x, tmp_path):
    np.save(path := tmp_path / f"{x.dtype}.npy", x)
    return gcp.read_tensor(path, memory=8_000)


ALIKE = {
    "float32": lambda x, _: (x, x.astype("f4")),
    "float32, listed": lambda x, _: tuple(
        gcp.ObservedTensor(np.argwhere(x >= 0), x.ravel().astype(t), x.shape) for t in ("f8", "f4")
    ),
    "float32, sparse": lambda x, _: tuple(
        gcp.SparseTensor(np.argwhere(x), x[x != 0].astype(t), x.shape) for t in ("f8", "f4")
    ),
    "float32, parts": lambda x, _: (gcp.partition(x, 2), gcp.partition(x.astype("f4"), 2)),
    "float32, slabs": lambda x, path: (in_slabs(x, path), in_slabs(x.astype("f4"), path)),
    "unlisted cells": lambda x, _: tuple(
        kind(np.argwhere(x), x[x != 0], x.shape) for kind in (gcp.ObservedTensor, gcp.SparseTensor)
    ),
    "missing cells": lambda x, _: tuple(
        gcp.SparseTensor([[0, 0, 0]], [2.0], x.shape, missing=[[1, 1, k]]) for k in (1, 2)
    ),
    "weights of positions": lambda x, _: tuple(
        gcp.SparseTensor([[0, 0, 0]], [2.0], (2, 3, 2), mode_weights=[None, w, None])
        for w in ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_data_of_equal_numbers_that_are_fitted_otherwise_are_refused(name, rng, tmp_path):
    first, second = ALIKE[name](counts(rng), tmp_path)
    options = {"loss": "poisson", "random_state": 0, "checkpoint": tmp_path / "a.npz", "n_iter_max": 2}
    fit_gcp(first, 1, **options)
    fit_gcp(first, 1, **options)
    with pytest.raises(gcp.DataError, match="a fit with other data;"):
        fit_gcp(second, 1, **options)


def test_damaged_and_newer_files_are_refused(kept):
    x, path, options = kept
    content = path.read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:cut])
        with pytest.raises(gcp.DataError, match=r"a\.npz: "):
            fit_gcp(x, 2, checkpoint=path, **options)
    path.write_bytes(content)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {"version": np.array(99)}))
    with pytest.raises(gcp.FormatError, match="version 99 of the format is newer"):
        fit_gcp(x, 2, checkpoint=path, **options)
    fit_gcp(x, 2, **options).save(path)
    with pytest.raises(gcp.FormatError, match="gcp-result"):
        fit_gcp(x, 2, checkpoint=path, **options)


def test_a_seed_that_is_drawn_is_kept(tmp_path, rng):
    x = counts(rng)
    first = fit_gcp(x, 2, loss="poisson", checkpoint=tmp_path / "a.npz")
    again = fit_gcp(x, 2, loss="poisson", checkpoint=tmp_path / "a.npz")
    assert bits(first) == bits(again)
    assert first.settings["seed"] == again.settings["seed"]


def test_a_full_disk_is_one_warning_and_the_fit_goes_on(tmp_path, rng, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_archive", full_disk)
    x = counts(rng)
    with pytest.warns(gcp.CheckpointWarning, match=r"a\.npz: .*No space left.*goes on") as seen:
        result = fit_gcp(
            x, 2, loss="poisson", random_state=0, checkpoint=tmp_path / "a.npz", checkpoint_every=0
        )
    assert sum(w.category is gcp.CheckpointWarning for w in seen) == 1
    assert bits(result) == bits(fit_gcp(x, 2, loss="poisson", random_state=0))
    assert not list(tmp_path.iterdir())


def test_no_folder_is_an_error_at_once(tmp_path, rng):
    with pytest.raises(gcp.DataError, match="there is no folder"):
        fit_gcp(counts(rng), 2, checkpoint=tmp_path / "none" / "a.npz")
    with pytest.raises(gcp.ParameterError, match="checkpoint_every"):
        fit_gcp(counts(rng), 2, checkpoint=tmp_path / "a.npz", checkpoint_every=-1)


def test_an_interrupt_waits_for_the_iteration_and_is_in_the_file(tmp_path, rng):
    x, path = counts(rng), tmp_path / "a.npz"
    options = {"loss": "poisson", "random_state": 3, "n_threads": 1}
    whole = fit_gcp(x, 2, **options)

    def interrupt(state):
        if state.iteration == 5:
            signal.raise_signal(signal.SIGINT)

    stopped = fit_gcp(x, 2, checkpoint=path, callback=interrupt, **options)
    assert stopped.status == "interrupted"
    again = fit_gcp(x, 2, checkpoint=path, **options)
    assert bits(again) == bits(whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


LINE = (
    "fit x.npy --loss poisson --rank 4 --starts 3 --seed 5 --threads 1 --checkpoint c.npz --checkpoint-every 0"
    " --out r.npz --quiet"
)


def command(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "gcp", *LINE.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def goes_on_to(whole, folder):
    """The same command to its end, in this process."""
    with chdir(folder):
        assert main(LINE.split()) == 0
    return bits(gcp.FitResult.load(folder / "r.npz")) == bits(whole)


@cache
def long_fit():
    """Counts, and the result of a fit that nobody stops."""
    rng = np.random.default_rng(20261122)
    x = rng.poisson(full([np.abs(a) for a in random_factors((30, 25, 20), 3, rng)]))
    options = {"loss": "poisson", "n_starts": 3, "random_state": 5, "n_threads": 1, "l2_reg": 0.0}
    return x, fit_gcp(x, 4, **options)


@pytest.fixture
def job(tmp_path):
    x, whole = long_fit()
    np.save(tmp_path / "x.npy", x)
    return tmp_path, whole


def wait_for(path, seconds=60):
    ends = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < ends:
        time.sleep(0.01)
    assert path.exists()


def test_a_signal_writes_one_and_says_so(job):
    """Of a process; an interrupt is raised in this one above, and ends others in test_cli.py."""
    folder, whole = job
    first = command(folder)
    wait_for(folder / "c.npz")
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=60)
    assert first.returncode == 143
    assert "c.npz goes on from there" in err
    assert "Traceback" not in err
    assert gcp.FitResult.load(folder / "r.npz").status == "interrupted"
    assert goes_on_to(whole, folder)


def kill_often(folder, times, rng):
    """How many of the runs were killed; each at a moment of its own, and what they leave can always be read."""
    killed = 0
    for _ in range(times):
        run = command(folder)
        wait_for(folder / "c.npz")
        time.sleep(rng.random() * 0.8)
        run.kill()
        killed += run.wait(60) == -signal.SIGKILL
        with np.load(folder / "c.npz") as archive:
            assert {name: archive[name].shape for name in archive.files}
    return killed


def test_kills_lose_nothing_but_an_iteration(job):
    folder, whole = job
    kill_often(folder, 4, random.Random(0))
    assert goes_on_to(whole, folder)
    assert {path.name for path in folder.iterdir()} == {"x.npy", "c.npz", "r.npz"}


@pytest.mark.slow
def test_a_hundred_kills(job):
    folder, whole = job
    killed = 0
    while killed < 100:
        killed += kill_often(folder, 10, random.Random(killed))
        if (folder / "r.npz").exists():  # begin anew
            assert bits(gcp.FitResult.load(folder / "r.npz")) == bits(whole)
            (folder / "r.npz").unlink()
            (folder / "c.npz").unlink()
    assert goes_on_to(whole, folder)


def test_data_in_parts_are_told_apart_part_by_part(rng, tmp_path):
    x = counts(rng)
    other = x.copy()
    other[-1, 2, 3] += 1
    labels = gcp.ModeLabels(["a", "b", "c"], [None] * 3)
    loss = gcp.get_loss("poisson")

    def digest(data, parts):
        return fingerprint.of_data(gcp.partition(data, parts), loss)

    assert digest(x, 3) == digest(x.copy(), 3)
    assert digest(x, 3) != digest(other, 3)
    assert digest(x, 3) != digest(gcp.DenseTensor(x, labels=labels), 3)
    assert digest(x, 3) != digest(x, 2)  # whose sums end with other bits
    assert digest(x, 3)["loss"] != fingerprint.of_data(gcp.partition(x, 3), gcp.get_loss("gaussian"))["loss"]


@pytest.mark.parametrize("kind", ["parts", "slabs"])
def test_data_in_parts_go_on_to_the_same_bits(kind, rng, tmp_path):
    np.save(tmp_path / "x.npy", counts(rng))
    path, options = tmp_path / "state.npz", {"loss": "poisson", "random_state": 3, "n_threads": 1}

    def data():
        if kind == "slabs":
            return gcp.read_tensor(tmp_path / "x.npy", memory=8_000)
        return gcp.partition(np.load(tmp_path / "x.npy"), 3)

    def stop(state):
        if state.iteration == 6:
            raise Stopped

    whole = fit_gcp(data(), 2, **options)
    with pytest.raises(Stopped):
        fit_gcp(data(), 2, **options, checkpoint=path, checkpoint_every=0, callback=stop)
    assert bits(fit_gcp(data(), 2, **options, checkpoint=path)) == bits(whole)
