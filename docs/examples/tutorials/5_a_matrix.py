"""
A matrix: NMF with missing cells, weights and error bars
========================================================

A matrix is a tensor with two modes. With a nonnegative loss the model is nonnegative matrix factorisation
(NMF), and what gcp adds is there too: missing cells, weights, exposure, other losses.

Data: wind speed at Newark by day of the year and hour, 2013 (:doc:`licence </reference/datasets>`).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import NMF

import gcp

wind = gcp.datasets.load_nyc_wind()
labels = gcp.ModeLabels(wind.labels.names[1:], wind.labels.coords[1:])
newark = gcp.DenseTensor(np.asarray(wind.values)[0], labels=labels)
print(newark)

# %%
# The same numbers as scikit-learn
# --------------------------------
#
# scikit-learn's NMF needs every cell, so we compare where all are known: both come to the same error.

whole = np.asarray(newark.values)[~np.isnan(newark.values).any(axis=1)]
theirs = NMF(2, init="nndsvda", tol=1e-8, max_iter=5000, random_state=0).fit(whole)
ours = gcp.fit_gcp(whole, 2, loss="gaussian", bounds=(0, None), n_starts=5, random_state=0)
print(f"scikit-learn {theirs.reconstruction_err_:.4f}   gcp {np.sqrt(ours.objective):.4f}")

# %%
# With missing cells
# ------------------
#
# gcp leaves unknown cells out; nothing is filled in, and no day is thrown away.

result = gcp.fit_gcp(newark, 2, loss="gaussian", bounds=(0, None), n_starts=5, random_state=0)
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
for r in range(2):
    axes[0].plot(result.labels.coords[1], result.factors[1][:, r], label=f"component {r}")
    axes[1].plot(result.labels.coords[0], result.factors[0][:, r], lw=0.6)
axes[0].set(xlabel="hour", ylabel="factor")
axes[0].legend(frameon=False)
axes[1].set(xlabel="day of the year")
axes[0].set_label("Hours of two components: one peaks in the afternoon, the other at night.")
axes[1].set_label("Days of both components, which scatter from day to day.")

# %%
# How good is it on cells that it has not seen?

train, test = gcp.hold_out(newark, 0.1, random_state=0)
for rank in (1, 2, 3):
    fit = gcp.fit_gcp(train, rank, loss="gaussian", bounds=(0, None), n_starts=3, random_state=0)
    print(f"rank {rank}: {gcp.analysis.prediction_scores(fit, test).rmse:.3f} miles per hour")

# %%
# A warning that holds for every NMF
# ----------------------------------
#
# The parts of a matrix need not be unique: other components may give the same sum, unless zeros pin them down.
# So look whether several starts come to the same parts. Here they do:

found = gcp.analysis.start_stability(newark, 2, 5, loss="gaussian", bounds=(0, None), random_state=0)
print(found.to_frame().round(4))

# %%
# A third mode needs no zeros for that. With all three airports:

three = gcp.analysis.start_stability(wind, 2, 5, loss="gaussian", bounds=(0, None), random_state=0)
print(three.to_frame().round(4))

# %%
# Error bars
# ----------
#
# For a matrix of rank 1 every number is determined, and has an error:

one = gcp.fit_gcp(newark, 1, loss="gaussian", bounds=(0, None), random_state=0)
errors = gcp.analysis.standard_errors(one, newark)
gcp.plots.plot_components(one, errors=errors, modes=["hour"])
