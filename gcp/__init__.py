"""Generalized CP tensor decompositions under the loss that your data call for.

The public names stand, one by one, in `__init__.pyi`; each module is imported when its first name is used, so
that `import gcp` costs next to nothing.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
