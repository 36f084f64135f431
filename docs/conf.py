"""Sphinx settings: Markdown pages, notebooks, API from the docstrings. Build: sphinx-build -W -q docs build/docs"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from grounding._version import __version__

HERE = Path(__file__).parent

project = "gem-ecg"
copyright = "the authors of gem-ecg, Apache-2.0. Research software, not a medical device."
release = version = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# outputs are not committed: the notebooks run while the site is built (-D nb_execution_mode=off leaves that out)
nb_execution_mode = "auto"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
# a widget needs the kernel of a notebook: the site shows what it says of itself, and loads no scripts from elsewhere
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
html_theme = "furo"
html_title = f"gem-ecg {__version__}"
autodoc_typehints = "description"
autodoc_member_order = "bysource"


def _notebooks(app: Any) -> None:
    """Sphinx reads what lies below docs: the notebooks are copied there (ignored by git)."""
    there = HERE / "notebooks"
    there.mkdir(exist_ok=True)
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        shutil.copyfile(path, there / path.name)


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("builder-inited", _notebooks)
