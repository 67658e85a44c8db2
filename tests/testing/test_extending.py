"""A loss, a penalty, a solver and a kind of tensor from outside the package, as docs/extending.md defines them."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.losses import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def page():
    """What the page's blocks define, run from top to bottom."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_LOSSES", dict(registry._LOSSES))
        module = ModuleType("page")  # of which pickle finds the classes
        patch.setitem(sys.modules, "page", module)
        scope = vars(module)
        blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert len(blocks) == 4
        for block in blocks:
            exec(compile(block, "extending.md", "exec"), scope)
        yield scope


def test_the_loss_is_found_by_name_and_saved(page, tmp_path):
    result = page["result"]
    assert type(result.loss) is page["ExponentialLog"]
    assert "exponential-log" in gcp.available_losses()
    result.save(tmp_path / "a.npz")
    again = gcp.FitResult.load(tmp_path / "a.npz")
    assert again.loss == result.loss
    assert np.array_equal(again.predict([[1, 2, 3]]), result.predict([[1, 2, 3]]))
    # rank 1 of a log link in one mode: the logarithm of the mean
    x = np.array([0.5, 2.0, 4.0])
    one = gcp.fit_gcp(x, 1, loss="exponential-log", random_state=0, tol=1e-13)
    assert_allclose(one.model_values(), np.log(x), atol=1e-5)


def whittaker(noisy, columns, strength, smooth):
    """Rows' factor (I, 1) that minimises the squares and the roughness, the columns' (J, 1) given."""
    size = len(noisy)
    return np.linalg.solve(
        2 * np.sum(columns**2) * np.eye(size) + strength * smooth.matrix(size), 2 * noisy @ columns
    )


@pytest.mark.parametrize("solver", ["lbfgsb", "plbfgs", "auto"])
def test_smoothness_along_one_mode_is_whittakers(page, solver):
    noisy, smooth = page["noisy"], page["Roughness"](0, 20.0)
    columns = np.array([[0.6], [0.8], [-0.3]])
    expected = whittaker(noisy, columns, 20.0, smooth) @ columns.T
    start = [np.ones((30, 1)), columns]
    result = gcp.fit_gcp(
        noisy, 1, init=start, fixed_modes=[1], penalties=[smooth], solver=solver, tol=1e-14, n_iter_max=5000
    )
    assert_allclose(result.model_values(), expected, atol=1e-4)


def test_the_penalty_is_saved_chosen_and_counts_for_new_rows(page, tmp_path):
    noisy, fitted = page["noisy"], page["smooth"]
    fitted.save(tmp_path / "a.npz")
    again = gcp.FitResult.load(tmp_path / "a.npz")
    assert again == fitted
    assert again.problem.penalties.of_components[1] == page["Roughness"](0, 20.0)
    assert_allclose(again.transform(noisy, 1).rows, fitted.factors[1], atol=1e-3)
    sets = [(), (page["Roughness"](0, 20.0),)]
    choice = gcp.select_rank(noisy, [1], penalties=sets, l2_reg=0.1, n_splits=2, n_starts=1, random_state=0)
    assert {row.penalties for row in choice.table if row.rank} == set(sets)
    assert choice.chosen.loss == min(row.loss for row in choice.table if row.rank == choice.rank)


def test_the_solver_finds_the_singular_vectors(page):
    u, s, v = np.linalg.svd(page["noisy"], full_matrices=False)
    assert_allclose(page["found"].model_values(), s[0] * np.outer(u[:, 0], v[0]), atol=1e-3)
    assert page["found"].settings["solver"]["name"] == "Descent"


def test_the_kind_is_fitted_and_judged_by_held_out_cells(page):
    held, result = page["held"], page["of_cube"]
    assert type(held.train) is page["Cube"]
    x, m = held.test.values, result.model_values(held.test.subs)
    assert page["score"] == pytest.approx(-np.mean(m + x * np.exp(-m)))
    logs = page["Cube"](
        np.log(page["cube"])
    )  # under the Gaussian loss, rank 1 in one mode: means of the others
    ones = [np.ones((size, 1)) for size in logs.shape]
    means = gcp.fit_gcp(logs, 1, init=ones, fixed_modes=[1, 2], random_state=0, tol=1e-13).predict()
    assert_allclose(means[:, 0, 0], logs.values.mean(axis=(1, 2)), atol=1e-6)
