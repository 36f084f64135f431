"""Any text held against a recording: ``gem.explain(record, text=...)``, ``gem.compare``, and their commands."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.cli import main
from gem.explanation import Explanation
from gem.grounded import ground
from grounding import ECGRecord, Measurement

REPORT = """EKG vom 3.4.: Sinusrhythmus, 83/min, kein AV-Block.
Z.n. Vorderwandinfarkt 2019.
- PR 250 ms; QRS normal... ST depression
in V5 and V6!!! Normal.
Compared with 2015 unchanged. Possible LVH. Thank you for referring this pleasant lady
"""


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return grounding.read_record(grounding.sample_path())


@pytest.fixture(scope="module")
def measurement(record: ECGRecord) -> Measurement:
    return grounding.measure(record)


def verdicts(explanation: Explanation) -> dict[str, str]:
    return {claim.text: claim.verdict for claim in explanation.claims}


def whole(explanation: Explanation, text: str) -> bool:
    """Whether every character stands in exactly one statement, or is white space between two."""
    at, rest = 0, ""
    for statement in explanation.statements:
        assert statement.start >= at
        assert text[statement.start : statement.end] == statement.text
        rest += text[at : statement.start]
        at = statement.end
    placed = sum(len(statement.claims) for statement in explanation.statements)
    inside = all(one.start <= c.start < c.end <= one.end for one in explanation.statements for c in one.claims)
    return not (rest + text[at:]).strip() and explanation.text == text and inside and placed == len(explanation.claims)


def test_a_physicians_report(record: ECGRecord) -> None:
    said = gem.explain(record, text=REPORT)
    assert whole(said, REPORT)
    found = verdicts(said)
    assert found["Sinusrhythmus"] == "supported"
    assert found["AV-Block"] == "contradicted"  # "kein"
    assert found["Vorderwandinfarkt"] == "not_checkable"  # a history
    assert found["PR 250 ms"] == "supported"
    assert found["ST depression\nin V5 and V6"] == "supported"
    assert found["LVH"] == "supported"  # by its voltages
    denied = {claim.text for claim in said.claims if claim.denied}
    assert denied == {"AV-Block"}
    pr = next(one for one in said.statements if "PR 250" in one.text)
    assert pr.kind == "given"
    assert [proof.quantity for proof in pr.evidence] == ["pr"]
    assert pr.evidence[0].spans_s
    assert next(one for one in said.statements if one.text.startswith("Normal")).kind == "unread"
    assert said.verdict_of("inserted") == dict.fromkeys(said.verdict, 0)
    page = said._repr_html_()
    assert "no claim was read in it" in page
    assert "This model gives no probabilities" not in page
    assert "a given text" in page


@pytest.mark.parametrize(
    "text",
    [
        "St.p. Hinterwandinfarkt.",
        "Zust. n. Infarkt",
        "Z. n. Vorderwandinfarkt",
        "S/p inferior MI.",
        "Status nach Infarkt",
    ],
)
def test_a_history_is_no_finding(measurement: Measurement, text: str) -> None:
    assert [claim.verdict for claim in grounding.check(text, measurement)] == ["not_checkable"]


def test_its_pdf(record: ECGRecord, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    pypdf = pytest.importorskip("pypdf")
    path = gem.explain(record, text="LBBB. PR interval 245 ms. #strong[x]").save(tmp_path / "x.pdf")
    words = " ".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    assert "PR interval 245 ms" in words
    assert "#strong[x]" in words
    assert "gives no probabilities" not in words


@pytest.mark.parametrize(
    "text",
    [
        'LBBB, "so called". PR 245 ms. C:\\new\\u{41} #strong[x] #d.title $x$ `y` <z> @w // end',
        "LBBB\x00 PR\x85 160 ms\u2028RBBB\r\n\tnormal ECG \ud800 \U0001f494",
        "No statement is read in this.",
    ],
)
def test_its_typst_source_alone_gives_the_pdf(record: ECGRecord, tmp_path: Path, text: str) -> None:
    typst = pytest.importorskip("typst")
    pypdf = pytest.importorskip("pypdf")
    said = gem.explain(record, text=text)
    said.save(tmp_path / "x.pdf")
    (tmp_path / "alone").mkdir()
    typst.compile(said.save(tmp_path / "alone" / "x.typ"), output=tmp_path / "y.pdf", root=tmp_path / "alone")
    ours, theirs = (pypdf.PdfReader(tmp_path / name) for name in ("x.pdf", "y.pdf"))
    words = [page.extract_text() for page in ours.pages]
    assert [page.extract_text() for page in theirs.pages] == words
    assert [[picture.data for picture in page.images] for page in theirs.pages] == [
        [picture.data for picture in page.images] for page in ours.pages
    ]
    for word in text.splitlines()[0].split("\x00")[0].split():
        assert word in " ".join(words)


def test_its_typst_source_without_a_recording_and_a_package(
    record: ECGRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    said = gem.explain(record, text="LBBB.")
    bare = Explanation.from_json(said.save(tmp_path / "x.json"))
    whole, shorter = (one.save(tmp_path / "x.typ").read_text(encoding="utf-8") for one in (said, bare))
    assert "#let picture = none" in shorter
    assert "#let picture = bytes(" in whole
    assert whole.partition("#let picture")[0].count("LBBB") == shorter.partition("#let picture")[0].count("LBBB") > 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "...!!",
        "12345",
        "The patient came by bus and ate a sandwich afterwards.",
        "Rythme sinusal, pas de bloc.",
        "\ud800 LBBB \x00 \u202e PR 160",
        "\ufeffLBBB.\r\n\r\nPR 160 ms\u2028RBBB",
        "(1) LBBB (2) no AF (3)",
        "a" * 100_000,
    ],
)
def test_odd_texts_are_kept_whole(record: ECGRecord, measurement: Measurement, text: str, tmp_path: Path) -> None:
    said = ground(record, text, measurement)
    assert whole(said, text) or not text.strip()
    assert said._repr_html_()
    again = Explanation.from_json(said.save(tmp_path / "x.json"), record)
    assert (again.text, again.statements, again.given) == (said.text, said.statements, said.given)


def test_a_very_long_text(record: ECGRecord, measurement: Measurement) -> None:
    text = REPORT * 300
    said = ground(record, text, measurement)
    assert whole(said, text)
    assert len(said.claims) == 300 * len(ground(record, REPORT, measurement).claims)


def test_a_claim_over_two_sentences_makes_one_statement() -> None:
    from gem.grounded import given_statements
    from grounding import Claim

    text = "One here. Two there. Three."
    statements = given_statements(text, [Claim(4, 14, "finding", "supported", text="here. Two")])
    assert [one.text for one in statements] == ["One here. Two there.", "Three."]


def test_lists(record: ECGRecord) -> None:
    said = gem.explain([record, grounding.sample_path("ptbxl_286")], text=["No LBBB.", "No LBBB."])
    assert [next(iter(verdicts(one).values())) for one in said] == ["supported", "contradicted"]
    for wrong in ("LBBB", ["LBBB"], ["LBBB", None]):
        with pytest.raises(gem.GemInputError, match="text"):
            gem.explain([record, record], text=wrong)
    with pytest.raises(gem.GemInputError, match="text"):
        gem.explain(record, text=b"LBBB")  # type: ignore[call-overload]


def test_no_model_and_no_torch_are_needed() -> None:
    script = (
        "import sys, gem, grounding; r = grounding.read_record(grounding.sample_path());"
        "e = gem.explain(r, text='LBBB.'); gem.compare(r, ['LBBB', 'RBBB'])._repr_html_(); e._repr_html_();"
        "sys.exit(' '.join({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_topics_are_the_same_in_other_words(measurement: Measurement) -> None:
    def topics(text: str) -> list[str]:
        return [claim.topic for claim in grounding.check(text, measurement)]

    assert topics("LBBB") == topics("left bundle branch block") == topics("Linksschenkelblock")
    assert topics("T-wave inversion in V5") == topics("inverted T waves in V5")
    assert topics("PR 160 ms") == topics("The PR interval is prolonged")


def test_compare(record: ECGRecord, measurement: Measurement, tmp_path: Path) -> None:
    texts = {"A": "First-degree AV block, PR 250 ms. LBBB.", "B": "No AV block. PR interval 245 ms. Call the ward now."}
    both = gem.compare(record, texts, measurement)
    table = both.table.set_index("topic")
    assert table.loc["PR interval", "verdicts"] == "same"
    assert table.loc["PR interval", ["A", "B"]].to_list() == ["PR 250 ms", "PR interval 245 ms"]
    assert "245 ms" in table.loc["PR interval", "measured"]
    assert table.loc["complete left bundle branch block", "verdicts"] == "only A"
    assert table.loc["complete left bundle branch block", "B: verdict"] == ""
    assert len(table) == len(both.rows)
    claims = sum(len(cells.get(name, ())) for _, cells in both.rows for name in texts)
    assert claims == sum(len(one.claims) for one in both.explanations.values())
    assert "not: AV block" in str(both)
    assert "only A" in repr(both)
    for name in ("x.html", "x.csv", "x.json"):
        assert "PR interval 245 ms" in both.save(tmp_path / name).read_text()
    assert json.loads((tmp_path / "x.json").read_text())["texts"] == texts
    with pytest.raises(gem.GemInputError, match="no view"):
        both.save(tmp_path / "x.docx")


def test_compare_with_nothing_in_it(record: ECGRecord, measurement: Measurement) -> None:
    both = gem.compare(record, ["", "<b>"], measurement)
    assert list(both.explanations) == ["text 1", "text 2"]
    assert both.table.empty
    assert "no claim was found" in str(both)
    assert "&lt;b&gt;" in both._repr_html_()


@pytest.mark.parametrize("texts", ["LBBB", ["LBBB"], [], None, ["LBBB", 3], {"topic": "a", "b": "c"}])
def test_what_can_not_be_compared(record: ECGRecord, measurement: Measurement, texts: Any) -> None:
    with pytest.raises(gem.GemInputError):
        gem.compare(record, texts, measurement)


def test_a_text_and_a_model(record: ECGRecord, measurement: Measurement) -> None:
    pytest.importorskip("torch")
    both = gem.compare(record, ["gem-nano", "PR interval 180 ms, sinus rhythm"], measurement)
    assert list(both.explanations) == ["gem-nano", "text 2"]
    assert both.table.set_index("topic").loc["PR interval", "verdicts"] == "differ"
    with pytest.raises(gem.GemError, match="no such model"):
        gem.compare(record, ["./no-such-model", "LBBB"], measurement)
    other = gem.explain(grounding.sample_path("ptbxl_286"), text="LBBB")
    with pytest.raises(gem.GemInputError, match="is about"):
        gem.compare(record, [other, "LBBB"], measurement)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    record = str(grounding.sample_path())
    (tmp_path / "r.txt").write_bytes(b"\xef\xbb\xbf" + REPORT.encode())
    assert main(["ground", record, "--file", "r.txt"]) == 0
    shown = capsys.readouterr().out
    assert "! contradicted: 'AV-Block'" in shown
    assert list(tmp_path.glob("*.html"))
    (tmp_path / "u.txt").write_bytes(REPORT.encode("utf-16"))
    assert main(["ground", record, "--file", "u.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == REPORT
    monkeypatch.setattr(sys, "stdin", io.StringIO("LBBB."))
    assert main(["ground", record, "--file", "-", "--json", "--html", "page.html"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["contradicted"] == 1
    assert "LBBB" in (tmp_path / "page.html").read_text()
    (tmp_path / "l.txt").write_bytes("Hebung für II".encode("latin-1"))
    (tmp_path / "b.txt").write_bytes(b"PK\x00\x00")
    for name in ("l.txt", "b.txt", "none.txt"):
        assert main(["ground", record, "--file", name]) == 2
    assert main(["ground", record, "--text", "", "--json"]) == 0


def test_the_command_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("LBBB. PR 250 ms.")
    (tmp_path / "b.txt").write_text("No LBBB.")
    assert main(["compare", str(grounding.sample_path()), "a.txt", "b.txt", "-o", "x.csv"]) == 0
    shown = capsys.readouterr().out
    assert "b.txt: not: LBBB [supported]" in shown
    assert "only a.txt" in (tmp_path / "x.csv").read_text()
    assert main(["compare", str(grounding.sample_path()), "a.txt"]) == 2
