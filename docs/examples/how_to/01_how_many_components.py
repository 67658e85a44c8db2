"""
How many components?
====================

Short answer: hide some cells, fit the rest with 1, 2, 3, ... components, and take the number that predicts the
hidden cells best. `gcp.select_rank` does this. More components always fit the data better that they have seen,
so the fit itself cannot tell.

The data: occupations of sons by occupations of their fathers in three countries, 28,887 pairs.
"""

import gcp

pairs = gcp.datasets.load_yamaguchi()
choice = gcp.select_rank(pairs, range(1, 6), "poisson", n_splits=5, random_state=0)
print(choice)

# %%
# Rank 0 is the best constant. At every rank several strengths of a penalty are tried; the table has the best of
# them. The arrow is at the choice: the smallest rank that is not worse than the best by more than a standard
# error.

choice.plot()

# %%
# Here the curve falls until 3 and is flat from there. Neighbouring ranks are often equally good, so ask a
# second question: does a fit from another random start find the *same* components? (1 = the same.)

found = [gcp.analysis.start_stability(pairs, rank, 5, loss="poisson", random_state=0) for rank in range(1, 6)]
gcp.plots.plot_similarity_by_rank(found)

# %%
# Up to 3 every start does; from 4 on some starts end elsewhere. Both answers are 3.
#
# A third diagnostic, the core consistency, is known from chemometrics: it is 100 where the components do not
# interact, and falls when there are too many. It belongs to the squared loss:

for rank in range(1, 6):
    fit = gcp.fit_gcp(pairs, rank, loss="gaussian", bounds=(0, None), n_starts=3, random_state=0)
    print(rank, f"{gcp.analysis.core_consistency(fit, pairs):.1f}")

# %%
# Under the squared loss, two components are enough: it looks at the large counts, and three components say more
# of the small ones.
#
# What to do when they disagree
# -----------------------------
#
# * You want to *predict*: take the held-out cells' word.
# * You want to *read* the components: take the largest rank whose components are stable, at or below that.
# * Cells that lie beside each other are alike (years, hours)? Then random cells flatter large ranks. Hold out
#   blocks: ``select_rank(..., scheme="blocks", mode="year")``; see :doc:`09_honest_hold_out`.
#
# On the command line: ``gcp rank yamaguchi --loss poisson --ranks 1-5 --seed 0``.
