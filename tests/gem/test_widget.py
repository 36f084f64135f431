"""The widget without a browser: what the view says becomes objects, and what Python changes reaches the view."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest

import gem
import grounding

pytest.importorskip("anywidget")

from gem.views.widget import EcgWidget, PlaceInRecording

TEXT = "PR interval 245 ms. QRS duration 99 ms. Nothing else."


@pytest.fixture(scope="module")
def said() -> gem.Explanation:
    return gem.explain(grounding.sample_path("ptbxl_102"), text=TEXT)


@pytest.fixture
def widget(said: gem.Explanation) -> EcgWidget:
    return said.widget()


@pytest.fixture
def sent(widget: EcgWidget, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent to the view, besides the synchronised values."""
    messages: list[Any] = []
    monkeypatch.setattr(widget, "send", messages.append)
    return messages


def hear(widget: EcgWidget, **message: Any) -> None:
    """A message of the view, through JSON as it comes from the browser."""
    widget._handle_custom_msg(json.loads(json.dumps(message)), [])


def test_the_scene_is_sent_in_two_parts(widget: EcgWidget, said: gem.Explanation) -> None:
    whole = gem.views.scene.scene(said)
    both = widget._recording | widget._said
    assert both["record"] == whole["record"]
    assert both["statements"] == whole["statements"]
    assert both["median"] | {"boundaries": both["boundaries"]} == whole["median"]
    assert len(json.dumps(widget._said, allow_nan=False)) < 150_000


def test_an_edit_in_the_view_is_an_explanation_in_python(
    widget: EcgWidget, sent: list[Any], said: gem.Explanation
) -> None:
    at = said.measurement.boundaries["p_onset"] or 0.0
    changes: list[Any] = []
    widget.observe(changes.append, "explanation")
    hear(widget, kind="edit", id="a-1", moved={"p_onset": at + 60})
    assert sent == [{"kind": "edited", "id": "a-1"}]
    (change,) = changes
    now = widget.explanation
    assert change["new"] is now
    assert now.statements[0].verdict == "contradicted"
    assert now.measurement.edits[0].to_ms == at + 60
    assert widget._said["counts"]["contradicted"] == 1
    assert widget._said["edits"][0]["boundary"] == "p_onset"
    # the view tells where every boundary now is, so another one instead of the first undoes that
    hear(widget, kind="edit", id="a-2", moved={"t_offset": 400.0})
    assert [edit.boundary for edit in widget.explanation.measurement.edits] == ["t_offset"]
    hear(widget, kind="edit", id="a-3", moved={})
    assert widget.explanation.measurement is said.measurement


def test_an_impossible_edit_is_answered_and_changes_nothing(
    widget: EcgWidget, sent: list[Any], said: gem.Explanation
) -> None:
    for moved in ({"p_onset": 100}, {"qrs": 1}, {"t_offset": "far"}, "nonsense"):
        hear(widget, kind="edit", id="b", moved=moved)
        assert sent.pop()["error"]
    assert widget.explanation is said
    hear(widget, kind="something else")
    widget._handle_custom_msg("no message", [])
    assert sent == []


def test_a_selection_is_a_statement_or_a_place(widget: EcgWidget, sent: list[Any], said: gem.Explanation) -> None:
    hear(widget, kind="selected", chosen={"statement": 2})
    assert widget.selected is said.statements[1]
    hear(widget, kind="selected", chosen={"lead": "V2", "time_s": 1.25, "wave": "T", "beat": 1})
    assert widget.selected == PlaceInRecording("V2", 1.25, "T", 1)
    hear(widget, kind="selected", chosen={"statement": None})
    assert widget.selected is None
    assert sent == []
    widget.selected = said.statements[0]
    assert sent == [{"kind": "select", "statement": 1}]
    widget.edit({"p_onset": (said.measurement.boundaries["p_onset"] or 0.0) + 60})
    assert widget.selected.text == said.statements[0].text
    assert widget.selected.verdict == "contradicted"
    widget.undo()
    assert widget.selected == said.statements[0]
    with pytest.raises(gem.GemError, match="no statement of the explanation"):
        widget.selected = "PR"


def test_another_text_about_the_same_recording_is_shown(widget: EcgWidget, said: gem.Explanation) -> None:
    widget.explanation = gem.explain(said.record, text="Sinus rhythm.")
    assert [part["text"] for part in widget._said["statements"]] == ["Sinus rhythm."]
    other = gem.explain(grounding.sample_path("ptbxl_13"), text="Sinus rhythm.")
    with pytest.raises(gem.GemError, match="another recording"):
        widget.explanation = other
    with pytest.raises(gem.GemError, match="another recording"):
        widget.explanation = None


def test_a_recording_alone(said: gem.Explanation) -> None:
    assert said.record is not None
    widget = EcgWidget(said.record)
    assert widget._recording["record"]["samples"]
    assert widget._said["statements"] == []
    with pytest.raises(gem.GemError, match="a recording alone"):
        widget.undo()
    hear(widget, kind="selected", chosen={"lead": "II", "time_s": 2})
    assert widget.selected == PlaceInRecording("II", 2.0)


def test_without_beats_there_is_no_median_beat() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 5000))
    record = grounding.ECGRecord.from_array(noise, 500, ["I", "II"])
    widget = gem.explain(record, text="Sinus rhythm.").widget()
    assert widget._recording["median"] is None


def test_what_has_no_recording_is_refused(said: gem.Explanation, tmp_path: Any) -> None:
    read = gem.Explanation.from_json(said.save(tmp_path / "x.json"))
    with pytest.raises(gem.GemError, match="without a recording"):
        read.widget()


def test_without_anywidget_it_says_what_to_install(said: gem.Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "gem.views.widget")
    with pytest.raises(gem.GemError, match=r"gem-ecg\[notebook\]"):
        said.widget()
