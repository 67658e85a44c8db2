"""Parts on the workers of a real cluster of processes: the same numbers as here, also when a worker is killed."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from helpers import full
from numpy.testing import assert_allclose

import gcp

pd = pytest.importorskip("pandas")
pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
import dask  # noqa: E402
from distributed import Client, LocalCluster, get_worker, wait  # noqa: E402

from gcp.tensors.parts.dask.placement import rebalanced  # noqa: E402

SHAPE = (30, 12, 8)


def processes(n_workers, **options):
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50, **options
    )


def threads(n_workers):
    """Workers in this process, which come at once, and are reached as those of other processes are."""
    return processes(n_workers, processes=False, protocol="tcp://")


@pytest.fixture(scope="module")
def cluster():
    with processes(2) as found:
        yield found


@contextmanager
def connected(cluster):
    with Client(cluster) as found:
        found.wait_for_workers(2, timeout=120)  # else a worker that never comes back would hold all tests
        yield found


@pytest.fixture
def client(cluster):
    with connected(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def mortal_cluster():
    """For tests that kill workers; new ones come in their place."""
    with processes(2) as found:
        yield found


@pytest.fixture
def mortals(mortal_cluster):
    with connected(mortal_cluster) as found:
        yield found


def kill_workers(cluster, n):
    """At once, without a word to the scheduler."""
    for name in sorted(cluster.workers)[:n]:
        os.kill(cluster.workers[name].pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(1)
    return rng.poisson(full([rng.gamma(1.0, 1.0, (n, 3)) for n in SHAPE])).astype(float)


def tensors(x):
    subs = np.argwhere(x > 0)
    return {
        "dense": gcp.DenseTensor(x, mask=np.random.default_rng(2).random(SHAPE) < 0.9),
        "sparse": gcp.SparseTensor(subs, x[x > 0], SHAPE),
        "observed": gcp.ObservedTensor(subs, x[x > 0], SHAPE),
    }


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
@pytest.mark.parametrize("loss", ["poisson", "negative-binomial"])
def test_values_and_gradients_are_those_of_one_process(client, counts, kind, loss, rng):
    whole = tensors(counts)[kind]
    factors = [rng.uniform(0.1, 1.0, (n, 3)) for n in SHAPE]
    value, gradients = gcp.build_objective(whole, loss).value_and_grad(factors)
    for parts in (2, 10):  # ten have a tree of sums
        tensor = gcp.partition(whole, parts, client=client)
        found, own = gcp.build_objective(tensor, loss).value_and_grad(factors)
        assert found == pytest.approx(value, rel=1e-12)
        for g, h in zip(own, gradients, strict=True):
            assert_allclose(g, h, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(
    ("kind", "solver"),
    [("dense", "lbfgsb"), ("dense", "plbfgs"), ("sparse", "auto"), ("observed", "lbfgsb")],
)
def test_a_fit_has_the_bits_of_the_same_parts_here(client, counts, kind, solver):
    whole = tensors(counts)[kind]
    options = {"loss": "poisson", "solver": solver, "random_state": 0, "n_iter_max": 15, "n_threads": 1}
    found = gcp.fit_gcp(gcp.partition(whole, client=client), 2, **options)
    here = gcp.fit_gcp(gcp.partition(whole, 2), 2, **options)
    assert found.objective == here.objective
    for a, b in zip(found.factors, here.factors, strict=True):
        assert np.array_equal(a, b)


def test_a_client_need_not_be_the_default(cluster, counts):
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 5, "n_threads": 1, "solver": "lbfgsb"}
    with Client(cluster, set_as_default=False) as other:
        found = gcp.fit_gcp(gcp.partition(counts, 2, client=other), 2, **options)
    assert found.objective == gcp.fit_gcp(gcp.partition(counts, 2), 2, **options).objective


def test_adam_draws_the_same_whoever_holds_a_part(client, counts):
    whole = tensors(counts)["sparse"]
    solver = gcp.Adam(epoch_iters=15, n_iter_max=2, polish=False)
    options = {"loss": "poisson", "solver": solver, "random_state": 0, "n_threads": 1}
    found = gcp.fit_gcp(gcp.partition(whole, 3, client=client), 2, **options)
    here = gcp.fit_gcp(gcp.partition(whole, 3), 2, **options)
    assert found.objective == here.objective


def test_a_custom_loss_reaches_the_workers(client, counts, rng):
    loss = gcp.custom_loss(lambda x, m: 2.0 * (x - m) * (x - m), name="twice")
    tensor, factors = gcp.partition(counts, client=client), [rng.normal(size=(n, 2)) for n in SHAPE]
    twice, gradients = gcp.build_objective(tensor, loss).value_and_grad(factors)
    once, own = gcp.build_objective(counts, "gaussian").value_and_grad(factors)
    assert twice == pytest.approx(2 * once, rel=1e-12)
    for g, h in zip(gradients, own, strict=True):
        assert_allclose(g, 2 * h, rtol=1e-9)


def test_bytes_are_counted_as_the_formula_has_them(client, counts):
    rank, parts = 4, 2
    tensor = gcp.partition(counts, parts, client=client)
    result = gcp.fit_gcp(tensor, rank, loss="poisson", solver="lbfgsb", random_state=0, n_iter_max=5)
    told = result.settings["partition"]
    others = sum(SHAPE[1:])
    assert told["mode"] == 0
    assert told["workers"] == parts
    assert told["bytes_between"] == 0
    sent = 8 * (parts * others + SHAPE[0])
    # One number more is the value; the constant model before the fit has rank 1, and no part in this.
    assert told["bytes_out"] == sent * rank
    assert told["bytes_back"] == sent * rank + 8 * parts


def test_a_killed_worker_costs_a_computation_and_not_the_fit(mortal_cluster, mortals, counts):
    """Parts that workers made of a Dask array; those that come from here are in the next test."""
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_iter_max": 12, "n_threads": 1}
    array = da.from_array(counts, chunks=(7, 12, 8))
    killed = []

    def kill(state):
        if state.iteration == 7:
            kill_workers(mortal_cluster, 1)
            killed.append(1)

    found = gcp.fit_gcp(array, 2, **options, callback=kill)
    assert killed
    assert found.settings["partition"]["workers"] > 0
    assert found.objective == gcp.fit_gcp(gcp.partition(counts, 2), 2, **options).objective


def test_a_fit_without_scheduler_ends_at_once_with_its_best_model(counts, monkeypatch):
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_threads": 1}
    here = gcp.fit_gcp(gcp.partition(counts, 2), 2, **options, n_iter_max=7)
    with threads(2) as own, Client(own, timeout=2) as client:
        client.wait_for_workers(2)
        tensor = gcp.partition(counts, client=client)

        def end(state):
            if state.iteration == 7:
                own.sync(own.scheduler.close)

        began = time.monotonic()
        with pytest.raises(gcp.FitError, match="The scheduler is gone") as told:
            gcp.fit_gcp(tensor, 2, **options, callback=end)
        assert time.monotonic() - began < 60
        # Or the cluster, as it is closed, seeks its scheduler for half a minute.
        monkeypatch.setitem(dask.config.config["distributed"]["comm"]["timeouts"], "connect", "100ms")
    assert told.value.result.objective == here.objective
    assert told.value.result.status == "interrupted"


def test_a_fit_without_workers_says_so_and_ends_with_its_best_model(counts, monkeypatch):
    monkeypatch.setattr("gcp.tensors.parts.dask.dask_engine._PATIENCE", 1.0)
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_threads": 1}
    here = gcp.fit_gcp(gcp.partition(counts, 2), 2, **options, n_iter_max=7)
    with threads(1) as own, Client(own) as client:
        client.wait_for_workers(1)
        tensor = gcp.partition(counts, client=client)

        def end(state):
            if state.iteration == 7:
                own.scale(0)

        with (
            pytest.warns(UserWarning, match="All workers have gone; the fit waits 1 s"),
            pytest.raises(gcp.FitError, match="Workers were lost") as told,
        ):
            gcp.fit_gcp(tensor, 2, **options, callback=end)
    assert abs(told.value.result.objective - here.objective) < 1e-9 * abs(here.objective)


@pytest.mark.parametrize("n_killed", [1, 2])
@pytest.mark.filterwarnings("ignore:All workers have gone")
def test_killed_workers_and_large_factors(mortal_cluster, mortals, n_killed):
    """Factors of more than 64 kB go by way of a worker; with both workers, all parts are lost."""
    x = np.random.default_rng(0).poisson(1.0, (1500, 850)).astype(np.float32)
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_iter_max": 8, "n_threads": 1}
    expected = gcp.fit_gcp(gcp.partition(x, 2), 20, **options)

    def kill(state):
        if state.iteration == 5:
            kill_workers(mortal_cluster, n_killed)

    found = gcp.fit_gcp(gcp.partition(x, client=mortals), 20, **options, callback=kill)
    assert found.n_iter > 5
    assert found.objective == expected.objective


@pytest.mark.slow
def test_workers_killed_at_random_cost_no_bit(counts):
    """Also between the end of an evaluation and the coming of its results, or while parts are published again."""
    options = {"loss": "poisson", "random_state": 0, "n_threads": 1}
    solvers = [gcp.LBFGSB(n_iter_max=100, tol=0.0), gcp.Adam(epoch_iters=40, n_iter_max=3, polish=False)]
    cases = [(n_parts, solver) for n_parts in (3, 10) for solver in solvers]
    rng, over, n_killed = np.random.default_rng(0), threading.Event(), 0

    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        processes(3) as own,
        Client(own) as client,
    ):
        client.wait_for_workers(3)

        def kill():
            nonlocal n_killed
            while not over.wait(rng.uniform(1.0, 4.0)):
                there = client.nthreads()
                pids = [nanny.pid for nanny in own.workers.values() if nanny.worker_address in there]
                if pids:
                    os.kill(rng.choice(pids), signal.SIGKILL)
                    n_killed += 1

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            for n_parts, solver in cases:
                tensor = gcp.partition(counts, n_parts, client=client)
                found = gcp.fit_gcp(tensor, 3, solver=solver, **options)
                expected = gcp.fit_gcp(gcp.partition(counts, n_parts), 3, solver=solver, **options)
                assert found.objective == expected.objective
        finally:
            over.set()
            killer.join()
    assert n_killed > 5


def test_many_parts_have_the_bits_of_this_process(client, counts, rng):
    factors = [rng.uniform(0.1, 1.0, (n, 3)) for n in SHAPE]
    here = gcp.build_objective(gcp.partition(counts, 20), "poisson", n_threads=1).value_and_grad(factors)
    there = gcp.build_objective(gcp.partition(counts, 20, client=client), "poisson").value_and_grad(factors)
    assert there[0] == here[0]
    assert all(np.array_equal(g, h) for g, h in zip(there[1], here[1], strict=True))


def test_workers_know_how_large_a_part_is(client, counts):
    tensor = gcp.partition(counts, client=client)
    told = client.run_on_scheduler(
        lambda dask_scheduler, keys: [dask_scheduler.tasks[key].nbytes for key in keys],
        keys=[part.key for part in tensor.engine.parts],
    )
    assert min(told) >= counts.nbytes / 2


def arrivals(client):
    """Keys of all that workers have had from other workers, of what they still remember."""
    logs = client.run(lambda dask_worker: [list(one["keys"]) for one in dask_worker.transfer_incoming_log])
    return {key for log in logs.values() for keys in log for key in keys}


def test_parts_stay_where_they_are(client, counts):
    """Dask would hand a part to the worker that has nothing to do."""
    tensor = gcp.partition(counts, 24, client=client)
    workers = sorted(set(tensor.engine.homes))
    naps = [0.06 if home == workers[0] else 0.0 for home in tensor.engine.homes]
    for _ in range(3):  # when it knows how long they take
        places = tensor.map(lambda part, nap: (time.sleep(nap), get_worker().address)[1], own=naps)
        assert places == tensor.engine.homes
    assert not arrivals(client) & {part.key for part in tensor.engine.parts}
    assert len(workers) == 2


def test_an_array_on_one_worker_is_shared_out(client, counts):
    worker = sorted(client.nthreads())[0]
    array = da.from_array(counts, chunks=(15, 12, 8)).persist(workers=[worker])
    wait(array)
    found = gcp.fit_gcp(array, 2, loss="poisson", solver="lbfgsb", random_state=0, n_iter_max=3)
    assert found.settings["partition"]["workers"] == 2


def test_workers_that_come_get_their_share(counts, monkeypatch):
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_iter_max": 12, "n_threads": 1}
    monkeypatch.setattr("gcp.tensors.parts.dask.dask_engine._SHARE", 0.0)
    with threads(1) as own, Client(own) as client:

        def hire(state):
            if state.iteration == 5:
                own.scale(2)
                client.wait_for_workers(2)

        found = gcp.fit_gcp(gcp.partition(counts, 4, client=client), 2, **options, callback=hire)
    assert found.settings["partition"]["workers"] == 2
    assert found.objective == gcp.fit_gcp(gcp.partition(counts, 4), 2, **options).objective


@pytest.mark.parametrize(
    ("homes", "threads", "expected"),
    [
        ("aaaa", {"a": 1, "b": 1}, {"a": 2, "b": 2}),
        ("aaaaaa", {"a": 4, "b": 2}, {"a": 4, "b": 2}),
        ("aab", {"a": 1, "b": 1}, {"a": 2, "b": 1}),
        ("aab", {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}),
        ("bb", {"a": 1, "b": 2}, {"b": 2}),
    ],
)
def test_shares_go_by_threads(homes, threads, expected):
    moved = list(homes)
    for k, worker in rebalanced(homes, threads).items():
        moved[k] = worker
    assert Counter(moved) == expected


@pytest.mark.parametrize("n_parts", [2, 10, 70])
@pytest.mark.parametrize("width", [400, 599])
def test_bytes_counted_are_bytes_moved(client, rng, n_parts, width):
    """What Dask itself counts, beside what is said of the arrays: messages have a little more about them."""
    shape, rank = (600, width, 3), 20  # of 599, factors are more than 64 kB, and go by way of a worker
    tensor = gcp.partition(rng.poisson(1.0, shape).astype(float), n_parts, client=client)
    objective = gcp.build_objective(tensor, "poisson")
    factors = [rng.uniform(0.1, 1.0, (n, rank)) for n in shape]
    objective.value_and_grad(factors)  # now the formula is there
    tensor.start_account()

    def sent():
        told = client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)
        return np.array([client.scheduler_comm.byte_count, sum(told.values())])

    before = sent()
    for _ in range(2):
        objective.value_and_grad(factors)
    out, back = (sent() - before) / 2
    account = tensor.account()
    assert account["bytes_out"] <= out <= 1.05 * account["bytes_out"] + 5000 * n_parts
    told = account["bytes_back"] + account["bytes_between"]
    assert told <= back <= 1.05 * told + 5000 * n_parts


def test_clients_and_workers_that_cannot_be_used(cluster, client, counts, monkeypatch):
    with pytest.raises(gcp.ParameterError, match="found 'tcp://a:1'"):
        gcp.partition(counts, client="tcp://a:1")
    client.run(lambda: sys.modules.update({"gcp": None}))
    with pytest.raises(gcp.ParameterError, match=r"The worker tcp://.* needs gcp .* found .*ModuleNotFound"):
        gcp.partition(counts, client=client)
    client.run(lambda: sys.modules.pop("gcp"))
    monkeypatch.setattr("gcp.tensors.parts.dask.clients.version", lambda _: "0.0.1")
    with pytest.raises(gcp.ParameterError, match=r"needs gcp 0\.0\.1, which this process has: found '"):
        gcp.partition(counts, client=client)
    monkeypatch.undo()
    with Client(cluster, set_as_default=False) as other:
        tensor = gcp.partition(counts, 2, client=other)
    with pytest.raises(gcp.ParameterError, match="client is closed"):
        gcp.fit_gcp(tensor, 2)


def test_a_cluster_without_workers(counts, monkeypatch):
    monkeypatch.setattr("gcp.tensors.parts.dask.clients._PATIENCE", 0.2)
    with (
        threads(0) as own,
        Client(own) as client,
        pytest.raises(gcp.ParameterError, match=r"has no workers.*dask worker tcp://"),
    ):
        gcp.partition(counts, client=client)


def test_what_is_no_dask_array(client, counts):
    array = da.from_array(counts, chunks=(7, 12, 8))
    with pytest.raises(gcp.DataError, match="expected an array"):
        gcp.fit_gcp(dask.delayed(counts), 2)
    with pytest.raises(gcp.DataError, match="mask or weights are a SparseTensor"):
        gcp.fit_gcp(array, 2, mask=gcp.SparseTensor([[0, 0, 0]], [1.0], SHAPE))
    with pytest.raises(gcp.ParameterError, match="in parts already"):
        gcp.partition(array, 3, client=client)


def test_xarray_over_dask_stays_on_the_workers_and_keeps_its_labels(client, counts):
    xr = pytest.importorskip("xarray")
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_iter_max": 5}
    labelled = xr.DataArray(counts, dims=["day", "place", "kind"], coords={"kind": list("abcdefgh")})
    expected = gcp.fit_gcp(labelled, 2, **options)
    found = gcp.fit_gcp(labelled.chunk({"day": 7}), 2, **options)
    assert found.settings["partition"]["workers"] == 2
    assert found.labels == expected.labels
    assert found.objective == pytest.approx(expected.objective, rel=1e-9)
    mask = xr.DataArray(counts > 0, dims=labelled.dims, coords=labelled.coords)
    turned = mask.transpose("kind", "day", "place")[::-1].chunk({"place": 5})
    weights = xr.DataArray(np.linspace(0.5, 1.5, SHAPE[1]), dims="place")
    expected = gcp.fit_gcp(labelled, 2, mask=mask.values, entry_weights=weights.values[:, None], **options)
    found = gcp.fit_gcp(labelled.chunk({"day": 7}), 2, mask=turned, entry_weights=weights, **options)
    assert found.settings["partition"]["workers"] == 2
    assert found.objective == pytest.approx(expected.objective, rel=1e-9)


def test_each_fit_has_an_account_of_its_own(client, counts):
    tensor = gcp.partition(counts, client=client)
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_iter_max": 3}
    one, two = (gcp.fit_gcp(tensor, rank, **options).settings["partition"] for rank in (2, 4))
    assert two["bytes_out"] == 2 * one["bytes_out"]
    assert two["evaluations"] < 2 * one["evaluations"]


def test_dask_arrays_are_fitted_where_they_are(client, counts):
    array = da.from_array(counts, chunks=(7, 5, 8))
    mask = np.random.default_rng(3).random(SHAPE) < 0.9
    weights = np.linspace(0.5, 1.5, SHAPE[2])
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 10, "solver": "lbfgsb"}
    expected = gcp.fit_gcp(counts, 2, mask=mask, entry_weights=weights, **options)
    found = gcp.fit_gcp(array, 2, mask=mask, entry_weights=da.from_array(weights, chunks=3), **options)
    assert found.settings["partition"]["workers"] == 2
    assert found.objective == pytest.approx(expected.objective, rel=1e-9)
    with pytest.raises(gcp.DataError, match=r"expected \(30, 12, 8\)"):
        gcp.fit_gcp(array, 2, mask=np.ones((5, 5), bool))
    with pytest.raises(gcp.DomainError, match=r"-2.0 at subscript \(20, 3, 1\)"):
        gcp.fit_gcp(
            da.where(da.from_array(np.arange(counts.size).reshape(SHAPE)) == 1945, -2.0, array),
            2,
            loss="poisson",
        )


def test_without_a_client_dask_computes_here(counts):
    array = da.from_array(counts, chunks=(7, 5, 8))
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 10}
    found, expected = gcp.fit_gcp(array, 2, **options), gcp.fit_gcp(counts, 2, **options)
    assert found.objective == expected.objective


def test_large_arrays_without_a_client_are_computed_in_slabs(counts, monkeypatch):
    monkeypatch.setattr("gcp.tensors.parts.streamed.DEFAULT_MEMORY", 40_000)
    monkeypatch.setattr("gcp.tensors.parts.streamed._ROW_BYTES", 8)
    array = da.from_array(counts, chunks=(2, 5, 8))
    mask = np.random.default_rng(3).random(SHAPE) < 0.9
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 10, "solver": "lbfgsb"}
    found = gcp.fit_gcp(array, 2, mask=da.from_array(mask, chunks=10), **options)
    assert len(found.settings["partition"]["sizes"]) > 1
    assert found.objective == pytest.approx(gcp.fit_gcp(counts, 2, mask=mask, **options).objective, rel=1e-9)


def test_names_for_the_modes_of_a_dask_array_match_its_mask(client, counts):
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 5, "solver": "lbfgsb"}
    names, mask = ["a", "b", "c"], counts < np.quantile(counts, 0.9)
    xr = pytest.importorskip("xarray")
    turned = xr.DataArray(mask.transpose(2, 0, 1), dims=["c", "a", "b"])
    found = gcp.fit_gcp(da.from_array(counts, chunks=10), 2, modes=names, mask=turned, **options)
    assert found.labels.names == ("a", "b", "c")
    assert found.objective == pytest.approx(gcp.fit_gcp(counts, 2, mask=mask, **options).objective, rel=1e-9)


def table(rng):
    n = 3000
    return pd.DataFrame(
        {
            "user": rng.integers(0, 40, n),
            "film": [f"film {k}" for k in rng.integers(0, 25, n)],
            "day": pd.Timestamp("2024-02-27") + pd.to_timedelta(rng.integers(0, 5, n), unit="D"),
            "stars": rng.integers(1, 6, n).astype(float),
        }
    )


@pytest.mark.parametrize(
    "options",
    [
        {"unlisted": "zero"},
        {"value": "stars", "unlisted": "missing", "aggregate": "mean"},
        {"value": "stars", "unlisted": "zero", "aggregate": "sum"},
        {"value": "stars", "unlisted": "missing", "aggregate": "last"},
        {
            "unlisted": "zero",
            "positions": {"film": [f"film {k}" for k in range(29, -1, -1)], "user": range(50)},
        },
    ],
    ids=["events", "ratings", "amounts", "last ratings", "positions"],
)
def test_dask_tables_give_the_tensor_of_the_pandas_table(client, rng, options):
    frame, modes = table(rng), ["user", "film", "day"]
    whole = gcp.from_frame(frame, modes, **options)
    tensor = gcp.from_frame(dd.from_pandas(frame, npartitions=4), modes, **options)
    assert tensor.shape == whole.shape
    assert tensor.labels.names == whole.labels.names
    for ours, theirs in zip(tensor.labels.coords, whole.labels.coords, strict=True):
        assert np.array_equal(ours, theirs)
        assert ours.dtype.kind == theirs.dtype.kind
    factors = [rng.uniform(0.1, 1.0, (n, 2)) for n in whole.shape]
    value, gradients = gcp.build_objective(whole, "gaussian").value_and_grad(factors)
    found, own = gcp.build_objective(tensor, "gaussian").value_and_grad(factors)
    assert found == pytest.approx(value, rel=1e-12)
    for g, h in zip(own, gradients, strict=True):
        assert_allclose(g, h, rtol=1e-9, atol=1e-9)


def test_rows_of_a_table_go_once_the_parts_are_there(client, rng):
    tensor = gcp.from_frame(dd.from_pandas(table(rng), npartitions=4), ["user", "film", "day"])

    def held():
        return {
            key for keys in client.run(lambda dask_worker: list(dask_worker.data)).values() for key in keys
        }

    patience = time.monotonic() + 10
    while len(held()) > tensor.engine.n_parts and time.monotonic() < patience:
        time.sleep(0.05)
    assert held() == {part.key for part in tensor.engine.parts}


def test_rows_of_a_table_without_values_make_no_part(client):
    frame = pd.DataFrame(
        {"user": np.repeat(np.arange(40), 5), "film": np.tile(np.arange(5), 40), "stars": np.nan}
    )
    frame.loc[frame.user < 4, "stars"] = 3.0
    options = {"value": "stars", "unlisted": "missing"}
    tensor = gcp.from_frame(dd.from_pandas(frame, npartitions=2), ["user", "film"], **options)
    assert tensor.shape == (40, 5)
    assert [facts.n_stored for facts in tensor.facts] == [10, 10]


@pytest.mark.filterwarnings("error")
def test_large_factors_are_no_mistake(cluster, rng):
    """Dask warns of graphs of 10 MB."""
    x = gcp.ObservedTensor(rng.integers(0, 3000, (50, 2)), rng.random(50), (300_000, 3000), aggregate="mean")
    factors = [rng.random((n, 10)) for n in x.shape]
    value = gcp.build_objective(x, "gaussian").value_and_grad(factors)[0]
    with Client(cluster, set_as_default=False) as client:
        tensor = gcp.partition(x, 2, client=client)
        found = gcp.build_objective(tensor, "gaussian").value_and_grad(factors)[0]
    assert found == pytest.approx(value, rel=1e-12)


def test_bad_dask_tables_are_refused(client, rng):
    frame = table(rng)
    with pytest.raises(gcp.DataError, match="All values of column 'stars' are missing"):
        gcp.from_frame(
            dd.from_pandas(frame.assign(stars=np.nan), npartitions=2),
            ["user", "film"],
            value="stars",
            unlisted="missing",
        )
    lazy = dd.from_pandas(frame, npartitions=2)
    with pytest.raises(gcp.ParameterError, match="no column 'place'"):
        gcp.from_frame(lazy, ["user", "place"])
    with pytest.raises(gcp.ParameterError, match="unlisted must be"):
        gcp.from_frame(lazy, ["user", "film"], "stars")
    with pytest.raises(gcp.ParameterError, match="needs a value column"):
        gcp.from_frame(lazy, ["user", "film"], aggregate="mean")
    with pytest.raises(gcp.ParameterError, match=r"Periods of 'day' .* on workers"):
        gcp.from_frame(lazy, ["user", "day"], freq={"day": "D"})
    with pytest.raises(gcp.DataError, match=r"label 'film .* of partition .* among the 2 positions"):
        gcp.from_frame(lazy, ["user", "film"], positions={"film": ["film 1", "film 2"]})
    with pytest.raises(gcp.DataError, match="from_frame"):
        gcp.fit_gcp(lazy, 2)
    with pytest.raises(gcp.DataError, match=r"row .* of partition 1"):
        gcp.from_frame(
            dd.from_pandas(frame.assign(film=[*frame.film[:-1], None]), npartitions=2), ["user", "film"]
        )


def test_labels_of_several_types_are_refused():
    from gcp.tensors.parts.dask.dask_data import _union

    with pytest.raises(gcp.DataError, match="cannot be sorted"):
        _union([np.array([1, 2]), np.array(["a", "b"], dtype=object)])


def test_the_command_line_fits_on_workers(cluster, tmp_path, counts):
    from gcp.cli import main

    gcp.write_tensor(tmp_path / "x.npy", counts)
    given = ["fit", str(tmp_path / "x.npy"), "--rank", "2", "--loss", "poisson", "--seed", "0", "--quiet"]
    given += ["--solver", "lbfgsb", "--max-iter", "10", "--out"]
    assert main([*given, str(tmp_path / "one.npz")]) == 0
    assert main([*given, str(tmp_path / "two.npz"), "--workers", "2"]) == 0
    assert main([*given, str(tmp_path / "three.npz"), "--scheduler", cluster.scheduler_address]) == 0
    one, *others = (gcp.FitResult.load(tmp_path / f"{name}.npz") for name in ("one", "two", "three"))
    for other in others:
        assert other.objective == pytest.approx(one.objective, rel=1e-10)
        assert other.settings["partition"]["workers"] == 2
    assert main([*given, str(tmp_path / "no.npz"), "--scheduler", "tcp://127.0.0.1:9"]) == 2


# --- what cells carry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
def test_parts_on_workers_have_their_share_of_exposures(client, counts, kind, rng):
    """Given before the cut and after it, the same bits as here; and those of the whole, to rounding."""
    whole, exposure = tensors(counts)[kind], rng.uniform(0.5, 2.0, (SHAPE[0], SHAPE[1], 1))
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 15, "n_threads": 1, "solver": "lbfgsb"}
    here = gcp.fit_gcp(gcp.partition(whole, 2), 2, exposure=exposure, **options)
    later = gcp.fit_gcp(gcp.partition(whole, client=client), 2, exposure=exposure, **options)
    before = gcp.fit_gcp(gcp.partition(whole, client=client, exposure=exposure), 2, **options)
    assert later.objective == here.objective == before.objective
    piece = gcp.fit_gcp(whole, 2, exposure=exposure, **options)
    assert here.objective == pytest.approx(piece.objective, rel=1e-6)


def test_dask_arrays_have_exposures_of_dask(client, counts, rng):
    exposure = np.where(rng.random(SHAPE) < 0.1, np.nan, rng.uniform(0.5, 2.0, SHAPE))
    mask = rng.random(SHAPE) < 0.8
    array, other = da.from_array(counts, chunks=(7, 12, 8)), da.from_array(exposure, chunks=(30, 5, 8))
    factors = [rng.uniform(0.1, 1.0, (n, 2)) for n in SHAPE]
    truth = gcp.build_objective(counts, "poisson", mask, exposure=exposure).value_and_grad(factors)[0]
    xr = pytest.importorskip("xarray")
    named = xr.DataArray(other[::-1], dims=list("abc"), coords={"a": np.arange(30)[::-1]})
    data = xr.DataArray(array, dims=list("abc"), coords={"a": np.arange(30)})
    for x, e in (
        (array, other),
        (array, exposure),
        (data, named),
        (array, gcp.partition(exposure, client=client)),
    ):
        found = gcp.build_objective(x, "poisson", mask, exposure=e)
        assert found.tensor.parts is not None
        assert found.value_and_grad(factors)[0] == pytest.approx(truth, rel=1e-10)
    trials = da.from_array(np.full(SHAPE, 50), chunks=(5, 12, 8))
    shares = gcp.build_objective(np.minimum(counts, 50), "bernoulli-logit", trials=50)
    found = gcp.build_objective(da.minimum(array, 50), "bernoulli-logit", trials=trials)
    assert found.null_value == pytest.approx(shares.null_value, rel=1e-9)
    with pytest.raises(gcp.DataError, match=r"exposure must hold .* found -1.0"):
        gcp.fit_gcp(array, 1, loss="poisson", exposure=-da.ones(SHAPE))


def test_lost_parts_get_their_exposures_again(mortal_cluster, mortals, counts, rng):
    exposure = rng.uniform(0.5, 2.0, SHAPE)
    options = {"loss": "poisson", "solver": "lbfgsb", "random_state": 0, "n_iter_max": 8, "n_threads": 1}
    here = gcp.fit_gcp(gcp.partition(counts, 2), 2, exposure=exposure, **options)
    killed = []

    def kill(state):
        if state.iteration == 5:
            kill_workers(mortal_cluster, 1)
            killed.append(1)

    tensor = gcp.partition(counts, client=mortals)
    found = gcp.fit_gcp(tensor, 2, exposure=exposure, **options, callback=kill)
    assert killed
    assert found.objective == here.objective
