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
from gcp.solvers.pieces.blocks import Blocks


class SparseRows(NamedTuple):
    """Matrices along modes beside the Gram form's diagonal row weights, in compressed rows.

    Attributes
    ----------
    at, ends, columns, values : ndarray, shapes (T + P + 1,), (rows + 1,), (entries,), (entries,)
        What the row weights of the T terms have beside their diagonal, then the whole matrices of P penalties: matrix
        t has the rows at[t] ... at[t + 1] - 1, and row i of all the entries ends[i] ... ends[i + 1] - 1.
    blocks : ndarray, shape (P,)
        Of the penalties.
    strengths : ndarray, shape (P, R)
        What a penalty's matrix is multiplied by in each row of its block.
    """

    at: Array
    ends: Array
    columns: Array
    values: FloatArray
    blocks: Array
    strengths: FloatArray


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
    matrices : SparseRows or None
        Of terms whose factor is a linear map of the variable, and of penalties with a matrix along a mode.
    """

    starts: Array
    block_of: Array
    at: Array
    rows: FloatArray
    weighted: FloatArray
    within: FloatArray
    across: FloatArray
    ridge: FloatArray
    matrices: SparseRows | None


def build(
    curvature: GaussNewton, scale: FloatArray, blocks: Blocks
) -> tuple[GramForm, FloatArray, FloatArray, FloatArray]:
    """Return the matrix in scaled variables, its diagonal blocks, their diagonal, and 1 / their row weights.

    `scale` (B,) is each variable's; the blocks are (B, R, R), the others padded vectors (starts[-1],). A diagonal
    block is the Kronecker product of row weights and an R x R matrix; of tied modes the weights' mean and the
    matrices' sum.
    """
    ridge, penalties = curvature.penalties_in_variables()
    mapped, matrices = _mapped(curvature) if curvature.maps else (None, [])
    form, small, diagonal, reciprocal = _build(
        curvature.factors,
        curvature.rows,
        curvature.sizes,
        mapped,
        curvature.variable_of,
        scale,
        blocks.starts,
        blocks.rank,
        ridge,
        _means_of_diagonals(penalties, scale, blocks) if penalties else None,
    )
    if penalties and not matrices:
        matrices = [None] * len(form[1])
    rows = _sparse_rows(matrices, penalties, scale, blocks.rank)
    return GramForm._make((*form, rows)), small, diagonal, reciprocal


def _mapped(curvature: GaussNewton) -> tuple[tuple[FloatArray, FloatArray, Array], list[Any]]:
    """Return weighted factors (sum of K_n, R), row weights and sizes in the variables, and what is off diagonals."""
    parts = curvature.in_variables()
    free = [p.matrix for p, variable in zip(parts, curvature.variable_of, strict=True) if variable >= 0]
    off = [None if m is None else m - sparse.diags_array(m.diagonal()) for m in free]
    weighted, rows = np.concatenate([p.weighted for p in parts]), np.concatenate([p.rows for p in parts])
    return (weighted, rows, np.array([len(p.rows) for p in parts])), off


def _sparse_rows(
    matrices: list[Any], penalties: list[PenaltyPart], scale: FloatArray, rank: int
) -> SparseRows | None:
    """Return sparse matrices (K, K) of terms, of which some may be None, and those of penalties; None if all are."""
    if not penalties and all(matrix is None for matrix in matrices):
        return None
    at, ends, columns, values = [0], [0], [np.empty(0, np.int64)], [np.empty(0)]
    for matrix in (*matrices, *(part.matrix for part in penalties)):
        if matrix is not None:
            own = sparse.csr_array(matrix)
            ends += (ends[-1] + own.indptr[1:]).tolist()
            columns.append(own.indices.astype(np.int64))
            values.append(own.data)
        at.append(len(ends) - 1)
    variables = np.array([part.variable for part in penalties], np.int64)
    strengths = np.zeros((len(penalties), rank))
    for one, part in zip(strengths, penalties, strict=True):
        one[: len(part.strengths)] = part.strengths * scale[part.variable] ** 2
    return SparseRows(
        np.array(at), np.array(ends), np.concatenate(columns), np.concatenate(values), variables, strengths
    )


def _means_of_diagonals(penalties: list[PenaltyPart], scale: FloatArray, blocks: Blocks) -> FloatArray:
    """Return what penalties add to the diagonal of each block in the mean over its rows, shape (B, R)."""
    found = np.zeros((len(blocks.shapes), blocks.rank))
    for part in penalties:
        mean = part.matrix.diagonal().mean() * scale[part.variable] ** 2
        found[part.variable, : len(part.strengths)] += part.strengths * mean
    return found


@jit(fastmath=products.FASTMATH)
def _build(factors, rows, sizes, mapped, variable_of, scale, starts, rank, ridge, means):  # type: ignore[no-untyped-def]
    own_weighted, own_rows, own_sizes = _in_variables(factors, rows, sizes, mapped)
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
    ridges = np.zeros(starts.size - 1)
    for t in range(n_terms):
        ridges[block_of[t]] += ridge[modes[t]] * scale[block_of[t]] ** 2
    own_form = (starts, block_of, at, term_rows, weighted, within, across, ridges)
    return own_form, *_diagonal_blocks(own_form, _in_the_mean(ridges, rank, means), factors.shape[1])


@jit
def _in_variables(factors, rows, sizes, mapped):  # type: ignore[no-untyped-def]
    """Return weighted factors (sum of sizes, R), row weights and sizes: those `mapped`, if any, or the factors'."""
    if mapped is not None:
        return mapped
    return rows.reshape(-1, 1) * factors, rows, sizes


@jit
def _in_the_mean(ridges, rank, means):  # type: ignore[no-untyped-def]
    """Return what penalties add to the diagonal of each block in the mean over its rows, shape (B, R)."""
    found = np.zeros((ridges.size, rank))
    for b in range(ridges.size):
        found[b] = ridges[b]
    if means is not None:
        found += means
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
    starts, block_of, at, rows, weighted, within, across, ridge, matrices = form
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
            _add_sparse(matrices, t, 1.0, inner[r], out[r])
        coupling = np.zeros((rank, rank))
        for u in range(n_terms):
            for r in range(rank):
                for s in range(rank):
                    coupling[s, r] += across[t, u, r, s] * sums[u, r, s]
        products.add_column_sums(weighted[at[t] : at[t + 1]].reshape(rank, -1), coupling, out)
    _add_penalties(matrices, n_terms, starts, x, y)


@jit
def _add_penalties(matrices, n_terms, starts, x, y):  # type: ignore[no-untyped-def]
    """Add to y what penalties with a matrix make of x, padded vectors (starts[-1],)."""
    if matrices is not None:
        for p in range(matrices.blocks.size):
            first, last = starts[matrices.blocks[p]], starts[matrices.blocks[p] + 1]
            rank = matrices.strengths.shape[1]
            v, out = x[first:last].reshape(rank, -1), y[first:last].reshape(rank, -1)
            for r in range(rank):
                if matrices.strengths[p, r] != 0.0:
                    _add_sparse(matrices, n_terms + p, matrices.strengths[p, r], v[r], out[r])


@jit
def _add_sparse(matrices, t, factor, source, target):  # type: ignore[no-untyped-def]
    """Compute target += factor * matrix t @ source, vectors of at least its length."""
    if matrices is not None:
        first = matrices.at[t]
        for i in range(matrices.at[t + 1] - first):
            total = 0.0
            for k in range(matrices.ends[first + i], matrices.ends[first + i + 1]):
                total += matrices.values[k] * source[matrices.columns[k]]
            target[i] += factor * total


@jit
def has_penalties(matrices):  # type: ignore[no-untyped-def]
    """Return whether penalties with a matrix are among the `SparseRows`, or None."""
    if matrices is not None:
        return matrices.blocks.size > 0
    return False


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
