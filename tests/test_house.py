"""The rules of the house that code can check: who imports whom, how light a door is, how long a file is."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for package in ("grounding", "gem") for path in (ROOT / package).rglob("*.py"))
MODEL_SIDE = {"torch", "transformers", "timm", "lightning", "torchmetrics", "triton", "gem"}


def imports_of(path: Path) -> set[str]:
    """Top-level packages that a file imports, lazily or not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_grounding_never_imports_the_model_side() -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / "grounding"):
            # the local teacher of `gem instruct` is handed in by the caller, never imported here
            assert not imports_of(path) & MODEL_SIDE, path


def test_no_gpl_delineator_is_imported() -> None:
    for path in SOURCES:
        assert not imports_of(path) & {"pmecg", "wavedet"}, path


def test_opening_the_doors_is_cheap() -> None:
    script = (
        "import sys, grounding, gem;"
        "heavy = {'numpy', 'torch', 'pandas', 'neurokit2', 'scipy', 'PIL', 'lightning', 'timm'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"import grounding, gem also imports {done.stderr}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500, "is there a second room hidden in it?"


def test_nothing_names_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"/(?:work|farm|root|home)/\w|files\.pythonhosted|pypi\.org")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {
            ".py",
            ".md",
            ".cfg",
            ".toml",
            ".yaml",
            ".yml",
            ".json",
            ".ipynb",
            ".csv",
            ".txt",
        } and path != Path(__file__):
            assert not pattern.search(path.read_text()), name


def test_every_registered_file_ships() -> None:
    """Data files in the packages must match a package_data pattern, or an installed copy lacks them."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for package in ("grounding", "gem"):
        patterns = config["options.package_data"][package].split()
        for path in (ROOT / package).rglob("*"):
            relative = path.relative_to(ROOT / package)
            if path.is_file() and path.suffix not in {".py", ".pyc"} and "__pycache__" not in path.parts:
                assert any(relative.match(pattern) for pattern in patterns), relative


def test_every_file_that_the_architecture_names_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:grounding|gem|tests)/[\w/.<>*]+)`", page))
    assert len(named) > 20
    missing = [name for name in named if "<" not in name and not list(ROOT.glob(name))]
    assert missing == []


# from the ground up: a room imports rooms of its own line and of lines above it
LAYERS = (
    # grounding
    {"grounding.errors", "grounding._version", "grounding.units", "grounding.processes", "grounding.deferred"}
    | {"grounding.small_arrays", "grounding.resampling"},
    {"grounding.leads", "grounding.registry", "grounding.evidence", "grounding.lead_algebra"},
    {"grounding.paper.layout"},
    {"grounding.plots", "grounding.tables"},
    {"grounding.record"},
    {"grounding.paper", "grounding.synthetic", "grounding.signal"},
    {"grounding.photographs"},
    {"grounding.readers"},
    {"grounding.delineation"},
    {"grounding.measurement"},
    {"grounding.criteria"},
    {"grounding.facts", "grounding.statements"},
    {"grounding.questions"},
    {"grounding"},
    # gem at run time
    {"gem.errors", "gem.labels", "gem.extras", "gem.forking", "gem.terminal", "gem.extensions", "gem.views"},
    {"gem.retrieval", "gem.endpoint", "gem.tools"},
    {"gem.untrusted", "gem.explanation", "gem.answer", "gem.writing", "gem.measured"},
    {"gem.grounded", "gem.subjects", "gem.snapshots", "gem.patients"},
    {"gem.settings"},
    {"gem.configuration", "gem.tokenizer", "gem.kernels", "gem.messages", "gem.encoded"},
    {"gem.encoders"},
    {"gem.fusion", "gem.outputs", "gem.decoding"},
    {"gem.pictures"},
    {"gem.core", "gem.preparing"},
    {"gem.modeling", "gem.processing", "gem.bundled"},
    {"gem.auto", "gem.checkpoints", "gem.presets", "gem.saliency"},
    {"gem.explaining", "gem.asking"},
    {"gem.comparing", "gem.dialogue", "gem.holding"},
    {"gem.batch_tables"},
    {"gem.batch"},
    {"gem.app"},
    {"gem"},
    # the laboratory
    {"gem.kernels.bench", "gem.metrics", "gem.data", "gem.instruct"},
    {"gem.evaluation"},
    {"gem.training"},
    {"gem.cli"},
    {"gem.__main__"},
)
ROOMS = {room: line for line, rooms in enumerate(LAYERS) for room in rooms}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


def modules_imported(name: str) -> set[str]:
    """Our modules that a module imports, at any depth of it: lazily, and for type checkers alone, too."""
    path, found = MODULES[name], set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            whole = ".".join(filter(None, (base, node.module)))
            targets = [f"{whole}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            while target and target not in MODULES:
                target = target.rpartition(".")[0]
            found |= {target} if target and target != name else set()
    return found


IMPORTED = {name: modules_imported(name) for name in MODULES}


def room_of(module: str) -> str:
    known = module
    while known not in ROOMS:
        known = known.rpartition(".")[0]
        assert known, f"{module} is in no room of LAYERS"
    return known


@pytest.mark.parametrize("name", MODULES)
def test_nothing_looks_upwards(name: str) -> None:
    room = room_of(name)
    # the doors of both packages open what is behind them when they are asked
    for target in IMPORTED[name] if name not in ("gem", "grounding") else ():
        assert ROOMS[room_of(target)] <= ROOMS[room], f"{room} imports {target}"


def test_no_circle_of_imports() -> None:
    inner = {name: targets for name, targets in IMPORTED.items() if name not in ("gem", "grounding")}
    left = dict(inner)
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"among these some import each other: {sorted(left)}"


def test_no_class_has_the_name_of_another() -> None:
    seen: dict[str, Path] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                assert node.name not in seen, f"{node.name} in {path} and {seen[node.name]}"
                seen[node.name] = path


def test_the_formatter_is_seldom_overruled() -> None:
    """Tables alone."""
    mark = "# fmt: " + "skip"
    assert sum(path.read_text().count(mark) for path in ROOT.rglob("*.py") if ".venv" not in path.parts) <= 20
