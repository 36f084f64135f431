"""Runs: the same bytes after kills, endpoints that fail, the page, and the comparison."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gem.cli.entry import main
from gem.endpoint import ChatEndpoint
from gem.errors import GemInputError
from gem.evaluation import answerers, run_benchmark
from gem.evaluation.comparing import compare_runs
from gem.evaluation.inputs import BUNDLED
from gem.evaluation.scripted import ScriptedEndpoint

N = 60


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Questions without recordings: they are about the run."""
    row = {"template_id": 1, "question_type": "single-verify", "ecg_id": []}
    rows = [
        {**row, "question": f"Does ECG {n} show noise?", "answer": ["yes" if n % 3 == 0 else "no"]} for n in range(N)
    ]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(rows))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_run_that_was_killed_twenty_times_ends_with_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_benchmark("ecg-qa", "random", data, None, tmp_path / "whole")
    answer = answerers._Random.answer

    def slowly(self: Any, item: Any, inputs: Any) -> str:
        time.sleep(0.002)
        return answer(self, item, inputs)

    monkeypatch.setattr(answerers._Random, "answer", slowly)
    draw, killed = random.Random(0), tmp_path / "killed"
    longest_s = 0.03
    for _ in range(20):
        child = os.fork()
        if child == 0:
            run_benchmark("ecg-qa", "random", data, None, killed)
            os._exit(0)
        time.sleep(draw.uniform(0.0, longest_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not (killed / "items.jsonl").is_file():
            longest_s *= 1.5  # a busy machine begins late
    done = len((killed / "items.jsonl").read_bytes().splitlines()) if (killed / "items.jsonl").is_file() else 0
    killed.mkdir(exist_ok=True)
    with (killed / "items.jsonl").open("ab") as file:
        file.write(b'{"answer": "ye')  # a kill within a line
    run_benchmark("ecg-qa", "random", data, None, killed)
    whole = files(tmp_path / "whole")
    assert {name: content for name, content in files(killed).items() if not name.endswith(".tmp")} == whole
    assert done > 0
    assert len(whole["items.jsonl"].splitlines()) == N


def test_a_folder_of_another_run_is_not_continued(data: Path, tmp_path: Path) -> None:
    run_benchmark("ecg-qa", "random", data, None, tmp_path / "run")
    with pytest.raises(GemInputError, match="something else"):
        run_benchmark("ecg-qa", "majority", data, None, tmp_path / "run")


class _Moody(ScriptedEndpoint):
    def __init__(self) -> None:
        super().__init__()
        self.mood = "mixed"
        self.steps = [self._said]

    def _said(self, body: Any) -> Any:
        number = int(body["messages"][0]["content"][-1]["text"].split()[2])
        fault = {0: "error", 1: "stall", 2: "nonsense", 3: "refuse"}.get(number % 6) if self.mood == "mixed" else None
        if fault == "error":
            return 500
        if fault == "stall":
            time.sleep(0.8)
        return {"content": {"nonsense": "\x00{]\u202e", "refuse": "I cannot answer that."}.get(fault or "", "No.")}


@pytest.fixture
def endpoint() -> Iterator[_Moody]:
    with _Moody() as server:
        yield server


def test_an_endpoint_that_fails_stalls_or_answers_nonsense_loses_no_item(
    data: Path, tmp_path: Path, endpoint: _Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = ChatEndpoint.__init__

    def quick(self: ChatEndpoint, url: str, model: str, retries: int) -> None:
        assert retries == 3  # four tries, as the docs say
        init(self, url, model, timeout_s=0.3, retries=1, wait_s=0.01)

    monkeypatch.setattr(ChatEndpoint, "__init__", quick)
    model = f"openai:{endpoint.url}#any"
    figures = run_benchmark("ecg-qa", model, data, None, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "items.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"questions.json:{n}" for n in range(N)]
    expected = ["request_failed", "request_failed", "wrong_format", "model_refused"]
    for n, row in enumerate(rows):
        if n % 6 < 4:
            assert row["reason"] == expected[n % 6], row
        else:
            assert row["scores"]["strict"]["labels"] == ["no"]
    assert figures["not_scored"] == {"request_failed": 20}
    endpoint.mood = "well"
    assert run_benchmark("ecg-qa", model, data, None, tmp_path / "run")["not_scored"] == {"request_failed": 20}
    before = (tmp_path / "run" / "items.jsonl").read_bytes()
    endpoint.requests.clear()
    assert run_benchmark("ecg-qa", model, data, None, tmp_path / "run", retry=True)["not_scored"] == {}
    after = (tmp_path / "run" / "items.jsonl").read_bytes()
    assert len(endpoint.requests) == 20  # those that failed, and no other
    old, new = before.splitlines(), after.splitlines()
    assert [n for n in range(N) if old[n] != new[n]] == [n for n in range(N) if n % 6 < 2]
    # a retry that was killed after three answers, the last of them half written
    again = tmp_path / "again"
    run_benchmark("ecg-qa", model, data, None, again, limit=N)
    (again / "items.jsonl").write_bytes(before)
    (again / "items.retried.jsonl").write_bytes(b"\n".join(new[n] for n in (0, 1, 6)) + b"\n" + new[7][:20])
    endpoint.requests.clear()
    assert run_benchmark("ecg-qa", model, data, None, again, retry=True)["not_scored"] == {}
    assert len(endpoint.requests) == 17
    assert (again / "items.jsonl").read_bytes() == after
    assert not (again / "items.retried.jsonl").exists()


def test_show_compare_list_and_leaderboard(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [tmp_path / "random", tmp_path / "majority"]
    for run in runs:
        assert main(["evaluate", "ecg-qa", "--model", run.name, "--data", str(data), "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["evaluate", "compare", *map(str, runs)]) == 0
    assert "difference" in capsys.readouterr().out
    cell = compare_runs(*runs)["scorings"]["strict"]["exact"]
    assert cell["other"] == pytest.approx(2 / 3)
    assert cell["difference"] == pytest.approx(cell["other"] - cell["one"])
    assert cell["low"] <= cell["difference"] <= cell["high"]
    same = compare_runs(runs[0], runs[0])["scorings"]["strict"]["exact"]
    assert (same["difference"], same["p"]) == (0, 1)
    page = tmp_path / "page.html"
    assert main(["evaluate", "show", str(runs[1]), "--out", str(page)]) == 0
    text = page.read_text()
    assert text.index("questions.json:0:") < text.index("questions.json:1:")  # "no" is wrong for the first
    assert "wrong_value" in text
    assert "<script" not in text
    assert "http" not in text
    assert main(["evaluate", "leaderboard", *map(str, runs)]) == 0
    out = capsys.readouterr().out
    assert "| majority | 60 | 66.7 [" in out
    assert "quoted" not in out.split("## ecg-qa")[1]
    assert main(["evaluate", "leaderboard", *map(str, runs), "--quoted", "--out", str(tmp_path / "page.md")]) == 0
    board = (tmp_path / "page.md").read_text()
    assert "| PULSE-7B, *quoted* |" in board.split("## ecgbench-ptb")[1].split("##")[0]
    assert "bundled items" not in board
    run_benchmark("ecgbench-csn", "random", out=tmp_path / "bundled")
    assert main(["evaluate", "leaderboard", str(tmp_path / "bundled")]) == 0
    assert "random (bundled items, no result)" in capsys.readouterr().out
    run_benchmark("ecg-qa", "random", data, None, tmp_path / "few", limit=7)
    assert main(["evaluate", "leaderboard", str(runs[1]), str(tmp_path / "few")]) == 0
    out = capsys.readouterr().out
    assert "| random (of 7 items) | 7 |" in out
    assert "| majority | 60 |" in out
    assert main(["evaluate", "list"]) == 0
    assert {"ecg-qa", "classification", "reasoning"} <= set(capsys.readouterr().out.split())
    assert main(["evaluate", "show", str(tmp_path)]) == 2
    assert main(["evaluate", "compare", str(runs[0])]) == 2


def test_the_page_shows_the_ecg_and_the_evidence_of_the_worst_items(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_benchmark("meit-ptbxl", "random", out=run, limit=2)
    assert main(["evaluate", "show", str(run), "--records", str(BUNDLED)]) == 0
    text = (run / "run.html").read_text()
    assert text.count("data:image/png;base64") == 2
    assert text.count("measured in ") == 2
    assert "Heart rate" in text.split("measured in ")[1].split("\n")[0]
    assert re.search(r"^contradicted: [^\n(]+ \([^)]*\d", text, re.M)  # another item's report
    rows = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    f1 = {row["id"]: row["scores"]["strict"]["values"]["f1"] for row in rows}
    first = re.search(r"<article>([^:]+):", text)
    assert first is not None
    assert f1[first[1]] == min(f1.values())
    assert main(["evaluate", "show", str(run)]) == 0
    assert "measured in" not in (run / "run.html").read_text()


def test_controls_tell_scores_that_need_no_ecg(
    tmp_path: Path, ptbxl_like: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gem.evaluation.inputs import Inputs

    real, other = Inputs(ptbxl_like), Inputs(ptbxl_like, "other")
    assert other.record("13").record_id != real.record("13").record_id
    assert not Inputs(ptbxl_like, "flat").record("13").signal.any()
    noise = Inputs(ptbxl_like, "noise").record("13").signal
    assert (noise == Inputs(ptbxl_like, "noise").record("13").signal).all()
    with pytest.raises(GemInputError, match="unknown control"):
        Inputs(ptbxl_like, "silence")
    row = {"template_id": 1, "question_type": "single-verify", "question": "Does this ECG show noise?"}
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{**row, "ecg_id": [number], "answer": ["no"]} for number in (13, 424)]))
    words = ["evaluate", "ecg-qa", "--model", "majority", "--data", str(path), "--records", str(ptbxl_like)]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert main([*words, "--out", str(tmp_path / "control"), "--control", "other"]) == 0
    assert main(["evaluate", "compare", str(tmp_path / "run"), str(tmp_path / "control")]) == 0
    out = capsys.readouterr().out
    assert "given other" in out
    assert "hardly falls without the ECG" in out


def test_a_model_is_given_by_its_name() -> None:
    with pytest.raises(GemInputError, match="give the folder as a str"):
        run_benchmark("ecg-qa", object())  # type: ignore[arg-type]
