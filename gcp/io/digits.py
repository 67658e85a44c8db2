"""Numbers in text, from its bytes: eight digits at a time, and the double nearest to a decimal.

A number that is not plain is refused, and left to the caller to read by other means: so every number read here is
right, and no way of writing numbers needs to be foreseen.
"""

from __future__ import annotations

import ctypes
import sys
from fractions import Fraction
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from gcp.kernels.shared.jit import instruction, jit

_TENS = np.array([10**k for k in range(20)], np.uint64)
_EXACT = np.array([10.0**k for k in range(23)])
_FAR = 80
"""Largest power of ten, up or down, that is kept as a sum of two doubles."""

_POWERS = [Fraction(10) ** k for k in range(-_FAR, _FAR + 1)]
_HIGH = np.array([float(power) for power in _POWERS])
_LOW = np.array([float(power - Fraction(float(power))) for power in _POWERS])

_ZEROS = np.uint64(0x3030303030303030)  # the text 00000000
_TO_HIGH_BIT = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_PAIRS, _FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_BY_10, _BY_100, _BY_10000 = (np.uint64((f << (8 * n)) + 1) for f, n in ((10, 1), (100, 2), (10000, 4)))
_8, _16, _32 = np.uint64(8), np.uint64(16), np.uint64(32)

_PLUS, _MINUS, _POINT = 43, 45, 46


MARGIN = 80
"""Bytes that must follow the place where a number begins."""


def _load(builder: Any, address: Any, bits: int) -> Any:
    found = builder.load(builder.inttoptr(address, ir.IntType(bits).as_pointer()))
    found.align = 1
    return found


@instruction(lambda address: np.uint8(ctypes.c_uint8.from_address(address).value))
def byte(context: Any, address: Any) -> Any:
    """The byte at an address: of an array passed on, Numba would count the references at every call."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(builder, args[0], 8)

    return types.uint8(types.int64), build


@instruction(lambda address: np.uint64(int.from_bytes(ctypes.string_at(address, 8), "little")))
def _eight(context: Any, address: Any) -> Any:
    """Eight bytes from an address on, as one word, the first lowest."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = _load(builder, args[0], 64)
        return found if sys.byteorder == "little" else builder.bswap(found)

    return types.uint64(types.int64), build


@instruction(lambda word: np.uint64((int(word) & -int(word)).bit_length() - 1 if word else 64))
def _zero_bits_below(context: Any, word: Any) -> Any:
    """Number of zero bits below the lowest one; 64 if there is none."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), build


@jit
def _leading(word):  # type: ignore[no-untyped-def]
    """How many of eight bytes are digits before the first that is not, and the number they write."""
    word ^= _ZEROS
    # A digit is now 0 to 9. What a larger byte carries over changes bytes behind it only.
    others = ((word + _TO_HIGH_BIT) | word) & _HIGH_BITS
    bits = _zero_bits_below(others) & np.uint64(0x78)
    word = word << ((np.uint64(64) - bits) & np.uint64(63)) if bits else np.uint64(0)
    word = (word * _BY_10) >> _8 & _PAIRS
    word = (word * _BY_100) >> _16 & _FOURS
    return np.int64(bits >> np.uint64(3)), (word * _BY_10000) >> _32


@jit
def whole(at):  # type: ignore[no-untyped-def]
    """How many digits begin at an address, of at most 24, and the number they write, right for at most 19."""
    count, number = _leading(_eight(at))
    if count == 8:
        more, low = _leading(_eight(at + 8))
        number = number * _TENS[more] + low
        count += more
        if more == 8:
            more, low = _leading(_eight(at + 16))
            number = number * _TENS[more] + low
            count += more
    return count, number


@jit
def _halves(a):  # type: ignore[no-untyped-def]
    """Two doubles of 26 bits whose sum is `a`."""
    c = 134217729.0 * a
    high = c - (c - a)
    return high, a - high


@jit
def _product(a, b):  # type: ignore[no-untyped-def]
    """a * b, and what rounding took from it."""
    p = a * b
    a1, a2 = _halves(a)
    b1, b2 = _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@jit
def _scaled(digits, power):  # type: ignore[no-untyped-def]
    """Whether digits * 10**power is certain, and the double nearest to it."""
    if power == 0:
        return True, np.float64(digits)
    if digits <= np.uint64(1 << 53) and -23 < power < 23:  # both numbers are exact, so one rounding is right
        return True, np.float64(digits) * _EXACT[power] if power > 0 else np.float64(digits) / _EXACT[-power]
    if not -_FAR <= power <= _FAR:
        return False, 0.0
    high, low = _HIGH[power + _FAR], _LOW[power + _FAR]
    a = np.float64(digits >> _32) * 4294967296.0
    b = np.float64(digits & np.uint64(0xFFFFFFFF))
    p, p_rest = _product(a, high)
    q, q_rest = _product(b, high)
    total = p + q
    rest = ((q - (total - p)) + p_rest + q_rest) + (a + b) * low
    nearest = total + rest
    rest -= nearest - total
    doubt = nearest * 2.0**-98  # far above the error of `rest`
    return nearest + (rest + doubt) == nearest and nearest + (rest - doubt) == nearest, nearest


@jit
def decimal(at):  # type: ignore[no-untyped-def]
    """Whether a plain decimal number begins at an address, its value, and where it ends."""
    is_negative = byte(at) == _MINUS
    if is_negative or byte(at) == _PLUS:
        at += 1
    count, digits = whole(at)
    at += count
    n_decimals, shift = np.int64(0), np.int64(0)
    if byte(at) == _POINT:
        n_decimals, decimals = whole(at + 1)
        at += 1 + n_decimals
        if n_decimals > 19 or (digits > 0 and count + n_decimals > 19):
            return False, 0.0, at
        digits = digits * _TENS[n_decimals] + decimals
    if count > 19 or count + n_decimals == 0:
        return False, 0.0, at
    if byte(at) | 32 == 101:  # e or E
        sign = -1 if byte(at + 1) == _MINUS else 1
        at += 2 if sign < 0 or byte(at + 1) == _PLUS else 1
        count, exponent = whole(at)
        at += count
        if not 0 < count < 5:
            return False, 0.0, at
        shift = sign * np.int64(exponent)
    is_certain, value = _scaled(digits, shift - n_decimals)
    return is_certain, -value if is_negative else value, at
