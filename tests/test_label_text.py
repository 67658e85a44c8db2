"""Labels for people: dates without midnights, numbers without noise, names that stay different when they are cut."""

import numpy as np
import pytest

from gcp.base.label_text import label_texts, shortened


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        (np.array(["2021-01-01", "2021-01-02"], "datetime64[ns]"), ["2021-01-01", "2021-01-02"]),
        (
            np.array(["2021-01-01T06", "2021-01-01T12"], "datetime64[ns]"),
            ["2021-01-01T06:00", "2021-01-01T12:00"],
        ),
        (np.array(["2021-01", "2021-02"], "datetime64[M]"), ["2021-01", "2021-02"]),
        (np.array([0.1 + 0.2, 0.1]), ["0.3", "0.1"]),
        (np.linspace(0, 1, 4) ** 2, ["0", "0.1111", "0.4444", "1"]),
        (np.array([1901.0, 1902.0, 123456789.0]), ["1901", "1902", "123456789"]),
        (np.array([1.00001, 1.00002]), ["1.00001", "1.00002"]),
        (np.array([300.0]), ["300"]),
        (np.array([np.nan, 2.5]), ["nan", "2.5"]),
        (np.array([3, 10]), ["3", "10"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([b"a", b"b"]), ["a", "b"]),
    ],
)
def test_texts(labels, texts):
    assert label_texts(labels) == texts


def test_numbers_that_differ_have_texts_that_differ(rng):
    for scale in (1e-12, 1.0, 1e12):
        values = scale * (1 + 1e-9 * rng.permutation(50))
        texts = label_texts(values)
        assert len(set(texts)) == 50
        np.testing.assert_allclose([float(text) for text in texts], values, rtol=1e-10)


@pytest.mark.parametrize(
    "names",
    [
        ["short", "names"],
        [f"{k} of a long name that ends alike" for k in range(9)],
        [f"a long name that begins alike, number {k}" for k in range(9)],
        [f"a long name that is alike {k} at both of its ends" for k in range(9)],
        [f"{'x' * 40}{k}{'y' * 40}" for k in range(120)],
    ],
)
def test_names_that_differ_stay_different(names):
    found = shortened(names)
    assert len(set(found)) == len(names)
    assert max(map(len, found)) <= 24
    assert found == names or any("…" in name for name in found)
