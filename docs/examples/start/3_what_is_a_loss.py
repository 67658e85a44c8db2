"""
What is a loss?
===============

A model is never exact. The *loss* says how bad it is that the data have :math:`x` in a cell where the model has
:math:`m`. Ordinary CP uses the squared difference. That is right for some numbers, and wrong for many.

The picture first
-----------------

One cell holds a 3. How does the loss grow as the model moves away from it?
"""

import matplotlib.pyplot as plt
import numpy as np

import gcp

m = np.linspace(0.05, 12, 400)
figure, ax = plt.subplots(figsize=(5.2, 3.2))
for name, style in [("gaussian", "-"), ("poisson", "--"), ("gamma", "-.")]:
    loss = gcp.get_loss(name)
    ax.plot(m, loss.value(3.0, m) - loss.value(3.0, np.array([3.0])), style, label=name)
ax.set(ylim=(0, 10), xlabel="model m", ylabel="loss above its least value")
ax.legend(frameon=False)
ax.set_label(
    "Losses of a datum of 3 against the model. All are 0 at m = 3. The Gaussian loss is a symmetric parabola; the "
    "Poisson and the gamma loss rise steeply towards m = 0 and slowly to the right."
)

# %%
# The squared loss punishes 1 and 5 alike. The Poisson loss knows that counts scatter more where they are large,
# and that a model near 0 makes a count of 3 almost impossible. The gamma loss thinks in ratios: 1 in place of 3
# is as bad as a model that is several times too large.
#
# Where does a loss come from? It is minus the logarithm of a probability. The Poisson loss is least where the
# Poisson probability of the datum is largest:

print(gcp.Poisson.__doc__)

# %%
# Does it matter?
# ---------------
#
# Here are amounts with a known truth: 40 x 30 x 10 cells above 0, three components, and a scatter that grows
# with the amount, as in rain, prices or waiting times. We fit them under both losses, and compare with the
# truth: the score is 1 if every profile of every component is found.

data, truth = gcp.simulate((40, 30, 10), 3, "gamma", random_state=1)
for name in ("gaussian", "gamma"):
    fit = gcp.fit_gcp(data, 3, loss=name, bounds=(0, None), n_starts=3, random_state=0)
    print(f"{name:9s} {gcp.analysis.factor_match_score(fit, truth).score:.3f}")

# %%
# The largest amounts scatter most, and the squared loss follows them. On real data no truth is at hand. There
# one asks which model gives the cells that it has not seen a higher probability: :doc:`how to choose the loss
# </auto/how_to/06_choose_the_loss>`.
#
# The common ones
# ---------------
#
# ===============================  ============================================
# the cells hold                   begin with
# ===============================  ============================================
# measurements, any sign           ``gaussian``; with outliers ``huber``
# counts                           ``poisson``, then ``negative-binomial``
# yes or no                        ``bernoulli-logit``
# amounts above 0                  ``gamma``
# amounts, many exactly 0          ``tweedie``
# grades 1 to 5                    ``ordinal``
# ===============================  ============================================
#
# ``gcp losses`` lists all of them, and :doc:`each has a page </generated/losses/index>`.
