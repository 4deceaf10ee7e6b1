"""Sphinx configuration: `make docs`, warnings are errors."""

import shutil
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
# Sphinx reads no file outside of its folder. Notebooks come with their outputs and are not executed here.
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", HERE / "tutorials", ignore=shutil.ignore_patterns(".*"))

project = "midgd"
author = "midgd maintainers"
copyright = "2026, midgd maintainers"
release = version = installed("midgd")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
html_theme = "sphinx_book_theme"
html_theme_options = {"repository_url": "https://github.com/midgd/midgd", "use_repository_button": True}
html_title = "midgd"
html_static_path = ["static"]
html_css_files = ["narrow.css"]
exclude_patterns = ["_build"]
