"""Sorting rows: NumPy's lexsort is the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp.kernels.listed import ordering, radix


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 7, 2**11, 2**20, 2**32, 2**33, 2**53]), min_size=1, max_size=5),
    st.integers(0, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.int64, np.uint64]),
)
def test_sorts_as_lexsort(shape, n, seed, dtype):
    rng = np.random.default_rng(seed)
    few = [rng.integers(0, size, 3) for size in shape]
    subs = np.stack([rng.choice(values, n) for values in few], axis=1).astype(dtype)
    order = rng.permutation(len(shape)).tolist()
    found, permutation = radix.sorted_rows(subs, shape, order, 2)
    expected = np.lexsort([subs[:, mode] for mode in reversed(order)])  # stable, the last key slowest
    assert found.dtype == (np.uint32 if max(shape) <= 2**32 else np.uint64)
    np.testing.assert_array_equal(found, subs[expected][:, order])
    np.testing.assert_array_equal(np.arange(n) if permutation is None else permutation, expected)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_many_rows_on_several_threads(n_threads, monkeypatch):
    monkeypatch.setattr(radix, "_THREAD_ROWS", 100)
    rng = np.random.default_rng(0)
    subs = rng.integers(0, [50, 3, 5000], (20_000, 3))
    found, permutation = radix.sorted_rows(subs, (50, 3, 5000), (2, 0, 1), n_threads)
    expected = np.lexsort([subs[:, 1], subs[:, 0], subs[:, 2]])
    np.testing.assert_array_equal(permutation, expected)
    np.testing.assert_array_equal(found, subs[expected][:, [2, 0, 1]])
    values = rng.random(20_000)
    np.testing.assert_array_equal(radix.taken(values, permutation, n_threads), values[expected])


def test_sorted_rows_are_not_copied():
    subs = np.array([[0, 1], [0, 2], [3, 0]], np.uint32)
    found, permutation = radix.sorted_rows(subs, (4, 3), (0, 1), 1)
    assert found is subs
    assert permutation is None


def test_places_of_rows_in_others():
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows, wanted = (np.unique(rng.integers(0, 4, (rng.integers(0, 30), 2)), axis=0) for _ in range(2))
        listed = rows.tolist()
        expected = [listed.index(row) if row in listed else -1 for row in wanted.tolist()]
        assert ordering.places(rows, wanted).tolist() == expected
