"""Placement of work on workers: moves of parts that make shares even, and a tree of sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gcp.base.threads import split_range
from gcp.tensors.parts.local_engine import FAN


def sums_of(homes: Sequence[str | None]) -> list[list[tuple[range, str | None]]]:
    """Return a tree of sums, level by level: which of the level below are added, and where most of them are."""
    levels: list[list[tuple[range, str | None]]] = []
    while len(homes) > FAN:
        ranges = [range(k, min(k + FAN, len(homes))) for k in range(0, len(homes), FAN)]
        places = [Counter(homes[k] for k in numbers).most_common(1)[0][0] for numbers in ranges]
        levels.append(list(zip(ranges, places, strict=True)))
        homes = places
    return levels


def batches(homes: Sequence[str | None], threads: dict[str, int]) -> list[tuple[str | None, list[int]]]:
    """Return runs of the parts that each worker holds, one for each of its threads, as even as they can be."""
    held: dict[str | None, list[int]] = {}
    for k, home in enumerate(homes):
        held.setdefault(home, []).append(k)
    found = []
    for home, numbers in held.items():
        n_runs = min(len(numbers), max(1, threads.get(home, 1) if home else 1))
        found += [(home, numbers[a:b]) for a, b in split_range(len(numbers), n_runs)]
    return found


def crossings(homes: Sequence[str | None]) -> int:
    """Return the number of sums that go from one worker to another in the tree."""
    n_crossings = 0
    for groups in sums_of(homes):
        n_crossings += sum(homes[k] != place for numbers, place in groups for k in numbers)
        homes = [place for _, place in groups]
    return n_crossings


def rebalanced(homes: Sequence[str | None], threads: dict[str, int]) -> dict[int, str]:
    """Return moves, by part: to whom it leaves least per thread from who has most, if that lowers the most."""
    held = {worker: [k for k, home in enumerate(homes) if home == worker] for worker in threads}
    moves: dict[int, str] = {}
    while threads:
        full = max(threads, key=lambda worker: len(held[worker]) / threads[worker])
        idle = min(threads, key=lambda worker: (len(held[worker]) + 1) / threads[worker])
        if (len(held[idle]) + 1) / threads[idle] >= len(held[full]) / threads[full]:
            break
        moves[held[full][-1]] = idle
        held[idle].append(held[full].pop())
    return moves
