"""The losses: one file per distribution, one class per link. Importing this package registers them all."""

from __future__ import annotations

from gcp.losses.base import Loss
from gcp.losses.bernoulli import BernoulliLogit, BernoulliOdds, BernoulliPoisson
from gcp.losses.beta_divergence import BetaDivergence
from gcp.losses.custom import custom_loss
from gcp.losses.gamma import Gamma
from gcp.losses.gaussian import Gaussian
from gcp.losses.huber import Huber
from gcp.losses.negative_binomial import NegativeBinomial, NegativeBinomialLogit
from gcp.losses.poisson import Poisson, PoissonLog
from gcp.losses.rayleigh import Rayleigh
from gcp.losses.registry import as_loss, available_losses, example_losses, get_loss, loss_class, register

__all__ = [
    "BernoulliLogit",
    "BernoulliOdds",
    "BernoulliPoisson",
    "BetaDivergence",
    "Gamma",
    "Gaussian",
    "Huber",
    "Loss",
    "NegativeBinomial",
    "NegativeBinomialLogit",
    "Poisson",
    "PoissonLog",
    "Rayleigh",
    "as_loss",
    "available_losses",
    "custom_loss",
    "example_losses",
    "get_loss",
    "loss_class",
    "register",
]
