"""The losses that the recorded tables compare: whose mean is one number of the model, with all parameters given."""

RACED = (
    "bernoulli-logit",
    "bernoulli-odds",
    "bernoulli-poisson",
    "beta-divergence",
    "gamma",
    "gaussian",
    "huber",
    "negative-binomial",
    "negative-binomial-logit",
    "poisson",
    "poisson-log",
    "rayleigh",
)
