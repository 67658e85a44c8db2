"""The losses: one file per distribution, one class per link.

Importing this package imports every file in it, and so registers them all: a new one needs no line here.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from gcp.losses.base import Loss
from gcp.losses.custom import custom_loss
from gcp.losses.registry import available_losses, example_losses, get_loss, loss_class, register
from gcp.losses.several import SeveralLosses, as_loss

__all__ = [
    "Loss",
    "SeveralLosses",
    "as_loss",
    "available_losses",
    "custom_loss",
    "example_losses",
    "get_loss",
    "loss_class",
    "register",
]

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
