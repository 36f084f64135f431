"""Every imported library is installed or belongs to an extra; the error for a missing one says how to install it."""

from __future__ import annotations

import argparse
import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gem
import grounding
from gem.extras import EXTRAS as MODULES
from gem.extras import FULL, how_to_install
from gem.tokenizer import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
UMBRELLAS = {"test", "docs", "dev"}
# looked for, never needed: a rival in the kernels' benchmark
SOUGHT = {"liger_kernel"}


def distributions(text: str) -> set[str]:
    """Names of the distributions in a list of requirements."""
    found = (re.match(r"[\w.-]+", line.strip()) for line in text.splitlines() if not line.strip().startswith("#"))
    return {match[0].lower() for match in found if match}


CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
NEEDED = distributions(CONFIG["options"]["install_requires"])
EXTRAS = {name: distributions(text) for name, text in CONFIG["options.extras_require"].items()}


def opened(path: Path) -> set[str]:
    """Libraries that a file imports, at its top or inside a function, by name or by ``import_module``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            given: Any = node.args[0]
            first = given.values[0] if isinstance(given, ast.JoinedStr) else given
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
    tops = {name.split(".")[0] for name in found}
    return {top for top in tops if top and top not in sys.stdlib_module_names | {"gem", "grounding"}}


def test_every_import_is_installed_or_an_extra() -> None:
    installed_by = packages_distributions()
    offered = NEEDED.union(*(names for name, names in EXTRAS.items() if name not in UMBRELLAS))
    for package in ("gem", "grounding"):
        for path in (ROOT / package).rglob("*.py"):
            for top in opened(path) - SOUGHT:
                names = {name.lower() for name in installed_by.get(top, [top])}
                assert names & offered, f"{path.relative_to(ROOT)} opens {top}: name its package in setup.cfg"


def test_extras_that_are_named_exist_and_hold_what_is_said() -> None:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("gem/**/*.py"), *ROOT.glob("grounding/**/*.py")]
    named = {name for path in files for name in re.findall(r"gem-ecg\[(\w+)\]", path.read_text())}
    assert named <= set(EXTRAS), named - set(EXTRAS)
    documented = {
        name for path in ROOT.glob("docs/**/*.md") for name in re.findall(r"gem-ecg\[(\w+)\]", path.read_text())
    }
    assert documented >= set(EXTRAS) - UMBRELLAS, "the page of a feature says which extra it needs"
    installed_as = {"google": "protobuf", "python_multipart": "python-multipart"}
    for module, extra in MODULES.items():
        assert installed_as.get(module, module) in EXTRAS[extra], f"{module} is not in the extra {extra}"
    assert how_to_install("google.protobuf") == 'pip install "gem-ecg[published]"'
    assert how_to_install("no_such_thing.inside") == "pip install no_such_thing"


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if these libraries were not installed."""
    for name in [
        *modules,
        *(loaded for loaded in list(sys.modules) if loaded.startswith(tuple(f"{m}." for m in modules))),
    ]:
        monkeypatch.setitem(sys.modules, name, None)


def test_lora_without_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    from gem.training.lora import add_lora

    without(monkeypatch, "peft")
    with pytest.raises(gem.GemError, match=r'pip install "gem-ecg\[lora\]"'):
        add_lora(None, ["q_proj"], 4, 8, 0.0)  # type: ignore[arg-type]


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gem.data.examples import _rows
    from gem.instruct.output import schema

    without(monkeypatch, "pyarrow")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[train\]"):
        _rows(tmp_path / "x.parquet")
    with pytest.raises(grounding.EcgError, match=r"gem-ecg\[formats\]"):
        schema()


def test_plots_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gem.training.plots import plot

    without(monkeypatch, "matplotlib")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[train\]"):
        plot(tmp_path, tmp_path / "x.png")


def test_training_without_jsonargparse(monkeypatch: pytest.MonkeyPatch) -> None:
    from gem.cli.train import run

    without(monkeypatch, "jsonargparse")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[train\]"):
        run(argparse.Namespace(config="probe", overrides=[]))


def test_the_delineator_without_onnx_says_so_before_it_trains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gem.training.delineator import main

    without(monkeypatch, "onnx")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[train\]"):
        main([str(tmp_path), "--out", str(tmp_path / "out")])


def test_device_map_without_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    model = gem.GemForConditionalGeneration  # transformers itself looks for accelerate while it is imported
    without(monkeypatch, "accelerate")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[accelerate\]"):
        model.from_pretrained("anywhere", device_map="auto")


def test_a_tokenizer_model_without_sentencepiece(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, "sentencepiece")
    (tmp_path / "tokenizer.model").write_bytes(b"pieces")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[published\]"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(("suffix", "package"), [(".edf", "edfio"), (".parquet", "pyarrow")])
def test_a_reader_without_its_library(
    suffix: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without(monkeypatch, package)
    (tmp_path / f"x{suffix}").write_bytes({".edf": b"0       ", ".parquet": b"PAR1"}[suffix] + bytes(400))
    with pytest.raises(grounding.EcgError, match=r"gem-ecg\[formats\]"):
        grounding.read_record(tmp_path / f"x{suffix}")


def test_looking_up_without_bm25s(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "bm25s")
    talk = gem.chat(grounding.sample_path("ptbxl_13"))
    assert "bm25s" in talk.tools.call("look_up", {"query": "sinus rhythm"}).result["error"]
    with pytest.raises(gem.GemError, match=r"gem-ecg\[retrieval\]"):
        talk.tools.library.search("sinus rhythm")


def test_a_pdf_without_typst_at_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    from gem.cli import entry as cli

    without(monkeypatch, "typst")
    record = grounding.ECGRecord.from_array(np.zeros((1, 5000)), 500, ["I"], record_id="flat")
    monkeypatch.setattr(cli, "read", lambda path, args: record)
    monkeypatch.chdir(tmp_path)
    status = cli.main(["explain", "x", "--json", "--pdf", "x.pdf"])
    assert status == 2
    assert "gem-ecg[report]" in capsys.readouterr().err


def test_the_install_without_torch_is_the_full_one_less_what_models_need() -> None:
    full = {line for line in CONFIG["options"]["install_requires"].splitlines() if line and not line.startswith("#")}
    light = {line for line in (ROOT / "requirements-light.txt").read_text().splitlines() if not line.startswith("#")}
    assert light < full
    assert {re.split(r"[><=!;]", line)[0].strip() for line in full - light} == set(FULL)
