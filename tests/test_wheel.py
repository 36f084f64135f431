"""The wheel holds the files of the tree: it is built, installed by itself, compared, and its command is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from gem.cli.entry import COMMAND_MODULES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gem", "grounding")
COMMANDS = ("explain", "measure", "render", "check", "info", *COMMAND_MODULES)


def tree() -> set[str]:
    """Every file of the packages: those of git where this is a checkout, else those that lie there."""
    listed = subprocess.run(["git", "ls-files", *PACKAGES], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode == 0 and listed.stdout:
        return set(listed.stdout.splitlines())
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def pip(*words: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel of a copy of this tree was installed into, without its dependencies."""
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.fail('the wheel needs setuptools 77: pip install "gem-ecg[test]"')
    copy, built, target = (tmp_path_factory.mktemp(name) for name in ("copy", "built", "target"))
    for name in [*tree(), "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    pip("wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(built), cwd=copy)
    (wheel,) = built.glob("*.whl")
    pip("install", str(wheel), "--no-deps", "--no-index", "--no-compile", "--target", str(target), cwd=built)
    return target


def elsewhere(target: Path, script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script that finds the packages in the target and nowhere else."""
    checked = (
        "import gem, grounding, os\n"
        "for package in (gem, grounding): "
        f"assert package.__file__.startswith({str(target)!r} + os.sep), package.__file__\n"
    )
    env = {**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", checked + script], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )


def test_the_wheel_holds_the_tree(target: Path) -> None:
    files = (path for package in PACKAGES for path in (target / package).rglob("*") if path.is_file())
    assert {path.relative_to(target).as_posix() for path in files} == tree()
    assert {path.name for path in target.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")} <= {
        *PACKAGES,
        "bin",
    }
    assert (target / "bin" / "gem").is_file()


def test_every_command_is_there(target: Path, tmp_path: Path) -> None:
    script = f"""
from gem.cli import main
for name in {COMMANDS!r}:
    try:
        status = main([name, "--help"])
    except SystemExit as ended:
        status = ended.code
    assert status == 0, (name, status)
"""
    done = elsewhere(target, script, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in COMMANDS:
        assert f"usage: gem {name}" in done.stdout


def test_every_module_can_be_imported(target: Path, tmp_path: Path) -> None:
    """A folder without __init__.py is no package to setuptools, and nobody notices in a checkout."""
    modules = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in tree() if name.endswith(".py")
    ]
    modules = sorted(name for name in modules if not name.endswith("__main__"))
    done = elsewhere(target, f"import importlib\nfor name in {modules!r}: importlib.import_module(name)", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_installed_command_explains(target: Path, tmp_path: Path) -> None:
    done = elsewhere(target, "import sys; from gem.cli import main; sys.exit(main(['explain']))", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Checked against the recording" in done.stdout
    assert len(list(tmp_path.glob("*.html"))) == 1
