"""Amounts of memory as text."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from gcp import LBFGSB, fit_gcp
from gcp.base.errors import FitError, ParameterError
from gcp.base.sizes import available_memory, check_memory, parse_bytes, show_bytes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, 5),
        (np.int64(7), 7),
        ("4000000000", 4_000_000_000),
        ("2GB", 2_000_000_000),
        (" 500 mb ", 500_000_000),
        ("1.5GiB", 3 * 2**29),
        (".5k", 500),
        ("3T", 3 * 10**12),
        ("10B", 10),
    ],
)
def test_sizes_are_understood(given, expected):
    assert parse_bytes(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "GB",
        "-1GB",
        "2 GBs",
        "2PB",
        "1e9",
        "0",
        "0.1B",
        "2iB",
        "1.2.3MB",
        "٣GB",
        "nan",
        0,
        -3,
        True,
        2.0,
        None,
        "inf",
        "9" * 400 + "GB",
    ],
)
def test_others_are_refused(given):
    with pytest.raises(ParameterError, match="memory must be a size") as told:
        parse_bytes(given)
    assert repr(given) in str(told.value)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (28_400, "28.4 kB"),
        (999_499, "999 kB"),
        (999_900_000, "1 GB"),
        (2e9, "2 GB"),
        (3.4e15, "3.4e+03 TB"),
    ],
)
def test_sizes_are_shown(n, text):
    assert show_bytes(n) == text


def test_what_the_machine_cannot_hold_is_refused():
    check_memory("This", available_memory() / 2, 2)
    with pytest.raises(
        ParameterError, match=r"^This would take .*, and 2 times as much .*: this process may have"
    ):
        check_memory("This", available_memory() / 2 + 1, 2)


def test_a_limit_of_the_process_counts():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (2**31, 2**31))
from gcp.base.sizes import available_memory
print(available_memory() <= 2**31)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_a_solver_that_runs_out_of_memory_ends_in_an_error_of_gcp():
    @dataclass(frozen=True)
    class Hungry(LBFGSB):
        def solve(self, *_):
            raise MemoryError("Unable to allocate 8 GiB")

    with pytest.raises(FitError, match=r"Memory ran out in a fit of rank 2 \(Unable to allocate 8 GiB\)"):
        fit_gcp(np.ones((4, 3, 2)), 2, solver=Hungry())
