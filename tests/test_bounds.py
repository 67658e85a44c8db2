import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import gcp
from gcp import FitResult, ParameterError, build_objective, fit_gcp
from gcp.analysis.report import write_report
from gcp.base.interval import NONNEGATIVE, REAL
from gcp.objectives.bounds import Bounds, resolve

SHAPES = [(3, 2), (4, 2), (5, 2)]
INF = np.inf


def ends(bounds, domain=REAL, shapes=SHAPES):
    """Lowest lower and highest upper bound of each mode."""
    found = resolve(bounds, shapes, domain, "some")
    assert [a.shape for a in found.lower] == [a.shape for a in found.upper] == list(shapes)
    return [(float(low.min()), float(high.max())) for low, high in zip(found.lower, found.upper, strict=True)]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (None, [(-INF, INF)] * 3),
        ((0, 1), [(0, 1)] * 3),
        ((None, 2), [(-INF, 2)] * 3),
        ((-1, None), [(-1, INF)] * 3),
        ([(0, 1), (None, None), (-2, 3)], [(0, 1), (-INF, INF), (-2, 3)]),
        ([(0, 1), None, (-2, 3)], [(0, 1), (-INF, INF), (-2, 3)]),
        (([0, None, -2], [1, None, 3]), [(0, 1), (-INF, INF), (-2, 3)]),
        (([0, None, -2], 4), [(0, 4), (-INF, 4), (-2, 4)]),
        (([np.zeros(s) for s in SHAPES], [np.ones(s) for s in SHAPES]), [(0, 1)] * 3),
        ([(np.zeros((3, 2)), 1), (0, np.full((4, 2), 5)), (0, 1)], [(0, 1), (0, 5), (0, 1)]),
    ],
)
def test_forms_of_bounds(bounds, expected):
    assert ends(bounds) == expected


def test_loss_domain_gives_the_default_and_completes_one_sided_bounds():
    assert ends(None, NONNEGATIVE) == [(0, INF)] * 3
    assert ends((None, 2), NONNEGATIVE) == [(0, 2)] * 3
    assert ends((0.5, 2), NONNEGATIVE) == [(0.5, 2)] * 3


def test_two_modes_take_pairs_and_sides():
    shapes = [(3, 2), (4, 2)]
    assert ends((0, 1), shapes=shapes) == [(0, 1), (0, 1)]
    assert ends([(0, 1), (2, 3)], shapes=shapes) == [(0, 1), (2, 3)]  # a pair per mode
    low, high = [np.zeros(s) for s in shapes], [np.ones(s) for s in shapes]
    assert ends((low, high), shapes=shapes) == [(0, 1), (0, 1)]
    assert ends([(0, np.ones((3, 2))), (0, 1)], shapes=shapes) == [(0, 1), (0, 1)]


def test_one_mode():
    assert ends((0, 1), shapes=[(4, 2)]) == [(0, 1)]
    assert ends([(0, 1)], shapes=[(4, 2)]) == [(0, 1)]


def test_arrays_given_as_bounds_are_neither_kept_nor_changed():
    low = np.zeros((3, 2))
    found = resolve([(low, 1), None, None], SHAPES, REAL, "some")
    low[:] = 9
    assert found.lower[0].max() == 0


@pytest.mark.parametrize(
    ("bounds", "domain", "message"),
    [
        ((1, 0), REAL, "lower 1 is above upper 0"),
        ([(0, 1), (3, 2), (0, 1)], REAL, "mode 1"),
        ((-1, 1), NONNEGATIVE, "needs a model >= 0"),
        ((None, -1), NONNEGATIVE, "above upper"),
        ((np.nan, 1), REAL, "NaN"),
        ((0, "a"), REAL, "must hold real numbers"),
        (("a", "b"), REAL, "must hold real numbers"),
        ((0, 1, 2), REAL, "3 items"),
        ((0,), REAL, "1 items"),
        ([(0, 1)] * 4, REAL, "4 items"),
        (5, REAL, "bounds must be"),
        ("01", REAL, "bounds must be"),
        ({"lower": 0}, REAL, "bounds must be"),
        ((np.zeros((2, 2)), 1), REAL, r"shape \(2, 2\)"),
        (([0, 0], 1), REAL, "2 arrays"),
    ],
)
def test_mistakes_are_named(bounds, domain, message):
    with pytest.raises(ParameterError, match=message):
        resolve(bounds, SHAPES, domain, "some")


def test_project_moves_into_the_bounds_and_copies():
    bounds = Bounds((np.zeros((2, 1)),), (np.array([[1.0], [INF]]),))
    factor = np.array([[4.0], [-3.0]])
    assert bounds.project([factor])[0].tolist() == [[1], [0]]
    assert factor.tolist() == [[4], [-3]]


def test_tied_modes_take_the_tighter_bounds_or_say_that_there_are_none():
    shapes = [(2, 1), (2, 1), (3, 1)]
    found = resolve([(0, 5), (1, 9), (-1, 2)], shapes, REAL, "some").select([(0, 1), (2,)])
    assert [float(a.max()) for a in found.lower] == [1, -1]
    assert [float(a.max()) for a in found.upper] == [5, 2]
    apart = resolve([(0, 1), (2, 3), None], shapes, REAL, "some")
    with pytest.raises(ParameterError, match="tied modes"):
        apart.select([(0, 1), (2,)])


def test_fitted_factors_are_within_their_bounds(rng, tmp_path):
    data = rng.normal(size=(6, 5, 4)).astype(float)
    bounds = [(-0.5, 0.7), (None, None), (0.1, None)]
    result = fit_gcp(data, 2, bounds=bounds, random_state=0, l2_reg=0.1)
    for (low, high), a, sides, unit in zip(
        bounds, result.fitted_factors, result.row_bounds, result.factors, strict=True
    ):
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        assert a.min() >= low
        assert a.max() <= high
        assert_array_equal(sides, [[low, low], [high, high]])
        assert_allclose(np.abs(a / np.linalg.norm(a, axis=0)), np.abs(unit), atol=1e-14)
    objective = build_objective(data, "gaussian", l2_reg=0.1)
    assert_allclose(objective.value_and_grad(result.fitted_factors)[0], result.objective, rtol=1e-12)
    assert_array_equal(result.to_frames(fitted=True)["mode_2"], result.fitted_factors[2])
    result.save(tmp_path / "r.npz")
    assert FitResult.load(tmp_path / "r.npz") == result
    write_report(result, data, tmp_path / "r.html")
    assert "Fitted factors within their bounds" in (tmp_path / "r.html").read_text()


def test_files_without_fitted_factors_still_load(rng, tmp_path):
    result = fit_gcp(rng.normal(size=(5, 4, 3)), 1, bounds=(0, 1), random_state=0)
    result.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as file:
        old = {name: a for name, a in file.items() if not name.startswith(("fitted_", "bounds_"))}
    np.savez(tmp_path / "old.npz", **old)
    found = FitResult.load(tmp_path / "old.npz")
    assert_array_equal(found.factors[1], result.factors[1])
    assert found.fitted_factors == []
    with pytest.raises(ParameterError, match="before it kept fitted factors"):
        found.to_frames(fitted=True)
    assert np.isfinite(found.transform(rng.normal(size=(2, 4, 3)), 0).rows).all()


def test_components_keep_the_order_of_bounds_that_tell_them_apart(rng):
    """The second component alone may be large; it stays the second."""
    data = 10 + rng.normal(size=(6, 5, 4))
    high = np.column_stack([np.full(6, 0.01), np.full(6, np.inf)])
    result = fit_gcp(data, 2, bounds=((0, high), (0, None), (0, None)), random_state=0)
    assert (result.fitted_factors[0] <= high).all()
    assert_array_equal(result.row_bounds[0], [[0, 0], [0.01, np.inf]])


def test_an_aligned_model_keeps_bounds_with_components(rng):
    data = np.abs(rng.normal(size=(6, 5, 4)))
    result = fit_gcp(data, 2, bounds=(0, 5), random_state=0)
    turned = (result.weights[::-1], [a[:, ::-1] for a in result.factors])
    found = gcp.analysis.align(result, turned)
    for a, b in zip(found.factors, found.fitted_factors, strict=True):
        assert_allclose(b / np.linalg.norm(b, axis=0), a, atol=1e-14)
