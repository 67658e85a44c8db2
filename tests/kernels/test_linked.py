"""Calls by address: nobody checks types there, so `call` must."""

import numpy as np
import pytest

from gcp.base.compiler import values
from gcp.base.compiler.jit import jit
from gcp.base.compiler.values import TranslationError
from gcp.kernels.shared import linked


@jit
def product(address, p, c, y):
    linked.call(address, p, c, y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_calls_the_function(dtype, rng):
    p, c = rng.normal(size=(4, 6)).astype(dtype), rng.normal(size=(6, 32)).astype(dtype)
    y = np.zeros((4, 32), dtype)
    product(linked.addresses(np.dtype(dtype))[0], p, c, y)
    np.testing.assert_allclose(y, p @ c, rtol=1e-4 if dtype == np.float32 else 1e-12)


def test_other_types_are_refused_when_compiled(rng):
    p, c, y = rng.normal(size=(4, 6)), rng.normal(size=(6, 32)), np.zeros((4, 32), np.float32)
    with pytest.raises(TranslationError, match="no function is compiled"):
        product(linked.addresses(np.dtype(float))[0], p, c, y)
    with pytest.raises(TranslationError, match="no function is compiled"):
        product(linked.addresses(np.dtype(float))[0], p, c.T.copy().T, np.zeros((4, 32)))


def test_a_function_with_a_result_has_no_address():
    counted = jit(lambda x: x.size)
    vector = (values.Array(values.Element.of(np.dtype(float)), "", (values.Number(values.INT, ""),)),)
    with pytest.raises(TranslationError, match="has a result"):
        counted.address(vector)
