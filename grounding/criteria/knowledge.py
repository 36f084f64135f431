"""The knowledge base: one YAML entry per finding, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ..record import STANDARD_LEADS
from .expressions import CriterionError, names
from .limits import Limit, limit

Condition = str | Mapping[str, Any]

LEAD_GROUPS: dict[str, tuple[str, ...]] = {
    "all": STANDARD_LEADS,
    "not_avr": tuple(lead for lead in STANDARD_LEADS if lead != "aVR"),
    "limb": ("I", "II", "III", "aVR", "aVL", "aVF"),
    "precordial": ("V1", "V2", "V3", "V4", "V5", "V6"),
    "inferior": ("II", "III", "aVF"),
    "lateral": ("I", "aVL", "V5", "V6"),
    "high_lateral": ("I", "aVL"),
    "septal": ("V1", "V2"),
    "anteroseptal": ("V1", "V2", "V3"),
    "anterior": ("V1", "V2", "V3", "V4"),
    "anterolateral": ("I", "aVL", "V3", "V4", "V5", "V6"),
    "right_precordial": ("V1", "V2", "V3"),
    "left_precordial": ("V4", "V5", "V6"),
}
# neighbours on the chest and in the frontal plane (Cabrera order), as the universal definition of infarction uses them
CONTIGUOUS: tuple[tuple[str, ...], ...] = (
    ("V1", "V2", "V3", "V4", "V5", "V6"),
    ("aVL", "I", "II", "aVF", "III"),
    ("I", "aVL", "V5", "V6"),
)
FILES = ("rhythm.yaml", "conduction.yaml", "axis.yaml", "hypertrophy.yaml", "infarction.yaml", "repolarisation.yaml")
_KEYS = {"all", "any", "none", "leads", "at_least", "contiguous", "where", "finding"}


@dataclass(frozen=True)
class FindingEntry:
    """One finding.

    Attributes:
        name: snake_case.
        label: as a cardiologist names it.
        group: see ``Finding.group``.
        when: the rule: an expression, or ``all`` / ``any`` / ``none`` of rules, or ``leads`` ... ``where``.
        unless: a rule that, where it holds, makes the finding not assessable (e.g. paced rhythm).
        unless_reason: the words for that.
        limits: thresholds of this entry alone; those that several share are in ``limits.yaml``.
        shows: values that a reader judges by, given as evidence beside those that the rule reads.
        terms: words that name it in texts, beside the label.
        source: where the rule comes from, and what that says.
        adaptation: what is different here, and why; empty where nothing is.
        weakness: what it misses or mistakes.
    """

    name: str
    label: str
    group: str
    when: Condition
    source: str
    adaptation: str = ""
    unless: Condition | None = None
    unless_reason: str = "an excluding condition is present"
    limits: Mapping[str, Limit] = field(default_factory=dict)
    shows: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    weakness: str = ""

    def parts(self) -> list[Condition]:
        """Every condition of the rule, nested ones too."""
        return _flatten(self.when) + (_flatten(self.unless) if self.unless else [])


def _flatten(condition: Condition) -> list[Condition]:
    out: list[Condition] = [condition]
    if not isinstance(condition, str):
        for key in ("all", "any", "none"):
            for part in condition.get(key, ()):
                out += _flatten(part)
    return out


def _checked(entry: FindingEntry, known: set[str]) -> FindingEntry:
    for part in entry.parts():
        if isinstance(part, str):
            names(part)
            continue
        if extra := set(part) - _KEYS:
            raise CriterionError(f"unknown key {sorted(extra)}", where=entry.name, remedy=f"use {sorted(_KEYS)}")
        if "leads" in part:
            names(part["where"])
            leads_of(part)
        if "finding" in part and part["finding"] not in known:
            raise CriterionError(f"there is no finding {part['finding']!r} before this one", where=entry.name)
    return entry


def leads_of(condition: Mapping[str, Any]) -> tuple[str, ...]:
    """The leads that a ``leads`` condition looks at."""
    named = condition["leads"]
    if isinstance(named, str):
        if named not in LEAD_GROUPS:
            raise CriterionError(f"no lead group {named!r}", remedy=f"use one of {', '.join(LEAD_GROUPS)}")
        return LEAD_GROUPS[named]
    return tuple(named)


@lru_cache(maxsize=1)
def load_knowledge() -> Mapping[str, FindingEntry]:
    """All entries by name, in the order of the files; an entry may use findings that stand before it.

    Raises:
        CriterionError: an entry can't be read.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries: dict[str, FindingEntry] = {}
    for name in FILES:
        text = (files(__package__) / "knowledge" / name).read_text(encoding="utf-8")
        for raw in yaml.load(text, Loader=loader):
            own = {key: limit(key, **told) for key, told in raw.get("limits", {}).items()}
            entry = FindingEntry(
                **{**raw, "terms": tuple(raw.get("terms", ())), "shows": tuple(raw.get("shows", ())), "limits": own}
            )
            if entry.name in entries:
                raise CriterionError("an entry of this name is there already", where=entry.name)
            entries[entry.name] = _checked(entry, set(entries))
    return entries
