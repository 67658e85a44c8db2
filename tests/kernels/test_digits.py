"""Numbers in text: whatever the compiled parser takes must be the double that Python reads."""

import random
import struct
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from gcp.io.digits import MARGIN, decimal, whole


def read(text):
    """What `decimal` finds in a text: whether it is plain, the value, and the rest."""
    data = np.frombuffer(text.encode() + b" " + bytes(MARGIN), np.uint8)
    start = data.ctypes.data
    is_plain, value, end = decimal(start)
    return is_plain, value, text[end - start :]


def assert_exact(text):
    is_plain, value, rest = read(text)
    if is_plain:
        assert rest == ""
        assert struct.pack("d", value) == struct.pack("d", float(text))
    return is_plain


PLAIN = """
0 -0 7 +7 00012 1. .5 -.5 1e3 1E+3 12.5e-2 9007199254740993 1e22 123456789.123456789 0.1 5e-80 9999999999999999999
1.7976931348623157e60 0.000000000000001
"""


@pytest.mark.parametrize("text", PLAIN.split())
def test_plain_numbers(text):
    assert assert_exact(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+",
        ".",
        "x",
        "nan",
        "inf",
        "1" * 20,
        "1e",
        "1e+",
        "1e99999",
        "e5",
        "1e300",
        "1e23",
        "0." + "1" * 20,
    ],
)
def test_what_is_left_to_others(text):
    assert not read(text)[0]


def test_numbers_end_where_they_should():
    assert read("12,5") == (True, 12.0, ",5")
    assert read("1.5.5") == (True, 1.5, ".5")
    assert read("3_0") == (True, 3.0, "_0")
    assert read("1e5e5") == (True, 1e5, "e5")


@pytest.mark.parametrize("n", range(1, 25))
def test_whole_numbers_of_any_length(n):
    text = ("1234567890" * 3)[:n]
    data = np.frombuffer(text.encode() + b"\n" + bytes(32), np.uint8)
    count, number = whole(data.ctypes.data)
    assert count == n
    if n < 20:
        assert number == int(text)


@pytest.mark.parametrize("other", [chr(c) for c in range(1, 128) if not chr(c).isdigit()])
def test_any_other_byte_ends_digits(other):
    for n in range(9):
        data = np.frombuffer((("9" * n) + other + "9" * 30).encode(), np.uint8)
        count, number = whole(data.ctypes.data)
        assert (count, number) == (n, int("0" + "9" * n))


def test_shortest_texts_of_doubles():
    rng = random.Random(0)
    numbers = [rng.random() * 10 ** rng.randint(-25, 25) for _ in range(20_000)]
    taken = sum(assert_exact(repr(number)) for number in numbers)
    assert taken > 19_000  # hardly any is left to Python


def test_halfway_cases():
    """Decimals next to, and exactly on, the middle between two doubles."""
    rng = random.Random(1)
    for _ in range(5000):
        middle = Fraction(2 * (rng.getrandbits(53) | 1 << 52) + 1) * Fraction(2) ** (rng.randint(-60, 8) - 1)
        near = f"{Decimal(middle.numerator) / Decimal(middle.denominator):.18e}"
        assert_exact(near)
        assert_exact(str(middle.numerator)[:19])
    assert assert_exact("9007199254740993")  # 2**53 + 1, exactly halfway
    assert not assert_exact("90071992547409930e-1")  # the same; such doubt is left to Python
