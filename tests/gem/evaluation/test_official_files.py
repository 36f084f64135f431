"""The published layouts of report sets, delineation, devices and photographs, and what their scores tell apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from PIL import Image
from torchmetrics.functional.text import bleu_score

import grounding
from gem.errors import GemInputError
from gem.evaluation import Item, devices, digitisation, item_benchmarks
from gem.evaluation.delineation import edges_of, load_ludb, load_qtdb, published_score, strict_score
from gem.evaluation.inputs import Inputs
from gem.evaluation.items import means as item_means
from gem.evaluation.reports import mean_of_batches, published_scorer, words
from gem.evaluation.run_page import write_page
from gem.evaluation.running import run_benchmark


def test_the_layout_of_meit_has_an_empty_question(tmp_path: Path) -> None:
    said = [{"role": "user", "content": ""}, {"role": "assistant", "content": "sinus rhythm. normal ecg."}]
    row = {"dataset": "ptbxl", "id": 7, "ecg_path": "records500/00007_hr", "messages": said}
    (tmp_path / "ptbxl_test.jsonl").write_text(json.dumps(row) + "\n")
    item = item_benchmarks["meit-ptbxl"].load(tmp_path)[0]
    assert (item.truth, item.records) == (("sinus rhythm. normal ecg.",), ("records500/00007_hr",))
    assert item.prompt
    with pytest.raises(GemInputError, match="MEIT"):
        item_benchmarks["meit-mimic"].load(tmp_path)


def test_meit_averages_over_batches(tmp_path: Path) -> None:
    run = tmp_path / "run"
    figures = run_benchmark("meit-ptbxl", "rules", out=run, batch=4)
    rows = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    (group,) = figures["scorings"]["published"].values()
    batches = [rows[0:4], rows[4:8], rows[8:]]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    for order in (1, 2, 3, 4):
        values = [
            float(
                bleu_score(
                    [words(row["answer"]) for row in batch], [[words(row["truth"][0])] for row in batch], n_gram=order
                )
            )
            for batch in batches
        ]
        assert group[f"bleu_{order}"]["value"] == pytest.approx(sum(values) / 3, abs=1e-6)
    means = [sum(row["scores"]["published"]["values"]["rouge_l"] for row in batch) / len(batch) for batch in batches]
    assert group["rouge_l"]["value"] == pytest.approx(sum(means) / 3)
    write_page(run, tmp_path / "run.html")
    assert f"bleu_1 {100 * group['bleu_1']['value']:.1f}" in (tmp_path / "run.html").read_text()
    scores = [{**row["scores"]["published"], "truth": row["truth"], "answer": row["answer"]} for row in rows]
    assert mean_of_batches(1, scores) == pytest.approx(item_means(scores))  # an item alone is a batch
    assert figures["scorings"]["strict"] == run_benchmark("meit-ptbxl", "rules")["scorings"]["strict"]
    with pytest.raises(GemInputError, match="1 or more"):
        run_benchmark("meit-ptbxl", "rules", batch=0)
    with pytest.raises(GemInputError, match="batches are for"):
        run_benchmark("ecg-qa", "rules", batch=4)


def test_the_layout_of_ecg_chat_has_a_placeholder(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "<ecg>\nReport?"}, {"from": "gpt", "value": "AF."}]
    (tmp_path / "ecg_chat_test.json").write_text(json.dumps([{"id": "a", "ecg": "files/p1/1", "conversations": said}]))
    item = item_benchmarks["ecg-chat"].load(tmp_path)[0]
    assert (item.prompt, item.truth, item.records) == ("Report?", ("AF.",), ("files/p1/1",))


def test_published_metrics_of_reports_fall_with_what_is_left_out() -> None:
    texts = ("Sinus rhythm. Left axis deviation. LVH.", "Atrial fibrillation.", "Normal ECG.")
    items = [Item(str(n), "report", "", "", (text,)) for n, text in enumerate(texts)]
    score = published_scorer(items)
    whole, part = score(items[0], texts[0]).values, score(items[0], "Sinus rhythm. LVH.").values
    assert all(whole[name] > part[name] for name in whole)
    assert whole["rouge_l"] == whole["bleu_4"] == pytest.approx(1)
    assert whole["cider_d_points"] == pytest.approx(10)


def test_brackets_belong_to_the_wave_beside_them() -> None:
    edges = edges_of([10, 20, 30, 40, 50, 60, 80, 90], ["(", "p", ")", "(", "N", ")", "t", ")"], 500.0)
    assert (edges["p_onset"], edges["p_offset"]) == ([20.0], [60.0])
    assert (edges["qrs_onset"], edges["qrs_offset"]) == ([80.0], [120.0])
    assert (edges["t_onset"], edges["t_offset"]) == ([], [180.0])  # the QT Database marks no onset of T


@pytest.mark.parametrize(("shift_ms", "f1", "sensitivity"), [(0, 1, 1), (30, 1, 1), (60, 0, 1), (200, 0, 0)])
def test_boundaries_that_are_moved(shift_ms: float, f1: float, sensitivity: float) -> None:
    true = {"qrs_onset": [1000.0, 2000.0], "qrs_offset": [1500.0, 2500.0]}
    item = Item("1", "QTDB", "", "", (json.dumps(true),))
    answer = json.dumps({edge: [at + shift_ms for at in row] for edge, row in true.items()})
    assert strict_score(item, answer).values["f1"] == f1
    values = published_score(item, f"Here: {answer}").values
    assert values["sensitivity"] == sensitivity
    if sensitivity:
        assert values["qrs_onset_mean_ms"] == pytest.approx(shift_ms)
        assert values["qrs_onset_sd_ms"] == 0


def test_invented_boundaries_cost_precision_inside_the_marked_stretch_only() -> None:
    item = Item("1", "LUDB", "", "", ('{"qrs_onset": [1000, 2000]}',))
    assert strict_score(item, '{"qrs_onset": [1000, 1500, 2000]}').values["precision"] == pytest.approx(2 / 3)
    assert strict_score(item, '{"qrs_onset": [1000, 2000, 9000]}').values["precision"] == 1
    partly = Item("1", "QTDB", "", "", item.truth)  # not every beat is marked there
    assert strict_score(partly, '{"qrs_onset": [1000, 1500, 2000]}').values["precision"] == 1
    assert strict_score(partly, '{"qrs_onset": [1000, 1010, 2000]}').values["precision"] == pytest.approx(2 / 3)
    assert strict_score(item, "The QRS begins at 1 s.").reason == "wrong_format"
    assert strict_score(item, "I can't analyse this ECG.").reason == "model_refused"
    assert strict_score(item, '{"qrs_onset": "x", "t_onset": [null, true]}').reason == "wrong_format"


def test_the_qt_database_with_its_marks_in_a_table(tmp_path: Path) -> None:
    wfdb.wrsamp("sel1", 250, ["mV"] * 2, ["II", "V5"], np.zeros((500, 2)), fmt=["16"] * 2, write_dir=str(tmp_path))
    with pytest.raises(GemInputError, match=r"physionet\.org/content/qtdb"):
        load_qtdb(tmp_path)
    (tmp_path / "q1c.csv").write_text("record,sample,symbol\nsel1,100,(\nsel1,110,N\nsel1,125,)\n")
    item = load_qtdb(tmp_path)[0]
    assert json.loads(item.truth[0]) == {"qrs_onset": [400.0], "qrs_offset": [500.0]}
    (tmp_path / "q1c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(GemInputError, match="record, sample and symbol"):
        load_qtdb(tmp_path)
    with pytest.raises(GemInputError, match=r"physionet\.org/content/ludb"):
        load_ludb(tmp_path)


def test_the_table_of_a_device(tmp_path: Path) -> None:
    table = tmp_path / "12sl_features.csv"
    table.write_text("ecg_id,PR_Int_Global,QRS_Dur_Global,QT_Int_Global\n15,160,98,\n16,,,\n")
    items = devices.load(tmp_path)
    assert [(item.records, json.loads(item.truth[0])) for item in items] == [(("15",), {"pr": 160.0, "qrs": 98.0})]
    assert devices.strict_score(items[0], '{"pr": 175, "qrs": 130}').values == {"within_20": 0.5, "given": 1.0}
    assert devices.strict_score(items[0], '{"pr": 160, "qrs": null}').values == {"within_20": 0.5, "given": 0.5}
    assert devices.published_score(items[0], '{"pr": 150}').values["pr_difference_ms"] == -10
    table.write_text("number,PR\n1,2\n")
    with pytest.raises(GemInputError, match="no column ecg_id"):
        devices.load(tmp_path)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "truth").mkdir()
    seconds = np.arange(1000) / 100
    leads = [np.sin(2 * np.pi * seconds * (1 + n / 12)) for n in range(12)]
    names = list(grounding.STANDARD_LEADS)
    signal = np.array(leads).T
    wfdb.wrsamp("a", 100, ["mV"] * 12, names, signal, fmt=["16"] * 12, write_dir=str(tmp_path / "truth"))
    for name in ("a", "b"):  # b has no signal
        Image.new("RGB", (30, 20)).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def test_a_signal_that_is_moved_scaled_or_partly_read(photographs: Path) -> None:
    item = item_benchmarks["digitisation"].load(photographs)[0]
    true = json.loads(item.truth[0])

    def explained(leads: dict[str, list[float]]) -> float:
        return digitisation.signal_score(True, item, json.dumps(leads)).values["explained"]

    assert explained(true) == 1
    assert explained({lead: [x + 500 for x in row] for lead, row in true.items()}) == 1  # offsets do not count
    late = {lead: [0.0] * 20 + row[:-20] for lead, row in true.items()}
    assert explained(late) > 0.9  # nor does where the page begins, but for the end that is lost
    assert 0.7 < explained({lead: [x / 2 for x in row] for lead, row in true.items()}) < 0.8
    half = dict(list(true.items())[:6])
    assert explained(half) == pytest.approx(0.5, abs=0.02)
    assert digitisation.signal_score(False, item, json.dumps(true)).values["snr_db"] == 60
    assert digitisation.signal_score(False, item, json.dumps(half)).values["snr_db"] == pytest.approx(3, abs=0.2)


def test_a_photograph_with_the_number_of_a_record_is_the_photograph(photographs: Path) -> None:
    (photographs / "photos" / "a.png").rename(photographs / "photos" / "00424_hr.png")
    assert Inputs(photographs).problem(("photos/00424_hr.png",)) is None
    assert Inputs(photographs).picture("photos/00424_hr.png").size == (30, 20)


def test_a_picture_that_is_refused_counts_as_not_read(photographs: Path) -> None:
    item = item_benchmarks["digitisation"].load(photographs)[0]
    answer = digitisation.signal_by_rules(item, Inputs(photographs))
    assert answer.startswith("I can't analyse this picture")
    score = digitisation.signal_score(True, item, answer)
    assert (score.values["explained"], score.reason) == (0, "model_refused")


def test_marks_of_real_recordings(shared: Path, tmp_path: Path) -> None:
    """LUDB and the QT Database as they lie beside the checkout."""
    assert len(load_qtdb(shared / "data" / "qtdb")) > 50
    for file in (shared / "data" / "ludb").glob("1.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    ludb, benchmark = load_ludb(tmp_path), item_benchmarks["ludb"]
    assert [item.question for item in ludb] == list(grounding.STANDARD_LEADS)
    assert benchmark.rules is not None
    assert strict_score(ludb[1], benchmark.rules(ludb[1], Inputs(tmp_path))).values["recall"] > 0.7
