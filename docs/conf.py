"""Sphinx configuration: `make docs`, warnings are errors."""

from importlib.metadata import version as installed

project = "midgd"
author = "midgd maintainers"
copyright = "2026, midgd maintainers"
release = version = installed("midgd")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
html_theme = "furo"
html_title = "midgd"
exclude_patterns = ["_build"]
