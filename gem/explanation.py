"""Explanation: what was said about a recording, with its evidence and verdicts.

Data only: ``gem.explaining`` makes it, and ``gem.views`` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grounding
from grounding import Claim, EcgError, ECGRecord, Evidence, Finding
from grounding._version import __version__
from grounding.evidence import VERDICTS, Origin

from .errors import GemError, GemInputError
from .extras import how_to_install

if TYPE_CHECKING:
    from grounding import Measurement

    from .views.widget import EcgWidget


@dataclass(frozen=True)
class Statement:
    """One sentence of an explanation.

    Attributes:
        text: as a reader sees it.
        start: its first character in ``Explanation.text``.
        end: one after its last character there.
        evidence: what its numbers and findings rest on.
        claims: what the checker found in it; positions are in ``Explanation.text``.
        kind: ``summary``, ``number``, ``rhythm``, ``finding``, ``diagnosis`` (from the encoders), ``missing``,
            ``note`` or ``uncited``; of a text that was given, ``given``, or ``unread`` where no claim was read in it.
        tags: the facts the model cited.
        inserted: characters of ``text`` that code put there from what was measured; the rest is asserted by a model.
    """

    text: str
    start: int
    end: int
    evidence: tuple[Evidence, ...] = ()
    claims: tuple[Claim, ...] = ()
    kind: str = "uncited"
    tags: tuple[str, ...] = ()
    inserted: tuple[tuple[int, int], ...] = ()

    @property
    def verdict(self) -> str:
        """The worst verdict among its claims; ``""`` if the checker found no claim."""
        found = {claim.verdict for claim in self.claims}
        return next(
            (name for name in ("contradicted", "unsupported", "not_checkable", "supported") if name in found), ""
        )


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was said about a recording, what it rests on, and the checker's verdicts.

    Attributes:
        record_id: the recording.
        statements: the sentences, each with its evidence and claims.
        measurement: what was measured.
        findings: of the criteria, absent and undecided ones included.
        probabilities: class -> probability (0-1) from the encoders; empty where the model has no classification head,
            or was not used.
        model: name of the model, or who wrote the text.
        record: the samples; ``None`` after ``from_json`` without a record.
        silence: why the encoders were not used, or ``None``.
        given: the text that was grounded, as it was given or as a model wrote it freely; ``None`` where the statements
            were put together from facts.
    """

    record_id: str
    statements: tuple[Statement, ...]
    measurement: Measurement
    findings: tuple[Finding, ...]
    probabilities: Mapping[str, float]
    model: str
    record: ECGRecord | None = None
    silence: str | None = None
    given: str | None = None

    @property
    def text(self) -> str:
        """All sentences."""
        return self.given if self.given is not None else " ".join(statement.text for statement in self.statements)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All claims that the checker found in the text."""
        return tuple(claim for statement in self.statements for claim in statement.claims)

    @property
    def verdict(self) -> dict[str, int]:
        """How many claims are supported, contradicted, unsupported and not checkable, whoever made them."""
        return {name: sum(claim.verdict == name for claim in self.claims) for name in VERDICTS}

    def verdict_of(self, origin: Origin) -> dict[str, int]:
        """``verdict`` of the claims of one origin.

        Args:
            origin: ``"inserted"`` (by code, from the measurement: right by construction) or ``"asserted"`` (by a model
                or a person).
        """
        verdicts = [claim.verdict for claim in self.claims if claim.origin == origin]
        return {name: verdicts.count(name) for name in VERDICTS}

    def edited(self, boundaries: Mapping[str, float | None]) -> Explanation:
        """The same text, held against the measurement with boundaries moved by hand.

        Findings, verdicts and evidence follow the moved boundaries. The words stay as they were written, so a number
        that was inserted from the measurement before may now be contradicted.

        Args:
            boundaries: as for ``grounding.Measurement.edited``: name -> ms after the R of the median beat.

        Raises:
            EcgError: the boundaries can't be moved so.

        Example:
            >>> import gem, grounding
            >>> said = gem.explain(grounding.sample_path("ptbxl_13"), text="QRS 100 ms.")
            >>> wider = said.edited({"qrs_offset": said.measurement.boundaries["qrs_offset"] + 40})
            >>> said.statements[0].verdict, wider.statements[0].verdict
            ('supported', 'contradicted')
        """
        measurement = self.measurement.edited(boundaries)
        claims = grounding.check(self.text, measurement)
        statements = tuple(_checked_again(part, claims, self.measurement, measurement) for part in self.statements)
        findings = tuple(grounding.find(measurement))
        return replace(self, statements=statements, measurement=measurement, findings=findings)

    @property
    def verdict_line(self) -> str:
        """The verdict in one line, separately for what was asserted and what was inserted from the measurement."""
        parts = []
        origins: dict[Origin, str] = {"asserted": "asserted", "inserted": "inserted from the measurement"}
        for origin, about in origins.items():
            counts = self.verdict_of(origin)
            details = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
            parts.append(f"{sum(counts.values())} claims {about}" + (f" ({details})" if details else ""))
        if self.measurement.edits:
            parts.append(f"moved by hand since: {', '.join(map(str, self.measurement.edits))}")
        return f"Checked against the recording: {'; '.join(parts)}."

    def to_dict(self, tables: bool = True) -> dict[str, Any]:
        """A JSON-ready dictionary; the samples are not in it.

        Args:
            tables: include the measurement's tables with a row per beat.
        """
        return {
            "record_id": self.record_id,
            "model": self.model,
            "version": __version__,
            "text": self.text,
            "given": self.given is not None,
            "verdict": self.verdict,
            "verdict_asserted": self.verdict_of("asserted"),
            "verdict_inserted": self.verdict_of("inserted"),
            "probabilities": dict(self.probabilities),
            "silence": self.silence,
            "statements": [statement_dict(statement) for statement in self.statements],
            "claims": [claim.to_dict() for claim in self.claims],
            "findings": [finding.to_dict() for finding in self.findings],
            "measurement": self.measurement.to_dict(tables),
        }

    @classmethod
    def from_json(cls, path: str | Path, record: ECGRecord | None = None) -> Explanation:
        """Read what ``save("x.json")`` wrote.

        Args:
            path: of the JSON file.
            record: the recording, which the views need to draw the ECG; None shows the text alone.

        Raises:
            GemInputError: the file is not such a JSON file, or the record is another one.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            measurement = grounding.Measurement.from_dict(data["measurement"])
            statements = tuple(_statement_from(part) for part in data["statements"])
            findings = tuple(Finding.from_dict(part) for part in data["findings"])
            name, model, chances = str(data["record_id"]), str(data["model"]), dict(data["probabilities"])
        except OSError as error:
            raise GemInputError(f"can't be read ({error.strerror})", where=str(path), remedy="check the path") from None
        except (EcgError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise GemInputError(
                f"not a saved explanation ({type(error).__name__}: {error})",
                where=str(path),
                remedy="save it with .save('x.json')",
            ) from None
        if record is not None and record.record_id != name:
            raise GemInputError(
                f"the explanation is about {name}", where=record.record_id, remedy="give the record that it explains"
            )
        given = str(data["text"]) if data.get("given") else None
        return cls(name, statements, measurement, findings, chances, model, record, data.get("silence"), given)

    def save(self, path: str | Path) -> Path:
        """Write the explanation.

        Args:
            path: its end picks the format: ``.html`` (one self-contained page), ``.pdf``, ``.json``, ``.fhir.json`` (a
                bundle of FHIR R4) or ``.sr.json`` (a structured report in DICOM's JSON).

        Returns:
            The path.

        Raises:
            GemError: another suffix, a folder that isn't there, or ``.pdf`` without the ``report`` extra.

        Example:
            >>> import gem, grounding, json, tempfile
            >>> said = gem.explain(grounding.sample_path("ptbxl_286"), text="LBBB.")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     bundle = json.loads(said.save(f"{folder}/ecg.fhir.json").read_text())
            >>> bundle["resourceType"], len(bundle["entry"]) > 60
            ('Bundle', True)
        """
        from .views.files import write_view
        from .views.formats import content, format_of

        return write_view(Path(path), content(self, format_of(str(path))))

    def widget(self) -> EcgWidget:
        """The view in a notebook: point at a sentence and see its waves, move a boundary and see what follows.

        What is chosen comes back as ``widget.selected``, what is edited as ``widget.explanation``.

        Returns:
            A widget, which Jupyter, JupyterLab, VS Code and Colab show where it is the last line of a cell.

        Raises:
            GemError: the extra ``notebook`` is not installed.
            GemInputError: the explanation was read back without its recording.
        """
        try:
            from .views.widget import EcgWidget
        except ImportError as error:
            raise GemError(
                f"the widget needs {error.name}", remedy=how_to_install(str(error.name or "anywidget"))
            ) from None
        return EcgWidget(self)

    def _repr_html_(self) -> str:
        from .views.html import fragment

        return fragment(self)

    def __repr__(self) -> str:
        return f"Explanation({self.record_id!r}, {len(self.statements)} statements, {self.verdict})"


def _checked_again(statement: Statement, claims: Sequence[Claim], before: Measurement, after: Measurement) -> Statement:
    """A statement with the claims that the checker now found in it, and with its evidence as it now is.

    Args:
        statement: of an explanation.
        claims: of the whole text.
        before: what the statement was held against.
        after: what the claims were held against.
    """
    origins = {(claim.start, claim.end): claim.origin for claim in statement.claims}
    within = tuple(
        replace(claim, origin=origins.get((claim.start, claim.end), claim.origin))
        for claim in claims
        if statement.start <= claim.start < statement.end
    )
    if statement.kind in ("given", "unread"):
        evidence = tuple(dict.fromkeys(part for claim in within for part in claim.evidence))
        return replace(statement, claims=within, evidence=evidence, kind="given" if within else "unread")
    return replace(
        statement, claims=within, evidence=tuple(_evidence_now(part, before, after) for part in statement.evidence)
    )


def _evidence_now(evidence: Evidence, before: Measurement, after: Measurement) -> Evidence:
    try:
        same = evidence == before.evidence(evidence.quantity)
    except KeyError:  # not a global value: a moved boundary does not change it
        return evidence
    return after.evidence(evidence.quantity) if same else evidence


def statement_dict(statement: Statement) -> dict[str, Any]:
    """A statement as a JSON-ready dictionary.

    Args:
        statement: of an explanation or answer.
    """
    return {
        **vars(statement),
        "tags": list(statement.tags),
        "verdict": statement.verdict,
        "inserted": [list(span) for span in statement.inserted],
        "evidence": [part.to_dict() for part in statement.evidence],
        "claims": [claim.to_dict() for claim in statement.claims],
    }


def _statement_from(data: Mapping[str, Any]) -> Statement:
    return Statement(
        data["text"],
        data["start"],
        data["end"],
        tuple(Evidence.from_dict(part) for part in data["evidence"]),
        tuple(Claim.from_dict(part) for part in data["claims"]),
        data["kind"],
        tuple(data["tags"]),
        tuple((int(a), int(b)) for a, b in data["inserted"]),
    )
