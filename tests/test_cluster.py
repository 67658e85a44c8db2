"""What `gcp fit --workers` opens to others: nothing that does anything."""

import argparse
import os
import urllib.error
import urllib.request

import numpy as np
import pytest

import gcp
from gcp.cli.cluster import spread

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")  # comes with distributed


def listening():
    return {
        (of.laddr.ip, of.laddr.port)
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
        for of in process.net_connections("inet")
        if of.status == "LISTEN"
    }


def test_nobody_can_reach_the_workers_of_a_fit(rng):
    x = rng.poisson(2.0, (9, 8, 7)).astype(float)
    before = listening()
    args = argparse.Namespace(scheduler=None, workers=2)
    with spread(args, gcp.DenseTensor(x), {}) as data:
        assert data.engine.n_parts == 2
        assert set(data.engine.client.nthreads().values()) == {1}
        assert data.engine.client.scheduler.address.startswith("inproc://")
        assert set(data.engine.client.run(os.getpid).values()) == {os.getpid()}
        found = gcp.fit_gcp(data, 2, loss="poisson", random_state=0, n_threads=1)
        opened = listening() - before
        assert {ip for ip, _ in opened} <= {"127.0.0.1"}
        for _, port in opened:
            for page in (
                "",
                "status",
                "health",
                "info/main/workers.html",
                "json/counts.json",
                "api/v1/retire_workers",
            ):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5)
    assert listening() == before
    whole = gcp.fit_gcp(x, 2, loss="poisson", random_state=0, n_threads=1)
    np.testing.assert_allclose(found.objective, whole.objective, rtol=1e-6)
