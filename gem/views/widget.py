"""The view as a widget for Jupyter, JupyterLab, VS Code and Colab, by anywidget.

What is chosen and edited in the notebook comes back as objects: ``widget.selected`` and ``widget.explanation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import anywidget
import traitlets

from grounding import EcgError, ECGRecord

from ..errors import GemInputError
from .scene import scene
from .scripts import STATIC, bundle
from .subject import Shown, ShownStatement

# of the scene: what an edit or another text does not change, and is sent to the browser once
RECORDING = ("version", "made_by", "record", "picture")


class Editable(Shown, Protocol):
    """An explanation whose boundaries can be moved, see ``gem.Explanation``."""

    def edited(self, boundaries: Mapping[str, float | None]) -> Self:
        """The same text, held against the measurement with boundaries moved by hand."""


@dataclass(frozen=True)
class PlaceInRecording:
    """A place that was chosen in the recording.

    Attributes:
        lead: the lead.
        time_s: seconds from the beginning of the recording.
        wave: ``P``, ``QRS`` or ``T`` where a wave was chosen, else ``None``.
        beat: index into ``Measurement.beats``, or ``None``.
    """

    lead: str
    time_s: float
    wave: str | None = None
    beat: int | None = None


class _NeverNone(traitlets.Any):
    """Anything that is given passes the check of its name; traitlets lets None pass without one."""

    allow_none = False


class EcgWidget(anywidget.AnyWidget):
    """The view of an explanation, or of a recording alone, in a notebook.

    Args:
        subject: a ``gem.Explanation`` with its recording, or a ``grounding.ECGRecord``.

    Attributes:
        explanation: the explanation as it now is: after a boundary was moved in the notebook it is the one that
            ``edited`` gives. It can be observed (``widget.observe(f, "explanation")``) and set, to another text about
            the same recording; ``None`` where a recording alone is shown.
        selected: the ``Statement`` or ``PlaceInRecording`` that was chosen last, or ``None``; it can be observed, and
            set to a statement of the explanation.

    Raises:
        GemInputError: the subject is neither, or an explanation without its recording.
    """

    _esm = bundle() + (STATIC / "widget.js").read_text(encoding="utf-8")
    _recording = traitlets.Dict().tag(sync=True)
    _said = traitlets.Dict().tag(sync=True)
    explanation = _NeverNone(None)
    selected = traitlets.Any(None, allow_none=True)

    def __init__(self, subject: Editable | ECGRecord) -> None:
        super().__init__()
        self._index: int | None = None
        record = subject if isinstance(subject, ECGRecord) else getattr(subject, "record", None)
        if record is None:
            raise GemInputError(
                f"the widget would show {type(subject).__name__} without a recording",
                where="widget",
                remedy="pass a record, or an explanation with its record: Explanation.from_json(path, record)",
            )
        self._name = record.record_id
        self._recording, self._said = _parts(scene(subject))
        if not isinstance(subject, ECGRecord):
            self.explanation = subject
        self.on_msg(self._heard)

    def edit(self, boundaries: Mapping[str, float | None]) -> None:
        """Move boundaries by hand, as in the view.

        Args:
            boundaries: as for ``gem.Explanation.edited``.

        Raises:
            EcgError: they can't be moved so.
            GemInputError: a recording alone is shown.
        """
        self.explanation = self._editable().edited(boundaries)

    def undo(self) -> None:
        """Move every boundary back to where it was measured."""
        self.explanation = _unedited(self._editable())

    def _editable(self) -> Any:
        if self.explanation is None:
            raise GemInputError(
                "a recording alone has no boundaries to move",
                where=self._name,
                remedy='show gem.explain(record, text="").widget()',
            )
        return self.explanation

    @traitlets.validate("explanation")
    def _check_explanation(self, proposal: Any) -> Any:
        said = proposal["value"]
        if getattr(said, "record_id", None) != self._name or getattr(said, "record", None) is None:
            raise GemInputError(
                "the widget shows another recording",
                where=self._name,
                remedy="make another widget: explanation.widget()",
            )
        return said

    @traitlets.observe("explanation")
    def _explanation_changed(self, change: Any) -> None:
        self._said = _parts(scene(self.explanation))[1]
        statements = self.explanation.statements
        self._index = self._index if self._index is not None and self._index < len(statements) else None
        if not isinstance(self.selected, PlaceInRecording):
            self.selected = None if self._index is None else statements[self._index]

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> Any:
        chosen = proposal["value"]
        if chosen is not None and not isinstance(chosen, PlaceInRecording) and chosen not in self._statements():
            raise GemInputError(
                "what is selected is no statement of the explanation",
                where=self._name,
                remedy="set widget.selected = widget.explanation.statements[0], or None",
            )
        return chosen

    @traitlets.observe("selected")
    def _selected_changed(self, change: Any) -> None:
        chosen = self.selected
        if isinstance(chosen, PlaceInRecording):
            self._index = None
        elif (index := None if chosen is None else self._statements().index(chosen)) != self._index:
            self._index = index
            self.send({"kind": "select", "statement": None if index is None else index + 1})

    def _statements(self) -> list[ShownStatement]:
        return [] if self.explanation is None else list(self.explanation.statements)

    def _heard(self, widget: Any, content: Any, buffers: Any) -> None:
        """What the view says: a selection, or boundaries that were moved, which it waits for."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "selected":
            self._select(content.get("chosen") or {})
        elif kind == "edit":
            answer = {"kind": "edited", "id": content.get("id")}
            try:
                base = _unedited(self._editable())
                self.explanation = base.edited(content.get("moved"))
            except EcgError as error:
                answer["error"] = str(error)
            self.send(answer)

    def _select(self, chosen: Mapping[str, Any]) -> None:
        statements = self._statements()
        number = chosen.get("statement")
        if isinstance(number, int) and 1 <= number <= len(statements):
            self._index = number - 1
            self.selected = statements[self._index]
        elif chosen.get("lead") is not None:
            self.selected = PlaceInRecording(
                str(chosen["lead"]), float(chosen["time_s"]), chosen.get("wave"), chosen.get("beat")
            )
        else:
            self._index = None
            self.selected = None

    def __repr__(self) -> str:
        return f"EcgWidget({self._name!r}): shown where the notebook's kernel runs"


def _parts(whole: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A scene, as what stays and what an edit or another text changes."""
    median = whole["median"] or {}
    stays = {name: whole[name] for name in RECORDING}
    stays["median"] = {name: value for name, value in median.items() if name != "boundaries"} or None
    changes = {name: value for name, value in whole.items() if name not in (*RECORDING, "median")}
    return stays, changes | {"boundaries": median.get("boundaries", {})}


def _unedited(explanation: Any) -> Any:
    edits: Sequence[Any] = explanation.measurement.edits
    return explanation.edited({edit.boundary: edit.from_ms for edit in edits})
