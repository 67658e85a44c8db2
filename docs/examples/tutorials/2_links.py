"""
Links of a network
==================

Which nation does what to which other? Fourteen nations around 1960, 55 kinds of relations. A link is there or
not, so the loss is that of yes and no.

Data: Rummel's dimensionality of nations (:doc:`licence </reference/datasets>`).
"""

import gcp

nations = gcp.datasets.load_nations()
print(nations, f"{nations.values.mean():.1%} of the cells are links")

# %%
# Hide some, and predict them
# ---------------------------
#
# A tenth of the cells is held out. The model has a ridge (``l2_reg``), for with few cells a logit model can
# always be made surer than it should be.

train, test = gcp.hold_out(nations, 0.1, random_state=0)
for rank in (1, 2, 3, 4, 6):
    fit = gcp.fit_gcp(train, rank, loss="bernoulli-logit", l2_reg=0.5, n_starts=3, random_state=0)
    scores = gcp.analysis.binary_scores(fit, test)
    print(f"rank {rank}: AUC {scores.auc:.3f}, average precision {scores.average_precision:.3f}")

# %%
# AUC is the probability that a link gets a higher number than a non-link. More components still predict better;
# three can be read. The curve, at rank 3, on cells that the fit has not seen:

model = gcp.fit_gcp(train, 3, loss="bernoulli-logit", l2_reg=0.5, n_starts=3, random_state=0)
gcp.plots.plot_roc(model, test)

# %%
# Are the probabilities right? Of cells with a predicted probability of 0.3, about 3 of 10 should be links.

gcp.plots.plot_calibration(model, test)

# %%
# Main effects
# ------------
#
# Some nations have more links than others, and some relations are common. Main effects take that out of the
# components:

effects = gcp.fit_gcp(
    train, 3, loss="bernoulli-logit", l2_reg=0.5, main_effects=True, n_starts=3, random_state=0
)
print(f"with main effects: AUC {gcp.analysis.binary_scores(effects, test).auc:.3f}")
print({name: values.round(1)[:4] for name, values in effects.main_effects.items()})

# %%
# What is likely that is not recorded?
# ------------------------------------
#
# The relations that the model, fitted to all cells, expects from Egypt to the Soviet Union, and those that are
# there:

full = gcp.fit_gcp(nations, 3, loss="bernoulli-logit", l2_reg=0.5, n_starts=3, random_state=0)
at = {"subject": "egypt", "object": "ussr"}
expected = full.top("relation", at, n=8)
subject, object_, relation = (list(labels) for labels in nations.labels.coords)
there = nations.values[subject.index("egypt"), object_.index("ussr")]
frame = expected.to_frame()
frame["recorded"] = [bool(there[relation.index(name)]) for name in frame.index.get_level_values(-1)]
print(frame)

# %%
# Events instead of yes and no (who wrote to whom on which day) are counts: ``loss="poisson"`` on what
# `gcp.from_frame` makes of the list of events. Large networks are lists of links, `SparseTensor`: zeros cost
# nothing.
