"""The pages of docs, tried as they stand.

Page by page, in order and in one temporary folder: Python blocks run, ``gem`` commands run in this process, and what
a ``text`` block below them shows is compared with what they print. A line such as `` `my_reader.py`: `` above a block
makes it that file. In the folder lies ``PTBXL``: nine records, laid out as PTB-XL is downloaded. What can't run here
says so in an HTML comment above the block (``<!-- needs a GPU -->``); it has to parse, and its commands are held
against the parsers.
"""

from __future__ import annotations

import ast
import configparser
import csv
import doctest
import importlib
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gem import extensions
from gem.cli import main
from gem.cli.entry import _parser, _with_extensions
from gem.encoders import ENCODERS
from gem.evaluation import benchmarks
from gem.metrics import metrics
from grounding.criteria import knowledge
from grounding.delineation import delineators
from grounding.readers import readers

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "notebooks" not in path.parts]
SHELL = ("bash", "sh")
MARK = re.compile(r"<!-- ((?:needs|takes|installs)\b.*) -->")
FENCE = re.compile(r"^( *)```([\w{}-]*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        line: of its first line of code.
        language: the word behind the fence.
        text: what is in it.
        mark: why it can't run here, or ``""``.
        file: the file that it is, or ``""``.
        status: what its last command ends with.
    """

    line: int
    language: str
    text: str
    mark: str
    file: str
    status: int


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    lines, found, at = path.read_text().splitlines(), [], 0
    while at < len(lines):
        opened = FENCE.match(lines[at])
        if not opened:
            at += 1
            continue
        end = next(k for k in range(at + 1, len(lines)) if lines[k] == f"{opened[1]}```")
        above = [line.strip() for line in lines[max(0, at - 4) : at] if line.strip()][::-1]
        mark, file, status = "", "", 0
        for line in above[:2]:
            if told := MARK.fullmatch(line):
                mark = told[1]
            elif told := re.fullmatch(r"`([\w.]+\.\w+)`:", line):
                file = told[1]
            elif told := re.fullmatch(r"<!-- exits with (\d) -->", line):
                status = int(told[1])
            else:
                break
        text = "\n".join(line[len(opened[1]) :] for line in lines[at + 1 : end]) + "\n"
        found.append(Block(at + 2, opened[2], text, mark, file, status))
        at = end + 1
    return found


def commands_of(text: str, folder: Path) -> list[list[str]]:
    """The commands that a shell block runs, in their order, with loops and variables expanded.

    Bash itself runs the block, with stand-ins for the programs.
    """
    out = folder / ".commands"
    out.unlink(missing_ok=True)
    names = "gem python pip bash source torchrun srun tensorboard make sphinx-build pytest"
    stand_ins = "".join(f'{name}() {{ printf "%s\\0" {name} "$@" "" >> "$OUT"; }}\n' for name in names.split())
    environment = {"PATH": "", "OUT": str(out)}  # no other program is there
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-euc", stand_ins + text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = [[]]
    for word in out.read_text().split("\0")[:-1]:
        if word:
            found[-1].append(word)
        else:
            found.append([])
    return found[:-1]


def check_command(words: list[str]) -> None:
    """Whether a command that can't run here could: its program is there and knows its options."""
    program, *rest = words
    if program == "gem":
        if rest[0] == "train":
            check_training(rest)
        else:
            rest = _with_extensions(rest)
            _parser(rest).parse_args(rest)
    elif program in ("torchrun", "srun"):
        check_command(rest[rest.index("gem") :])
    elif program == "pip":
        config = configparser.ConfigParser()
        config.read(ROOT / "setup.cfg")
        named = re.findall(r"\[(\w+)\]", " ".join(rest))
        assert set(named) <= set(config["options.extras_require"]), named
        for word, file in pairwise(rest):
            assert word != "-r" or (ROOT / file).is_file(), file
    elif program == "python" and rest[0] == "-m" and rest[1] not in ("venv", "pip", "pytest"):
        spec = importlib.util.find_spec(rest[1])
        assert spec is not None, rest[1]
        origin = Path(str(spec.origin))
        if origin.name == "__init__.py":
            origin = origin.with_name("__main__.py")
        check_options(rest[2:], origin)
    elif program in ("python", "bash") and rest[0] != "-m" and not rest[0].startswith("../shared"):
        check_options(rest[1:], ROOT / rest[0])


def check_options(words: list[str], source: Path) -> None:
    text = source.read_text()
    for word in words:
        option = word.split("=")[0]
        known = f"{option})" if source.suffix == ".sh" else f'"{option}"'
        assert not option.startswith("--") or known in text, f"{source.name} has no {option}"


def check_training(words: list[str]) -> None:
    """LightningCLI reads config and options, checks every name, and prints instead of training."""
    pytest.importorskip("lightning.pytorch.cli")
    shown = words if "--print_config" in words else [*words, "--print_config"]
    with pytest.raises(SystemExit) as ended:
        assert main(shown) == 0
    assert not ended.value.code, words


@pytest.fixture
def folder(ptbxl_like: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stranger's folder; whatever a page registers is forgotten afterwards."""
    registries = (ENCODERS, benchmarks, metrics, readers, delineators)
    before = [dict(one._entries) for one in registries]
    modules = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    as_downloaded(ptbxl_like, tmp_path / "PTBXL")
    yield tmp_path
    for registry, entries in zip(registries, before, strict=True):
        registry._entries = entries  # type: ignore[attr-defined]
    knowledge._added.clear()
    extensions.loaded.clear()
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior myocardial infarction,1.0,,,MI,IMI
ASMI,anteroseptal myocardial infarction,1.0,,,MI,AMI
ISCAL,ischemic in anterolateral leads,1.0,,,STTC,ISCA
ISC_,non-specific ischemic,1.0,,,STTC,ISC_
LVH,left ventricular hypertrophy,1.0,,,HYP,LVH
1AVB,first degree AV block,1.0,,,CD,_AVB
LAFB,left anterior fascicular block,1.0,,,CD,LAFB/LPFB
IVCD,non-specific intraventricular conduction disturbance,1.0,,,CD,IVCD
CLBBB,complete left bundle branch block,1.0,,,CD,CLBBB
CRBBB,complete right bundle branch block,1.0,,,CD,CRBBB
PVC,ventricular premature complex,,1.0,,,
SR,sinus rhythm,,,1.0,,
AFIB,atrial fibrillation,,,1.0,,
"""
FOLDS = (8, 8, 8, 9, 8, 9, 9, 1, 10)


def as_downloaded(ptbxl_like: Path, root: Path) -> None:
    """PTB-XL's own files, with the nine bundled records."""
    root.mkdir()
    (root / "records500").symlink_to(ptbxl_like / "ptbxl" / "records500")
    with (ptbxl_like / "ptbxl" / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["ecg_id"]) < 10000]
    (root / "scp_statements.csv").write_text(STATEMENTS)
    columns = ["ecg_id", "patient_id", "age", "sex", "report", "scp_codes", "strat_fold", "filename_hr"]
    with (root / "ptbxl_database.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        for row, fold in zip(rows, FOLDS, strict=True):
            name = f"records500/00000/{int(row['ecg_id']):05d}_hr"
            table.writerow(row | {"strat_fold": fold, "filename_hr": name})


def releases(folder: Path) -> None:
    """Small folders with random weights, laid out as the published models are."""
    strangers = runpy.run_path(str(ROOT / "tests" / "gem" / "strangers.py"))
    strangers["published"](folder / "GEM")
    strangers["published"](folder / "PULSE", ecg=False)
    strangers["meit"](folder / "MEIT")
    strangers["coca"](folder / "ECG-CoCa", samples=5000)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_page(page: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of(page)
    if page.stem == "use_with_your_model":
        releases(folder)
        monkeypatch.setattr("gem.checkpoints.llava.LONGEST_ANSWER", 40)  # random weights seldom end an answer
        assert all(len(block.text.splitlines()) < 12 for block in blocks if block.language == "python")
    if any(block.language in SHELL for block in blocks) and os.name != "posix":
        pytest.skip("shell blocks are read by bash")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = ""
    for block in blocks:
        place = f"{page.relative_to(ROOT)}:{block.line}"
        if block.file:
            (folder / block.file).write_text(block.text)
            if block.file.endswith(".py"):
                ast.parse(block.text, place)
                assert len(block.text.splitlines()) < 60, f"{place}: a file of a user's own stays short"
            continue
        if block.language == "text" and shown:
            same = doctest.OutputChecker().check_output(
                block.text, shown, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            assert same, f"{place} shows\n{block.text}\nand it printed\n{shown}"
            continue
        shown = ""
        if block.language == "python":
            code = compile(block.text, place, "exec")
            if not block.mark:
                exec(code, namespace)
        elif block.language in SHELL:
            commands = commands_of(block.text, folder)
            assert commands, f"{place}: no command"
            with pytest.MonkeyPatch.context() as patch:  # as for the console script, the folder is on nobody's path
                patch.setattr(sys, "path", [part for part in sys.path if part not in ("", str(folder))])
                for words in commands:
                    if block.mark:
                        check_command(words)
                    else:
                        expected = block.status if words is commands[-1] else 0
                        assert run_command(words) == expected, f"{place}: {' '.join(words)}"
        shown = capsys.readouterr().out


def run_command(words: list[str]) -> int:
    """``gem ...`` and ``python FILE`` in this process; the status."""
    if words[0] == "gem":
        try:
            return main(words[1:])
        except SystemExit as ended:  # --help, --print_config
            return int(ended.code or 0)
    assert words[0] == "python", f"{words[0]} can't run here: mark the block"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words[1:])
        runpy.run_path(words[1], run_name="__main__")
    return 0


GROUPS = ("grounding.delineators", "gem.benchmarks")  # of entry points, where they are no modules
WRITTEN = ("gem/kernels/table.csv",)  # by commands that a page describes
PUBLIC = [
    "grounding",
    "grounding.readers",
    "grounding.delineation",
    "grounding.criteria",
    "grounding.paper",
    "gem",
    "gem.encoders",
    "gem.metrics",
    "gem.evaluation",
    "gem.kernels",
]
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|data|exception):: ([\w.]+)$", re.MULTILINE)
DOCUMENTED = [name for page in sorted(DOCS.glob("api_*.md")) for name in DIRECTIVE.findall(page.read_text())]


def named(path: str) -> Any:
    """The object behind a dotted name."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_public_name_is_in_the_reference() -> None:
    assert len(DOCUMENTED) == len(set(DOCUMENTED))
    objects = {id(named(name)) for name in DOCUMENTED if not isinstance(named(name), str | tuple)}
    missing = [
        f"{module}.{name}"
        for module in PUBLIC
        for name in importlib.import_module(module).__all__
        if f"{module}.{name}" not in DOCUMENTED and id(named(f"{module}.{name}")) not in objects
    ]
    assert missing == []


@pytest.mark.parametrize(
    "command",
    ["explain", "ground", "compare", "chat", "measure", "render", "check", "info", "evaluate", "convert", "instruct"],
)
def test_every_option_is_on_the_page_of_the_command_line(command: str) -> None:
    page = (DOCS / "cli.md").read_text()
    parser = _parser([command])
    subparsers = next(action for action in parser._actions if action.choices)
    options = set(subparsers.choices[command]._option_string_actions) - {"-h"}  # type: ignore[index]
    assert [option for option in sorted(options) if not re.search(rf"`[^`]*{option}\b", page)] == []


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.relative_to(ROOT)}: {target}"


def test_the_reasons_not_to_run_are_few_and_plain() -> None:
    told = {block.mark for page in PAGES for block in blocks_of(page) if block.mark}
    assert told
    assert all(len(mark) < 80 for mark in told)
    comments = [line for page in PAGES for line in re.findall(r"<!--.*?-->", page.read_text())]
    unknown = [line for line in comments if not MARK.fullmatch(line) and "exits with" not in line]
    assert unknown == []


def test_what_the_pages_name_is_there() -> None:
    """Dotted names of this library, and files of it."""
    wrong = []
    for page in PAGES:
        text = page.read_text()
        paths = re.findall(r"`((?:grounding|gem|tests|benchmarks|docs)/[\w/.*]+)`", text)
        gone = [path for path in paths if path not in WRITTEN and not list(ROOT.glob(path.rstrip("/")))]
        gone += [name for name in re.findall(r"`((?:grounding|gem)(?:\.\w+)+)[(`]", text) if not exists(name)]
        wrong += [f"{page.relative_to(ROOT)}: {name}" for name in gone]
    assert wrong == []


def exists(path: str) -> bool:
    """Whether there is a module, or something in one, of this dotted name."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for name in parts[cut:]:
            if not hasattr(found, name):
                return path in GROUPS
            found = getattr(found, name)
        return True
    return False


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """The notebooks are run by test_notebooks.py; here they are read only."""
    for package in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(package)
    for name in ("docs", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-D", "nb_execution_mode=off", "docs", "site"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    site = tmp_path / "site"
    assert "register_reader" in (site / "api_grounding.html").read_text()
    assert "Read, measure, draw, explain" in (site / "notebooks" / "explain.html").read_text()
