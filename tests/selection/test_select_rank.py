"""The choice of rank: splits that are what they say, planted ranks, the rule by hand, and starting again."""

import json
import signal

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import DataError, ObservedTensor, ParameterError, SparseTensor, get_loss, hold_out, select_rank
from gcp.analysis.selection.rank_choice import Candidate, chosen
from gcp.analysis.selection.validation_splits import Splitting, make_split
from gcp.fit import fit_in_series, fit_problem
from gcp.objectives.penalties.ridge import Ridge
from gcp.solvers.plbfgs import _PreconditionedRun as PreconditionedRun
from gcp.tensors.intake.coerce import as_tensor

SHAPE = (14, 12, 10)
SMALL = (7, 6, 5)
"""For what does not depend on the rank that is found."""


def planted(rng, rank=2, noise=0.3, shape=SHAPE):
    x = full(random_factors(shape, rank, rng))
    return x + noise * rng.normal(size=shape)


def small(rng):
    return planted(rng, shape=SMALL)


# --- splits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "observed"])
def test_every_position_keeps_its_share(kind, rng):
    known = rng.random(SHAPE) < 0.3
    known[3] = False
    known[3, 4, 5] = known[3, 6, 7] = True
    x = rng.normal(size=SHAPE)
    data = gcp.DenseTensor(x, known)
    if kind == "observed":
        data = ObservedTensor(np.argwhere(known), x[known], SHAPE)
    train, test = hold_out(data, 0.6, 0, keep=0.5)
    held = np.zeros(SHAPE, bool)
    held[tuple(test.subs.T)] = True
    for n in range(3):
        others = tuple({0, 1, 2} - {n})
        assert (held.sum(axis=others) <= known.sum(axis=others) / 2).all()
    assert held.sum() > 0.3 * known.sum()
    left = train.entry_weights > 0 if kind == "dense" else None
    if left is None:
        left = np.zeros(SHAPE, bool)
        left[tuple(train.subs.T)] = True
    np.testing.assert_array_equal(left, known & ~held)


@pytest.mark.parametrize("kind", ["dense", "observed", "sparse"])
def test_thinned_counts_are_independent_poisson(kind, rng):
    """Means in the ratio of the split, and no correlation about them."""
    mean = rng.uniform(5, 20, SHAPE)
    x = rng.poisson(mean).astype(float)
    data = {
        "dense": x,
        "observed": ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE),
        "sparse": SparseTensor(np.argwhere(x), x[x > 0], SHAPE),
    }[kind]
    split = make_split(as_tensor(data), get_loss("poisson"), Splitting("thinning", 0.25), 0)
    train = split.train.to_dense() if kind != "dense" else split.train
    kept = train.values
    rest = x - kept
    assert (rest >= 0).all()
    assert_allclose(kept.sum() / x.sum(), 0.75, atol=0.01)
    correlation = np.corrcoef((kept - 0.75 * mean).ravel(), (rest - 0.25 * mean).ravel())[0, 1]
    assert abs(correlation) < 4 / np.sqrt(x.size)


@pytest.mark.parametrize("loss", ["poisson", "poisson-log"])
def test_thinned_models_are_judged_at_the_scale_of_the_rest(loss, rng):
    x = rng.poisson(6.0, (30, 20)).astype(float)
    split = make_split(as_tensor(x), get_loss(loss), Splitting("thinning", 0.2), 1)
    rest = x - split.train.values
    rate = split.train.values.mean() / 4
    m = rate if loss == "poisson" else np.log(rate)
    value = split.train.values.mean() if loss == "poisson" else np.log(split.train.values.mean())
    result = gcp.fit_gcp(
        split.train, 1, loss=loss, init=[np.full((30, 1), value), np.ones((20, 1))], fixed_modes=[0, 1]
    )
    assert_allclose(split.judge(result), get_loss(loss).value(rest, m).mean(), rtol=1e-6)


# --- the choice --------------------------------------------------------------------------------------------


def test_the_rule_by_hand():
    def row(rank, ridge, loss, error):
        return Candidate(rank, ridge, 0.0, 0.0, loss, error, np.nan, np.array([loss]))

    table = [row(0, 0.0, 9.0, 0.5), row(1, 0.0, 5.2, 0.1), row(1, 1.0, 5.05, 0.1), row(2, 0.0, 5.0, 0.0)]
    assert chosen(table)[:2] == (1, 1.0)
    table[2] = row(1, 1.0, 5.2, 0.1)
    assert chosen(table)[:2] == (2, 0.0)
    noisy = [row(1, 0.0, 0.6, 0.05), row(1, 1.0, 0.7, 0.4), row(2, 0.0, 0.5, 0.0)]
    assert chosen(noisy)[:2] == (2, 0.0)  # the best penalty of rank 1 is two standard errors off
    alike = [row(0, 0.0, 1.0, 0.1), row(1, 0.0, 0.50009, 1e-5), row(2, 0.0, 0.5, 0.0)]
    assert chosen(alike)[:2] == (1, 0.0)  # what rank 2 adds is less than a thousandth of the gain on rank 0
    table[3] = row(2, 0.0, 9.5, 0.0)
    table[0] = row(0, 0.0, 4.0, 0.0)
    assert chosen(table)[:2] == (0, 0.0)


@pytest.mark.parametrize("rank", [1, 3])  # 2 is found among counts, below
def test_planted_ranks_are_found(rank, rng):
    options = {"l2_reg": (0.03, 0.3), "n_splits": 3, "random_state": 0, "n_threads": 1, "tol": 1e-5}
    ranks = range(min(rank + 3, 5))
    found = select_rank(planted(rng, rank, shape=(11, 10, 9)), ranks, **options)
    assert found.rank == rank
    assert found.result.rank == rank
    assert {row.rank for row in found.table} == set(ranks)
    stable = [row.stability for row in found.table if row.rank == rank]
    assert max(stable) > 0.95
    assert f"{rank:4d}" in found.summary()
    assert "<- chosen" in found.summary()


def test_noise_has_no_components(rng):
    options = {"n_splits": 4, "random_state": 0, "n_threads": 1, "tol": 1e-5}
    found = select_rank(rng.normal(size=SHAPE) + 2.0, [1, 2], l2_reg=(0.0, 1.0), **options)
    assert found.rank <= 1
    pure = select_rank(rng.normal(size=SHAPE), [1, 2], l2_reg=1.0, **options)
    assert pure.rank == 0
    assert pure.result is None


def test_main_effects_alone_are_a_candidate(rng):
    x = rng.normal(size=(30, 1)) + rng.normal(size=20) + 0.5 * rng.normal(size=(30, 20))
    options = {"l2_reg": (0.1, 1.0), "n_splits": 3, "random_state": 0, "n_threads": 1, "tol": 1e-5}
    found = select_rank(x, [1, 2], main_effects=True, **options)
    assert found.rank == 0
    assert found.result.rank == 0
    assert set(found.result.main_effects) == {"mode_0", "mode_1"}


@pytest.mark.parametrize("method", ["cells", "thinning"])
def test_counts(method, rng):
    shape = (11, 10, 9)
    mean = 6 * full(random_factors(shape, 2, rng, positive=True))
    x = rng.poisson(mean).astype(float)
    sparse = SparseTensor(np.argwhere(x), x[x > 0], shape)
    options = {"l2_reg": 0.0, "n_splits": 3, "random_state": 0, "n_threads": 1}
    found = select_rank(sparse, [1, 2, 3], "poisson", method=method, **options)
    assert found.rank == 2


# --- starting again ----------------------------------------------------------------------------------------


def test_stopping_and_starting_again_changes_nothing(rng, tmp_path, monkeypatch):
    x = small(rng)
    options = {"l2_reg": (0.1, 1.0), "n_splits": 2, "random_state": 3, "n_threads": 1}
    whole = select_rank(x, [1, 2], **options)
    calls, real = [], fit_in_series

    def limited(*args, **kwargs):
        calls.append(args[0])
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr("gcp.analysis.selection.rank_search.fit_in_series", limited)
    with pytest.raises(KeyboardInterrupt):
        select_rank(x, [1, 2], folder=tmp_path / "fits", **options)
    done = len(list((tmp_path / "fits").glob("*.npz")))
    assert done >= 2
    monkeypatch.setattr("gcp.analysis.selection.rank_search.fit_in_series", real)
    again = select_rank(x, [1, 2], folder=tmp_path / "fits", **options)
    assert [row[:6] for row in again.table] == [row[:6] for row in whole.table]
    np.testing.assert_array_equal(again.result.factors[0], whole.result.factors[0])


@pytest.mark.parametrize("stop_at", [30, 75])
def test_a_search_goes_on_within_the_fit_where_it_was_stopped(rng, tmp_path, monkeypatch, stop_at):
    x, options = small(rng), {"l2_reg": 0.3, "n_splits": 1, "random_state": 3, "n_threads": 1}
    whole = select_rank(x, [1, 2], **options)
    real, calls = PreconditionedRun.iterate, []

    def limited(self):
        calls.append(self.n_iter)
        if len(calls) == stop_at:
            signal.raise_signal(signal.SIGINT)
        real(self)

    monkeypatch.setattr(PreconditionedRun, "iterate", limited)
    with pytest.raises(KeyboardInterrupt):
        select_rank(x, [1, 2], folder=tmp_path / "fits", **options)
    assert calls[-1] > 0  # in the midst of a fit, whose state is kept
    assert list((tmp_path / "fits").glob("*.state"))
    again = select_rank(x, [1, 2], folder=tmp_path / "fits", **options)
    assert calls[stop_at] == calls[stop_at - 1] + 1  # it went on where it had stopped
    assert [row[:6] for row in again.table] == [row[:6] for row in whole.table]
    np.testing.assert_array_equal(again.result.factors[0], whole.result.factors[0])
    assert not list((tmp_path / "fits").glob("*.state"))


def test_a_folder_of_other_data_is_refused(rng, tmp_path):
    x = small(rng)
    options = {"l2_reg": 0.1, "n_splits": 1, "random_state": 3, "folder": tmp_path}
    select_rank(x, [1], **options)
    json.loads((tmp_path / "settings.json").read_text())
    with pytest.raises(DataError, match="other data"):
        select_rank(x + 1e-9, [1], **options)
    with pytest.raises(DataError, match="other data"):
        select_rank(x, [1], **{**options, "random_state": 4})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be used"):
        select_rank(x, [1], **{**options, "folder": tmp_path / "file"})


OTHERS = {
    "ranks": {"ranks": [1, 2]},
    "main effects": {"main_effects": True},
    "solver": {"solver": gcp.LBFGSB(n_iter_max=7)},
    "bounds": {"bounds": (-9.0, None)},
    "option": {"tol": 1e-3},
    "loss": {"loss": gcp.Huber(delta=2.0)},
    "fraction": {"fraction": 0.2},
    "seed": {"random_state": 1},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_folder_knows_what_its_fits_depend_on(change, rng, tmp_path):
    x = small(rng)
    first = {"ranks": [1], "weight_reg": 1.0, "n_splits": 1, "random_state": 0, "folder": tmp_path}
    select_rank(x, **first)
    with pytest.raises(DataError, match="other data or with other arguments"):
        select_rank(x, **(first | change))


def test_a_folder_tells_formulas_arrays_and_labels_apart(rng, tmp_path):
    x = small(rng)
    options = {"ranks": [1], "weight_reg": 1.0, "n_splits": 1, "random_state": 0}

    def refused(name, one, other, data=(x, x)):
        select_rank(data[0], **options, **one, folder=tmp_path / name)
        with pytest.raises(DataError, match="other data"):
            select_rank(data[1], **options, **other, folder=tmp_path / name)

    formulas = (lambda x, m: (x - m) ** 2), (lambda x, m: (x - m) ** 2 + 1e-3 * (x - m) ** 4)
    refused("formula", *({"loss": gcp.custom_loss(f, name="own")} for f in formulas))
    refused("bounds", *({"bounds": ([np.full((7, 1), low), None, None], [None] * 3)} for low in (-9.0, -8.0)))
    named = [
        gcp.DenseTensor(x, labels=gcp.ModeLabels(names, [None] * 3))
        for names in (["a", "b", "c"], ["a", "b", "d"])
    ]
    refused("labels", {}, {}, named)
    with pytest.raises(ParameterError, match="no argument may be a function"):
        select_rank(x, **options, init=lambda: None, folder=tmp_path / "function")


def test_fits_of_a_folder_that_ended_at_a_limit_go_on(rng, tmp_path):
    x, options = small(rng), {"l2_reg": 0.3, "n_splits": 2, "random_state": 3, "n_threads": 1}
    whole = select_rank(x, [1, 2], **options)
    # Further ranks begin from models that were unfinished, and have to begin anew.
    for limit in ({"n_iter_max": 2}, {"max_seconds": 0.0}, {"callback": lambda s: s.iteration % 5 == 0}):
        short = select_rank(x, [1, 2], folder=tmp_path, **options, **limit)
        assert short.table[-1].loss != whole.table[-1].loss
    for _ in range(2):
        again = select_rank(x, [1, 2], folder=tmp_path, **options)
        assert [row[:6] for row in again.table] == [row[:6] for row in whole.table]
        np.testing.assert_array_equal(again.result.factors[0], whole.result.factors[0])
    assert not list(tmp_path.glob("split*.state"))


@pytest.mark.parametrize("n_fits", [1, 2, 5, 6, 7])
def test_an_interrupted_search_returns_what_it_has(n_fits, rng, monkeypatch):
    x = planted(rng, 1, 0.1, SMALL)
    options = {"l2_reg": (0.0, 0.3), "n_splits": 3, "random_state": 3, "n_threads": 1}
    real, calls = fit_in_series, []

    def limited(*args, **kwargs):
        calls.append(1)
        if len(calls) > n_fits:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    whole = select_rank(x, [1], **options)
    monkeypatch.setattr("gcp.analysis.selection.rank_search.fit_in_series", limited)
    n_splits = n_fits // 2  # a fit for each penalty
    if not n_splits:
        with pytest.raises(KeyboardInterrupt):
            select_rank(x, [1], **options)
        return
    found = select_rank(x, [1], **options)
    if n_fits > 6:
        assert (found.status, found.result is None) == ("complete", False)
        return
    assert (found.status, found.result) == ("interrupted", None)
    assert "interrupted" in found.summary()
    for row, same in zip(found.table, whole.table, strict=True):
        np.testing.assert_array_equal(row.losses, same.losses[:n_splits])


def test_a_folder_keeps_the_seed(rng, tmp_path, monkeypatch):
    x = small(rng)
    options = {"ranks": [1], "weight_reg": 1.0, "n_splits": 1, "folder": tmp_path}
    first = select_rank(x, **options)
    monkeypatch.setattr("gcp.analysis.selection.rank_search.fit_in_series", None)
    assert select_rank(x, **options).table[1][:6] == first.table[1][:6]
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        select_rank(x, **options)


def test_solvers_for_ridges_try_ridges(rng):
    x = small(rng)
    observed = ObservedTensor(np.argwhere(x < 99), x.ravel(), SMALL)
    for solver in ("rows", gcp.RowNewton()):
        found = select_rank(observed, [1], solver=solver, n_splits=1, n_starts=1, random_state=0)
        assert sorted({row.l2_reg for row in found.table}) == [0.0, 0.1, 1.0]


def test_every_line_of_the_picture_has_one_rank_zero(rng):
    found = select_rank(
        small(rng), [1, 2], l2_reg=(1.0, 3.0), main_effects=True, n_splits=1, n_starts=1, random_state=0
    )
    for container in found.plot().containers:
        x = np.asarray(container.lines[0].get_xdata(), dtype=float)
        assert_allclose(np.round(x), [0, 1, 2])


def test_rank_zero_has_one_mean_for_all_positions_with_parameters_of_their_own(rng):
    """One m would be another mean for each r: no constant, and easily worse than any model."""
    r = np.linspace(0.5, 5, 6)
    x = rng.negative_binomial(2, 0.3, (6, 5, 4)).astype(float)
    loss = gcp.NegativeBinomial(r=tuple(r), by=0)
    found = select_rank(x, [1], loss, l2_reg=0.1, n_splits=1, n_starts=1, random_state=0)
    seed = int(np.random.SeedSequence(0).generate_state(1, np.uint32)[0])
    split = gcp.hold_out(x, 0.1, seed, keep=0.5)
    mean = x[split.train.entry_weights > 0].mean()
    held, own = split.test.values, r[split.test.subs[:, 0]]
    odds = mean / own
    expected = np.mean((own + held) * np.log1p(odds) - held * np.log(odds))
    assert_allclose(found.table[0].loss, expected, rtol=1e-8)


def test_unknown_parameters_are_told(rng):
    with pytest.raises(ParameterError, match="needs numbers for r"):
        select_rank(rng.poisson(2.0, SHAPE), [1], gcp.NegativeBinomial(r="estimate"))


def test_dead_components_come_back_in_larger_models(rng):
    """At a strength that leaves one of two components, the larger model begins with fresh ones."""
    x = 9 * planted(rng, 2, 0.1)
    found = select_rank(x, [1, 2, 3], weight_reg=1e6, n_splits=1, n_starts=1, random_state=0)
    assert all(np.isfinite(row.loss) for row in found.table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": [1.5]}, "ranks must be"),
        ({"ranks": [-1]}, "ranks must be"),
        ({"l2_reg": -1.0}, "l2_reg"),
        ({"l2_reg": []}, "l2_reg"),
        ({"method": "fibres"}, "method must be one of cells, thinning: found 'fibres'"),
        ({"method": "thinning"}, "Poisson"),
        ({"n_splits": 0}, "n_splits"),
        ({"fraction": 1.2}, "fraction"),
        ({"loss": "gauss"}, "gauss"),
        ({"checkpoint": "fit.npz"}, "a folder keeps the state of every fit"),
    ],
)
def test_bad_arguments(change, message, rng):
    arguments = {"ranks": [1], "n_splits": 1} | change
    with pytest.raises(ParameterError, match=message):
        select_rank(rng.normal(size=(4, 4, 4)), **arguments)


def test_the_picture(rng):
    found = select_rank(small(rng), [1, 2], l2_reg=(0.1, 0.3), n_splits=2, random_state=0)
    ax = found.plot()
    *of_penalties, shared = [np.asarray(line.lines[0].get_xdata(), dtype=float) for line in ax.containers]
    assert [np.round(x).tolist() for x in of_penalties] == [[1, 2], [1, 2]]
    assert shared.tolist() == [0]  # which no penalty changes
    assert ax.lines[-1].get_xydata()[0, 0] == found.rank


def test_ridges_that_are_nearly_equal_have_files_of_their_own(rng, tmp_path):
    select_rank(small(rng), [1], l2_reg=(0.1, 0.10000001), n_splits=1, random_state=0, folder=tmp_path)
    assert len(list(tmp_path.glob("split0_rank1_*.npz"))) == 2


def test_an_interrupt_ends_a_series(rng, monkeypatch):
    """A fit keeps its best model and returns; what fits many times must not go on."""
    from dataclasses import replace

    x, model = small(rng), gcp.fit_gcp(small(rng), 1, random_state=0)
    real = fit_problem
    monkeypatch.setattr("gcp.fit.fit_problem", lambda *a: replace(real(*a), status="interrupted"))
    for series in (
        lambda: select_rank(x, [1], l2_reg=0.0, n_splits=1),
        lambda: gcp.suggest_loss(x),
        lambda: gcp.analysis.start_stability(x, 1, 2),
        lambda: gcp.analysis.bootstrap(model, x, 2),
    ):
        with pytest.raises(KeyboardInterrupt):
            series()


# --- penalties, processes ----------------------------------------------------------------------------------


def test_what_is_tried_suits_the_loss(rng):
    """Noise has no component at the lasso's unit: its spectral norm is at most about that."""
    noise = rng.normal(size=(30, 20, 10)) * 3.0
    found = select_rank(noise, [1], n_splits=1, n_starts=1, random_state=0)
    strengths = sorted({row.weight_reg for row in found.table})
    assert strengths[0] == 0
    unit = strengths[2] / 0.4
    assert_allclose(strengths[1], 0.1 * unit, rtol=0.01)  # three digits
    norm = gcp.fit_gcp(noise, 1, n_starts=5, random_state=0).weights[0]
    assert unit / 4 < 2 * norm < 1.1 * unit  # the derivative is twice the residual
    assert gcp.fit_gcp(noise, 2, weight_reg=unit, random_state=0).weights.max() == 0
    counts = rng.poisson(2.0, SHAPE).astype(float)
    found = select_rank(counts, [1], "poisson", n_splits=1, n_starts=1, random_state=0)
    strengths = sorted({row.dirichlet_reg for row in found.table})
    assert_allclose(strengths, [0, 0.1, 1], rtol=0.1)  # the dispersion of Poisson counts is 1
    assert {row.l2_reg for row in found.table} == {row.weight_reg for row in found.table} == {0.0}


def test_a_lasso_beats_none_on_scarce_links():
    """The warning of the prototype: components beside main effects overfit binary data."""
    nations = gcp.datasets.load_nations()
    options = {"main_effects": True, "n_splits": 1, "n_starts": 1, "random_state": 0, "n_threads": 1}
    options["tol"] = 1e-5  # without a penalty, further steps only make it worse
    found = select_rank(nations, [3], "bernoulli-logit", **options)
    loss = {
        (row.rank, bool(row.weight_reg)): row.loss for row in sorted(found.table, key=lambda row: -row.loss)
    }
    assert loss[3, True] < loss[0, False] - 0.02
    assert loss[3, True] < loss[3, False]
    assert found.weight_reg > 0
    assert found.result.settings["weight_reg"] == found.weight_reg
    assert found.result.settings["l2_reg"]["main_effects"] > 0


def test_all_combinations_of_what_is_given(rng):
    found = select_rank(
        small(rng), [1], l2_reg=[0, 1], weight_reg=[0.5, 2], n_splits=1, n_starts=1, random_state=0
    )
    assert len(found.table) == 1 + 4
    assert "l2_reg 1, weight_reg 2" in found.summary()


@pytest.mark.parametrize(
    "loss", ["gaussian", gcp.custom_loss(lambda x, m: (x - m) ** 2, name="squares")], ids=["named", "custom"]
)
def test_processes_side_by_side_find_the_same(loss, rng, tmp_path):
    x = small(rng)
    options = {"loss": loss, "weight_reg": (1.0, 3.0), "n_splits": 2, "random_state": 3, "n_threads": 1}
    alone = select_rank(x, [1, 2], **options, folder=tmp_path / "alone")
    beside = select_rank(x, [1, 2], **options, n_jobs=2, folder=tmp_path / "beside")
    assert [row[:6] for row in beside.table] == [row[:6] for row in alone.table]
    np.testing.assert_array_equal(beside.result.factors[0], alone.result.factors[0])
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("alone", "beside")]
    assert names[0] == names[1]


def test_a_search_goes_on_with_another_number_of_processes(rng, tmp_path, monkeypatch):
    x = small(rng)
    options = {"weight_reg": 1.0, "n_splits": 2, "random_state": 3, "folder": tmp_path}
    first = select_rank(x, [1, 2], **options, n_jobs=2)
    monkeypatch.setattr("gcp.analysis.selection.rank_search.fit_in_series", None)  # nothing is fitted again
    again = select_rank(x, [1, 2], **options)
    assert [row[:6] for row in again.table] == [row[:6] for row in first.table]


def test_a_larger_model_helps_a_smaller_one_out():
    """Data of the study of ranks whose planted rank hid behind local minima from two starts."""
    loss = gcp.NegativeBinomialLogit(r=2.0)
    data, _ = gcp.simulate((30, 25, 20), 2, loss, random_state=5000)
    found = select_rank(data, range(1, 4), loss, weight_reg=0.0, n_splits=3, random_state=5000)
    assert found.rank == 2
    assert found.chosen.stability > 0.99


def test_progress_is_a_line_for_every_fit(rng, capsys):
    select_rank(small(rng), [1, 2], weight_reg=(0, 1), n_splits=2, n_starts=1, random_state=0, verbose=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 * 2 * 3 + 1
    assert lines[0].startswith("1/13  split 1/2  rank 0")
    assert lines[-2].startswith("12/13  split 2/2  rank 2  weight_reg 1  held-out loss")
    assert lines[-1].startswith("13/13  all data  rank 2")


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, "all", True])
def test_bad_numbers_of_processes(n_jobs, rng):
    with pytest.raises(ParameterError, match="n_jobs must be a whole number from 1 to 10000, or -1"):
        select_rank(small(rng), [1], n_jobs=n_jobs)


def test_ranks_must_be_a_list():
    with pytest.raises(
        ParameterError, match=r"ranks must be a list of candidates, e\.g\. \[1, 2, 3\]: found 3"
    ):
        select_rank(np.ones((3, 2)), 3)


def test_alternatives_of_penalties_are_chosen_as_their_shorthands_are(rng, tmp_path):
    """A ridge as an object and as a strength; the fits begin elsewhere, for their names differ."""
    x, options = small(rng), {"n_splits": 2, "random_state": 0}
    strengths = select_rank(x, [1], l2_reg=(0.0, 5.0), **options)
    objects = select_rank(x, [1], penalties=[(), (Ridge(None, 5.0),)], folder=tmp_path, **options)
    np.testing.assert_allclose(
        [row.loss for row in objects.table if row.rank],
        [row.loss for row in strengths.table if row.rank],
        rtol=1e-5,
    )
    assert objects.chosen.penalties == (() if strengths.l2_reg == 0 else (Ridge(None, 5.0),))
    assert "Ridge(None, 5.0)" in objects.summary()
    again = select_rank(x, [1], penalties=[(), (Ridge(None, 5.0),)], folder=tmp_path, **options)
    assert [row[:6] for row in again.table] == [row[:6] for row in objects.table]
    assert objects.result.problem.penalties.of_components == objects.penalties
    with pytest.raises(ParameterError, match="a list of penalties"):
        select_rank(x, [1], penalties=[3.0])
