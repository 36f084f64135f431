"""BERTScore in the report sets: by torchmetrics, from a model in a local folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from gem.cli import main
from gem.errors import GemInputError
from gem.evaluation.run_page import write_page
from gem.evaluation.running import run_benchmark
from gem.metrics.bert import BertScorer

WORDS = """sinus rhythm normal ecg left right bundle branch block atrial fibrillation with no . , axis
deviation"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers with random weights."""
    place = tmp_path_factory.mktemp("bert") / "tiny"
    place.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    (place / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)).save_pretrained(place)
    BertTokenizer(str(place / "vocab.txt"), model_max_length=64).save_pretrained(place)
    return place


def by_hand(folder: Path, said: str, true: str, layer: int) -> dict[str, float]:
    """Each token's best cosine among the other text's tokens, after Zhang et al., BERTScore, ICLR 2020."""
    model, tokenizer = BertModel.from_pretrained(folder).eval(), BertTokenizer.from_pretrained(folder)
    with torch.no_grad():
        sides = [
            model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0, 1:-1]
            for text in (said, true)
        ]
    sides = [side / side.norm(dim=1, keepdim=True) for side in sides]
    close = sides[0] @ sides[1].T
    precision, recall = float(close.amax(1).mean()), float(close.amax(0).mean())
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}


@pytest.mark.parametrize("layer", [1, 2])
def test_values_are_those_of_the_definition(folder: Path, layer: int) -> None:
    said, true = "sinus rhythm . left bundle branch block", "atrial fibrillation with right axis deviation , no block"
    scorer = BertScorer(f"{folder}:{layer}")
    assert scorer(said, true) == pytest.approx(by_hand(folder, said, true, layer), abs=1e-5)
    assert scorer(true, true) == pytest.approx({"precision": 1.0, "recall": 1.0, "f1": 1.0}, abs=1e-5)
    assert scorer(said, true)["f1"] < 0.999
    assert scorer("", true) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert scorer("sinus rhythm " * 300, true)["f1"] > 0  # longer than the model takes
    if layer == 2:
        assert BertScorer(folder)(said, true) == scorer(said, true)


def test_a_report_set_has_it_where_a_model_is_named(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    figures = run_benchmark("meit-ptbxl", "rules", limit=3, out=run, bertscore=folder)
    rows = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    values = [row["scores"]["published"]["values"] for row in rows]
    (group,) = figures["scorings"]["published"].values()
    assert group["bertscore_f1"]["value"] == pytest.approx(sum(one["bertscore_f1"] for one in values) / 3)
    assert 0 < group["bertscore_f1"]["low"] <= group["bertscore_f1"]["high"] <= 1 + 1e-6
    assert figures["bertscore"]["model"] == "tiny"
    assert figures["bertscore"]["layer"] == 2
    assert run_benchmark("meit-ptbxl", "rules", limit=3, out=run, bertscore=folder) == figures
    with pytest.raises(GemInputError, match="BERTScore"):  # the run goes on as it began
        run_benchmark("meit-ptbxl", "rules", limit=3, out=run)
    write_page(run, tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert "bertscore_f1" in page
    assert "BERTScore left out" not in page


def test_without_a_model_it_is_left_out_and_the_page_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["evaluate", "ecg-chat", "--model", "majority", "--limit", "2", "--out", str(run)]) == 0
    assert "BERTScore left out: no model was named (--bertscore FOLDER)" in capsys.readouterr().out
    write_page(run, tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert "BERTScore left out: no model was named" in page
    assert "bertscore_f1" not in page


def test_what_is_no_model_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match="no model for BERTScore"):
        run_benchmark("meit-ptbxl", "rules", limit=1, bertscore=tmp_path / "nowhere")
    with pytest.raises(GemInputError, match=r"no layer 3.*from 1 to 2"):
        BertScorer(f"{folder}:3")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(GemInputError, match="can't be read"):
        BertScorer(tmp_path)
    with pytest.raises(GemInputError, match="BERTScore and batches are for ecg-chat, meit-mimic, meit-ptbxl"):
        run_benchmark("ecg-qa", "rules", limit=1, bertscore=folder)
