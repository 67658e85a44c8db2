"""Synthetic sparse tensors and ratings for the races, kept in a folder between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CUBE = (2000, 1500, 1000)
CHICAGO = (6186, 24, 77, 32)
CHICAGO_COUNTS = {1: 4_877_601, 2: 386_362, 3: 51_602, 4: 9_812, 5: 2_564}
CHICAGO_NONZEROS, CHICAGO_MOST = 5_330_673, 101
PROBLEMS = {"1e6": (CUBE, 10, 1_050_000), "1e7": (CUBE, 16, 10_500_000), "chicago": (CHICAGO, 10, 0)}


def planted_factors(shape, rank, rng):
    """Columns that sum to 1: few large entries, many small ones."""
    factors = [rng.gamma(0.25, 1.0, (n, rank)) + 1e-4 for n in shape]
    return [a / a.sum(axis=0) for a in factors]


def draw_events(factors, weights, events, rng):
    """Cells of events, with a multinomial number for each component; repeated cells are listed repeatedly."""
    subs = np.empty((events, len(factors)), np.int64)
    first = 0
    for r, count in enumerate(rng.multinomial(events, weights / weights.sum())):
        for n, a in enumerate(factors):
            subs[first : first + count, n] = rng.choice(len(a), size=count, p=a[:, r])
        first += count
    return subs


def counts_of(name, folder):
    """A problem by name: subscripts, counts, and the planted factors; made once, and read again."""
    path = Path(folder) / f"counts_{name}.npz"
    if not path.exists():
        shape, rank, events = PROBLEMS[name]
        rng = np.random.default_rng(3)
        factors = planted_factors(shape, rank, rng)
        weights = rng.uniform(0.5, 1.5, rank)
        if name == "chicago":
            cells, counts = _like_chicago(factors, weights, rng)
        else:
            subs = draw_events(factors, weights, events, rng)
            cells, counts = np.unique(np.ravel_multi_index(tuple(subs.T), shape), return_counts=True)
        shuffled = rng.permutation(len(cells))
        subs = np.stack(np.unravel_index(cells[shuffled], shape), axis=1)
        factors[0] = factors[0] * (weights / weights.sum() * counts.sum())
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, subs=subs, values=counts[shuffled].astype(float), **_named(factors))
    with np.load(path) as archive:
        names = sorted(name for name in archive if name.startswith("factor_"))
        return archive["subs"], archive["values"], [archive[name] for name in names]


def _like_chicago(factors, weights, rng):
    """As many nonzeros as that tensor has, with its histogram of counts: the largest where most events fell."""
    cells = np.empty(0, np.int64)
    while len(np.unique(cells)) < CHICAGO_NONZEROS:
        subs = draw_events(factors, weights, 4_000_000, rng)
        cells = np.append(cells, np.ravel_multi_index(tuple(subs.T), CHICAGO))
    cells, hits = np.unique(cells, return_counts=True)
    kept = rng.permutation(len(cells))[:CHICAGO_NONZEROS]
    cells, hits = cells[kept], hits[kept]
    order = np.argsort(-hits, kind="stable")
    rest = CHICAGO_NONZEROS - sum(CHICAGO_COUNTS.values())
    tail = np.geomspace(CHICAGO_MOST, 6, rest).astype(np.int64)
    values = np.concatenate([tail, *(np.full(CHICAGO_COUNTS[c], c) for c in (5, 4, 3, 2, 1))])
    counts = np.empty(CHICAGO_NONZEROS, np.int64)
    counts[order] = values
    return cells, counts


def _named(factors):
    return {f"factor_{n}": a for n, a in enumerate(factors)}


def start_of(shape, rank, total, seed=11):
    """The start that all competitors share: uniform factors whose model sums to the data's total."""
    rng = np.random.default_rng(seed)
    factors = [rng.uniform(0.0, 1.0, (n, rank)) for n in shape]
    mass = np.prod([a.sum(axis=0) for a in factors], axis=0).sum()
    return [a * (total / mass) ** (1 / len(shape)) for a in factors]


def poisson_loss(factors, subs, values, eps=1e-14):
    """The exact Poisson loss of a sparse tensor: sum of the model less sum of x log m."""
    total = np.prod([a.sum(axis=0) for a in factors], axis=0).sum()
    for first in range(0, len(values), 500_000):
        part = slice(first, first + 500_000)
        terms = np.prod([a[subs[part, n]] for n, a in enumerate(factors)], axis=0)
        total -= np.sum(values[part] * np.log(terms.sum(axis=1) + eps))
    return float(total)


# --- ratings -----------------------------------------------------------------------------------------------


def ratings(n_users, n_films, n_known, n_held_out, rank, noise, folder):
    """Ratings 3.6 + user + film + product of planted rows + noise, long-tailed over users and films.

    Returns subscripts (entries, 2) and values of the known, and of the held-out ones.
    """
    path = Path(folder) / f"ratings_{n_users}_{n_films}_{n_known}_{rank}.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        n = n_known + n_held_out
        cells = _long_tailed_cells(n_users, n_films, n, rng)
        users, films = (cells // n_films).astype(np.int32), (cells % n_films).astype(np.int32)
        a, b = rng.standard_normal((n_users, rank)), rng.standard_normal((n_films, rank))
        user, film = 0.4 * rng.standard_normal(n_users), 0.4 * rng.standard_normal(n_films)
        x = np.empty(n, np.float32)
        for first in range(0, n, 1_000_000):
            part = slice(first, first + 1_000_000)
            i, j = users[part], films[part]
            product = 0.6 / np.sqrt(rank) * np.einsum("er,er->e", a[i], b[j])
            x[part] = 3.6 + user[i] + film[j] + product + noise * rng.standard_normal(len(i))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, users=users, films=films, x=x)
    with np.load(path) as archive:
        subs = np.stack([archive["users"], archive["films"]], axis=1)
        x = archive["x"]
    return (subs[:n_known], x[:n_known]), (subs[n_known:], x[n_known:])


def _long_tailed_cells(n_users, n_films, n, rng):
    """Different cells in random order, users and films drawn from gamma distributions."""
    user_shares, film_shares = rng.gamma(0.8, 1, n_users) + 0.05, rng.gamma(0.4, 1, n_films) + 0.02
    cells = np.empty(0, np.int64)
    while len(cells) < n:
        more = int((n - len(cells)) * 1.3) + 1000
        users = rng.choice(n_users, more, p=user_shares / user_shares.sum())
        films = rng.choice(n_films, more, p=film_shares / film_shares.sum())
        cells = np.unique(np.concatenate([cells, users * n_films + films]))
    return rng.permutation(cells)[:n]
