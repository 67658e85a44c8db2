"""Configuration of the site: sphinx-build -W -b html docs build/site."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "gcp"
author = "The gcp developers"
copyright = "The gcp developers"
release = version_of("gcp-tensor")
version = release

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "_site.generate",
]
exclude_patterns = [
    "_*",
    "examples",
    "**/README.md",
    "Thumbs.db",
    "auto/**/*.py",
    "auto/**/*.ipynb",
    "auto/**/*.json",
]
templates_path = ["_templates"]
default_role = "py:obj"
smartquotes = False  # quotation marks in docstrings are code
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
suppress_warnings = ["config.cache", "myst.header"]  # tables that scripts write begin at their own level

# Other projects' inventories are on the network, and the build must not need it: GCP_DOCS_ONLINE=1 asks for links.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "tensorly": ("https://tensorly.org/stable", None),
    }
    if os.environ.get("GCP_DOCS_ONLINE")
    else {}
)

_PARTS = ["start", "tutorials", "how_to", "gallery", "explanation", "coming_from"]
sphinx_gallery_conf = {
    "examples_dirs": [f"examples/{part}" for part in _PARTS],
    "gallery_dirs": [f"auto/{part}" for part in _PARTS],
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "auto/uses",
    "doc_module": ("gcp",),
    "image_scrapers": ("_site.pictures.scraper",),
    "reset_modules": ("_site.pictures.reset",),
    "abort_on_example_error": True,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "download_all_examples": False,
    "min_reported_time": 10,
    "matplotlib_animations": False,
    "show_memory": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "gcp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_nav_level": 1,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
}
