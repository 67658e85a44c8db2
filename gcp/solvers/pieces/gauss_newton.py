"""Products with a Gauss-Newton matrix from its small Gram matrices, compiled.

A vector holds one block per free factor, the transposed factor padded with zeros: `rank` rows (a multiple of 4) of
`columns` numbers (a multiple of 32), as the loops of `kernels/products.py` want them. The padding of vectors stays
zero throughout.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from gcp.base.types import Array, FloatArray
from gcp.kernels.shared import products
from gcp.kernels.shared.jit import jit
from gcp.objectives.views.curvature import GaussNewton, PenaltyPart

_NOTHING = np.empty(0, np.int64), np.empty(0)


class Blocks(NamedTuple):
    """The layout of factors in a padded vector.

    Attributes
    ----------
    shapes : ndarray, shape (B, 2)
        True sizes of the factors, (I, R).
    starts : ndarray, shape (B + 1,)
    rank : int
        Of the padded blocks.
    """

    shapes: Array
    starts: Array
    rank: int

    @classmethod
    def of(cls, shapes: tuple[tuple[int, int], ...]) -> Blocks:
        """Return the layout for factors of these shapes."""
        rank = -(-shapes[0][1] // 4) * 4
        lengths = [rank * (-(-rows // 32) * 32) for rows, _ in shapes]
        return cls(np.array(shapes), np.concatenate([[0], np.cumsum(lengths)]), rank)

    def pad(self, vector: Array) -> FloatArray:
        """Return a packed vector (n,), factors row by row, one behind the other, in the padded form (starts[-1],)."""
        padded = np.zeros(self.starts[-1])
        _pad(vector, self.shapes, self.starts, self.rank, padded)
        return padded

    def unpad(self, padded: Array) -> FloatArray:
        """Return the packed vector (n,) of a padded one (starts[-1],)."""
        vector = np.empty(int(self.shapes.prod(axis=1).sum()))
        _unpad(padded, self.shapes, self.starts, self.rank, vector)
        return vector


class GramForm(NamedTuple):
    """The matrix in padded blocks, with one term per free mode; tied modes are terms of the same block.

    Attributes
    ----------
    starts : ndarray, shape (B + 1,)
        Of the blocks.
    block_of : ndarray, shape (T,)
        Each term's block.
    at : ndarray, shape (T + 1,)
        Where each term's weighted factor starts in `weighted`.
    rows : ndarray, shape (rows of all terms,)
        Row weights of all terms, each as long as a row of its block.
    weighted : ndarray
        Row weights times factors, transposed and padded.
    within : ndarray, shape (T, R, R)
    across : ndarray, shape (T, T, R, R)
        Elementwise products of Gram matrices of the other modes; zero for a term with itself.
    ridge : ndarray, shape (B,)
        Added to each block's diagonal.
    off_at, off_ends, off_columns, off_values : ndarray, shapes (T + P + 1,), (rows + 1,), (entries,), (entries,)
        Of terms whose factor is a linear map of the variable, row weights are a matrix: what it has beside its
        diagonal, in compressed rows; term t has the rows off_at[t] ... off_at[t + 1] - 1, row i of all the entries
        off_ends[i] ... off_ends[i + 1] - 1. Without entries where no term has any. After the T terms, the whole
        matrices of P penalties.
    penalised : ndarray, shape (P,)
        The block of each penalty with a matrix.
    strengths : ndarray, shape (P, R)
        What its matrix is multiplied by in each row of the block.
    """

    starts: Array
    block_of: Array
    at: Array
    rows: FloatArray
    weighted: FloatArray
    within: FloatArray
    across: FloatArray
    ridge: FloatArray
    off_at: Array
    off_ends: Array
    off_columns: Array
    off_values: FloatArray
    penalised: Array
    strengths: FloatArray


@jit
def _pad(vector, shapes, starts, rank, padded):  # type: ignore[no-untyped-def]
    at = 0
    for b in range(shapes.shape[0]):
        n, n_components = shapes[b]
        width = (starts[b + 1] - starts[b]) // rank
        for i in range(n):
            for r in range(n_components):
                padded[starts[b] + r * width + i] = vector[at + i * n_components + r]
        at += n * n_components


@jit
def _unpad(padded, shapes, starts, rank, vector):  # type: ignore[no-untyped-def]
    at = 0
    for b in range(shapes.shape[0]):
        n, n_components = shapes[b]
        width = (starts[b + 1] - starts[b]) // rank
        for i in range(n):
            for r in range(n_components):
                vector[at + i * n_components + r] = padded[starts[b] + r * width + i]
        at += n * n_components


def build(
    curvature: GaussNewton, scale: FloatArray, blocks: Blocks
) -> tuple[GramForm, FloatArray, FloatArray, FloatArray]:
    """Return the matrix in scaled variables, its diagonal blocks, their diagonal, and 1 / their row weights.

    `scale` (B,) is each variable's; the blocks are (B, R, R), the others padded vectors (starts[-1],). A diagonal
    block is the Kronecker product of row weights and an R x R matrix; of tied modes the weights' mean and the
    matrices' sum.
    """
    ridge, penalties = curvature.penalties_in_variables()
    weighted, rows, sizes, matrices = _mapped(curvature) if curvature.maps else _plain(curvature)
    form, *rest = _build(
        curvature.factors,
        curvature.rows,
        curvature.sizes,
        (weighted, rows),
        sizes,
        curvature.variable_of,
        scale,
        blocks.starts,
        blocks.rank,
        _compressed([*matrices, *(part.matrix for part in penalties)]),
        (ridge, *_strengths(penalties, scale, blocks.rank)),
    )
    return GramForm(*form), *rest


_Compressed = tuple[Array, Array, Array, FloatArray]


def _plain(curvature: GaussNewton) -> tuple[FloatArray, FloatArray, Array, list[Any]]:
    """Return weighted factors (sum of I_n, R), row weights, sizes and no off-diagonals, where there are no maps."""
    rows = curvature.rows
    none = [None] * int(np.count_nonzero(curvature.variable_of >= 0))
    return rows[:, None] * curvature.factors, rows, curvature.sizes, none


def _mapped(curvature: GaussNewton) -> tuple[FloatArray, FloatArray, Array, list[Any]]:
    """Return weighted factors (sum of K_n, R), row weights, sizes and off-diagonals in the variables."""
    parts = curvature.in_variables()
    free = [p.matrix for p, variable in zip(parts, curvature.variable_of, strict=True) if variable >= 0]
    off = [None if m is None else m - sparse.diags_array(m.diagonal()) for m in free]
    weighted, rows = np.concatenate([p.weighted for p in parts]), np.concatenate([p.rows for p in parts])
    return weighted, rows, np.array([len(p.rows) for p in parts]), off


def _compressed(matrices: list[Any]) -> _Compressed:
    """Return sparse matrices (K, K) in compressed rows, under each other; None has no rows."""
    if not any(matrix is not None for matrix in matrices):
        return np.zeros(len(matrices) + 1, np.int64), np.zeros(1, np.int64), *_NOTHING
    at, ends, columns, values = [0], [0], [np.empty(0, np.int64)], [np.empty(0)]
    for matrix in matrices:
        if matrix is not None:
            own = sparse.csr_array(matrix)
            ends += (ends[-1] + own.indptr[1:]).tolist()
            columns.append(own.indices.astype(np.int64))
            values.append(own.data)
        at.append(len(ends) - 1)
    return np.array(at), np.array(ends), np.concatenate(columns), np.concatenate(values)


def _strengths(
    penalties: list[PenaltyPart], scale: FloatArray, rank: int
) -> tuple[Array, FloatArray, FloatArray]:
    """Return the block of each of P penalties, its strengths (P, R) when scaled, and the mean of its diagonal."""
    if not penalties:
        return _NOTHING[0], np.zeros((0, rank)), _NOTHING[1]
    blocks = np.array([part.variable for part in penalties], np.int64)
    strengths = np.zeros((len(penalties), rank))
    for one, part in zip(strengths, penalties, strict=True):
        one[: len(part.strengths)] = part.strengths * scale[part.variable] ** 2
    return blocks, strengths, np.array([part.matrix.diagonal().mean() for part in penalties], float)


@jit(fastmath=products.FASTMATH)
def _build(factors, rows, sizes, own, own_sizes, variable_of, scale, starts, rank, matrices, penalties):  # type: ignore[no-untyped-def]
    own_weighted, own_rows = own
    grams = _gram_matrices(factors, rows, sizes, rank)
    n_terms = 0
    for n in range(sizes.size):
        n_terms += variable_of[n] >= 0
    modes, block_of = np.empty(n_terms, np.int64), np.empty(n_terms, np.int64)
    at = np.zeros(n_terms + 1, np.int64)
    t = 0
    for n in range(sizes.size):
        if variable_of[n] >= 0:
            modes[t], block_of[t] = n, variable_of[n]
            at[t + 1] = at[t] + starts[variable_of[n] + 1] - starts[variable_of[n]]
            t += 1
    term_rows, weighted = np.zeros(at[-1] // rank), np.zeros(at[-1])
    first = 0
    t = 0
    for n in range(sizes.size):
        if variable_of[n] >= 0:
            width = (at[t + 1] - at[t]) // rank
            for i in range(own_sizes[n]):
                term_rows[at[t] // rank + i] = own_rows[first + i]
                for r in range(factors.shape[1]):
                    weighted[at[t] + r * width + i] = own_weighted[first + i, r]
            t += 1
        first += own_sizes[n]
    within, across = np.zeros((n_terms, rank, rank)), np.zeros((n_terms, n_terms, rank, rank))
    for t in range(n_terms):
        own = scale[variable_of[modes[t]]]
        _product_of_others(grams, modes[t], modes[t], own * own, within[t])
        for u in range(n_terms):
            if u != t:
                other = scale[variable_of[modes[u]]]
                _product_of_others(grams, modes[t], modes[u], own * other, across[t, u])
    ridge, penalised, strengths, means = penalties
    ridges = np.zeros(starts.size - 1)
    for t in range(n_terms):
        ridges[block_of[t]] += ridge[modes[t]] * scale[block_of[t]] ** 2
    own_form = (starts, block_of, at, term_rows, weighted, within, across, ridges)
    on_diagonal = _in_the_mean(ridges, penalised, strengths, means)
    blocks = _diagonal_blocks(own_form, on_diagonal, factors.shape[1])
    return (*own_form, *matrices, penalised, strengths), *blocks


@jit
def _in_the_mean(ridges, penalised, strengths, means):  # type: ignore[no-untyped-def]
    """Return what penalties add to the diagonal of each block in the mean over its rows, shape (B, R)."""
    found = np.zeros((ridges.size, strengths.shape[1]))
    for b in range(ridges.size):
        found[b] = ridges[b]
    for p in range(penalised.size):
        products.add_scaled(strengths[p], means[p], found[penalised[p]])
    return found


@jit(fastmath=products.FASTMATH)
def _gram_matrices(factors, rows, sizes, rank):  # type: ignore[no-untyped-def]
    grams = np.zeros((sizes.size, rank, rank))
    i = 0
    for n in range(sizes.size):
        for _ in range(sizes[n]):
            for r in range(factors.shape[1]):
                scaled = rows[i] * factors[i, r]
                for s in range(factors.shape[1]):
                    grams[n, r, s] += scaled * factors[i, s]
            i += 1
    return grams


@jit
def _product_of_others(grams, k, l, factor, out):  # type: ignore[no-untyped-def]
    """Write to `out` (R, R) the elementwise product of all Gram matrices but the k-th and l-th, times a factor."""
    for r in range(out.shape[0]):
        for s in range(out.shape[1]):
            out[r, s] = factor
            for n in range(grams.shape[0]):
                if n != k and n != l:
                    out[r, s] *= grams[n, r, s]


@jit
def _diagonal_blocks(form, ridge, n_components):  # type: ignore[no-untyped-def]
    """Return the diagonal blocks, with what penalties add in the mean over the rows, `ridge` (B, R)."""
    starts, block_of, at, rows, _, within, _, _ = form
    n_blocks, rank = ridge.shape
    small = np.zeros((n_blocks, rank, rank))
    diagonal, reciprocal = np.zeros(starts[-1]), np.zeros(starts[-1])
    for b in range(n_blocks):
        width = (starts[b + 1] - starts[b]) // rank
        d, n_tied, n_rows, total = np.zeros(width), 0, 0, 0.0
        for t in range(block_of.size):
            if block_of[t] == b:
                for r in range(rank):
                    products.add(within[t, r], small[b, r])
                products.add(rows[at[t] // rank : at[t + 1] // rank], d)
                n_tied += 1
        for i in range(width):
            d[i] /= n_tied
            n_rows += d[i] > 0
            total += d[i]
        _regularise(small[b], ridge[b] * n_rows / total, n_components)
        for r in range(n_components):
            for i in range(n_rows):
                diagonal[starts[b] + r * width + i] = small[b, r, r] * d[i]
                reciprocal[starts[b] + r * width + i] = 1.0 / d[i]
    return small, diagonal, reciprocal


@jit
def _regularise(h, ridge, n_components):  # type: ignore[no-untyped-def]
    """Add to h (R, R) the ridge (R,), and what makes its diagonal nowhere negligible, so that it has an inverse."""
    floor = 0.0
    for r in range(n_components):
        h[r, r] += ridge[r]
        floor += 1e-3 * h[r, r] / n_components
    floor += 1e-300
    for r in range(n_components):
        h[r, r] += max(floor - h[r, r], 0.0) + 1e-10 * floor


@jit(fastmath=products.FASTMATH)
def product(form, x, y):  # type: ignore[no-untyped-def]
    """Compute y = matrix @ x, padded vectors (starts[-1],)."""
    starts, block_of, at, rows, weighted, within, across, ridge = form[:8]
    off_at, off_ends, off_columns, off_values, penalised, strengths = form[8:]
    n_terms, rank = within.shape[0], within.shape[1]
    for b in range(ridge.size):
        for k in range(starts[b], starts[b + 1]):
            y[k] = ridge[b] * x[k]
    sums = np.zeros((n_terms, rank, rank))
    for t in range(n_terms):
        v = x[starts[block_of[t]] : starts[block_of[t] + 1]].reshape(rank, -1)
        products.add_row_sums(weighted[at[t] : at[t + 1]].reshape(rank, -1), v, sums[t])
    for t in range(n_terms):
        first, last = starts[block_of[t]], starts[block_of[t] + 1]
        v, out = x[first:last].reshape(rank, -1), y[first:last].reshape(rank, -1)
        d = rows[at[t] // rank : at[t + 1] // rank]
        inner = np.empty_like(out)
        products.model(within[t], v, inner)
        for r in range(rank):
            _add_weighted(d, inner[r], out[r])
            for i in range(off_at[t + 1] - off_at[t]):
                row = off_at[t] + i
                for k in range(off_ends[row], off_ends[row + 1]):
                    out[r, i] += off_values[k] * inner[r, off_columns[k]]
        coupling = np.zeros((rank, rank))
        for u in range(n_terms):
            for r in range(rank):
                for s in range(rank):
                    coupling[s, r] += across[t, u, r, s] * sums[u, r, s]
        products.add_column_sums(weighted[at[t] : at[t + 1]].reshape(rank, -1), coupling, out)
    for p in range(penalised.size):
        first, last = starts[penalised[p]], starts[penalised[p] + 1]
        v, out = x[first:last].reshape(rank, -1), y[first:last].reshape(rank, -1)
        for r in range(rank):
            if strengths[p, r] != 0.0:
                for i in range(off_at[n_terms + p + 1] - off_at[n_terms + p]):
                    row, total = off_at[n_terms + p] + i, 0.0
                    for k in range(off_ends[row], off_ends[row + 1]):
                        total += off_values[k] * v[r, off_columns[k]]
                    out[r, i] += strengths[p, r] * total


@jit
def products_of_rows(form, x, y):  # type: ignore[no-untyped-def]
    """Compute y[i, 0] = matrix @ x[i], padded vectors (starts[-1],), for all i."""
    for i in range(x.shape[0]):
        product(form, x[i], y[i, 0])


@jit(fastmath=products.FASTMATH)
def _add_weighted(weights, source, target):  # type: ignore[no-untyped-def]
    """Compute target += weights * source, shapes (n,)."""
    for k in range(source.size):
        target[k] += weights[k] * source[k]


@jit(fastmath=products.FASTMATH)
def block_product(starts, matrices, weights, x, y):  # type: ignore[no-untyped-def]
    """Compute y = one R x R matrix per block times x, times weights; padded vectors (starts[-1],)."""
    rank = matrices.shape[1]
    for b in range(matrices.shape[0]):
        first, last = starts[b], starts[b + 1]
        products.model(matrices[b], x[first:last].reshape(rank, -1), y[first:last].reshape(rank, -1))
    for k in range(y.size):
        y[k] *= weights[k]
