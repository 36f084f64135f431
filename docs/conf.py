"""Sphinx settings: Markdown pages, API from the docstrings. Build: sphinx-build -W docs build/docs"""

from __future__ import annotations

from grounding._version import __version__

project = "gem-ecg"
release = version = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"
html_theme = "furo"
exclude_patterns = ["build"]
autodoc_typehints = "description"
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]
