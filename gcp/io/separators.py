"""Text of tables as they come: its encoding, and what separates columns."""

from __future__ import annotations

import codecs
from itertools import islice

from gcp.base.errors import FormatError, ParameterError

NAMES = {
    "\t": "tabs",
    ";": "semicolons",
    ",": "commas",
    "|": "bars",
    "::": "double colons",
    " ": "blanks",
}
"""What separates columns in files, and what it is called."""

_FIRST_LINES = 50
_FIRST_BYTES = 1 << 16
_UNUSED = "\x1f\x1e\x1d\x1c\x1b\x1a\x02\x01"
"""Characters that no table has, of which one stands for a separator of several."""


def utf8(content: bytes, encoding: str | None) -> bytes:
    """Return text in UTF-8, from another encoding, or from UTF-16 that its first two bytes tell.

    Raises
    ------
    FormatError
        Bytes that are none of the encoding; the message gives the line.
    ParameterError
        An unknown encoding.
    """
    if encoding is None:
        if not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content
        encoding = "utf-16"
    try:
        return content.decode(encoding).encode()
    except LookupError:
        raise ParameterError(
            f"encoding must be the name of one, such as latin-1, cp1252 or utf-16: found {encoding!r}."
        ) from None
    except UnicodeError as error:
        line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise FormatError(f"line {line}: bytes that are none of the encoding {encoding}.") from None


def separator_named(text: str) -> str:
    r"""Return a separator: the word TAB or ``\t`` is the character.

    Raises
    ------
    ParameterError
        What separates nothing.
    """
    found = "\t" if text in ("TAB", "tab", "\\t") else text
    if not found or not found.isascii() or set(found) & set('"\r\n'):
        raise ParameterError(
            f'separator must be one character or more, such as ";" or "::", or TAB: found {text!r}.'
        )
    return found


def single(content: bytes, separator: str) -> tuple[bytes, str]:
    """Return text in which one character separates the columns, and that character."""
    if len(separator) == 1:
        return content, separator
    unused = next((one for one in _UNUSED if one.encode() not in content), None)
    if unused is None:
        raise FormatError("the file holds control characters of all kinds: it seems to be no text.")
    return content.replace(separator.encode(), unused.encode()), unused


def told_separator(content: bytes) -> str:
    """Return what separates columns, where the first lines leave no doubt.

    All of them have it equally often, and nothing else that could be one at all: a wrong guess would need a file of
    one column.

    Raises
    ------
    FormatError
        There is a doubt.
    """
    text = content[:_FIRST_BYTES].decode("utf-8", "replace")
    lines = text.splitlines()
    if len(content) > _FIRST_BYTES:
        lines = lines[:-1]  # which is cut
    filled = list(islice((line for line in lines if line), _FIRST_LINES))
    counts = {one: {line.count(one) for line in filled} for one in NAMES}
    found = [one for one, numbers in counts.items() if numbers - {0}]
    if len(found) == 1 and len(counts[found[0]]) == 1 and "  " not in filled[0]:
        return found[0]
    held = ", ".join(NAMES[one] for one in found) or "nothing that separates"
    raise FormatError(
        f"such files have no one separator, and the first lines hold {held}: say what separates the columns, e.g. "
        'separator="::" or "TAB".'
    )
