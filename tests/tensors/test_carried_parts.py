"""Exposures, offsets and trials of data in parts.

Truths: the same data in memory, whose own tests have statsmodels and SciPy; and sums by NumPy.
"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy import stats

import gcp
from gcp import DataError, ObservedTensor, ParameterError, SparseTensor, analysis, fit_gcp, read_tensor
from gcp.objectives.views.sampled import Sampling
from gcp.tensors.intake.coerce import as_tensor

SHAPE = (26, 9, 7)
MEMORY = 24_000
"""Bytes, so few that the data are read in several slabs."""

WAYS = ("slabs", "two parts", "parts of another mode")


@pytest.fixture
def in_parts(tmp_path):
    """The same array in parts, in one of the ways."""

    def cut(x, way):
        if way == "slabs":
            np.save(tmp_path / "x.npy", x)
            tensor = read_tensor(tmp_path / "x.npy", memory=MEMORY if x.dtype.itemsize == 8 else MEMORY // 2)
        else:
            tensor = gcp.partition(x, 2, mode=None if way == "two parts" else 1)
        assert tensor.parts is not None
        assert tensor.engine.n_parts > 1
        return tensor

    return cut


def exposures(rng):
    whole = 10.0 ** rng.uniform(-1, 1, SHAPE)
    return {"whole": whole, "some modes": whole[:, :, :1], "last mode": whole[0, 0], "one": np.array(2.0)}


def assert_same(tensor, whole, loss, rng, rtol=1e-10, **options):
    """Compare value, gradients, null model and survey of an objective of parts and of one piece."""
    factors = random_factors(whole.shape, 2, rng, positive=True)
    ours, truth = gcp.build_objective(tensor, loss, **options), gcp.build_objective(whole, loss)
    (value, grad), (v, g) = ours.value_and_grad(factors), truth.value_and_grad(factors)
    assert_allclose(value, v, rtol=rtol)
    for a, b in zip(grad, g, strict=True):
        assert_allclose(a, b, rtol=1e-8, atol=1e-9 * np.abs(b).max())
    assert_allclose(ours.null_constant, truth.null_constant, rtol=1e-7)
    assert_allclose(ours.null_value, truth.null_value, rtol=1e-9)
    assert_allclose(ours.survey.total_weight, truth.survey.total_weight, rtol=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "loss", [gcp.Poisson(), gcp.PoissonLog(), gcp.NegativeBinomial(r=2.0)], ids=lambda f: f.name
)
def test_sums_are_those_of_the_whole(in_parts, way, loss, rng):
    x = rng.poisson(3.0, SHAPE).astype(float)
    x[rng.random(SHAPE) < 0.1] = np.nan
    for given in exposures(rng).values():
        assert_same(in_parts(x, way), as_tensor(x, exposure=given), loss, rng, exposure=given)


@pytest.mark.parametrize("way", WAYS)
def test_a_sum_is_that_of_numpy(in_parts, way, rng):
    """Of a Poisson model with exposure and offset under the log link."""
    x, e, o = rng.poisson(3.0, SHAPE), exposures(rng)["whole"], rng.normal(size=SHAPE)
    factors = [0.3 * a for a in random_factors(SHAPE, 2, rng)]
    eta = np.log(e) + o + full(factors)
    found = gcp.build_objective(in_parts(x, way), "poisson-log", exposure=e, offset=o)
    assert_allclose(found.value_and_grad(factors)[0], np.sum(np.exp(eta) - x * eta), rtol=1e-10)


@pytest.mark.parametrize("nothing", [0.0, np.nan])
@pytest.mark.parametrize("way", WAYS)
def test_no_exposure_is_no_observation(in_parts, way, nothing, rng):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    e[rng.random(SHAPE) < 0.2] = nothing
    e[:, 3] = nothing
    if way == "slabs":
        e[:4] = nothing  # a slab of nothing else
    whole = as_tensor(x, e > 0, exposure=np.where(e > 0, e, 1.0))
    assert_same(in_parts(x, way), whole, "poisson", rng, exposure=e)
    fit = fit_gcp(in_parts(x, way), 1, loss="poisson", exposure=e, random_state=0)
    assert 3 in fit.unknown["mode_1"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["counts", "whole floats", "proportions"])
def test_trials_are_read_alike_in_all_parts(in_parts, way, kind, rng):
    """Proportions that are 0 or 1 throughout a part are proportions, for those of other parts are."""
    n = rng.integers(1, 9, SHAPE)
    k = rng.binomial(n, 0.4)
    k[:7] = np.where(k[:7] > 0, n[:7], 0)
    k[:, :5] = np.where(k[:, :5] > 0, n[:, :5], 0)
    x = {"counts": k, "whole floats": k.astype(float), "proportions": k / n}[kind]
    whole = as_tensor(k, trials=n)
    assert_same(in_parts(x, way), whole, "bernoulli-logit", rng, trials=n)
    result = fit_gcp(in_parts(x, way), 1, loss="bernoulli-logit", trials=n, random_state=0)
    p = result.predict()
    own = analysis.log_likelihood(result, in_parts(x, way), trials=n)
    assert_allclose(own, stats.binom.logpmf(k, n, p).sum(), rtol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_trials_that_are_none_do_not_decide(in_parts, way, rng):
    n, k = np.full(SHAPE, 4), rng.integers(0, 5, SHAPE).astype(float)
    n[2, 3], k[2, 3] = 0, 0.5
    whole = as_tensor(np.where(n > 0, k, 0).astype(int), n > 0, trials=np.full(SHAPE, 4))
    assert_same(in_parts(k, way), whole, "bernoulli-logit", rng, trials=n)


def test_files_beside_files(tmp_path, in_parts, rng):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    np.save(tmp_path / "e.npy", e)
    mask = rng.random(SHAPE) < 0.8
    whole = as_tensor(x, mask, exposure=e)
    mapped = np.load(tmp_path / "e.npy", mmap_mode="r")
    for given in (mapped, read_tensor(tmp_path / "e.npy", memory=MEMORY)):
        tensor = as_tensor(in_parts(x, "slabs"), mask, exposure=given)
        assert_same(tensor, whole, "poisson", rng)
    # A mask that comes later leaves the exposure where it is.
    assert_same(as_tensor(as_tensor(in_parts(x, "slabs"), exposure=mapped), mask), whole, "poisson", rng)
    # Data in memory, in parts, beside a file.
    assert_same(gcp.partition(x, 2), as_tensor(x, exposure=e), "poisson", rng, exposure=mapped)


def test_parts_beside_parts(rng, tmp_path):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    whole = as_tensor(x, exposure=e)
    assert_same(gcp.partition(x, 3), whole, "poisson", rng, exposure=gcp.partition(e, 3))
    np.save(tmp_path / "e.npy", e)
    slabs = read_tensor(tmp_path / "e.npy", memory=MEMORY)
    assert_same(gcp.partition(x, 3), whole, "poisson", rng, exposure=slabs)
    with pytest.raises(DataError, match="cut both alike"):
        fit_gcp(gcp.partition(x, 3), 1, loss="poisson", exposure=gcp.partition(e, 2))
    with pytest.raises(DataError, match="the data are in one piece"):
        fit_gcp(x, 1, loss="poisson", exposure=gcp.partition(e, 2))


@pytest.mark.parametrize("way", ["slabs", "parts"])
def test_names_decide_the_order(way, rng, tmp_path):
    names = [f"s{k:02}" for k in range(26)]
    x = xr.DataArray(rng.poisson(3.0, SHAPE), dims=("state", "year", "crime"), coords={"state": names})
    e = xr.DataArray(
        rng.uniform(1, 2, (7, 26)), dims=("crime", "state"), coords={"state": names[::-1]}, name="people"
    )
    truth = as_tensor(x, exposure=e)
    if way == "parts":
        tensor = gcp.partition(x, 3, mode="state")
    else:
        np.save(tmp_path / "x.npy", x.to_numpy().astype(float))
        from gcp.tensors.parts.streamed import streamed

        source = read_tensor(tmp_path / "x.npy", memory=MEMORY).engine.parts.source
        tensor = streamed(source, MEMORY, labels=gcp.ModeLabels(x.dims, [names, None, None]))
    for given in (e, e.to_series()):
        assert_same(tensor, truth, "poisson", rng, exposure=given)
    fit = fit_gcp(tensor, 1, loss="poisson", exposure=e, random_state=0)
    assert fit.problem.exposure_name == "people"
    with pytest.raises(DataError, match="s25"):
        fit_gcp(tensor, 1, loss="poisson", exposure=e.sel(state=names[:25]))


@pytest.mark.parametrize("parts", [2, 26])
@pytest.mark.parametrize("name", ["poisson", "poisson-log"])
def test_sparse_parts_have_their_zeros(parts, name, rng):
    x = np.where(rng.random(SHAPE) < 0.4, rng.poisson(2.0, SHAPE), 0)
    x[np.arange(26), 0, 0] = 1
    sparse = SparseTensor(np.argwhere(x), x[x > 0], SHAPE)
    vectors = [rng.uniform(0.3, 3.0, n) for n in SHAPE]
    plane = rng.uniform(0.3, 3.0, (26, 9, 1))
    holes = plane.copy()
    holes[2, 3] = holes[5, 1] = 0.0
    cells = SparseTensor(np.argwhere(x), 2.0 * np.ones(np.count_nonzero(x)), SHAPE)
    for given in (vectors, full([v[:, None] for v in vectors]), plane, holes, cells):
        tensor = gcp.partition(sparse, parts, mode=0)
        assert_same(tensor, as_tensor(sparse, exposure=given), name, rng, exposure=given)
        assert_same(
            gcp.partition(sparse, parts, mode=0, exposure=given), as_tensor(sparse, exposure=given), name, rng
        )
    offset = rng.normal(size=(26, 9, 1))  # no product: all parts become dense, also those of one position
    if name == "poisson-log":
        assert_same(tensor, as_tensor(x, offset=offset), name, rng, offset=offset)


def test_observed_parts_have_a_number_for_each_entry(rng):
    known = rng.random(SHAPE) < 0.5
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    tensor = ObservedTensor(np.argwhere(known), x[known], SHAPE)
    own = e[tuple(tensor.subs.T)]
    truth = as_tensor(tensor, exposure=own)
    for given in (e, SparseTensor(np.argwhere(e), e.ravel(), SHAPE)):
        assert_same(gcp.partition(tensor, 3), truth, "poisson", rng, exposure=given)
    assert_same(gcp.partition(tensor, 3, exposure=own), truth, "poisson", rng)
    with pytest.raises(DataError, match=r"gcp\.partition\(data, parts, exposure=\.\.\.\)"):
        fit_gcp(gcp.partition(tensor, 3), 1, loss="poisson", exposure=own)
    frame = pd.DataFrame(tensor.subs, columns=list("abc")).assign(n=tensor.values, hours=own)
    table = gcp.from_frame(frame, list("abc"), "n", unlisted="missing", exposure="hours")
    assert_same(gcp.partition(table, 2), truth, "poisson", rng)


def test_a_part_of_which_nothing_is_left_is_told(rng):
    x, e = rng.poisson(3.0, SHAPE) + 1.0, np.ones((26, 1, 1))
    e[:7] = 0.0
    tensor = ObservedTensor(np.argwhere(x), x.ravel(), SHAPE)
    with pytest.raises(DataError, match="has no cell left that has exposure: give"):
        fit_gcp(gcp.partition(tensor, 4), 1, loss="poisson", exposure=e)
    fit = fit_gcp(gcp.partition(tensor, 4, exposure=e), 1, loss="poisson", random_state=0)
    assert fit.unknown["mode_0"].tolist() == list(range(7))


@pytest.mark.parametrize("way", WAYS)
def test_a_fit_and_its_judges_are_those_in_memory(in_parts, way, rng, tmp_path):
    e = exposures(rng)["whole"]
    data = gcp.simulate(SHAPE, 1, "poisson", exposure=e, random_state=0)[0]
    x = data.values.astype(float)
    options = {"loss": "poisson", "random_state": 0, "solver": "lbfgsb"}
    tensor = in_parts(x, way)
    fit, truth = fit_gcp(tensor, 1, exposure=e, **options), fit_gcp(data, 1, **options)
    assert_allclose(fit.objective, truth.objective, rtol=1e-9)
    assert_allclose(fit.predict(), truth.predict(), rtol=1e-3)
    assert_allclose(fit.training_deviance_explained, truth.training_deviance_explained, rtol=1e-8)
    assert fit.problem.carried == ("exposure",)
    assert fit.settings["carried"] == ["exposure"]
    assert_allclose(fit.score(tensor, exposure=e), fit.score(data), rtol=1e-10)
    assert_allclose(fit.deviance_explained(tensor, exposure=e), fit.deviance_explained(data), rtol=1e-10)
    mu = e * fit.predict()
    llf = stats.poisson.logpmf(x, mu).sum()
    assert_allclose(analysis.log_likelihood(fit, tensor, exposure=e), llf, rtol=1e-9)
    criteria = analysis.information_criteria(fit, tensor, exposure=e)
    assert_allclose(criteria.aic, 2 * criteria.n_parameters - 2 * llf, rtol=1e-9)
    assert_allclose(
        analysis.deviance(fit, tensor, exposure=e).deviance, analysis.deviance(fit, data).deviance, rtol=1e-9
    )
    with pytest.raises(DataError, match="was fitted with an exposure"):
        fit.score(tensor)
    with pytest.raises(DataError, match="was fitted without an exposure"):
        fit_gcp(x, 1, loss="poisson", random_state=0).score(tensor, exposure=e)
    fit.save(tmp_path / "fit.npz")
    assert gcp.load(tmp_path / "fit.npz") == fit


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_fit_has_the_exposure_that_it_had(in_parts, way, rng, tmp_path):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    options = {"loss": "poisson", "random_state": 0, "checkpoint": tmp_path / "c.npz"}
    first = fit_gcp(in_parts(x, way), 1, exposure=e, **options)
    assert fit_gcp(in_parts(x, way), 1, exposure=e, **options).objective == first.objective
    other = e.copy()
    other[7, 2, 1] *= 1.01
    for given in (
        {"exposure": other},
        {},
        {"exposure": e, "mask": x > 0} if way == "slabs" else {"exposure": 2 * e},
    ):
        with pytest.raises(DataError, match=r"c\.npz"):
            fit_gcp(in_parts(x, way), 1, **given, **options)


@pytest.mark.parametrize("way", ["two parts", "parts of another mode"])
def test_samples_are_unbiased(in_parts, way, rng):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    factors = random_factors(SHAPE, 2, rng, positive=True)
    exact = gcp.build_objective(x, "poisson", exposure=e).value_and_grad(factors)[0]
    objective = gcp.build_objective(in_parts(x, way), "poisson", exposure=e)
    seeds = [tuple(np.random.SeedSequence(k, spawn_key=(n,)) for n in (0, 1)) for k in range(200)]
    draws = [objective.sampled(Sampling(value_samples=100), own).value_and_grad(factors)[0] for own in seeds]
    assert abs(np.mean(draws) - exact) < 5 * np.std(draws) / np.sqrt(len(draws))


@pytest.mark.parametrize("way", WAYS)
def test_penalties_have_their_units(in_parts, way, rng):
    e = exposures(rng)["whole"]
    x = rng.poisson(3.0 * e).astype(float)
    options = {"loss": "poisson", "exposure": e, "random_state": 0, "solver": "lbfgsb"}
    options["penalties"] = [gcp.penalties.Smooth(0, 10.0)]
    fit, truth = fit_gcp(in_parts(x, way), 1, **options), fit_gcp(x, 1, **options)
    assert_allclose(fit.objective, truth.objective, rtol=1e-8)


def test_what_does_not_fit_is_refused(in_parts, rng):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    for way in WAYS:
        tensor = in_parts(x, way)
        with pytest.raises(ParameterError, match="gaussian loss takes no exposure"):
            fit_gcp(tensor, 1, exposure=e)
        with pytest.raises(ParameterError, match="takes no offset"):
            fit_gcp(tensor, 1, loss="poisson", offset=1.0)
        with pytest.raises(ParameterError, match="takes no trials"):
            fit_gcp(tensor, 1, loss="poisson", trials=20)
        with pytest.raises(DataError, match=r"exposure must hold .* found -1.0 at \(11, 2, 3\)"):
            fit_gcp(tensor, 1, loss="poisson", exposure=_bad(e))
        with pytest.raises(DataError, match="exposure has shape"):
            fit_gcp(tensor, 1, loss="poisson", exposure=np.ones(3))
        with pytest.raises(DataError, match="carry an exposure already"):
            fit_gcp(as_tensor(tensor, exposure=e), 1, loss="poisson", exposure=e)
        with pytest.raises(DataError, match="one piece"):
            gcp.hold_out(tensor, 0.1, exposure=e)
    with pytest.raises(DataError, match="of 2 trials at"):
        fit_gcp(in_parts(x, "slabs"), 1, loss="bernoulli-logit", trials=2)


def _bad(e):
    bad = e.copy()
    bad[11, 2, 3] = -1.0
    return bad


def test_a_bad_number_of_a_file_is_found_as_it_is_read(in_parts, rng, tmp_path):
    np.save(tmp_path / "e.npy", _bad(exposures(rng)["whole"]))
    mapped = np.load(tmp_path / "e.npy", mmap_mode="r")
    tensor = as_tensor(in_parts(rng.poisson(3.0, SHAPE).astype(float), "slabs"), exposure=mapped)
    first = next(a for a, b in tensor.cuts.ranges if a <= 11 < b)
    with pytest.raises(
        DataError, match=rf"found -1.0 at \({11 - first}, 2, 3\).* begin at its position {first}"
    ):
        gcp.build_objective(tensor, "poisson")


def test_the_command_line_takes_files_beside_slabs(rng, tmp_path):
    x, e = rng.poisson(3.0, SHAPE).astype(float), exposures(rng)["whole"]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "e.npy", e)
    command = f"fit x.npy --exposure e.npy --memory {MEMORY} --loss poisson --rank 1 --seed 0 --json --quiet"
    done = subprocess.run(
        [sys.executable, "-m", "gcp", *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    truth = fit_gcp(x, 1, loss="poisson", exposure=e, random_state=0)
    import json

    found = json.loads(done.stdout)
    assert_allclose(found["objective"], truth.objective, rtol=1e-6)
    assert found["settings"]["partition"]["kind"] == "dense"
