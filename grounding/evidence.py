"""Evidence, Finding and Claim: statements about an ECG, and the places in the recording that support them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

Verdict = Literal["supported", "contradicted", "unsupported", "not_checkable"]
Origin = Literal["asserted", "inserted"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "unsupported", "not_checkable")


@dataclass(frozen=True)
class Evidence:
    """One measured value and its address in the recording.

    Attributes:
        record_id: which recording.
        quantity: what was measured, in the names of ``Measurement`` (``pr``, ``qrs``, ``heart_rate``, ``st60_mv``,
            ...).
        value: the value, a word (``"rSR'"``), or ``None`` where it could not be measured.
        unit: ``ms``, ``bpm``, ``deg``, ``mV``, ``s``, ``%`` or ``""``.
        leads: the leads it was read in; empty means the record as a whole.
        beats: indices into ``Measurement.beats``; empty means all beats.
        spans_s: stretches of the recording, (start, end) in seconds.
        method: how it was measured.
        version: version of the library that measured it.
        reason: why ``value`` is ``None``.
        uncertainty: half the width of the range that holds the true value nine times in ten, in ``unit``; ``None``
            where it is not known.
    """

    record_id: str
    quantity: str
    value: float | int | str | bool | None
    unit: str = ""
    leads: tuple[str, ...] = ()
    beats: tuple[int, ...] = ()
    spans_s: tuple[tuple[float, float], ...] = ()
    method: str = ""
    version: str = ""
    reason: str | None = None
    uncertainty: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; ``from_dict`` gives the same evidence back."""
        return dict(vars(self))  # asdict would copy every number on its own

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        """The evidence that ``to_dict`` wrote."""
        return cls(
            **{
                **data,
                "leads": tuple(data.get("leads", ())),
                "beats": tuple(data.get("beats", ())),
                "spans_s": tuple((float(a), float(b)) for a, b in data.get("spans_s", ())),
            }
        )

    def shade(self, axes: Any, lead: str | None = None, **style: Any) -> Any:
        """Shade the stretches of the evidence on a plot of a signal over seconds.

        To mark evidence on ECG paper, use ``grounding.paper.draw(record).mark(evidence)``.

        Args:
            axes: a matplotlib ``Axes`` whose x axis is seconds.
            lead: the lead that the axes show; nothing is drawn if the evidence was read in other leads.
            style: options of matplotlib's ``axvspan``, e.g. ``color`` and ``alpha``.

        Returns:
            The axes.
        """
        if lead is None or not self.leads or lead in self.leads:
            for start, end in self.spans_s:
                axes.axvspan(start, end, **{"color": "tab:red", "alpha": 0.2, **style})
        return axes

    def address(self) -> str:
        """Leads and time in words, e.g. ``"II, V1; 0.41-0.65 s"``."""
        leads = ", ".join(self.leads) if self.leads else "all leads"
        if not self.spans_s:
            return leads
        first = f"{self.spans_s[0][0]:.2f}-{self.spans_s[0][1]:.2f} s"
        return f"{leads}; {first}" + (f" and {len(self.spans_s) - 1} more" if len(self.spans_s) > 1 else "")


class _WithEvidence:
    """What has evidence, which may be collected when it is first asked for: most of it never is."""

    evidence: tuple[Evidence, ...]

    @classmethod
    def deferred(cls, evidence: Callable[[], tuple[Evidence, ...]], **others: Any) -> Self:
        """The object, with its evidence still to be collected.

        Args:
            evidence: collects it.
            others: the other attributes; those that have a default may be left out.
        """
        made = object.__new__(cls)  # a frozen dataclass sets its attributes one by one, which takes four times as long
        made.__dict__.update(others, _collect=evidence)
        return made

    def __getattr__(self, name: str) -> Any:
        attributes = self.__dict__
        if name != "evidence" or not attributes.keys() & {"_collect", "evidence"}:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if (collect := attributes.get("_collect")) is not None:  # another thread may have collected it just now
            attributes["evidence"] = collect()
            attributes.pop("_collect", None)  # it holds the measurement
        return attributes["evidence"]

    def _to_dict(self) -> dict[str, Any]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        return {**values, "evidence": [part.to_dict() for part in self.evidence]}

    def __getstate__(self) -> dict[str, Any]:
        return {"evidence": self.evidence, **{key: value for key, value in vars(self).items() if key != "_collect"}}


@dataclass(frozen=True)
class Finding(_WithEvidence):
    """Whether a finding is present, by which criterion, and the evidence.

    Attributes:
        name: snake_case name of the knowledge-base entry, e.g. ``first_degree_av_block``.
        present: True, False, or ``None`` where it can't be decided.
        criterion: the rule that was evaluated, in words.
        evidence: the measured parts of the rule.
        source: publication of the rule.
        label: how a cardiologist names it, e.g. ``"first-degree AV block"``.
        group: ``rate``, ``rhythm``, ``conduction``, ``axis``, ``hypertrophy``, ``infarction``, ``ischaemia``, ``qt``,
            ``voltage``, ``quality``.
        reason: why ``present`` is ``None``.
        doubt: why the opposite is possible: an interval whose uncertainty includes the limit; else ``None``.
    """

    name: str
    present: bool | None
    criterion: str
    evidence: tuple[Evidence, ...] = field(default_factory=tuple)  # a default would be found before __getattr__
    source: str = ""
    label: str = ""
    group: str = ""
    reason: str | None = None
    doubt: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; ``from_dict`` gives the same finding back."""
        return self._to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """The finding that ``to_dict`` wrote."""
        return cls(**{**data, "evidence": tuple(Evidence.from_dict(part) for part in data.get("evidence", ()))})


@dataclass(frozen=True)
class Claim(_WithEvidence):
    """One statement found in a text, and how it compares with the recording.

    Attributes:
        start: index of its first character in the text.
        end: index after its last character.
        kind: ``number``, ``category`` (normal / prolonged / ...), ``finding`` (presence or absence), ``rhythm``, ...
        verdict: ``supported``, ``contradicted``, ``unsupported`` or ``not_checkable``.
        evidence: the measured values it was compared with.
        reason: one line, for a reader.
        text: the words of the statement.
        origin: ``inserted`` where code put the words there from what was measured, so that they are right by
            construction; else ``asserted``.
        topic: what it is about, in the same words whoever wrote it: ``"PR interval"``, ``"T-wave inversion in V1"``;
            empty where nothing that is known is named.
        denied: the text says that it is not so.
    """

    start: int
    end: int
    kind: str
    verdict: Verdict
    evidence: tuple[Evidence, ...] = field(default_factory=tuple)
    reason: str = ""
    text: str = ""
    origin: Origin = "asserted"
    topic: str = ""
    denied: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; ``from_dict`` gives the same claim back."""
        return self._to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Claim:
        """The claim that ``to_dict`` wrote."""
        return cls(**{**data, "evidence": tuple(Evidence.from_dict(part) for part in data.get("evidence", ()))})

    def shifted(self, by: int) -> Claim:
        """The same claim in a text that starts ``by`` characters earlier."""
        made = object.__new__(type(self))  # its evidence may still be to be collected
        made.__dict__.update(vars(self), start=self.start + by, end=self.end + by)
        return made
