"""``gem.compare``: what several texts or models say about one recording, claim by claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grounding
from grounding import Claim, ECGRecord
from grounding._version import __version__

from .errors import GemInputError
from .explaining import explain, model_name
from .explanation import Explanation
from .grounded import ground
from .subjects import read_subject

if TYPE_CHECKING:
    import pandas as pd

    from grounding import Measurement

_WORST_FIRST = ("contradicted", "unsupported", "not_checkable", "supported")
BUNDLED = Path(__file__).parent / "weights"
_PATH_BEGINNINGS = ("/", "./", "../", "~")


@dataclass(frozen=True, eq=False)
class TextComparison:
    """Several texts about one recording, side by side.

    Attributes:
        record_id: the recording.
        explanations: name of each text -> the text, with its claims and their evidence.
        measurement: of the recording.
    """

    record_id: str
    explanations: Mapping[str, Explanation]
    measurement: Measurement

    @cached_property
    def rows(self) -> tuple[tuple[str, Mapping[str, tuple[Claim, ...]]], ...]:
        """What the texts speak of, in their order: the topic, and each text's claims about it.

        A statement in which nothing that is known is named is a topic of its own, in its own words.
        """
        found: dict[str, dict[str, tuple[Claim, ...]]] = {}
        for name, explanation in self.explanations.items():
            for claim in explanation.claims:
                about = claim.topic or " ".join(claim.text.split())
                cells = found.setdefault(about, {})
                cells[name] = (*cells.get(name, ()), claim)
        return tuple(found.items())

    @property
    def table(self) -> pd.DataFrame:
        """A row for each topic.

        Columns: ``topic``; for each text its words under its name (empty where it says nothing about the topic) and
        the worst verdict on them under ``"<name>: verdict"``; ``verdicts``: ``same``, ``differ``, or ``only <names>``;
        and ``measured``, what the recording shows.
        """
        import pandas as pd

        names = list(self.explanations)
        columns = [
            "topic",
            *(column for name in names for column in (name, f"{name}: verdict")),
            "verdicts",
            "measured",
        ]
        rows = []
        for about, cells in self.rows:
            row: list[str] = [about]
            for name in names:
                row += [_words(cells.get(name, ())), _verdict(cells.get(name, ()))]
            reasons = dict.fromkeys(claim.reason for claims in cells.values() for claim in claims if claim.reason)
            rows.append([*row, self._relation(cells), "; ".join(reasons)])
        return pd.DataFrame(rows, columns=columns)

    def _relation(self, cells: Mapping[str, tuple[Claim, ...]]) -> str:
        if len(cells) == 1 < len(self.explanations):
            return f"only {next(iter(cells))}"
        if len({_verdict(claims) for claims in cells.values()}) > 1:
            return "differ"
        missing = len(cells) < len(self.explanations)
        return f"only {' and '.join(cells)}" if missing else "same"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "record_id": self.record_id,
            "version": __version__,
            "texts": {name: one.text for name, one in self.explanations.items()},
            "verdicts": {name: one.verdict for name, one in self.explanations.items()},
            "rows": [
                {
                    "topic": about,
                    "verdicts": self._relation(cells),
                    "claims": {name: [claim.to_dict() for claim in claims] for name, claims in cells.items()},
                }
                for about, cells in self.rows
            ],
        }

    def save(self, path: str | Path) -> Path:
        """Write the comparison.

        Args:
            path: its suffix picks the format: ``.html``, ``.csv`` or ``.json``.

        Returns:
            The path.

        Raises:
            GemError: another suffix, or a folder that isn't there.
        """
        from .views.files import json_file, write_view

        target = Path(path)
        if target.suffix.lower() == ".html":
            from .views.comparison import page

            content = page(self).encode(errors="replace")
        elif target.suffix.lower() == ".csv":
            content = self.table.to_csv(index=False).encode(errors="replace")
        elif target.suffix.lower() == ".json":
            content = json_file(self.to_dict())
        else:
            raise GemInputError(
                f"no view writes {target.suffix or 'a file without suffix'!r}",
                where=str(path),
                remedy="use .html, .csv or .json",
            )
        return write_view(target, content)

    def _repr_html_(self) -> str:
        from .views.comparison import fragment

        return fragment(self)

    def __str__(self) -> str:
        names = list(self.explanations)
        lines = []
        for about, cells in self.rows:
            lines.append(f"{about}: {self._relation(cells)}")
            for name in names:
                claims = cells.get(name, ())
                said = f"{_words(claims)} [{_verdict(claims).replace('_', ' ')}]" if claims else "-"
                lines.append(f"    {name}: {said}")
        for name, one in self.explanations.items():
            counts = ", ".join(
                f"{count} {verdict.replace('_', ' ')}" for verdict, count in one.verdict.items() if count
            )
            lines.append(f"{name}: {counts or 'no claim was found'}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"TextComparison of {', '.join(self.explanations)} on {self.record_id!r}\n{self}"


def _words(claims: Sequence[Claim]) -> str:
    """The words of claims; ``not:`` in front of what is denied, since its words alone may not say so."""
    said = [("not: " if claim.denied else "") + " ".join(claim.text.split()) for claim in claims]
    return " | ".join(dict.fromkeys(said))


def _verdict(claims: Sequence[Claim]) -> str:
    found = {claim.verdict for claim in claims}
    return next((name for name in _WORST_FIRST if name in found), "")


def compare(
    record_or_path: Any,
    texts: Sequence[Any] | Mapping[str, Any],
    measurement: Measurement | None = None,
) -> TextComparison:
    """Put texts or models side by side, claim by claim, each held against the recording.

    Args:
        record_or_path: as in ``gem.explain``.
        texts: two or more, as a list, or as a mapping of the name that each is to have. Each is a text; an
            ``Explanation`` of this recording; or a model to ask: a ``Path`` of a folder, a model from ``gem.load``, or
            a str that is a bundled model's name or a folder's.
        measurement: of the recording, if it is known already.

    Returns:
        A TextComparison.

    Raises:
        EcgError: the recording can't be read or used.
        GemError: fewer than two texts, one that is neither a text nor a model, or a model that can't be used.

    Example:
        >>> import gem, grounding
        >>> both = gem.compare(grounding.sample_path("ptbxl_286"), {"A": "LBBB, rate 75.", "B": "No LBBB."})
        >>> print(both.table[["topic", "A", "B", "verdicts"]].iloc[0].to_list())
        ['complete left bundle branch block', 'LBBB', 'not: LBBB', 'differ']
    """
    if isinstance(texts, str | Path) or not isinstance(texts, Sequence | Mapping) or len(texts) < 2:
        raise GemInputError("fewer than two texts", where="texts", remedy="gem.compare(record, [one, another])")
    record = read_subject(record_or_path, {}).record
    measured = grounding.measure(record) if measurement is None else measurement
    named = texts if isinstance(texts, Mapping) else _named(texts)
    if taken := {"topic", "verdicts", "measured"} & {str(name) for name in named}:
        raise GemInputError(f"a text can't be named {taken.pop()}", where="texts", remedy="name it otherwise")
    found = {str(name): _explained(item, record, measured, str(name)) for name, item in named.items()}
    return TextComparison(record.record_id, found, measured)


def _named(items: Sequence[Any]) -> dict[str, Any]:
    """Names: a model's own, and ``text 1``, ``text 2``, ... for texts; none twice."""
    out: dict[str, Any] = {}
    for number, item in enumerate(items, 1):
        if isinstance(item, Explanation):
            name = item.model
        else:
            name = f"text {number}" if isinstance(item, str) and not _is_model(item) else model_name(item)
        out[name if name not in out else f"{name} ({number})"] = item
    return out


def _explained(item: Any, record: ECGRecord, measurement: Measurement, name: str) -> Explanation:
    if isinstance(item, Explanation):
        if item.record_id != record.record_id:
            raise GemInputError(f"the explanation is about {item.record_id}", where=record.record_id)
        return item
    if _is_model(item):
        return explain(record, model=item)
    if isinstance(item, str):
        return ground(record, item, measurement, name)
    raise GemInputError(
        f"{type(item).__name__} is neither a text nor a model", where=name, remedy="pass a str, a Path or a model"
    )


def _is_model(item: Any) -> bool:
    """Whether an item is a model or the name of one; a text that reads like a path is taken for a path."""
    if isinstance(item, Path) or (hasattr(item, "processor") and hasattr(item, "generate")):
        return True
    if not isinstance(item, str) or not item.strip() or len(item) > 200 or "\n" in item or "\0" in item:
        return False
    if any(char.isspace() for char in item) and not Path(item).is_dir():
        return False
    return item.startswith(_PATH_BEGINNINGS) or Path(item).is_dir() or (BUNDLED / item).is_dir()
