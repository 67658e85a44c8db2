"""The structure of a checkout's package, counted from its imports, lazy and type-only ones included.

    python scripts/structure.py [CHECKOUT]

Rooms are the files and folders directly in gcp/ (without `__init__.py`); an arrow is one room importing another; a
room's floor is one above the highest that it imports (rooms that import each other share one); a circle is a set of
files that import each other. Lines of code are counted by room, without blank lines.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path


def module_of(path: Path, root: Path) -> str:
    """`gcp/losses/base.py` -> `gcp.losses.base`, a package by its own name."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(root: Path, *, top_level_only: bool = False) -> dict[str, set[str]]:
    """The modules of a package, each with the modules of the package that it imports, anywhere in its text."""
    files = {module_of(path, root): path for path in sorted(root.rglob("*.py")) if "_data" not in path.parts}
    return {name: _imported(path, root.name, set(files), top_level_only) for name, path in files.items()}


def _imported(path: Path, package: str, modules: set[str], top_level_only: bool) -> set[str]:
    tree, found = ast.parse(path.read_text()), set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == package}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: a relative import")
            if node.module and node.module.split(".")[0] == package:
                below = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in modules else node.module for name in below}
    return found


def circles(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Sets of nodes that reach each other (strongly connected, of two or more; Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            part = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(part)

    for node in graph:
        if node not in order:
            visit(node)
    return found


def rooms(graph: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """The rooms directly in the package, each with those that it imports."""
    found: dict[str, set[str]] = {}
    for source, targets in graph.items():
        if source.count("."):
            room = found.setdefault(source.split(".")[1], set())
            room |= {target.split(".")[1] for target in targets if target.count(".")}
    return {room: others - {room} for room, others in found.items()}


def floors(house: Mapping[str, set[str]]) -> dict[str, int]:
    """The floor of each room; 1 is the ground."""
    together = {room: part for part in circles(house) for room in part}

    def floor(room: str) -> int:
        own = together.get(room, {room})
        return 1 + max((floor(other) for one in own for other in house[one] - own), default=0)

    return {room: floor(room) for room in house}


def main() -> None:
    """Print the counts."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]) / "gcp"
    graph = imports(root)
    house = rooms(graph)
    levels = floors(house)
    lines = dict.fromkeys(house, 0)
    for path in root.rglob("*.py"):
        name = module_of(path, root)
        if name.count(".") and "_data" not in path.parts:
            lines[name.split(".")[1]] += sum(1 for line in path.read_text().splitlines() if line.strip())
    for room in sorted(house, key=lambda room: (-levels[room], room)):
        print(f"floor {levels[room]:2}  {room:14} {lines[room]:6} lines  -> {' '.join(sorted(house[room]))}")
    files = circles(graph)
    print(
        f"{len(house)} rooms, {max(levels.values())} floors, {sum(map(len, house.values()))} arrows, "
        f"{len(files)} circles of files, {sum(lines.values())} lines"
    )
    for part in files:
        print("circle:", " ".join(sorted(part)))


if __name__ == "__main__":
    main()
