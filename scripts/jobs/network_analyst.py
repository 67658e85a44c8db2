"""A network analyst: who names whom, wave by wave; everybody a sender and a receiver, and which links are missing."""

import numpy as np
import pandas as pd

import gcp

rng = np.random.default_rng(0)
people = [f"p{k:02d}" for k in range(60)]
group = np.arange(60) % 3
chance = np.where(group[:, None] == group[None, :], 0.25, 0.03)
links = np.argwhere(rng.random((60, 60, 4)) < np.minimum(chance, chance.T)[:, :, None])
links = links[links[:, 0] != 59]  # the last one names nobody
table = pd.DataFrame(
    {"from": np.take(people, links[:, 0]), "to": np.take(people, links[:, 1]), "wave": links[:, 2]}
)

# job
network = gcp.from_frame(table, ["from", "to", "wave"], positions={"from": people, "to": people})
train, test = gcp.hold_out(network, 0.1, random_state=0)
model = gcp.fit_gcp(
    train, 3, loss="bernoulli-odds", tied_modes=[("from", "to")], dirichlet_reg=0.1, random_state=0
)
print(gcp.analysis.prediction_scores(model, test))
print(model.top(mode="to", at={"from": "p00", "wave": 3}, n=5, exclude=network))
