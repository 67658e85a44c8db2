"""Pages that the build makes of the package itself: the command line from its parser, and a page for each loss."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
MADE = HERE / "generated"


def setup(app: Any) -> dict[str, Any]:
    """Make the pages before Sphinx looks for sources."""
    app.connect("builder-inited", make)
    app.connect("source-read", repair)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make(app: Any = None) -> None:
    """Write every generated page; one that is the same stays, so that a second build is quick."""
    import gcp
    from _site import loss_pages

    write(MADE / "command_line.md", command_line())
    folder = MADE / "losses"
    write(folder / "index.md", loss_pages.index())
    for name in gcp.available_losses():
        write(folder / f"{name}.md", loss_pages.page(name, folder))


def repair(app: Any, docname: str, source: list[str]) -> None:
    """Give pages that scripts write for GitHub what Sphinx needs beyond: a title, and targets in place of anchors."""
    if docname.startswith("benchmarks/") and not source[0].startswith("# "):
        title = docname.split("/")[1].replace("_", " ").capitalize()
        source[0] = f"# {title}\n\nMade by `scripts/{docname}.py`.\n\n{source[0]}"
    if docname == "results":
        source[0] = re.sub(r'<a id="([\w-]+)"></a>', r"(\1)=", source[0])


def write(path: Path, text: str) -> None:
    """Write a file, unless it has this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def command_line() -> str:
    """Return the page of the command line, a section for each command, as its parser has it."""
    from gcp.cli import _parser

    parser = _parser()
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    helps = {action.dest: action.help or "" for action in commands._choices_actions}
    lines = [
        "# Command line",
        "",
        "Every command, as `gcp COMMAND --help` shows it; this page is made from the parser. INPUT is a file or the",
        "name of a [bundled data set](../reference/datasets.md).",
        "",
        "| command | |",
        "|---|---|",
        *(f"| [`gcp {name}`](#gcp-{name}) | {help} |" for name, help in helps.items()),
    ]
    for name, command in commands.choices.items():
        if name in helps:
            lines += ["", f"## gcp {name}", "", "```text", _help(command), "```"]
    return "\n".join(lines) + "\n"


def _help(parser: argparse.ArgumentParser) -> str:
    """Return a parser's help, 100 columns wide wherever the build runs."""
    parser.add_missing_options()  # type: ignore[attr-defined]
    formatter = parser.formatter_class
    try:
        parser.formatter_class = lambda prog: formatter(prog, width=100)  # type: ignore[assignment]
        return parser.format_help().rstrip()
    finally:
        parser.formatter_class = formatter
