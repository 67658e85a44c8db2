"""
What the penalties do
=====================

A penalty is a price for factors that you think unlikely. Here is one noisy tensor with a known smooth factor,
and what each penalty makes of it. The data are simulated: 30 x 60 x 5 counts, few of them in each position.
"""

import matplotlib.pyplot as plt
import numpy as np

import gcp
from gcp.penalties import Lasso, Ridge, Smooth

rng = np.random.default_rng(0)
time = np.arange(60)
truth = 0.4 + np.exp(-((time - 20) ** 2) / 60) + 0.6 * np.exp(-((time - 45) ** 2) / 30)
mean = np.einsum("i,j,k->ijk", rng.gamma(2.0, 0.05, 30), truth, rng.gamma(2.0, 0.5, 5))
counts = gcp.DenseTensor(
    rng.poisson(mean), labels=gcp.ModeLabels(["place", "time", "kind"], [None, time, None])
)
print(counts, "mean", round(float(counts.values.mean()), 3))

# %%

penalties = {
    "none": [],
    "Smooth": [Smooth("time", 300.0)],
    "Ridge": [Ridge("time", 30.0)],
    "Lasso": [Lasso("time", 30.0)],
}
figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), sharey=True)
for ax, (name, penalty) in zip(axes, penalties.items(), strict=True):
    fit = gcp.fit_gcp(counts, 1, loss="poisson", penalties=penalty, random_state=0)
    size = fit.weights[0] * fit.factors[0][:, 0].mean() * fit.factors[2][:, 0].mean()
    found = fit.factors[1][:, 0] * size
    right = truth * mean.mean() / truth.mean()
    ax.plot(time, right, color="0.6", lw=3)
    ax.plot(time, found)
    error = np.sqrt(np.mean((found - right) ** 2))
    ax.set(title=f"{name}, error {error:.3f}", xlabel="time")
    ax.set_label(f"{name}: the factor that is found over the true one; root mean square error {error:.3f}.")
axes[0].set_ylabel("expected count")

# %%
# Grey is the truth. Without a penalty the factor follows every count. `Smooth` pays for differences of
# neighbours, and comes nearest here, because the truth is smooth. `Ridge` draws everything towards 0, and
# `Lasso` also sets what is small to 0: they help where few positions matter, and are the wrong belief here.
#
# The unit of a strength is the curvature of the loss at one cell, so that a strength is right for other data of
# the kind too. The best one is chosen by cells that are not seen:

choice = gcp.select_rank(
    counts,
    [1],
    "poisson",
    penalties=[[Smooth("time", strength)] for strength in (1.0, 10.0, 100.0, 1000.0)],
    dirichlet_reg=0.0,
    n_splits=3,
    n_starts=1,
    random_state=0,
)
print(choice)

# %%
# Which ones there are: `gcp.penalties`. Two more act on components as wholes: ``weight_reg`` lets superfluous
# ones vanish, and ``dirichlet_reg`` keeps nonnegative entries off 0, where few data would forbid what was
# merely not seen.
