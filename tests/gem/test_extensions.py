"""A user's file: the encoder of docs/add_an_encoder.md, trained and explained with; metrics, benchmarks, readers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gem
import grounding
from gem.cli import main
from gem.data.corpus import CLASS_LABELS
from gem.encoders import ENCODERS
from gem.evaluation import benchmarks
from gem.extensions import load_extension, loaded
from gem.metrics import metrics
from grounding.readers import readers

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "add_an_encoder.md").read_text()


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    registries = (ENCODERS, benchmarks, metrics, readers)
    before = [dict(one._entries) for one in registries]
    modules = set(sys.modules)
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry._entries = entries  # type: ignore[attr-defined]
    loaded.clear()
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and "pytest" in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_an_encoder_goes_the_whole_way(
    ptbxl_like: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, check = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 60
    (commands,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    train, evaluate, explain = (line.split() for line in commands.replace("\\\n", "").strip().splitlines())
    monkeypatch.chdir(tmp_path)
    Path("ecg_gru.py").write_text(code)
    (tmp_path / "raw").mkdir()  # the recordings in millivolts alone
    (tmp_path / "raw" / "ptbxl").symlink_to(ptbxl_like / "ptbxl")

    def run(words: list[str], *more: str) -> int:
        joined = " ".join(words).replace("PTBXL", "raw")
        parts = [word.strip('"') for word in re.findall(r'[^\s"]*"[^"]*"|\S+', joined)]
        return main([part.replace('"', "") for part in parts[1:]] + list(more))

    assert (
        run(
            train,
            "--data.val_folds=[8]",
            "--trainer.max_epochs=1",
            "--trainer.accelerator=cpu",
            "--trainer.precision=32-true",
        )
        == 0
    )
    exec(check.replace("import ecg_gru\n", ""), {})  # `--import` has read the file
    trained = gem.load("with-gru")
    torch.manual_seed(0)
    assert type(trained.ecg_encoder).__name__ == "ecg_gru"
    fresh = ENCODERS["ecg_gru"]()
    assert any(
        part.norm() > 0 and not torch.equal(part, trained.ecg_encoder.state_dict()[name])
        for name, part in fresh.state_dict().items()
    )
    assert run(evaluate, "--folds", "8", "--limit", "2", "--json", "figures.json") == 0
    assert json.loads(Path("figures.json").read_text())["macro_auc"]["signal"] is not None
    capsys.readouterr()
    assert run(explain, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "with-gru"
    assert len(told["probabilities"]) == len(CLASS_LABELS)


def test_gradients_reach_an_encoder_through_classify_in_training() -> None:
    torch.manual_seed(0)
    config = gem.GemConfig(
        ecg_encoder={"name": "ecg_patch", "kwargs": ENCODERS["ecg_patch"].tiny},
        text_config={"model_type": "llama", "vocab_size": 10, "hidden_size": 32, "intermediate_size": 32,
                     "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2},
        class_names=["NORM"],
    )  # fmt: skip
    model = gem.GemForConditionalGeneration(config)
    inputs = gem.GemProcessor.from_config(config)(grounding.read_record(grounding.sample_path()))
    model.train()
    model.classify(**inputs).sum().backward()
    assert any(part.grad is not None and part.grad.abs().sum() > 0 for part in model.ecg_encoder.parameters())
    model.eval()
    assert not model.classify(**inputs).requires_grad


def test_a_metric_and_a_benchmark_are_found_by_name(
    ptbxl_like: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my_figures.py"
    path.write_text(
        "from gem.evaluation import register_benchmark\n"
        "from gem.metrics import MultilabelMetric, register_metric\n"
        "@register_metric('exact')\n"
        "class Exact(MultilabelMetric):\n"
        "    def figure(self, score, truth, said):\n"
        "        return (said == truth).all(1).double().mean()\n"
        "@register_benchmark('how_many')\n"
        "def how_many(model, samples):\n"
        '    """How many records there are."""\n'
        "    return {'records': len(samples)}\n"
    )
    words = ["--records", str(ptbxl_like), "--folds", "8", "--json", str(tmp_path / "x.json")]
    assert main(["evaluate", "how_many", "--import", str(path), *words]) == 0
    assert json.loads((tmp_path / "x.json").read_text())["records"] == 4
    assert "records" in capsys.readouterr().out
    assert main(["evaluate", f"--import={path}", "classification", *words, "--limit", "2"]) == 0
    assert 0 <= json.loads((tmp_path / "x.json").read_text())["exact"]["both"] <= 1


def test_findings_of_a_users_own_at_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from grounding.criteria import knowledge

    path = tmp_path / "mine.yaml"
    path.write_text("- {name: long_pr_here, label: long PR here, group: conduction, when: pr > 200, source: this test}")
    record = str(grounding.sample_path("ptbxl_102"))
    try:
        assert main(["check", record, "--import", str(path), "--text", "Long PR here.", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["verdict"] == "supported"
    finally:
        knowledge._added.clear()


@pytest.mark.parametrize(
    ("text", "said"), [(None, "no such file"), ("import no_such_thing", "ModuleNotFoundError"), ("1/0", "ZeroDivision")]
)
def test_what_can_not_be_imported_is_said(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken_extension.py"
    if text is not None:
        path.write_text(text)
    assert main(["info", "--import", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_runs_once_and_takes_nobodys_name(tmp_path: Path) -> None:
    path = tmp_path / "counted_once.py"
    path.write_text("import sys\nsys.counted_once = getattr(sys, 'counted_once', 0) + 1\n")
    assert load_extension(str(path)) is load_extension(str(path))
    assert sys.counted_once == 1  # type: ignore[attr-defined]
    (tmp_path / "json.py").write_text("")
    with pytest.raises(gem.GemError, match="is there already"):
        load_extension(str(tmp_path / "json.py"))


def test_an_installed_package_offers_its_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point, as pip writes it."""
    from gem.encoders.registry import Encoder
    from grounding.registry import Registry

    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gem.encoders]\nplugged = plugged_encoder\nbroken = not_there_at_all\n")
    (tmp_path / "plugged_encoder.py").write_text(
        "import gem\nfrom gem.encoders.ecg_patch import EcgPatch\n"
        "@gem.register_encoder\nclass ecg_plugged(EcgPatch):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ENCODERS, "_group", "gem.encoders")
    with pytest.warns(UserWarning, match="not_there_at_all"):
        assert issubclass(ENCODERS["ecg_plugged"], Encoder)
    assert "ecg_plugged" in gem.list_encoders()
    assert isinstance(ENCODERS, Registry)


def test_a_file_on_the_path_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m gem`` has the working folder on its path."""
    (tmp_path / "found_twice.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_extension(str(tmp_path / "found_twice.py")) is not None


def test_import_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["info", "--import"], ["info", "--import="], ["info", "--import", "--json"]):
        assert main(words) == 2
        assert "--import without a file" in capsys.readouterr().err


def test_a_file_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_extension.py").write_text("VALUE = 1\n")
    monkeypatch.chdir(tmp_path)
    load_extension("some_extension.py")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert list(loaded) == [str(tmp_path / "some_extension.py")]
    load_extension(next(iter(loaded)))
