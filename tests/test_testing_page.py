"""docs/testing.md says what a run without ``../shared`` leaves out: the list is held against the tests themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "testing.md").read_text()
TREES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "tests").rglob("*.py"))}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def asks_for(function: ast.FunctionDef) -> set[str]:
    """Fixtures a test or fixture names, as arguments or by ``getfixturevalue``."""
    named = {argument.arg for argument in function.args.args}
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "getfixturevalue":
            named |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return named


def test_the_list_of_tests_that_need_shared_is_complete() -> None:
    needing = {"shared"}
    while True:  # fixtures that ask for fixtures that ask for it
        more = {
            function.name
            for tree in TREES.values()
            for function in functions(tree)
            if any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list)
            and asks_for(function) & needing
        } - needing
        if not more:
            break
        needing |= more
    found = {
        f"{path.relative_to(ROOT / 'tests')}::{function.name}"
        for path, tree in TREES.items()
        for function in functions(tree)
        if function.name.startswith("test_") and asks_for(function) & needing
    }
    listed = re.findall(r"^\| `([\w/]+\.py::\w+)`", PAGE, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == found


def test_every_other_reason_to_skip_is_told() -> None:
    reasons = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).split(".")[-1]
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "reason")]
            if called in ("skip", "skipif", "importorskip"):
                reasons |= {
                    part.value for part in given if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    assert len(reasons) > 10
    assert sorted(reason for reason in reasons if f"`{reason}`" not in PAGE) == []


def test_what_the_tests_bring_along_is_small() -> None:
    size = sum(path.stat().st_size for path in (ROOT / "tests" / "data").rglob("*") if path.is_file())
    assert 4_000_000 < size < 5_000_000
