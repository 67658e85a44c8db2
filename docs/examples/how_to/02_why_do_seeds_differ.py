"""
Why do two seeds give different results?
========================================

Short answer: the fit starts at a random place, and there may be several valleys. Take several starts
(``n_starts=10``): the best is kept. If the best ones agree, trust them. If they do not, there are too many
components or too little data.

Order and sign are no difference: gcp sorts components by weight and fixes signs, so that equal results look equal.
"""

import gcp

pairs = gcp.datasets.load_yamaguchi()
stable = gcp.analysis.start_stability(pairs, 3, 10, loss="poisson", random_state=0)
loose = gcp.analysis.start_stability(pairs, 5, 10, loss="poisson", random_state=0)
for found in (stable, loose):
    print(f"share of the starts that found the best: {found.share:.0%}")

# %%
# Each dot is a start: how good its end is, and how much like the best one it is. With three components, all starts
# end in the same place.

gcp.plots.plot_starts(stable)

# %%
# With five, ends that are almost equally good hold different components.

gcp.plots.plot_starts(loose)

# %%
# Which components move?
# ----------------------
#
# Put two fits side by side: partners stand in one row, with their similarity.

first, second = (gcp.fit_gcp(pairs, 5, loss="poisson", random_state=seed) for seed in (0, 4))
gcp.plots.plot_comparison(first, second, names=("seed 0", "seed 4"))

# %%
# Three reasons, three remedies
# -----------------------------
#
# **Other valleys.** The objectives differ clearly. More starts: ``fit_gcp(..., n_starts=20)``;
# ``result.starts`` has the outcome of each.

several = gcp.fit_gcp(pairs, 5, loss="poisson", n_starts=5, random_state=0)
print(several.starts.to_frame()[["objective", "converged", "n_iter"]])

# %%
# **Not converged.** ``result.converged`` is False, and the message says which limit was met. Raise ``n_iter_max``.
#
# **A flat valley.** The objectives agree, the components do not: the data do not say which. Fewer components, a
# penalty (``l2_reg``, ``dirichlet_reg``), or :doc:`a hold-out <01_how_many_components>`. Components that cancel
# each other are a special case:

print(gcp.analysis.degeneracies(several) or "no two components cancel each other")

# %%
# For a paper: fix ``random_state``. The same seed gives the same result, to the last bit, on the same machine
# with the same number of threads.
