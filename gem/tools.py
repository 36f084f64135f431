"""What a model may ask for in a conversation about an ECG: measure, find, compare, locate, look_up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from grounding import EcgError, Evidence, Finding, Measurement
from grounding.criteria import assess, load_knowledge
from grounding.criteria.assessment import Assessment
from grounding.questions import read_question
from grounding.record import STANDARD_LEADS
from grounding.statements.amplitudes import measured_amplitude

from .errors import GemInputError
from .retrieval import Library, Passage

QUANTITIES = ("heart_rate", "rr", "p", "pr", "qrs", "qt", "qtc_fridericia", "qtc_bazett", "axis")
WAVES = ("p", "q", "r", "s", "t", "st")
MAX_EVIDENCE = 6


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool, and what came back.

    Attributes:
        name: of the tool.
        arguments: as they were read.
        result: JSON-ready; ``{"error": ...}`` where the call can't be answered.
        evidence: what the result rests on.
        passages: what was looked up.
    """

    name: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    evidence: tuple[Evidence, ...] = ()
    passages: tuple[Passage, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the call can't be answered."""
        return "error" in self.result

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "name": self.name,
            "arguments": dict(self.arguments),
            "result": dict(self.result),
            "evidence": [part.to_dict() for part in self.evidence],
        }


@dataclass
class Tools:
    """The tools of one conversation.

    Attributes:
        measurement: of the recording that is spoken of.
        earlier: measurements of the same patient's earlier recordings, the latest first.
        library: what can be looked up.
    """

    measurement: Measurement
    earlier: Sequence[Measurement] = ()
    library: Library = field(default_factory=Library)

    @cached_property
    def _assessment(self) -> Assessment:
        return assess(self.measurement)

    def call(self, name: Any, arguments: Any) -> ToolCall:
        """Call a tool as a model asks for it; whatever is wrong with the call is said in the result.

        Args:
            name: of the tool.
            arguments: an object, or the JSON text of one.
        """
        try:
            given = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, Mapping):
            return ToolCall(str(name), {}, {"error": "the arguments are not a JSON object"})
        known: Mapping[str, tuple[Callable[..., ToolCall], Mapping[str, Any]]] = {
            "measure": (self.measure, {"quantity": str, "lead": str}),
            "find": (self.find, {"finding": str}),
            "compare": (self.compare, {"earlier": int}),
            "locate": (self.locate, {"what": str}),
            "look_up": (self.look_up, {"query": str}),
        }
        if not isinstance(name, str) or name not in known:
            return ToolCall(
                str(name), dict(given), {"error": f"there is no tool {name!r}; there are {', '.join(known)}"}
            )
        function, takes = known[name]
        given = {key: value for key, value in given.items() if value is not None and value != ""}
        for key, value in given.items():
            if key not in takes or not isinstance(value, takes[key]) or isinstance(value, bool):
                about = f"{key} is no {takes[key].__name__}" if key in takes else f"{name} takes no {key}"
                return ToolCall(str(name), dict(given), {"error": f"{about}; it takes {', '.join(takes)}"})
        try:
            return function(**given)
        except (EcgError, TypeError, LookupError) as error:
            about = error.what if isinstance(error, EcgError) else f"{name} takes {', '.join(takes)}"
            return ToolCall(str(name), dict(given), {"error": about})

    def measure(self, quantity: str, lead: str = "") -> ToolCall:
        """A measured value.

        Args:
            quantity: one of ``QUANTITIES``, or with a lead ``p``, ``q``, ``r``, ``s``, ``t`` (amplitudes) or ``st``;
                by these names or in words ("QRS axis", "R wave in V5").
            lead: of an amplitude.
        """
        name, where = _quantity_of(quantity, lead)
        if where:
            if where not in self.measurement.leads:
                raise GemInputError(f"lead {where!r} was not recorded; there are {', '.join(self.measurement.leads)}")
            proof = measured_amplitude(self._assessment.quantities, name, where)[1][0]
        else:
            proof = self.measurement.evidence(name)
        arguments = {"quantity": quantity, **({"lead": lead} if lead else {})}
        return ToolCall("measure", arguments, _value(proof), (proof,))

    def find(self, finding: str = "") -> ToolCall:
        """Whether a finding is there; without a name, all that are.

        Args:
            finding: its name or label, such as ``"first-degree AV block"``.
        """
        present = [one for one in self._assessment.findings.values() if one.present]
        if not finding:
            rows: list[dict[str, Any]] = [{"finding": one.label, "criterion": one.criterion} for one in present]
            evidence = tuple(part for one in present for part in one.evidence)
            return ToolCall("find", {}, {"present": rows}, evidence)
        groups = self._named(finding)
        rows = [
            {
                "finding": one.label,
                "present": one.present,
                "criterion": one.criterion,
                **({"reason": one.reason} if one.reason else {}),
                "measured": [_value(part) for part in one.evidence[:MAX_EVIDENCE]],
            }
            for one in groups
        ]
        evidence = tuple(part for one in groups for part in one.evidence)
        return ToolCall("find", {"finding": finding}, {"findings": rows}, evidence)

    def locate(self, what: str) -> ToolCall:
        """In which leads and seconds something is seen.

        Args:
            what: a finding or quantity.
        """
        try:
            proofs: tuple[Evidence, ...] = self.measure(what).evidence
        except GemInputError:
            found = [one for one in self._named(what) if one.present]
            if not found:
                label = self._named(what)[0].label
                return ToolCall("locate", {"what": what}, {"what": label, "places": [], "present": False})
            proofs = tuple(part for one in found for part in one.evidence)
        places = [
            {
                "quantity": part.quantity,
                "leads": list(part.leads),
                "beats": list(part.beats[:MAX_EVIDENCE]),
                "seconds": [[round(a, 2), round(b, 2)] for a, b in part.spans_s[:MAX_EVIDENCE]],
            }
            for part in proofs[:MAX_EVIDENCE]
        ]
        return ToolCall("locate", {"what": what}, {"what": what, "places": places}, proofs)

    def compare(self, earlier: int = 1) -> ToolCall:
        """What differs from an earlier recording.

        Args:
            earlier: which one, 1 for the latest.
        """
        if not self.earlier:
            raise GemInputError("no earlier ECG was given")
        if not 1 <= earlier <= len(self.earlier):
            raise GemInputError(f"there are {len(self.earlier)} earlier ECGs; the latest is 1")
        before = self.earlier[earlier - 1]
        values, proofs = [], []
        for name in QUANTITIES:
            now, then = self.measurement.evidence(name), before.evidence(name)
            row: dict[str, Any] = {"quantity": name, "now": _value(now), "then": _value(then)}
            if isinstance(now.value, int | float) and isinstance(then.value, int | float):
                change = round(now.value) - round(then.value)
                row["change"] = (change + 180) % 360 - 180 if name == "axis" else change
                proofs += [now, then]
            values.append(row)
        there = {one.name: one for one in assess(before).findings.values()}
        here = self._assessment.findings
        new = [one for name, one in here.items() if one.present and name in there and there[name].present is False]
        gone = [one for name, one in there.items() if one.present and name in here and here[name].present is False]
        proofs += [part for one in (*new, *gone) for part in one.evidence]
        result = {
            "earlier": before.record_id,
            "values": values,
            "new": [one.label for one in new],
            "gone": [one.label for one in gone],
        }
        return ToolCall("compare", {"earlier": earlier}, result, tuple(proofs))

    def look_up(self, query: str) -> ToolCall:
        """Passages of the knowledge base and of the user's texts.

        Args:
            query: words.
        """
        found = tuple(self.library.search(query))
        return ToolCall("look_up", {"query": query}, {"passages": [one.to_dict() for one in found]}, (), found)

    def _named(self, finding: str) -> list[Finding]:
        """The findings that a name, label or phrase stands for."""
        from grounding.statements.parsing import read_statements

        key = finding.strip().lower().replace("-", " ").replace("_", " ")
        for name, entry in load_knowledge().items():
            labels = (name, entry.label, *entry.terms)
            if key in {label.lower().replace("-", " ").replace("_", " ") for label in labels}:
                return [self._assessment.findings[name]]
        names = [name for one in read_statements(finding) for group in one.findings for name in group]
        found = [self._assessment.findings[name] for name in dict.fromkeys(names) if name in self._assessment.findings]
        if not found:
            raise GemInputError(f"no finding is called {finding!r}; find without a name lists those that are present")
        return found


def _quantity_of(words: str, lead: str) -> tuple[str, str]:
    """A quantity and no lead, or a wave and its lead."""
    name = words.strip().lower().replace(" ", "_").removesuffix("_interval").removesuffix("_duration")
    at = lead.strip().lower().removeprefix("lead").strip()
    at = next((one for one in STANDARD_LEADS if one.lower() == at), lead.strip())
    wave = name.removesuffix("_mv").removesuffix("_amplitude").removesuffix("_wave")
    wave = "st" if wave in ("st_elevation", "st_depression", "st_level", "st_segment") else wave
    if at and wave in WAVES:
        return wave, at
    if not at and name in QUANTITIES:
        return name, ""
    for link in read_question(words).links if words.strip() else ():
        names = ["qtc_fridericia" if one == "qtc" else one for one in link.names]
        known = [one for one in names if one in (QUANTITIES if link.kind == "quantity" else WAVES)]
        if link.kind == "quantity" and known and not at:
            return known[0], ""
        where = at or (link.leads[0] if len(link.leads) == 1 else "")
        if link.kind == "amplitude" and known and where:
            return known[0], where
    if at and name in QUANTITIES:
        raise GemInputError(f"{words!r} is measured over all leads; leave out lead")
    if at:
        raise GemInputError(f"no amplitude is called {words!r}; there are {', '.join(WAVES)}")
    raise GemInputError(
        f"no quantity is called {words!r}; there are {', '.join(QUANTITIES)}; with a lead {', '.join(WAVES)}"
    )


def _value(proof: Evidence) -> dict[str, Any]:
    """A value as a text would give it, with its unit and place, or why there is none."""
    value = proof.value
    if isinstance(value, float):
        value = round(value, 2) if proof.unit == "mV" or abs(value) < 3 else round(value)
        value = None if not math.isfinite(value) else value
    out = {"quantity": proof.quantity, "value": value, "unit": proof.unit, "where": proof.address()}
    return {**out, "reason": proof.reason} if value is None and proof.reason else out


def descriptions(has_earlier: bool) -> list[dict[str, Any]]:
    """The tools in the form of the OpenAI protocol.

    Args:
        has_earlier: whether there is an ECG to compare with.
    """

    def tool(name: str, about: str, required: Sequence[str] = (), **properties: dict[str, Any]) -> dict[str, Any]:
        parameters = {"type": "object", "properties": properties, "required": list(required)}
        return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}

    text = {"type": "string"}
    out = [
        tool(
            "measure",
            f"A measured value: {', '.join(QUANTITIES)}; or with a lead p, q, r, s, t or st, an amplitude in mV.",
            ["quantity"],
            quantity=text,
            lead={"type": "string", "description": "only for an amplitude"},
        ),
        tool("find", "Whether a finding is present, by which criterion; without a name, all present.", finding=text),
        tool("locate", "In which leads, beats and seconds a finding or value is seen.", ["what"], what=text),
        tool("look_up", "Passages on criteria and definitions, each with an address to cite.", ["query"], query=text),
    ]
    if has_earlier:
        about = "What differs from an earlier ECG of the same patient; 1 is the latest."
        out.append(tool("compare", about, earlier={"type": "integer"}))
    return out
