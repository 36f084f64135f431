"""The knowledge base: one YAML entry per finding, loaded and checked once."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import EcgError
from ..record import STANDARD_LEADS
from .expressions import Criterion, CriterionError, compiled, leaves, names
from .limits import Limit, distinctions, limit, load_limits

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
# contiguous leads on the chest and in the frontal plane (Cabrera order), as in the universal definition of infarction
CONTIGUOUS: tuple[tuple[str, ...], ...] = (
    ("V1", "V2", "V3", "V4", "V5", "V6"),
    ("aVL", "I", "II", "aVF", "III"),
    ("I", "aVL", "V5", "V6"),
)
FILES = ("rhythm.yaml", "conduction.yaml", "axis.yaml", "hypertrophy.yaml", "infarction.yaml", "repolarisation.yaml")
_KEYS = {"all", "any", "none", "leads", "at_least", "contiguous", "where", "finding"}


class Rule(NamedTuple):
    """One expression of an entry, ready to be evaluated on any measurement.

    Attributes:
        criterion: the expression as a function of ``limits.Values``.
        limits: name -> limit, for those that it reads.
        by_sex: whether one of them differs between the sexes.
        by_age: whether one of them differs between ages.
        quantities: (lead, or ``None`` for the lead in question or the record; name) of each measured value it reads.
        leaves: the same of each name, limits included, in the order of the text.
    """

    criterion: Criterion
    limits: Mapping[str, Limit]
    by_sex: bool
    by_age: bool
    quantities: tuple[tuple[str | None, str], ...]
    leaves: tuple[tuple[str | None, str], ...]


@dataclass(frozen=True, eq=False)
class FindingEntry:
    """One finding.

    Attributes:
        name: snake_case.
        label: as a cardiologist names it.
        group: see ``Finding.group``.
        when: the rule: an expression, or ``all`` / ``any`` / ``none`` of rules, or ``leads`` ... ``where``.
        unless: a rule; where it holds (e.g. paced rhythm), the finding can't be assessed.
        unless_reason: the reason given in this case.
        limits: thresholds of this entry alone; those that several entries share are in ``limits.yaml``.
        shows: further quantities that are given as evidence, beside those that the rule reads.
        terms: names of the finding in texts, beside the label.
        source: publication of the rule, and what it says.
        adaptation: how the rule here differs, and why; empty where it does not.
        weakness: known false positives and negatives.
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

    @cached_property
    def all_limits(self) -> Mapping[str, Limit]:
        """The limits that its rule may name: the shared ones and its own."""
        return {**load_limits(), **self.limits}

    def rule(self, text: str) -> Rule:
        """One of its expressions, compiled once per process.

        Args:
            text: the expression.
        """
        if text not in self._rules:
            read = names(text)
            limits = {name: self.all_limits[name] for _, name in read if name in self.all_limits}
            by_sex, ages = distinctions(tuple(limits.values()))
            self._rules[text] = Rule(
                compiled(text, {name: limit.for_criteria for name, limit in limits.items()}),
                limits,
                by_sex,
                bool(ages),
                tuple((lead, name) for lead, name in read if name not in limits),
                leaves(text),
            )
        return self._rules[text]

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        return {}

    def parts(self) -> list[Condition]:
        """Every condition of the rule, including nested ones."""
        return _flatten(self.when) + (_flatten(self.unless) if self.unless else [])

    def part_by_leads(self) -> Mapping[str, Any] | None:
        """The first condition that is evaluated lead by lead, ``leads`` ... ``where``; None where there is none."""
        return next((part for part in self.parts() if not isinstance(part, str) and "leads" in part), None)


def _flatten(condition: Condition) -> list[Condition]:
    out: list[Condition] = [condition]
    if not isinstance(condition, str):
        for key in ("all", "any", "none"):
            for part in condition.get(key, ()):
                out += _flatten(part)
    return out


def _checked(entry: FindingEntry, known: Collection[str]) -> FindingEntry:
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
    """The leads of a ``leads`` condition.

    Args:
        condition: with ``leads``, the name of a group or a list of leads.

    Raises:
        CriterionError: no lead group has that name.
    """
    named = condition["leads"]
    if isinstance(named, str):
        if named not in LEAD_GROUPS:
            raise CriterionError(f"no lead group {named!r}", remedy=f"use one of {', '.join(LEAD_GROUPS)}")
        return LEAD_GROUPS[named]
    return tuple(named)


def load_knowledge() -> Mapping[str, FindingEntry]:
    """All entries by name: the bundled ones in the order of their files, then what ``add_findings`` added.

    Raises:
        CriterionError: an entry can't be read.
    """
    return {**bundled_knowledge(), **_added} if _added else bundled_knowledge()


def add_findings(path: str | Path) -> tuple[str, ...]:
    """Add your own findings.

    They are evaluated in every measurement that this process assesses afterwards, and ``check`` recognises them in
    texts.

    Args:
        path: a YAML file with a list of entries like those in ``grounding/criteria/knowledge``; an entry may refer to
            bundled findings, and to earlier ones in the file. A file may be added again.

    Returns:
        The names of its findings.

    Raises:
        CriterionError: the file is not there or not such a list, or an entry is not valid.
    """
    import yaml

    source = Path(path)
    try:
        raw = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise CriterionError(f"can't be read ({error.strerror})", where=str(path), remedy="check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CriterionError(f"not YAML ({error})", where=str(path), remedy="see docs/extend.md") from None
    if not isinstance(raw, list) or not all(isinstance(raw_entry, Mapping) for raw_entry in raw):
        raise CriterionError("not a list of entries", where=str(path), remedy="see docs/extend.md")
    new_entries: dict[str, FindingEntry] = {}
    for raw_entry in raw:
        try:
            entry = _entry(raw_entry, {**bundled_knowledge(), **_added, **new_entries}.keys())
        except EcgError as error:
            raise CriterionError(f"{raw_entry.get('name', 'an entry')}: {error}", where=str(path)) from None
        if entry.name in bundled_knowledge() or entry.name in new_entries:
            raise CriterionError("an entry of this name is there already", where=f"{path}: {entry.name}")
        new_entries[entry.name] = entry
    _added.update(new_entries)
    _added_as.update({name: next(_serial) for name in new_entries})
    return tuple(new_entries)


def additions() -> tuple[tuple[str, int], ...]:
    """What ``add_findings`` has added, as a key for what is computed from the knowledge base and kept.

    Returns:
        Name and serial number of each finding; a finding that is added again gets a new number.
    """
    return tuple([(name, _added_as[name]) for name in _added])


_added: dict[str, FindingEntry] = {}
_added_as: dict[str, int] = {}
_serial = itertools.count()


@lru_cache(maxsize=1)
def bundled_knowledge() -> Mapping[str, FindingEntry]:
    """The entries that come with the library, by name."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries: dict[str, FindingEntry] = {}
    for name in FILES:
        text = (files(__package__) / "knowledge" / name).read_text(encoding="utf-8")
        for raw in yaml.load(text, Loader=loader):
            entry = _entry(raw, entries.keys())
            if entry.name in entries:
                raise CriterionError("an entry of this name is there already", where=entry.name)
            entries[entry.name] = entry
    return entries


def _entry(raw: Mapping[str, Any], known: Collection[str]) -> FindingEntry:
    """Make and check an entry from YAML; ``known`` are the findings that it may refer to."""
    where = str(raw.get("name", "an entry without a name"))
    unknown = sorted(set(raw) - {raw_entry.name for raw_entry in fields(FindingEntry)})
    if unknown:
        raise CriterionError(f"an entry has no {', '.join(map(str, unknown))}", where=where)
    missing = [name for name in ("name", "label", "group", "when", "source") if not raw.get(name)]
    if missing:
        raise CriterionError(
            f"an entry without {', '.join(missing)}", where=where, remedy="each has name, label, group, when and source"
        )
    try:
        limits = {key: limit(key, **settings) for key, settings in raw.get("limits", {}).items()}
        entry = FindingEntry(
            **{**raw, "terms": tuple(raw.get("terms", ())), "shows": tuple(raw.get("shows", ())), "limits": limits}
        )
    except (TypeError, AttributeError) as error:
        raise CriterionError(f"an entry that can't be read ({error})", where=where) from None
    return _checked(entry, known)
