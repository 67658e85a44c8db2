"""A recommender engineer: MovieLens' u.data to held-out errors, a ranking, and what to show a user."""

import numpy as np

import gcp

rng = np.random.default_rng(0)
tastes, films = rng.normal(size=(200, 2)), rng.normal(size=(80, 2))
seen = np.argwhere(rng.random((200, 80)) < 0.3)
stars = np.clip(np.rint(3.5 + (tastes[seen[:, 0]] * films[seen[:, 1]]).sum(axis=1)), 1, 5).astype(int)
rows = [
    f"{u + 1}\t{f + 1}\t{s}\t88125{u:04d}" for (u, f), s in zip(seen.tolist(), stars.tolist(), strict=True)
]
with open("u.data", "w", encoding="ascii") as file:
    print(*rows, sep="\n", file=file)

# job
ratings = gcp.read_tensor(
    "u.data", separator="TAB", header=False, modes=["0", "1"], value="2", unlisted="missing"
)
train, test = gcp.hold_out(ratings, 0.1, random_state=0)
model = gcp.fit_gcp(train, 2, main_effects=True, l2_reg=2.0, random_state=0)
print(gcp.analysis.prediction_scores(model, test))
print(gcp.analysis.ranking_scores(model, test, mode="1", k=10, train=train, relevant=4))
print(model.top(mode="1", at={"0": 196}, n=5, exclude=train))
