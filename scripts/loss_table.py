"""The table of losses in README.md, made of what the classes in gcp/losses/ say of themselves.

    python scripts/loss_table.py

It writes the table's rows in place. Formulas are those of the docstrings, without eps.
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields
from pathlib import Path

import gcp

README = Path(__file__).resolve().parents[1] / "README.md"
ROWS = re.compile(r"(?m)^(\| name \| f\(x, m\).*\n\|[-|]+\n)((?:\|.*\n)+)")


def rows() -> str:
    """A line for each registered loss, by name."""
    return "".join(_row(name) for name in gcp.available_losses())


def _row(name: str) -> str:
    loss = gcp.get_loss(name)
    cells = [
        f"`{name}`",
        f"`{_formula(inspect.getdoc(type(loss)) or '')}`",
        _words("x", loss.data_domain),
        _words("m", loss.model_domain),
        ", ".join(f"`{field.name}`" for field in fields(loss) if field.name != "eps"),
    ]
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |")


def _formula(doc: str) -> str:
    """What stands after "Loss: f(x, m) =", as far as a semicolon."""
    found = re.search(r"\*\*Loss:\*\* f\(x, m\) = (.*?)(?=;|\n- \*\*)", doc, re.DOTALL)
    assert found is not None, doc
    text = " ".join(found[1].split())
    return re.sub(r"(?<![a-z])\(m \+ eps\)", "m", text).replace("m + eps", "m")


def _words(symbol: str, domain: gcp.Interval) -> str:
    if domain.integer:
        if math.isfinite(domain.high):
            return "0/1" if domain.high == 1 else f"{domain.low:g}, ..., {domain.high:g}"
        return f"counts from {domain.low:g}" if domain.low else "counts"
    if domain.low < 0:
        return "real"
    return f"{symbol} {'>' if domain.open_low else '>='} {domain.low:g}"


if __name__ == "__main__":
    text = README.read_text()
    README.write_text(ROWS.sub(lambda found: found[1] + rows(), text))
