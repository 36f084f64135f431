"""Explanations: statements with evidence, a verdict, and views that hold all of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gem
import grounding
from gem.errors import GemCheckpointError, GemError, GemInputError
from gem.explaining import explain
from gem.explanation import Explanation
from gem.views.measured import source_line
from grounding.facts import DIAGNOSIS_TAGS

torch = pytest.importorskip("torch")
VOID = {"meta", "link", "br", "img", "input", "hr", "image", "rect", "circle", "path"}
NANO = (Path(gem.__file__).parent / "weights" / "gem-nano" / "model.safetensors").is_file()
CHROMIUM = shutil.which("chromium")


class Speaker:
    """Stands where a model does: says one given text, whatever the recording; its processor hands it the prompt."""

    device = torch.device("cpu")
    name_or_path = "speaker"

    def __init__(self, tagged: str, probabilities: dict[str, float] | None = None) -> None:
        self.tagged, self.chances = tagged, probabilities or {}
        self.config = SimpleNamespace(class_names=list(self.chances))
        self.prompts: list[str] = []
        self.processor = self

    def __call__(self, record: Any, prompt: list[str] | None = None) -> dict[str, Any]:
        if prompt is None:
            return {"ecg": torch.zeros(len(record), 12, 10)}
        self.prompts += prompt
        return {"input_ids": torch.zeros(len(prompt), 3, dtype=torch.long)}

    def classify(self, ecg: Any) -> Any:
        return torch.tensor([list(self.chances.values())] * len(ecg))

    def generate(self, input_ids: Any, **options: Any) -> Any:
        return torch.cat([input_ids, torch.arange(len(self.tagged)).expand(len(input_ids), -1) + 7], dim=1)

    def decode(self, ids: Any) -> str:
        assert len(ids) == len(self.tagged), "the prompt's ids are not part of the answer"
        return self.tagged


TEXT = (
    "The heart rate is <rate>. The PR interval is <pr>. The QRS duration is <qrs>. "
    f"The encoders suggest {DIAGNOSIS_TAGS['CD']}."
)


@pytest.fixture(scope="module")
def record() -> grounding.ECGRecord:
    return grounding.read_record(grounding.sample_path())


@pytest.fixture(scope="module")
def explanation(record: grounding.ECGRecord) -> Explanation:
    return explain(record, model=Speaker(TEXT, {"NORM": 0.2, "CD": 0.75}))


def test_numbers_in_the_text_are_the_measured_ones(explanation: Explanation) -> None:
    measured = explanation.measurement
    told = " ".join(statement.text for statement in explanation.statements if statement.kind == "number")
    numbers = [int(word) for word in re.findall(r"-?\d+", told)]
    assert numbers == [
        round(measured.heart_rate),
        round(measured.intervals["pr"]),
        round(measured.intervals["qrs"]),
    ]
    assert all(claim.verdict == "supported" for claim in explanation.claims if claim.kind == "number")
    assert explanation.verdict["supported"] >= 3


def test_each_statement_carries_its_evidence_and_its_claims(explanation: Explanation) -> None:
    for statement in explanation.statements:
        assert explanation.text[statement.start : statement.end] == statement.text
        assert statement.evidence
        for claim in statement.claims:
            assert statement.start <= claim.start < claim.end <= statement.end
    summary, rate, pr, _, diagnosis = explanation.statements
    assert summary.kind == "summary"
    assert pr.evidence[0].quantity == "pr"
    assert pr.evidence[0].spans_s
    assert rate.verdict == "supported"
    assert diagnosis.kind == "diagnosis"
    assert "from the encoders" in source_line(diagnosis.evidence[0])


def test_a_tag_without_a_fact_is_not_shown_as_true(record: grounding.ECGRecord) -> None:
    said = explain(record, model=Speaker("The PR interval is <pr>. Also <f8>."))
    assert [statement.kind for statement in said.statements] == ["summary", "number", "note"]


def test_a_number_that_the_model_made_up_is_contradicted(record: grounding.ECGRecord) -> None:
    said = explain(record, model=Speaker("The heart rate is 222 bpm."))
    assert said.verdict_of("asserted")["contradicted"] == 1
    assert said.verdict_of("inserted")["contradicted"] == 0
    assert said.statements[1].verdict == "contradicted"
    assert "contradicted" in said._repr_html_()


def test_no_sentence_that_code_inserts_is_contradicted_by_the_checker(shared: Path) -> None:
    folder = shared / "data" / "ptbxl" / "records500"
    paths = sorted(folder.glob("*.hea"))[::6]
    for said in gem.explain(paths):
        wrong = [claim for one in said.statements for claim in one.claims if claim.verdict == "contradicted"]
        assert [claim.text for claim in wrong if claim.origin == "inserted"] == [], said.record.record_id


def test_an_empty_text_is_an_error(record: grounding.ECGRecord) -> None:
    with pytest.raises(GemError, match="no sentence"):
        explain(record, model=Speaker(" "))


def test_a_model_that_is_not_there_is_an_error_not_a_template(record: grounding.ECGRecord) -> None:
    with pytest.raises(GemCheckpointError, match="no such model"):
        explain(record, model="no-such-model")


def test_json_round_trip(explanation: Explanation, record: grounding.ECGRecord, tmp_path: Path) -> None:
    path = explanation.save(tmp_path / "x.json")
    again = Explanation.from_json(path, record)
    assert json.loads(path.read_text()) == json.loads(json.dumps(again.to_dict()))
    assert again.statements == explanation.statements
    assert again.measurement.waves["onset"].dtype == explanation.measurement.waves["onset"].dtype
    assert again._repr_html_() == explanation._repr_html_()
    assert "not drawn" in Explanation.from_json(path)._repr_html_()
    other = grounding.ECGRecord.from_array(np.zeros((1, 1000)), 500, ["I"], record_id="other")
    with pytest.raises(GemInputError, match="is about"):
        Explanation.from_json(path, other)


def test_measurement_round_trip(explanation: Explanation) -> None:
    data = explanation.measurement.to_dict()
    assert grounding.Measurement.from_dict(json.loads(json.dumps(data))).to_dict() == data


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"measurement": 3}'])
def test_what_is_not_a_saved_explanation_says_so(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(GemInputError, match="not a saved explanation"):
        Explanation.from_json(tmp_path / "x.json")


def test_save_knows_its_suffixes(explanation: Explanation, tmp_path: Path) -> None:
    with pytest.raises(GemInputError, match=r"use \.html, \.pdf, \.typ, \.json, \.fhir\.json or \.sr\.json"):
        explanation.save(tmp_path / "x.docx")
    with pytest.raises(GemError, match="check the folder"):
        explanation.save(tmp_path / "nowhere" / "x.html")


class Outline(HTMLParser):
    """Tags that close, ids, links and what is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        for name in ("href", "src"):
            target = values.get(name)
            if target and target.startswith("#"):
                self.links.append(target[1:])
            elif target and not target.startswith("data:"):
                self.outside.append(target)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_whole_and_fetches_nothing(explanation: Explanation, tmp_path: Path) -> None:
    text = explanation.save(tmp_path / "x.html").read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    said = " ".join(" ".join(outline.words).split())
    assert outline.open == []
    assert outline.outside == []
    assert "<script src" not in text
    assert "default-src 'none'" in text  # nothing is fetched
    assert set(outline.links) <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    for statement in explanation.statements:
        assert statement.text in said
    assert "Research software, not a medical device" in said
    assert "from the encoders" in said
    assert 'aria-label="ECG of ' in text
    # the summary, rate, PR and QRS have a place on the paper, and what the criteria say to the encoders' opinion
    assert sum("e" in name[9:] for name in outline.ids) >= 4


def test_markup_in_names_is_text(record: grounding.ECGRecord) -> None:
    odd = grounding.ECGRecord.from_array(record.signal, record.fs, record.leads, record_id="<b>x</b>")
    assert "<b>x</b>" not in explain(odd, model=Speaker("The heart rate is <rate>."))._repr_html_()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_browser_shows_the_page(explanation: Explanation, tmp_path: Path) -> None:
    page, shot = explanation.save(tmp_path / "x.html"), tmp_path / "x.png"
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --hide-scrollbars --window-size=1200,1400"
    )
    words = [
        str(CHROMIUM),
        *flags.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={shot}",
        page.as_uri(),
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    pixels = np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3).astype(int)
    pink = (pixels[:, 0] > 230) & (pixels[:, 0] - pixels[:, 1] > 15) & (pixels[:, 0] - pixels[:, 2] > 15)
    blue = (pixels[:, 2] > 180) & (pixels[:, 0] < 80)
    assert pink.mean() > 0.02, "the paper's grid"
    assert blue.mean() > 0.0005, "the marks"


def test_pdf_holds_the_text(explanation: Explanation, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    pypdf = pytest.importorskip("pypdf")
    reader = pypdf.PdfReader(explanation.save(tmp_path / "x.pdf"))
    said = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    for statement in explanation.statements:
        assert statement.text in said
    assert "Research software" in said
    assert sum(len(page.images) for page in reader.pages) >= 1


def test_pdf_without_typst_says_how_to_get_it(
    explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(GemError, match=r"gem-ecg\[report\]"):
        explanation.save(tmp_path / "x.pdf")


@pytest.mark.skipif(not NANO, reason="gem-nano's weights are not in this checkout")
def test_the_command_explains_the_bundled_sample(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gem", "explain"], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Checked against the recording" in done.stdout
    (page,) = tmp_path.glob("*.html")
    assert str(page.name) in done.stderr
    assert re.search(r"inserted from the measurement \(\d+ supported(, \d+ not checkable)?\)", done.stdout), done.stdout


@pytest.mark.skipif(not NANO, reason="gem-nano's weights are not in this checkout")
def test_a_batch_goes_on_after_a_bad_record(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gem", "explain", "nowhere", str(grounding.sample_path()), "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    (result,) = json.loads(done.stdout)
    assert result["text"]
    assert not list(tmp_path.glob("*.html")), "with --json a page is written only when asked for"


def test_the_function_stays_a_function_whatever_was_imported() -> None:
    import gem
    import gem.evaluation.explanations
    import gem.views.html

    assert gem.evaluation.explanations
    assert gem.views.html
    assert gem.explain is explain


@pytest.mark.parametrize("gain", [0.01, 10.0])
def test_a_wrong_gain_is_said_and_leaves_the_encoders_opinion(gain: float) -> None:
    plain = grounding.read_record(grounding.sample_path("ptbxl_13"))
    right = gem.explain(plain)
    wrong = gem.explain(grounding.ECGRecord.from_array(plain.signal * gain, plain.fs, plain.leads))
    assert "The gain or the unit of this recording can't be right" in wrong.text
    assert "The gain" not in right.text
    assert wrong.probabilities["NORM"] == pytest.approx(right.probabilities["NORM"], abs=0.15)
    assert max(wrong.probabilities, key=wrong.probabilities.get) == max(
        right.probabilities, key=right.probabilities.get
    )
