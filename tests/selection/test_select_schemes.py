"""The choice of rank by rows, blocks and futures. Truths: planted signals, fits and judgements one by one."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import DataError, ParameterError, get_loss, select_rank
from gcp.analysis.selection.validation_splits import Splitting, make_split
from gcp.objectives.penalties.base import FactorQuadratic, Penalty
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.tensors.intake.coerce import as_tensor

FEW = {"n_splits": 2, "n_starts": 1, "random_state": 0, "n_threads": 1}


def drifting(rng, n=30, size=48, memory=0.9):
    """One component, a wave along the second mode, under noise of each row that remembers what it was."""
    signal = np.outer(rng.normal(size=n), 2 * np.sin(2 * np.pi * np.arange(size) / size))
    noise = rng.normal(size=(n, size))
    for k in range(1, size):
        noise[:, k] = memory * noise[:, k - 1] + np.sqrt(1 - memory**2) * noise[:, k]
    return signal, signal + noise


@pytest.mark.parametrize("seed", range(3))
def test_random_cells_choose_too_wiggly_a_model_where_blocks_do_not(seed):
    signal, x = drifting(np.random.default_rng(seed))
    options = FEW | {"l2_reg": 1.0, "fraction": 0.25}
    cells = select_rank(x, [1, 3], **options)
    blocks = select_rank(x, [1, 3], scheme="blocks", mode=1, gap=2, **options)
    assert (cells.rank, blocks.rank) == (3, 1)
    wrong = [np.mean((choice.result.predict() - signal) ** 2) for choice in (cells, blocks)]
    assert wrong[0] > 1.5 * wrong[1]
    assert cells.chosen.loss < 0.8  # while noise of variance 1 is promised to be predicted


def test_rows_are_judged_by_transform(rng):
    x = np.einsum("ir,jr->ij", rng.normal(size=(25, 2)), rng.normal(size=(12, 2))) + 0.3 * rng.normal(
        size=(25, 12)
    )
    choice = select_rank(
        x, [1, 2, 3], l2_reg=0.01, fraction=0.2, scheme="rows", mode=0, **FEW | {"n_splits": 3}
    )
    assert choice.rank == 2
    splitting = Splitting("cells", 0.2, "rows", 0)
    seed = int(np.random.SeedSequence(0).generate_state(3, np.uint32)[1])
    split = gcp.hold_out(x, 0.2, seed, scheme="rows", mode=0)
    assert_allclose(
        make_split(as_tensor(x), get_loss("gaussian"), splitting, seed).train.entry_weights,
        split.train.entry_weights,
    )
    constant = x[split.train.entry_weights].mean()
    w, test = split.test.entry_weights, split.test
    assert_allclose(
        choice.table[0].losses[1], np.average((test.values - constant) ** 2, weights=w), rtol=1e-6
    )
    model = gcp.fit_gcp(split.train, 2, l2_reg=0.01, random_state=0, n_starts=4, tol=1e-10)
    row = next(row for row in choice.table if row.rank == 2)
    assert_allclose(row.losses[1], split.judge(model).mean_loss, rtol=0.01)


@dataclass(frozen=True, eq=False)
class Nearby(Penalty):
    """Half the squared distances of a mode's rows from what they are known to be near."""

    mode: int
    centre: np.ndarray

    def value(self, factors):
        return 0.5 * float(np.sum((factors[self.mode] - self.centre) ** 2))

    def add_grad(self, factors, grad):
        grad[self.mode] += factors[self.mode] - self.centre

    def quadratic(self, mode, factors):
        ones = np.ones(factors[mode].shape[1])
        return FactorQuadratic(ones, self.centre) if mode == self.mode else FactorQuadratic(0 * ones)


def test_the_future_of_what_knows_nothing_of_it_is_refused_before_a_fit(rng, tmp_path):
    x = rng.normal(size=(6, 12))
    message = "without a design on 'mode_1' knows nothing of positions that it has not seen"
    for options in (
        {},
        {"main_effects": True},
        {"l2_reg": 1.0},
        {"fixed_modes": [0], "init": [np.ones((6, 1)), np.ones((12, 1))]},
    ):
        with pytest.raises(ParameterError, match=message):
            select_rank(x, [1], scheme="future", mode=1, folder=tmp_path / "fits", **FEW | options)
    assert not (tmp_path / "fits").exists()
    near, _ = problem_and_plan(x, 1, {"penalties": [Nearby(1, np.ones((12, 1)))]})
    assert near.foresees(1)
    assert not near.foresees(0)


def test_splits_of_the_future_are_one_period_after_the_other(rng):
    x = rng.normal(size=(5, 20))
    waves = np.column_stack([np.ones(20), np.sin(np.arange(20))])
    options = {"init": [np.ones((5, 2)), waves], "fixed_modes": [1], "l2_reg": 0.0, "fraction": 0.2}
    choice = select_rank(x, [2], scheme="future", mode=1, gap=1, **FEW | options | {"n_splits": 3})
    row = next(row for row in choice.table if row.rank == 2)
    for period in range(3):
        first = 20 - 4 * (period + 1)
        past, coming = waves[: first - 1], waves[first : first + 4]
        rows = np.linalg.lstsq(past, x[:, : first - 1].T, rcond=None)[0]
        expected = np.mean((x[:, first : first + 4].T - coming @ rows) ** 2)
        assert_allclose(row.losses[period], expected, rtol=1e-5)
    with pytest.raises(ParameterError, match="leaves nothing to fit: hold out less, or take fewer splits"):
        select_rank(x, [2], scheme="future", mode=1, gap=1, **FEW | options | {"n_splits": 5})


def test_a_folder_tells_schemes_apart(rng, tmp_path):
    x, options = rng.normal(size=(8, 7)), FEW | {"l2_reg": 1.0, "folder": tmp_path / "fits", "fraction": 0.3}
    first = select_rank(x, [1], scheme="blocks", mode=1, **options)
    again = select_rank(x, [1], scheme="blocks", mode="mode_1", by=np.int64(0), **options)
    assert first.table[1].losses.tolist() == again.table[1].losses.tolist()
    for other in (
        {},
        {"scheme": "blocks", "mode": 0},
        {"scheme": "blocks", "mode": 1, "gap": 1},
        {"scheme": "rows", "mode": 1},
    ):
        with pytest.raises(DataError, match="other arguments"):
            select_rank(x, [1], **options, **other)


@pytest.mark.parametrize("kind", ["observed", "sparse"])
def test_lists_have_schemes_too(kind, rng):
    m = np.einsum("ir,jr,kr->ijk", *(rng.gamma(2.0, 1.0, (size, 1)) for size in (9, 8, 10)))
    x = rng.poisson(m / m.mean()).astype(float)
    subs = np.argwhere(x if kind == "sparse" else x >= 0)
    data = (gcp.SparseTensor if kind == "sparse" else gcp.ObservedTensor)(subs, x[tuple(subs.T)], x.shape)
    options = FEW | {"loss": "poisson", "dirichlet_reg": 0.1, "fraction": 0.2}
    for scheme in ("rows", "blocks"):
        choice = select_rank(data, [1], scheme=scheme, mode=2, **options)
        assert choice.rank == 1
        assert choice.table[1].loss < choice.table[0].loss


def test_bad_arguments(rng):
    x = rng.poisson(3.0, (6, 5)).astype(float)
    with pytest.raises(ParameterError, match="needs mode="):
        select_rank(x, [1], scheme="rows", **FEW)
    with pytest.raises(ParameterError, match='method="thinning" holds out no cells'):
        select_rank(x, [1], "poisson", method="thinning", scheme="rows", mode=0, **FEW)
