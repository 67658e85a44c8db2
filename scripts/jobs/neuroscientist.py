"""A neuroscientist: spike counts by neuron, time and trial; how many assemblies, are they the same at every start?"""

import numpy as np

import gcp

data, truth = gcp.simulate((20, 15, 30), 3, "poisson", scale=2.0, random_state=0)
spikes = np.asarray(data.values)
condition = np.where(np.arange(30) % 2, "go", "no-go")

# job
choice = gcp.select_rank(spikes, range(1, 5), loss="poisson", random_state=0)
print(choice)
model = gcp.fit_gcp(
    spikes, choice.rank, loss="poisson", modes=["neuron", "time", "trial"], n_starts=5, random_state=0
)
print(gcp.analysis.start_stability(spikes, choice.rank, loss="poisson", random_state=0))
gcp.plots.plot_components(
    model, kinds={"neuron": "bar", "time": "line", "trial": "dot"}, hue={"trial": condition}
)[0, 0].figure.savefig("assemblies.png")
