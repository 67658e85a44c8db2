"""Pictures of fitted models; they need matplotlib: pip install "gcp-tensor[plot]".

Each function answers one question, and returns the axes that it drew on. Pictures of one panel take ``ax=``; pictures
of several panels take ``figure=``, and return an array of axes. Without either, a new figure of pyplot's is made,
which notebooks and ``plt.show()`` show.
"""

from gcp.analysis.plots import *  # noqa: F403
from gcp.analysis.plots import __all__ as __all__
