"""Pictures of fitted models; they need matplotlib: pip install "gcp-tensor[plot]"."""

from gcp.analysis.plots import *  # noqa: F403
from gcp.analysis.plots import __all__ as __all__
