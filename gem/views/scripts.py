"""The view's scripts: ES modules that browsers run as they are, and the same modules as one text."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
# each module after those that it imports
MODULES = (
    "style.js",
    "dom.js",
    "signal.js",
    "layouts.js",
    "edits.js",
    "spans.js",
    "paper.js",
    "calipers.js",
    "tiles.js",
    "stage.js",
    "navigator.js",
    "median.js",
    "boundaries.js",
    "panels.js",
    "keys.js",
    "caliper_bar.js",
    "toolbar.js",
    "view.js",
)
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


@lru_cache(maxsize=1)
def bundle() -> str:
    """The text of one module that exports ``mount(element, scene, host)``.

    The modules share no top-level name, so that they can be put one behind the other.
    """
    known: set[str] = set()
    parts = []
    for name in MODULES:
        text = (STATIC / name).read_text(encoding="utf-8")
        for imported in _IMPORT.findall(text):
            assert imported in known, f"{name} imports {imported}, which comes later"
        known.add(name)
        parts.append(f"// {name}\n{_EXPORT.sub('', _IMPORT.sub('', text))}")
    return "\n".join([*parts, "export { mount };\n"])
