"""Rows of subscripts and a value, read from the bytes of a text."""

from __future__ import annotations

import numpy as np

from gcp.io.digits import MARGIN, byte, decimal, whole
from gcp.kernels.shared.jit import jit

_TAB, _NEWLINE, _RETURN, _BLANK, _COMMENT = 9, 10, 13, 32, 35


@jit
def parse_rows(text, pos, limits, subs, values, row, largest):  # type: ignore[no-untyped-def]
    """Read rows of 1-based subscripts and a value, up to the end of the text or a line that is not plain.

    Blank lines, and comments that begin with #, hold no row. Lines so near the end that a number might begin in the
    last bytes are not plain.

    Parameters
    ----------
    text : ndarray of uint8
        Ends with a newline.
    pos : int
        Where a line begins.
    limits : ndarray of int64, shape (N,)
        The largest subscripts.
    subs, values : ndarray, shapes (rows, N), (rows,)
        Filled from `row` on, with 0-based subscripts; must have a row for every line.
    row : int
    largest : ndarray of int64, shape (N,)
        Raised to the largest subscripts read.

    Returns
    -------
    tuple of int
        Where the first unread line begins, the first unused row, and how many lines were read.
    """
    lines, last = 0, limits.size
    first = text.ctypes.data
    at, end = first + pos, first + text.size
    while at < end:
        begin, field = at, 0
        while True:
            at, is_end = _next_field(at)
            if is_end:
                break
            if field > last or at >= end - MARGIN:
                return begin - first, row, lines
            start = at
            count, digits = whole(at)
            at += count
            is_whole = 0 < count < 19 and _ends(byte(at))
            number, value = np.int64(digits), np.float64(digits)
            if not is_whole:
                is_plain, value, at = decimal(start)
                if not (is_plain and _ends(byte(at))):
                    return begin - first, row, lines
                is_whole = value == np.floor(value) and 0 < value < 1e18
                number = np.int64(value if is_whole else 0.0)
            if field < last:
                if not (is_whole and 0 < number <= limits[np.uint64(field)]):
                    return begin - first, row, lines
                subs[np.uint64(row), np.uint64(field)] = number - 1
                largest[np.uint64(field)] = max(largest[np.uint64(field)], number - 1)
            else:
                values[np.uint64(row)] = value
            field += 1
        if 0 < field <= last:
            return begin - first, row, lines
        row += field > 0
        lines += 1
        at += 1
    return at - first, row, lines


@jit
def _next_field(at):  # type: ignore[no-untyped-def]
    """Where the next field of a line begins, or its newline; and whether it is that."""
    now = byte(at)
    while now in (_BLANK, _TAB):
        at += 1
        now = byte(at)
    if now > _COMMENT:
        return at, False
    if now == _COMMENT:
        while byte(at) != _NEWLINE and byte(at) != _RETURN:
            at += 1
    if byte(at) == _RETURN and byte(at + 1) == _NEWLINE:
        at += 1
    return at, byte(at) == _NEWLINE


@jit
def _ends(byte):  # type: ignore[no-untyped-def]
    """Whether a number may end before this byte."""
    return byte in (_BLANK, _NEWLINE, _TAB, _RETURN, _COMMENT)
