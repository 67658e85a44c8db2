"""
Are the components unique?
==========================

Fit a matrix with two components from two random starts, and you get two answers that are equally good. Fit a
tensor with three modes, and both starts find the same. This page shows it on planted components, and where the
rule ends.
"""

import matplotlib.pyplot as plt
import numpy as np

import gcp

rng = np.random.default_rng(0)
t = np.linspace(0, 1, 40)
profiles = np.column_stack([np.exp(-((t - 0.3) ** 2) / 0.01), np.exp(-((t - 0.6) ** 2) / 0.03)])
rows, layers = rng.normal(size=(20, 2)), rng.normal(size=(6, 2))
tensor = np.einsum("ir,jr,kr->ijk", rows, profiles, layers) + 0.01 * rng.normal(size=(20, 40, 6))
matrix = tensor[:, :, 0]


def draw(ax, data, title):
    """Draw the profiles that two starts find, in the scale of their largest entry."""
    scores = []
    fits = [gcp.fit_gcp(data, 2, loss="gaussian", random_state=seed, solver="lbfgsb") for seed in (0, 4)]
    for fit, style in zip(fits, ("-", "--"), strict=True):
        factor = fit.factors[1]
        ax.plot(t, factor / factor[np.abs(factor).argmax(axis=0), [0, 1]], style)
        scores.append(fit.objective)
    match = gcp.analysis.factor_match_score(*fits).score
    ax.set(title=title, xlabel="position", ylabel="profile")
    ax.set_label(f"{title}: profiles from two starts, factor match score {match:.2f}.")
    print(f"{title}: objectives {scores[0]:.4f} and {scores[1]:.4f}, match {match:.3f}")


figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
draw(axes[0], matrix, "matrix")
draw(axes[1], tensor, "three modes")

# %%
# The matrix: the same error, other profiles. Each is a mixture of the two bumps, and nothing in the data says
# which mixture is right. The tensor: the bumps themselves. A mixture that serves one layer is wrong for the
# next, because the layers have the components in other proportions.
#
# Where the rule ends
# -------------------
#
# If the layers have both components in the *same* proportions, they are no news, and the tensor is a matrix
# repeated:

same = np.repeat(layers[:, :1], 2, axis=1)
repeated = np.einsum("ir,jr,kr->ijk", rows, profiles, same) + 0.01 * rng.normal(size=(20, 40, 6))
figure, ax = plt.subplots(figsize=(4, 3))
draw(ax, repeated, "equal proportions")

# %%
# Kruskal's condition says the same in general: a model of :math:`R` components and three modes is unique up to
# order and scale if :math:`k_A + k_B + k_C \ge 2R + 2`, where :math:`k` is the largest number such that *any*
# so many columns of a factor are linearly independent. Above, with proportions of their own, :math:`2 + 2 + 2
# \ge 6`. With equal ones, :math:`2 + 2 + 1` is less.
#
# What to do
# ----------
#
# * Look whether starts agree: `gcp.analysis.start_stability`.
# * Nonnegative factors with zeros pin components down, too, as the profiles of counts often do.
# * `gcp.analysis.standard_errors` gives NaN where directions leave the model as it is.
