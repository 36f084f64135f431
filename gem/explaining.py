"""gem.explain: the whole way from a recording to a checked explanation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import grounding
from grounding import Claim, EcgError, ECGRecord, Evidence, Finding
from grounding._version import __version__
from grounding.evidence import VERDICTS, Origin
from grounding.findings.limits import ADULT_YEARS

from .errors import GemError, GemInputError
from .forking import building
from .writing import look, one_thread

if TYPE_CHECKING:
    from grounding import Measurement
    from grounding.facts import Statement as Said

AT_ONCE = 16  # recordings whose texts are decoded together
LEAST_LEADS, LEAST_WINDOW = 2 / 3, 0.5  # shares of what the encoders were trained on, without which they are not asked


@dataclass(frozen=True)
class Statement:
    """One sentence of an explanation.

    Attributes:
        text: as a reader sees it.
        start, end: its characters in ``Explanation.text``.
        evidence: what its numbers and findings rest on.
        claims: what the checker read in it, positions in ``Explanation.text``.
        kind: ``summary``, ``number``, ``rhythm``, ``finding``, ``diagnosis`` (from the encoders), ``missing``, ``note`` or ``uncited``.
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
        """The worst verdict among its claims; ``""`` where the checker read none."""
        found = {claim.verdict for claim in self.claims}
        return next(
            (name for name in ("contradicted", "unsupported", "not_checkable", "supported") if name in found), ""
        )


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was said about a recording, what it rests on, and what the checker says to it.

    Attributes:
        record_id: the recording.
        statements: the sentences, each with its evidence and claims.
        measurement: what was measured.
        findings: what the criteria gave, absent and undecided ones included.
        probabilities: class -> probability (0-1) from the encoders; empty where the model has no classification head, or was not asked.
        silence: why the encoders were not asked, or ``None``.
        model: name of the model.
        record: the samples; ``None`` after ``from_json`` without a record.
    """

    record_id: str
    statements: tuple[Statement, ...]
    measurement: Measurement
    findings: tuple[Finding, ...]
    probabilities: Mapping[str, float]
    model: str
    record: ECGRecord | None = None
    silence: str | None = None

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(statement.text for statement in self.statements)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Everything the checker read in the text."""
        return tuple(claim for statement in self.statements for claim in statement.claims)

    @property
    def verdict(self) -> dict[str, int]:
        """How many claims are supported, contradicted, unsupported and not checkable, whoever made them."""
        return {name: sum(claim.verdict == name for claim in self.claims) for name in VERDICTS}

    def verdict_of(self, origin: Origin) -> dict[str, int]:
        """``verdict`` of the claims that were ``"inserted"`` by code, and are right by construction, or ``"asserted"`` by a model or a person."""
        of = [claim.verdict for claim in self.claims if claim.origin == origin]
        return {name: of.count(name) for name in VERDICTS}

    @property
    def verdict_line(self) -> str:
        """The verdict in one line: what was asserted, and apart from it what was inserted from the measurement."""
        parts = []
        origins: dict[Origin, str] = {"asserted": "asserted", "inserted": "inserted from the measurement"}
        for origin, about in origins.items():
            counts = self.verdict_of(origin)
            told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
            parts.append(f"{sum(counts.values())} claims {about}" + (f" ({told})" if told else ""))
        return f"Checked against the recording: {'; '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; the samples are not in it."""
        return {
            "record_id": self.record_id,
            "model": self.model,
            "version": __version__,
            "text": self.text,
            "verdict": self.verdict,
            "verdict_asserted": self.verdict_of("asserted"),
            "verdict_inserted": self.verdict_of("inserted"),
            "probabilities": dict(self.probabilities),
            "silence": self.silence,
            "statements": [_statement_dict(statement) for statement in self.statements],
            "claims": [claim.to_dict() for claim in self.claims],
            "findings": [finding.to_dict() for finding in self.findings],
            "measurement": self.measurement.to_dict(),
        }

    @classmethod
    def from_json(cls, path: str | Path, record: ECGRecord | None = None) -> Explanation:
        """Read what ``save("x.json")`` wrote; give the record too to have the ECG drawn in its views.

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
        return cls(name, statements, measurement, findings, chances, model, record, data.get("silence"))

    def save(self, path: str | Path) -> Path:
        """Write the explanation; the suffix decides: ``.html`` (one self-contained page), ``.pdf`` or ``.json``.

        Raises:
            GemError: another suffix, a folder that isn't there, or ``.pdf`` without the ``report`` extra.
        """
        target = Path(path)
        suffix = target.suffix.lower()
        content: bytes
        if suffix == ".json":
            # half a surrogate pair, from a name that is not UTF-8, becomes its JSON escape and is read back as it was
            content = (json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n").encode(
                errors="backslashreplace"
            )
        elif suffix == ".html":
            from .views.html import page

            content = page(self).encode(errors="replace")
        elif suffix == ".pdf":
            from .views.pdf import document

            content = document(self)
        else:
            raise GemInputError(
                f"no view writes {suffix or 'a file without suffix'!r}",
                where=str(path),
                remedy="use .html, .pdf or .json",
            )
        try:
            target.write_bytes(content)
        except OSError as error:
            raise GemError(f"can't be written ({error.strerror})", where=str(path), remedy="check the folder") from None
        return target

    def _repr_html_(self) -> str:
        from .views.html import fragment

        return fragment(self)

    def __repr__(self) -> str:
        return f"Explanation({self.record_id!r}, {len(self.statements)} statements, {self.verdict})"


@overload
def explain(record_or_path: ECGRecord | str | Path, model: Any = ...) -> Explanation: ...
@overload
def explain(record_or_path: list[ECGRecord | str | Path], model: Any = ...) -> list[Explanation]: ...
def explain(
    record_or_path: ECGRecord | str | Path | list[ECGRecord | str | Path], model: Any = "gem-nano"
) -> Explanation | list[Explanation]:
    """Measure a recording, let a model say what is on it, and check what was said.

    The model writes sentences that cite facts by tags; numbers come from the measurement, diagnoses from the encoders.

    Args:
        record_or_path: a recording, or a file that ``grounding.read_record`` reads; or a list of such, which are written together: several times faster.
        model: a name (``"gem-nano"``), a folder, or a model from ``gem.load``. A name or folder is loaded once per process.

    Returns:
        Explanation; a list of them for a list.

    Raises:
        EcgError: a recording can't be read or used.
        GemError: the model can't be loaded, or wrote nothing.
    """
    many = [record_or_path] if isinstance(record_or_path, ECGRecord | str | Path) else list(record_or_path)
    name = (
        str(model) if isinstance(model, str | Path) else str(getattr(model, "name_or_path", "") or type(model).__name__)
    )
    records = [item if isinstance(item, ECGRecord) else grounding.read_record(item) for item in many]
    loaded = _load(str(model)) if isinstance(model, str | Path) else model
    out: list[Explanation] = []
    for first in range(0, len(records), AT_ONCE):
        part = records[first : first + AT_ONCE]
        out += _explanations(part, [grounding.measure(record) for record in part], loaded, Path(name).name)
    return out[0] if isinstance(record_or_path, ECGRecord | str | Path) else out


def _load(name: str) -> Any:
    with building:  # who comes second waits, and finds the model
        return _loaded(name)


@lru_cache(maxsize=2)
def _loaded(name: str) -> Any:
    from .loading import load

    return load(name)


def _explanations(
    records: Sequence[ECGRecord], measurements: Sequence[Measurement], model: Any, name: str
) -> list[Explanation]:
    from grounding.facts import facts, report
    from grounding.findings import assess

    assessments = [assess(measurement) for measurement in measurements]
    silences = [why_silent(model, measurement) for measurement in measurements]
    known = [row for row, measurement in enumerate(measurements) if len(measurement.beats)]
    with one_thread(model):
        seen = look(model, [records[row] for row in known]) if known else None
        chances = dict(zip(known, seen.probabilities(), strict=True)) if seen is not None else {}
        items = [
            facts(measurement, tuple(assessment.findings.values()), {} if silence else chances.get(row, {}))
            for row, (measurement, assessment, silence) in enumerate(
                zip(measurements, assessments, silences, strict=True)
            )
        ]
        texts = dict(zip(known, seen.write([items[row] for row in known]), strict=True)) if seen is not None else {}
    out = []
    for row, (record, measurement) in enumerate(zip(records, measurements, strict=True)):
        tagged, silence = texts.get(row, ""), silences[row]
        if row in texts and not tagged.strip():
            raise GemError(
                "the model wrote no sentence", where=record.record_id, remedy="try another model, or train it longer"
            )
        notes = () if silence else changed_for_the_encoders(model, record)
        said = report(tagged, items[row], assessments[row], silence if row in texts else None, notes)
        probabilities = {} if silence else chances.get(row, {})
        findings = tuple(assessments[row].findings.values())
        out.append(
            Explanation(
                record.record_id,
                checked(said, measurement),
                measurement,
                findings,
                probabilities,
                name,
                record,
                silence,
            )
        )
    return out


def checked(parts: Sequence[Said], measurement: Measurement) -> tuple[Statement, ...]:
    """What is said, each part with its place in the whole text and the claims that the checker reads in it."""
    claims = grounding.check(" ".join(part.text for part in parts), measurement)
    statements, start = [], 0
    for part in parts:
        end = start + len(part.text)
        within = tuple(_with_origin(claim, start, part.inserted) for claim in claims if start <= claim.start < end)
        statements.append(Statement(part.text, start, end, part.evidence, within, part.kind, part.tags, part.inserted))
        start = end + 1
    return tuple(statements)


def _with_origin(claim: Claim, start: int, inserted: tuple[tuple[int, int], ...]) -> Claim:
    """A claim of a statement that begins at ``start``: inserted where code put any of its words there."""
    begin, end = claim.start - start, claim.end - start
    return replace(claim, origin="inserted") if any(a < end and begin < b for a, b in inserted) else claim


def why_silent(model: Any, measurement: Measurement) -> str | None:
    """Why the encoders are not asked about a recording: it is not of the kind that they were trained on. ``None`` where it is."""
    contract = getattr(model.processor, "contract", None)
    if contract is None or not getattr(model.config, "class_names", None):
        return None
    if not len(measurement.beats):
        return measurement.reasons.get("heart_rate", "nothing could be measured").rstrip(".")
    table = measurement.quality
    usable = set(table.loc[table["usable"].astype(bool), "lead"]) & set(contract.leads)
    if len(usable) < LEAST_LEADS * len(contract.leads):
        return f"they were trained on {len(contract.leads)} leads, of which {len(usable)} can be used here"
    window_s = contract.n_samples / contract.fs_hz
    if measurement.duration_s < LEAST_WINDOW * window_s:
        return f"they were trained on {window_s:g} s, and the recording has {measurement.duration_s:.2g} s"
    if measurement.age is not None and measurement.age < ADULT_YEARS:
        return f"they were trained on adults, and the patient is {measurement.age:g} years old"
    return None


def changed_for_the_encoders(model: Any, record: ECGRecord) -> tuple[str, ...]:
    """What the encoders saw otherwise than it was recorded, a sentence each."""
    contract = getattr(model.processor, "contract", None)
    if contract is None or not getattr(model.config, "class_names", None):
        return ()
    return tuple(f"For the encoders: {change}." for change in contract.changes(record))


def _statement_dict(statement: Statement) -> dict[str, Any]:
    return {
        **asdict(statement),
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
