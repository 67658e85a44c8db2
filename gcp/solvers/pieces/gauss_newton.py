"""Products with a Gauss-Newton matrix from its small Gram matrices, compiled.

A vector holds one block per free factor, the transposed factor padded with zeros: `rank` rows (a multiple of 4) of
`columns` numbers (a multiple of 32), as the loops of `kernels/products.py` want them. The padding of vectors stays
zero throughout.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, FloatArray
from gcp.kernels.shared import linked, products
from gcp.kernels.shared.linked import call
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
    sums, inner : ndarray, shapes (T + 1, R, R), (longest block,)
        Scratch of products.
    functions : tuple of int
        Addresses of `products.model`, `add_row_sums` and `add_column_sums`.
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
    sums: FloatArray
    inner: FloatArray
    functions: tuple[Any, ...]


def build(
    curvature: GaussNewton, scale: FloatArray, blocks: Blocks, functions: tuple[Any, ...]
) -> tuple[GramForm, FloatArray, FloatArray, FloatArray]:
    """Return the matrix in scaled variables, its diagonal blocks, their diagonal, and 1 / their row weights.

    `scale` (B,) is each variable's, `functions` those of the `GramForm`; the blocks are (B, R, R), the others padded
    vectors (starts[-1],). A diagonal block is the Kronecker product of row weights and an R x R matrix; of tied modes
    the weights' mean and the matrices' sum.
    """
    modes = np.flatnonzero(curvature.variable_of >= 0)
    block_of, rank, n_terms = curvature.variable_of[modes], blocks.rank, len(modes)
    at = np.concatenate([[0], np.cumsum(np.diff(blocks.starts)[block_of])])
    own, matrices = _in_variables(curvature)
    rows, weighted = np.zeros(at[-1] // rank), np.zeros(at[-1])
    within, across = np.zeros((n_terms, rank, rank)), np.zeros((n_terms, n_terms, rank, rank))
    _fill_terms(*own, at, modes, rows, weighted)
    grams = np.zeros((len(curvature.sizes), rank, rank))
    _fill_grams(curvature.factors, curvature.rows, curvature.sizes, grams)
    summand_of = np.zeros_like(curvature.sizes) if curvature.summand_of is None else curvature.summand_of
    _fill_products(grams, modes, scale[block_of], summand_of, within, across)
    ridge, penalties = curvature.penalties_in_variables()
    ridges = np.bincount(block_of, ridge[modes] * scale[block_of] ** 2, len(scale))
    means = ridges[:, None] + _means_of_diagonals(penalties, scale, blocks)
    sparse_rows = _sparse_rows(matrices, penalties, scale, rank)
    small, diagonal = np.zeros((len(scale), rank, rank)), np.zeros(blocks.starts[-1])
    reciprocal = np.zeros_like(diagonal)
    n_components = curvature.factors.shape[1]
    sizes = _sizes_of_rows(curvature, rows, at, rank)
    _fill_blocks(
        blocks.starts, block_of, at, rows, sizes, within, means, n_components, small, diagonal, reciprocal
    )
    scratch = np.empty((n_terms + 1, rank, rank)), np.empty(np.diff(blocks.starts).max()), functions
    form = GramForm(
        blocks.starts, block_of, at, rows, weighted, within, across, ridges, sparse_rows, *scratch
    )
    return form, small, diagonal, reciprocal


def _sizes_of_rows(curvature: GaussNewton, rows: FloatArray, at: Array, rank: int) -> FloatArray:
    """Return what row weights are divided by before those of tied terms are averaged, shape (T,).

    Of one matrix 1; of a sum, whose terms have the size of their curvature in any of their modes, the mean.
    """
    if curvature.summand_of is None:
        return np.ones(len(at) - 1)
    means = [float(own.mean()) for own in np.split(rows, at[1:-1] // rank)]
    return np.array([mean if mean > 0 else 1.0 for mean in means])


@lru_cache(maxsize=1)
def functions() -> tuple[Any, ...]:
    """Return the functions of a `GramForm`."""
    every = products.model, products.add_row_sums, products.add_column_sums
    return tuple(linked.address_among(function, np.dtype(float)) for function in every)


def _in_variables(curvature: GaussNewton) -> tuple[tuple[FloatArray, FloatArray, Array], list[Any]]:
    """Return weighted factors (sum of K_n, R), row weights and sizes in the variables, and what is off diagonals."""
    free = np.flatnonzero(curvature.variable_of >= 0)
    if not curvature.maps:
        weighted = curvature.rows[:, None] * curvature.factors
        return (weighted, curvature.rows, curvature.sizes), [None] * len(free)
    parts = curvature.in_variables()
    matrices = [parts[n].matrix for n in free]
    off = [None if m is None else m - sparse.diags_array(m.diagonal()) for m in matrices]
    weighted, rows = np.concatenate([p.weighted for p in parts]), np.concatenate([p.rows for p in parts])
    return (weighted, rows, np.array([len(p.rows) for p in parts])), off


def _sparse_rows(
    matrices: list[Any], penalties: list[PenaltyPart], scale: FloatArray, rank: int
) -> SparseRows | None:
    """Return what matrices (K, K) of terms have off their diagonals, and those of penalties; None without any."""
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
    found = np.zeros((len(blocks.starts) - 1, blocks.rank))
    for part in penalties:
        mean = part.matrix.diagonal().mean() * scale[part.variable] ** 2
        found[part.variable, : len(part.strengths)] += part.strengths * mean
    return found


@jit
def _fill_terms(own_weighted, own_rows, own_sizes, at, modes, rows, weighted):  # type: ignore[no-untyped-def]
    """Write the row weights and weighted factors of the free modes to a `GramForm`'s."""
    rank = weighted.size // rows.size
    first, t = 0, 0
    for n in range(own_sizes.size):
        if t < modes.size and modes[t] == n:
            width = (at[t + 1] - at[t]) // rank
            for i in range(own_sizes[n]):
                rows[at[t] // rank + i] = own_rows[first + i]
                for r in range(own_weighted.shape[1]):
                    weighted[at[t] + r * width + i] = own_weighted[first + i, r]
            t += 1
        first += own_sizes[n]


@jit(fastmath=products.FASTMATH)
def _fill_grams(factors, rows, sizes, grams):  # type: ignore[no-untyped-def]
    """Add to `grams` (N, rank, rank) the weighted Gram matrix of each mode."""
    i = 0
    for n in range(sizes.size):
        for _ in range(sizes[n]):
            for r in range(factors.shape[1]):
                scaled = rows[i] * factors[i, r]
                for s in range(factors.shape[1]):
                    grams[n, r, s] += scaled * factors[i, s]
            i += 1


@jit
def _fill_products(grams, modes, scale, summand_of, within, across):  # type: ignore[no-untyped-def]
    """Write elementwise products of all Gram matrices but those of one and of two modes, times their scales (T,).

    Modes of other summands are no factors of a product, and have none in common.
    """
    for t in range(modes.size):
        for u in range(modes.size):
            is_own = summand_of[modes[u]] == summand_of[modes[t]]
            for r in range(grams.shape[1]):
                for s in range(grams.shape[1]):
                    product = scale[t] * scale[u] if is_own else 0.0
                    for n in range(grams.shape[0]):
                        if n != modes[t] and n != modes[u] and summand_of[n] == summand_of[modes[t]]:
                            product *= grams[n, r, s]
                    if t == u:
                        within[t, r, s] = product
                    else:
                        across[t, u, r, s] = product


@jit
def _fill_blocks(starts, block_of, at, rows, sizes, within, ridge, n_components, small, diagonal, reciprocal):  # type: ignore[no-untyped-def]
    """Write the diagonal blocks, with what penalties add in the mean over the rows, `ridge` (B, R)."""
    n_blocks, rank = ridge.shape
    for b in range(n_blocks):
        first, width, n_tied, n_rows, total = starts[b], (starts[b + 1] - starts[b]) // rank, 0, 0, 0.0
        for t in range(block_of.size):
            if block_of[t] == b:
                n_tied += 1
                for r in range(rank):
                    for s in range(rank):
                        small[b, r, s] += sizes[t] * within[t, r, s]
                for i in range(width):
                    reciprocal[first + i] += rows[at[t] // rank + i] / sizes[t]
        for i in range(width):
            reciprocal[first + i] /= n_tied
            n_rows += reciprocal[first + i] > 0
            total += reciprocal[first + i]
        for r in range(n_components):
            small[b, r, r] += ridge[b, r] * n_rows / total
        _regularise(small[b], n_components)
        for r in range(n_components - 1, -1, -1):  # the first row holds the weights themselves until its turn
            for i in range(width):
                d = reciprocal[first + i]
                diagonal[first + r * width + i] = small[b, r, r] * d
                reciprocal[first + r * width + i] = 1.0 / d if d > 0 else 0.0


@jit_part
def _regularise(h, n_components):  # type: ignore[no-untyped-def]
    """Add to h (R, R) what makes its diagonal nowhere negligible, so that it has an inverse."""
    floor = 1e-300
    for r in range(n_components):
        floor += 1e-3 * h[r, r] / n_components
    for r in range(n_components):
        h[r, r] += max(floor - h[r, r], 0.0) + 1e-10 * floor


@jit_part(fastmath=products.FASTMATH)
def product(form, x, y):  # type: ignore[no-untyped-def]
    """Compute y = matrix @ x, padded vectors (starts[-1],)."""
    starts, block_of, at, rows, weighted, within, across, ridge, matrices, sums, scratch = form[:-1]
    model, add_row_sums, add_column_sums = form.functions
    n_terms, rank = within.shape[0], within.shape[1]
    for b in range(ridge.size):
        for k in range(starts[b], starts[b + 1]):
            y[k] = ridge[b] * x[k]
    coupling = sums[n_terms]
    for t in range(n_terms):
        for r in range(rank):
            for s in range(rank):
                sums[t, r, s] = 0.0
        v = x[starts[block_of[t]] : starts[block_of[t] + 1]].reshape(rank, -1)
        call(add_row_sums, weighted[at[t] : at[t + 1]].reshape(rank, -1), v, sums[t])
    for t in range(n_terms):
        first, last = starts[block_of[t]], starts[block_of[t] + 1]
        v, out = x[first:last].reshape(rank, -1), y[first:last].reshape(rank, -1)
        d = rows[at[t] // rank : at[t + 1] // rank]
        inner = scratch[: last - first].reshape(rank, -1)
        call(model, within[t], v, inner)
        for r in range(rank):
            _add_weighted(d, inner[r], out[r])
            _add_sparse(matrices, t, 1.0, inner[r], out[r])
        for r in range(rank):
            for s in range(rank):
                coupling[s, r] = 0.0
                for u in range(n_terms):
                    coupling[s, r] += across[t, u, r, s] * sums[u, r, s]
        call(add_column_sums, weighted[at[t] : at[t + 1]].reshape(rank, -1), coupling, out)
    _add_penalties(matrices, n_terms, starts, x, y)


@jit_part
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


@jit_part
def _add_sparse(matrices, t, factor, source, target):  # type: ignore[no-untyped-def]
    """Compute target += factor * matrix t @ source, vectors of at least its length."""
    if matrices is not None:
        first = matrices.at[t]
        for i in range(matrices.at[t + 1] - first):
            total = 0.0
            for k in range(matrices.ends[first + i], matrices.ends[first + i + 1]):
                total += matrices.values[k] * source[matrices.columns[k]]
            target[i] += factor * total


@jit_part
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


@jit_part(fastmath=products.FASTMATH)
def _add_weighted(weights, source, target):  # type: ignore[no-untyped-def]
    """Compute target += weights * source, shapes (n,)."""
    for k in range(source.size):
        target[k] += weights[k] * source[k]


@jit_part(fastmath=products.FASTMATH)
def block_product(model, starts, matrices, weights, x, y):  # type: ignore[no-untyped-def]
    """Compute y = one R x R matrix per block times x, times weights; padded vectors (starts[-1],)."""
    rank = matrices.shape[1]
    for b in range(matrices.shape[0]):
        first, last = starts[b], starts[b + 1]
        call(model, matrices[b], x[first:last].reshape(rank, -1), y[first:last].reshape(rank, -1))
    for k in range(y.size):
        y[k] *= weights[k]
