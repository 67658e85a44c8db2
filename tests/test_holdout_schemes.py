"""Held-out rows, blocks and futures. Truths: sets of cells by hand, SciPy's and NumPy's fits of rows, frequencies."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

import gcp
from gcp import DataError, DenseTensor, ModeLabels, ObservedTensor, ParameterError, SparseTensor, hold_out
from gcp.analysis import prediction_scores
from gcp.fit import fit_problem
from gcp.solvers.starts.fit_arguments import problem_and_plan

SHAPE = (6, 5, 12)
NAMES = ["who", "what", "week"]
WEEKS = np.array([7 * k for k in (3, 0, 11, 5, 2, 9, 1, 10, 4, 6, 8, 7)])
LABELS = ModeLabels(NAMES, [list("dfacbe"), list("vwxyz"), WEEKS])
SCHEMES = {
    "rows": {"scheme": "rows", "mode": "who"},
    "blocks": {"scheme": "blocks", "mode": "week", "gap": 1},
    "blocks by": {"scheme": "blocks", "mode": "week", "by": "who"},
    "future": {"scheme": "future", "mode": "week", "gap": 2},
}
KINDS = ["dense", "masked", "observed", "sparse", "sparse with missing"]


def data_of(kind, rng, shape=SHAPE, labels=LABELS, mean=0.6):
    x = rng.poisson(mean, shape).astype(float)
    known = rng.random(shape) < 0.9
    if kind == "dense":
        return DenseTensor(x, labels=labels)
    if kind == "masked":
        return DenseTensor(x, mask=known, labels=labels)
    if kind == "observed":
        return ObservedTensor(np.argwhere(known), x[known], shape, labels=labels)
    missing = np.argwhere(~known) if kind == "sparse with missing" else None
    return SparseTensor(np.argwhere(x), x[x > 0], shape, missing=missing, labels=labels)


def known_cells(tensor, labels=LABELS):
    """Values by the labels of every known cell, whatever the tensor's order and positions."""
    own = tensor.labels or labels
    found = {}
    for cells in tensor.known_cells(1 << 20):
        for at, value in zip(cells.subs[cells.weights > 0], cells.x[cells.weights > 0], strict=True):
            key = tuple(own.values(n, tensor.shape[n])[at[n]] for n in range(len(at)))
            assert key not in found
            found[key] = float(value)
    return found


def parts_of(data, split):
    """Known cells of the data, of the training part, of the given and the test cells; each cell in one part."""
    whole, train, test = (known_cells(one) for one in (data, split.train, split.test))
    given = {} if split.given is None else known_cells(split.given)
    for part in (train, given, test):
        assert part.items() <= whole.items()
    assert not train.keys() & test.keys()
    assert not train.keys() & given.keys()
    assert not given.keys() & test.keys()
    gap = whole.keys() - train.keys() - test.keys() - given.keys()
    assert split.left_out == len(gap)
    return whole, train, given, test, gap


@pytest.mark.parametrize("kind", KINDS)
def test_whole_rows_are_held_out_and_given_in_part(kind, rng):
    data = data_of(kind, rng)
    whole, train, given, test, gap = parts_of(data, hold_out(data, 0.3, 0, **SCHEMES["rows"]))
    held = {key[0] for key in test}
    assert len(held) == 2
    assert not gap
    assert {key for key in whole if key[0] in held} == given.keys() | test.keys()
    assert {key[0] for key in train} == set("abcdef") - held
    if "sparse" not in kind:
        for row in held:
            n_given, n_test = (sum(key[0] == row for key in part) for part in (given, test))
            assert n_test in (n_given, n_given - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_is_the_last_coordinates(kind, rng):
    data = data_of(kind, rng)
    whole, _, given, test, gap = parts_of(data, hold_out(data, 0.25, 0, **SCHEMES["future"]))
    assert test.keys() == {key for key in whole if key[2] >= 7 * 9}
    assert gap == {key for key in whole if 7 * 7 <= key[2] < 7 * 9}
    assert given == {}


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_runs_of_each_fibre_with_gaps(kind, rng):
    data = data_of(kind, rng)
    whole, train, _, test, gap = parts_of(data, hold_out(data, 0.25, 0, **SCHEMES["blocks"]))
    starts = set()
    for who in "abcdef":
        for what in "vwxyz":
            weeks = {k for k in range(12) if (who, what, 7 * k) in test}
            fits = [
                s for s in range(12) if weeks <= (run := {(s + k) % 12 for k in range(3)}) and
                {k for k in run if (who, what, 7 * k) in whole} == weeks
            ]  # fmt: skip
            assert fits
            starts.add(fits[0])
            near = {k for k in range(12) for held in weeks if abs(k - held) == 1} - weeks
            assert not {k for k in near if (who, what, 7 * k) in train}
            assert len({k for k in range(12) if (who, what, 7 * k) in gap}) <= 2
    assert len(starts) > 6
    for week in range(12):  # every week keeps most of its fibres
        assert sum(key[2] == 7 * week for key in train) >= 10


def test_blocks_of_whole_units(rng):
    data = data_of("dense", rng)
    _, train, _, test, gap = parts_of(data, hold_out(data, 0.25, 0, **SCHEMES["blocks by"]))
    assert not gap
    runs = {
        (who, what): frozenset(k for k in range(12) if (who, what, 7 * k) in test) for who, what, _ in train
    }
    for who in "abcdef":
        assert len({runs[who, what] for what in "vwxyz"}) == 1
        assert len(runs[who, "v"]) == 3
    assert len(set(runs.values())) > 3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["dense", "observed", "sparse with missing"])
def test_the_order_of_modes_and_positions_does_not_matter(kind, scheme, rng):
    data = data_of(kind, rng)
    orders = [rng.permutation(size) for size in SHAPE]
    names = [NAMES[n] for n in (2, 0, 1)]
    labels = ModeLabels(names, [LABELS.coords[n][orders[n]] for n in (2, 0, 1)])
    dense = data.to_dense()
    known = np.ones(SHAPE, bool) if dense.entry_weights is None else dense.entry_weights > 0
    x, known = (a[np.ix_(*orders)].transpose(2, 0, 1) for a in (np.where(known, dense.values, 0.0), known))
    turned = DenseTensor(x, mask=known, labels=labels)
    if kind == "observed":
        turned = ObservedTensor(np.argwhere(known), x[known], x.shape, labels=labels)
    if kind == "sparse with missing":
        turned = SparseTensor(np.argwhere(x), x[x > 0], x.shape, missing=np.argwhere(~known), labels=labels)
    one, other = (hold_out(tensor, 0.3, 5, **SCHEMES[scheme]) for tensor in (data, turned))
    for a, b in ((one.test, other.test), (one.train, other.train)):
        again = {tuple(key[n] for n in (1, 2, 0)): value for key, value in known_cells(b).items()}
        assert again == known_cells(a)
    if scheme != "future":
        assert known_cells(hold_out(data, 0.3, 6, **SCHEMES[scheme]).test) != known_cells(one.test)


@pytest.mark.parametrize("scheme", ["rows", "blocks", "blocks by"])
@pytest.mark.parametrize("kind", ["masked", "observed", "sparse"])
def test_weights_make_sums_estimates_of_those_over_all_cells(kind, scheme, rng):
    data = data_of(kind, rng)
    totals = []
    for seed in range(80):
        test = hold_out(data, 0.3, seed, **SCHEMES[scheme]).test
        w = np.ones(len(test.values)) if test.entry_weights is None else test.entry_weights
        totals.append([w.sum(), w @ test.values])
    whole = known_cells(data)
    truth = [len(whole), sum(whole.values())]
    error = np.std(totals, axis=0) / np.sqrt(len(totals))
    assert (np.abs(np.mean(totals, axis=0) - truth) < 4 * error + 1e-9).all()
    assert (error < 0.1 * np.array(truth)).all()


# --- judging -----------------------------------------------------------------------------------------------


def rowless(result, split, other=0.0):
    """The other modes' products at the cells of a part, shapes (n, R), for each of the given and the test part."""
    a = result.weights * np.ones(1)
    return [
        a * result.factors[1][part.subs[:, 1]] * result.factors[2][part.subs[:, 2]] + other
        for part in (split.given, split.test)
    ]


def test_rows_are_those_of_least_squares(rng):
    x = rng.normal(size=SHAPE)
    split = hold_out(DenseTensor(x, labels=LABELS), 0.3, 0, **SCHEMES["rows"])
    result = gcp.fit_gcp(split.train, 2, random_state=0)
    given, test = rowless(result, split)
    wrong = 0.0
    for row in range(2):
        at, there = split.given.subs[:, 0] == row, split.test.subs[:, 0] == row
        own = np.linalg.lstsq(given[at], split.given.values[at], rcond=None)[0]
        assert_allclose(split.extended(result).factors[0][row], own, rtol=1e-5, atol=1e-8)
        wrong += np.sum((split.test.values[there] - test[there] @ own) ** 2)
    found = split.judge(result)
    assert found.cells == len(split.test.values)
    assert_allclose(found.rmse, np.sqrt(wrong / found.cells), rtol=1e-6)
    assert split.extended(result).labels.coords[0].tolist() == split.test.labels.coords[0].tolist()


@pytest.mark.parametrize("kind", ["observed", "sparse"])
def test_rows_of_counts_are_those_of_scipy(kind, rng):
    data = data_of(kind, rng, mean=3.0)
    split = hold_out(data, 0.3, 0, **SCHEMES["rows"])
    result = gcp.fit_gcp(split.train, 2, loss="poisson", random_state=0)
    extended = split.extended(result)
    products = result.weights * np.einsum("jr,kr->jkr", result.factors[1], result.factors[2])
    dense = split.given.to_dense()
    known = np.ones(dense.shape) if dense.entry_weights is None else dense.entry_weights
    for row in range(2):
        w = known[row].ravel()
        x, z = np.where(w > 0, dense.values[row].ravel(), 0.0), products.reshape(-1, 2)

        def cost(a, w=w, x=x, z=z):
            m = z @ a
            return np.sum(w * (m - x * np.log(m + 1e-10))), z.T @ (w * (1 - x / (m + 1e-10)))

        best = optimize.minimize(
            cost,
            np.ones(2),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * 2,
            options={"ftol": 1e-14, "gtol": 1e-9},
        )
        assert_allclose(cost(extended.factors[0][row])[0], best.fun, rtol=1e-7)
    m = extended.model_values(split.test.subs)
    w = np.ones(len(m)) if split.test.entry_weights is None else split.test.entry_weights
    expected = np.average(m - split.test.values * np.log(m + 1e-10), weights=w)
    assert_allclose(split.judge(result).mean_loss, expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize("scheme", ["rows", "future"])
def test_a_model_without_these_positions_is_not_judged_by_mistake(scheme, labels, rng):
    data = DenseTensor(rng.normal(size=SHAPE), labels=labels)
    train, test = split = hold_out(data, 0.3, 0, scheme=scheme, mode=0)
    result = gcp.fit_gcp(train, 2, random_state=0, l2_reg=0.1)
    for judge in (result.score, lambda part: prediction_scores(result, part)):
        with pytest.raises(DataError):
            judge(test)
    if scheme == "future":
        message = r"without a design on '(who|mode_0)' knows nothing of positions .*scheme=\"blocks\""
        with pytest.raises(ParameterError, match=message):
            split.judge(result)
    else:
        assert prediction_scores(split.extended(result), test).mean_loss == split.judge(result).mean_loss


def test_single_cells_are_judged_as_ever(rng):
    for options in ({}, SCHEMES["blocks"]):
        split = hold_out(data_of("dense", rng), 0.25, 0, **options)
        result = gcp.fit_gcp(split.train, 1, loss="poisson", random_state=0)
        assert vars(split.judge(result)) == vars(prediction_scores(result, split.test))


def test_main_effects_of_new_rows(rng):
    who, what = rng.normal(size=(30, 1, 1)), rng.normal(size=(1, 8, 1))
    x = who + what + 0.1 * rng.normal(size=(30, 8, 6))
    split = hold_out(x, 0.2, 0, scheme="rows", mode=0)
    result = gcp.fit_gcp(split.train, 0, main_effects=True, random_state=0)
    assert split.judge(result).rmse == pytest.approx(0.1, rel=0.2)


def test_rows_of_tied_modes_are_known_by_their_other_mode(rng):
    x = rng.normal(size=(8, 8, 4))
    x = x + x.transpose(1, 0, 2)
    split = hold_out(x, 0.25, scheme="future", mode=0)
    result = gcp.fit_gcp(split.train, 2, tied_modes=[(0, 1)], random_state=0)
    expected = np.sqrt(np.mean((result.predict()[6:] - x[6:]) ** 2))
    assert_allclose(split.judge(result).rmse, expected, rtol=1e-6)
    unseen = x.copy()
    unseen[:, 7] = np.nan
    split = hold_out(unseen, 0.25, scheme="future", mode=0)
    result = gcp.fit_gcp(split.train, 2, tied_modes=[(0, 1)], random_state=0)
    with pytest.raises(
        ParameterError, match=r"nothing that was fitted determines the rows of 1 held-out .*'7'"
    ):
        split.judge(result)


def cycle(n):
    return np.column_stack([np.ones(n), np.sin(np.arange(n)), np.cos(np.arange(n))])


def seasonal(rng, n=24):
    return np.einsum("ir,kr->ik", rng.normal(size=(9, 3)), cycle(n)) + 0.01 * rng.normal(size=(9, n))


def test_the_future_of_a_mode_whose_factor_is_known(rng):
    x = seasonal(rng)
    split = hold_out(x, 0.25, scheme="future", mode=1, gap=1)
    own = [np.ones((9, 3)), cycle(24)]
    result = gcp.fit_gcp(split.train, 3, init=own, fixed_modes=[1], random_state=0)
    rows = np.linalg.lstsq(cycle(17), x[:, :17].T, rcond=None)[0].T
    expected = np.sqrt(np.mean((x[:, 18:] - rows @ cycle(24)[18:].T) ** 2))
    assert_allclose(split.judge(result).rmse, expected, rtol=1e-5)


def test_the_future_of_a_mode_with_a_map(rng):
    """As designs have it."""
    x = seasonal(rng)
    split = hold_out(x, 0.25, scheme="future", mode=1)
    problem, plan = problem_and_plan(split.train, 3, {"random_state": 0, "n_starts": 2})
    with pytest.raises(ParameterError, match="knows nothing"):
        split.check(problem)
    mapped = replace(problem, parametrisation=replace(problem.parametrisation, maps=((1, cycle(24)),)))
    split.check(mapped)
    assert split.judge(fit_problem(mapped, plan)).rmse < 0.05


# --- what users meet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["cells", *SCHEMES])
@pytest.mark.parametrize("kind", ["dense", "observed", "sparse"])
def test_what_entries_carry_goes_with_them(kind, scheme, rng):
    vectors = [rng.uniform(0.5, 2.0, size) for size in SHAPE]
    scale = np.einsum("i,j,k->ijk", *vectors)
    data = data_of(kind, rng)
    if kind == "sparse":
        data = data.with_columns(scale=vectors)
    else:
        data = data.with_columns(scale=scale if kind == "dense" else scale[tuple(data.subs.T)])
    split = hold_out(data, 0.3, 0, **SCHEMES.get(scheme, {}))
    for part in (split.test, split.given, split.train):
        if part is None:
            continue
        listed = part if part.subs is not None else ObservedTensor.of_dense(part, part.values >= 0)
        coords = [LABELS.coords[n] for n in range(3)]
        own = [part.labels.coords[n][listed.subs[:, n]] for n in range(3)]
        at = tuple(np.argsort(c)[np.searchsorted(np.sort(c), o)] for c, o in zip(coords, own, strict=True))
        assert_allclose(listed.columns.scale, scale[at])


def test_entry_weights_and_masks_are_kept(rng):
    x, w = rng.normal(size=SHAPE), rng.uniform(0.5, 2.0, SHAPE)
    w[0, 0] = 0.0
    for scheme, options in SCHEMES.items():
        split = hold_out(x, 0.25, 0, entry_weights=w, modes=NAMES, mask=x < 2, **options)
        train = split.train.entry_weights
        assert_allclose(train[train > 0], w[train > 0])
        assert not train[(w == 0) | (x >= 2)].any()
        if scheme.startswith("blocks"):
            assert_allclose(split.test.entry_weights, 4 * w[tuple(split.test.subs.T)])


@pytest.mark.parametrize(
    ("weeks", "last"),
    [
        (["2024-03-01", "2023-12-31", "2024-10-02", "2024-02-28"], "2024-10-02"),
        (np.array(["2024-03-01", "2023-12-31", "2024-10-02", "2024-02-28"], "M8[D]"), "2024-10-02"),
        ([9.5, -1.0, 10.0, 3.0], "10.0"),
        (["1", "10", "2", "9"], "10"),
        (["Jan", "Feb", "Mar", "Apr"], "Apr"),
    ],
)
def test_order_is_that_of_numbers_and_dates_and_else_of_the_data(weeks, last, rng):
    data = DenseTensor(rng.normal(size=(5, 4)), labels=ModeLabels(["who", "week"], [None, weeks]))
    test = hold_out(data, 0.25, scheme="future", mode="week").test
    assert [str(label) for label in test.labels.coords[1]] == [last]


def test_positions_that_would_lose_everything_are_not_held_out(rng):
    subs = np.argwhere(np.ones((8, 12)))
    subs = subs[(subs[:, 0] > 0) | (subs[:, 1] == 4)]  # the first has one cell
    data = ObservedTensor(subs, rng.normal(size=len(subs)), (8, 12))
    for seed in range(20):
        split = hold_out(data, 0.3, seed, scheme="blocks", mode=1, gap=1)
        assert 0 in split.train.subs[:, 0]
    with pytest.raises(ParameterError, match=r"leave nothing of '.*': hold out less"):
        hold_out(rng.normal(size=(2, 6)), 0.5, 0, scheme="blocks", mode=1, gap=1)


def test_cells_of_films_that_nobody_else_has_seen_are_not_judged(rng):
    subs = np.argwhere(np.ones((6, 4)))
    subs = subs[(subs[:, 1] > 0) | (subs[:, 0] == 2)]  # the first film is of one user
    data = ObservedTensor(subs, rng.normal(size=len(subs)), (6, 4))
    for seed in range(6):
        split = hold_out(data, 0.2, seed, scheme="rows", mode=0)
        held = split.test.labels.coords[0].tolist()
        films = {*split.test.subs[:, 1].tolist(), *split.given.subs[:, 1].tolist()}
        assert split.left_out == (1 if held == [2] else 0)
        assert held != [2] or 0 not in films


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "random"}, "scheme"),
        ({"scheme": "rows"}, "scheme='rows' needs mode=, one of who, what, week"),
        ({"mode": "week"}, "mode is for scheme 'rows' or 'blocks' or 'future'"),
        ({"scheme": "rows", "mode": "who", "gap": 1}, "gap is for scheme 'blocks' or 'future'"),
        ({"scheme": "future", "mode": "day"}, "Unknown mode 'day'"),
        ({"scheme": "future", "mode": "week", "gap": 9}, "leaves nothing to fit"),
        ({"scheme": "blocks", "mode": "week", "by": "week"}, "by must name modes other than 'week'"),
        ({"scheme": "blocks", "mode": "week", "keep": 0.5}, 'keep is for scheme="cells"'),
        ({"scheme": "blocks", "mode": "week", "gap": -1}, "gap"),
        ({"scheme": "blocks", "mode": "week", "gap": 6}, "hold out less, or take a smaller gap"),
    ],
)
def test_bad_arguments(options, message, rng):
    with pytest.raises(ParameterError, match=message):
        hold_out(data_of("dense", rng), 0.25, 0, **options)


def test_large_sparse_tensors_have_rows_and_futures_but_no_blocks(rng):
    subs = rng.integers(0, 200_000, (5000, 3))
    subs[:, 0] %= 50
    data = SparseTensor(subs, np.ones(5000), (50, 200_000, 200_000), aggregate="sum")
    split = hold_out(data, 0.2, 0, scheme="rows", mode=0)
    assert split.given.n_known + len(split.test.values) == 10 * 200_000**2
    test = hold_out(data, 0.2, scheme="future", mode=0).test
    assert test.shape == (10, 200_000, 200_000)
    assert_allclose(test.values.sum(), np.count_nonzero(subs[:, 0] >= 40))
    with pytest.raises(ParameterError, match=r'at most 67,108,864 cells.*Use scheme="rows"'):
        hold_out(data, 0.2, 0, scheme="blocks", mode=0)


def test_a_second_split_by_the_same_seed_is_another():
    """Training, choosing and judging parts of one data set, as people make them: all by random_state=0."""
    x = np.random.default_rng(3).normal(size=(40, 30))
    rest = gcp.hold_out(x, 0.3, 0)
    again = gcp.hold_out(rest.train, 0.2, 0)
    assert len(again.test.values) == pytest.approx(0.2 * 0.7 * x.size, rel=0.2)
    first, second = ({tuple(cell) for cell in part.test.subs.tolist()} for part in (rest, again))
    assert not first & second
