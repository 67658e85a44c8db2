"""How two sides are matched: modes by name, positions by label, and what stays by position."""

import numpy as np
import pandas as pd
import pytest

import gcp
from gcp.base.alignment import Side, align
from gcp.base.labels import ModeLabels


def side(what, names, shape, coords=None):
    labels = None if names is None else ModeLabels(names, coords or [None] * len(names))
    return Side(what, labels, shape)


def aligned(own, own_shape, base, base_shape, **options):
    return align(side("the data", own, own_shape), side("the model", base, base_shape), **options)


@pytest.mark.parametrize(
    ("own", "base", "modes"),
    [
        (None, ["a", "b"], (0, 1)),  # names of one side match anything
        (["a", "b"], None, (0, 1)),
        (["b", "a"], ["a", "b"], (1, 0)),
        (["dim_1", "dim_0"], ["dim_0", "dim_1"], (1, 0)),  # xarray's own names go along with its transposes
        (["dim_0", "dim_1"], ["a", "b"], (0, 1)),
        (["mode_0", "mode_1"], ["b", "a"], (0, 1)),
        (["mode_0", "a"], ["a", "b"], (1, 0)),  # a DataFrame whose index has a name, transposed
        (["a", "mode_1"], ["b", "a"], (1, 0)),
    ],
)
def test_modes_by_name(own, base, modes):
    assert aligned(own, (3, 3), base, (3, 3)).modes == modes


@pytest.mark.parametrize(
    ("own", "shape", "base", "modes"),
    [
        (["a"], (4,), ["a", "b"], (0, None)),
        (["b"], (3,), ["a", "b"], (None, 0)),
        (["mode_0"], (3,), ["a", "b"], (None, 0)),  # as NumPy broadcasts
        (["mode_0"], (3,), ["mode_0", "mode_1"], (None, 0)),
        (["dim_0"], (4,), ["dim_0", "dim_1"], (0, None)),  # as xarray does
        (["b", "a"], (1, 4), ["a", "b"], (1, 0)),
    ],
)
def test_fewer_modes_are_broadcast_by_name(own, shape, base, modes):
    found = aligned(own, shape, base, (4, 3), broadcast=True)
    assert found.modes == modes
    x = np.random.default_rng(0).random(shape)
    assert np.broadcast_shapes(found.of_array(x).shape, (4, 3)) == (4, 3)


@pytest.mark.parametrize(
    ("own", "shape", "base", "options", "match"),
    [
        (
            ["a", "c"],
            (3, 3),
            ["b", "a"],
            {},
            r"The mode 'c' is in the data \(a, c\), but not in the model \(b, a\)\.",
        ),
        (["a"], (3,), ["b", "a"], {}, r"The mode 'b' is in the model \(b, a\), but not in the data \(a\)\."),
        (["a", "b", "c"], (3, 3, 3), ["b", "a"], {}, "The mode 'c' is in the data"),
        (["a"], (3,), None, {"broadcast": True}, "The mode 'a' of the data .* have no name: give all modes"),
        (None, (3,), ["b", "a"], {}, r"have the shapes \(3,\) and \(3, 3\)"),
        (["a", "b", "c"], (3, 3, 3), None, {}, r"have the shapes \(3, 3, 3\) and \(3, 3\)"),
        (["b", "a"], (3, 4), ["a", "b"], {}, r"have the shapes \(3, 4\) and \(3, 3\)"),
        (["b", "a"], (1, 3), ["a", "b"], {}, r"have the shapes \(1, 3\) and \(3, 3\)"),
    ],
)
def test_modes_that_cannot_be_matched(own, shape, base, options, match):
    with pytest.raises(gcp.DataError, match=match):
        aligned(own, shape, base, (3, 3), **options)
    with pytest.raises(gcp.ParameterError, match=match):
        aligned(own, shape, base, (3, 3), error=gcp.ParameterError, **options)


DAYS = ["2020-01-02", "2020-01-01"]


@pytest.mark.parametrize(
    ("own", "base"),
    [
        ([2, 1], [1, 2]),
        ([2, 1], [1.0, 2.0]),
        ([2, 1], np.array([1, 2], np.uint8)),
        ([2**63, 1], [1, 2**63]),
        ([2, 1], ["1", "2"]),
        (["b", "a"], np.array(["a", "b"], object)),
        (["b", "a"], np.array([b"a", b"b"])),
        (np.array([0.2, 0.1], np.float32), [0.1, 0.2]),
        ([np.nan, 1.0], [1, np.nan]),
        ([True, False], [0, 1]),
        (DAYS, np.array(DAYS[::-1], "M8[D]")),
        (pd.to_datetime(DAYS), np.array(DAYS[::-1], "M8[D]")),
        (pd.to_datetime(DAYS), [pd.Timestamp(day).date() for day in DAYS[::-1]]),
        (np.array([2, 1], "m8[h]"), np.array([60, 120], "m8[m]")),
        (pd.MultiIndex.from_tuples([("x", 2), ("x", 1)]), pd.MultiIndex.from_tuples([("x", 1), ("x", 2)])),
    ],
)
def test_labels_of_other_types(own, base):
    found = align(side("the data", ["a"], (2,), [own]), side("the model", ["a"], (2,), [base]))
    assert found.positions[0].tolist() == [1, 0]
    assert found.inverse().positions[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("own", "base", "match"),
    [
        (
            ["01", "2"],
            [1, 2],
            "The label 1 of mode 'a' is in the model, but not in the data, whose labels are '01', '2'",
        ),
        (["x", "y", "z"], ["x", "y", "w"], "'w' of mode 'a' is in the model, but not in the data"),
        (["x", "y", "z"], ["x", "y"], "'z' of mode 'a' is in the data, but not in the model"),
        (["x", "y", "y"], ["y", "x", "x"], "'y' of mode 'a' is in the data more than once"),
        (["x", "y"], ["y", "x", "x"], "'x' of mode 'a' is in the model more than once"),
        (
            list("stuvw"),
            list("xyzst"),
            r"'x' .* in the data \(nor are 2 more\), whose labels begin 's', 't', 'u'",
        ),
        (pd.to_datetime(DAYS), np.array(["2020-01-01", "2020-01-03"], "M8[D]"), "label 2020-01-03 of"),
        ([2001, 2002], np.array(["2001-01-01", "2002-01-01"], "M8[D]"), "label 2001-01-01 of"),
    ],
)
def test_labels_that_cannot_be_matched(own, base, match):
    with pytest.raises(gcp.DataError, match=match):
        align(side("the data", ["a"], (len(own),), [own]), side("the model", ["a"], (len(base),), [base]))


def test_equal_labels_cost_nothing(rng):
    """Even where a label is repeated; and no array is copied."""
    labels = ModeLabels(["a", "b"], [["x", "x", "y"], None])
    same = ModeLabels(["a", "b"], [np.array(["x", "x", "y"], object), [1, 2]])
    found = align(Side("the data", labels, (3, 2)), Side("the model", same, (3, 2)))
    assert found.is_identity
    x = rng.random((3, 2))
    assert found.of_array(x) is x
    tensor = gcp.DenseTensor(x, labels=labels)
    from gcp.tensors.rearranged import aligned

    assert aligned(tensor, Side("the model", same, (3, 2))) is tensor
    turned = aligned(gcp.DenseTensor(x, labels=ModeLabels(["b", "a"], [None, None])), Side("", same, (2, 3)))
    assert np.shares_memory(turned.values, x)
