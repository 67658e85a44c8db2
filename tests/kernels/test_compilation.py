"""A word to who waits while Numba compiles."""

from numba import njit

from gcp.kernels.shared import compilation


def test_once_and_only_if_something_is_compiled():
    told = []
    function = njit(lambda x: x + 3)
    with compilation.noticed(lambda: told.append(1)):
        function(1.0)
        function(1)
    with compilation.noticed(lambda: told.append(2)):
        function(2.0)
    njit(lambda x: x + 4)(1.0)
    assert told == [1]
