"""Rows of subscripts and a value, read from the bytes of a text."""

from __future__ import annotations

import numpy as np
from numba import njit

from gcp.kernels.digits import TENS, decimal, eight, leading

_TAB, _NEWLINE, _RETURN, _BLANK, _COMMENT = 9, 10, 13, 32, 35


@njit(cache=True, nogil=True, error_model="numpy")
def _ends(byte):  # type: ignore[no-untyped-def]
    """Whether a number may end before this byte."""
    return byte in (_BLANK, _NEWLINE, _TAB, _RETURN, _COMMENT)


@njit(cache=True, nogil=True, error_model="numpy")
def _any_row(text, pos, limits, subs, values, row, largest):  # type: ignore[no-untyped-def]
    """Read a row, an empty line or a comment: where the next line begins, or -1, and the number of fields."""
    field = 0
    while True:
        while text[pos] == _BLANK or text[pos] == _TAB:
            pos += 1
        if text[pos] == _COMMENT:
            while text[pos] != _NEWLINE and text[pos] != _RETURN:
                pos += 1
        if text[pos] == _RETURN and text[pos + 1] == _NEWLINE:
            pos += 1
        if text[pos] == _NEWLINE:
            return pos + 1, field
        is_plain, value, pos = decimal(text, pos)
        if not is_plain or field > limits.size or not _ends(text[pos]):
            return -1, field
        if field == limits.size:
            values[row] = value
        elif value == np.floor(value) and 0 < value <= limits[field]:
            subs[row, field] = np.int64(value) - 1
            largest[field] = max(largest[field], np.int64(value) - 1)
        else:
            return -1, field
        field += 1


@njit(cache=True, nogil=True, error_model="numpy")
def parse_rows(text, pos, limits, subs, values, row, largest):  # type: ignore[no-untyped-def]
    """Read rows of 1-based subscripts and a value, up to the end of the text or a line that is not plain.

    Blank lines, and comments that begin with #, hold no row.

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
    safe = text.size - 17
    while pos < text.size:
        # First as whole numbers with one blank or tab between them, then as anything.
        end, field = pos, 0
        while end < safe:
            count, number = leading(eight(text, end))
            if count == 8:
                count, low = leading(eight(text, end + 8))
                number = number * TENS[count] + low
                count += 8
            end += count
            after = text[np.uint64(end)]
            end += 1
            if count == 0 or count == 16:
                break
            if field == last:
                values[np.uint64(row)] = number
                field += after == _NEWLINE
                break
            if number == 0 or number > limits[np.uint64(field)] or (after != _BLANK and after != _TAB):
                break
            subs[np.uint64(row), np.uint64(field)] = number - 1
            largest[field] = max(largest[field], number - 1)
            field += 1
        if field <= last:
            end, field = _any_row(text, pos, limits, subs, values, row, largest)
        if end < 0 or 0 < field <= last:
            break
        row += field > 0
        lines += 1
        pos = end
    return pos, row, lines
