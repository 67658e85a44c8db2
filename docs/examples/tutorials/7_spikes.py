"""
Spikes of a population over trials
==================================

Counts of spikes by neuron, time in the trial, and trial. Components are groups of neurons that fire together,
when in the trial they do, and how that changes from trial to trial. Recordings may not be shipped with the
package, so **this population is simulated**: 50 neurons, 40 bins of time, 60 trials of two kinds, and a group
that learns.
"""

import numpy as np

import gcp

rng = np.random.default_rng(0)
time = np.arange(40)
kind = rng.integers(0, 2, 60)  # left or right
early = np.exp(-((time - 10) ** 2) / 20)  # all trials: the stimulus
late = np.exp(-((time - 27) ** 2) / 40)  # on right trials: the choice
slow = time / 40  # grows over trials: what is learnt
times = np.column_stack([early, late, slow])
trials = np.column_stack([np.ones(60), kind, np.arange(60) / 60])
neurons = rng.gamma(0.4, 0.8, (50, 3))
mean = 0.05 + np.einsum("nr,tr,kr->ntk", neurons, times, trials)
spikes = rng.poisson(mean * rng.gamma(4.0, 0.25, mean.shape))  # varies more than Poisson
print(spikes.shape, "mean count", round(float(spikes.mean()), 3))

# %%
# Fit
# ---
#
# An array has no names; give the modes theirs. Counts vary more than Poisson ones, so the fit estimates by how
# much.

options = {"modes": ["neuron", "time", "trial"], "random_state": 0}
result = gcp.fit_gcp(spikes, 3, loss=gcp.NegativeBinomial(r="estimate"), n_starts=3, **options)
print(result.loss)
gcp.plots.plot_components(result, kinds={"time": "line"}, hue={"trial": np.where(kind == 1, "right", "left")})

# %%
# One component is the same in all trials, one is there on right trials only, one grows. Nobody told the fit
# which trial was which: compare with what is known.

frame = result.to_frames()["trial"]
side = frame.groupby(kind).mean()
print((side.loc[1] / side.loc[0]).round(2).rename("mean on right trials / on left trials"))
print(frame.corrwith(frame.index.to_series()).round(2).rename("correlation with the number of the trial"))

# %%
# Is it found every time?
# -----------------------

found = gcp.analysis.start_stability(spikes, 3, 4, loss="negative-binomial", random_state=0)
print(
    f"similarity of the best starts {found.score:.3f}, share of starts that find the best {found.share:.0%}"
)

# %%
# Trials in blocks
# ----------------
#
# Bins of a trial have noise in common. To choose a rank, hold out whole runs of time, the same in all neurons
# of a trial:

for rank in (1, 2, 3, 4):
    split = gcp.hold_out(spikes, 0.15, 0, scheme="blocks", mode=1, gap=1, by=2)
    fit = gcp.fit_gcp(split.train, rank, loss="negative-binomial", random_state=0)
    print(f"rank {rank}: deviance explained {split.judge(fit).deviance_explained:.3f}")
