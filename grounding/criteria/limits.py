"""Limits of normal values and categories of values, from ``limits.yaml``; used by everything that judges a number.

A value is compared with a limit after it is rounded as texts show it, so that "200 ms" is never "prolonged".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from .expressions import Criterion, CriterionError, Value, compiled, names

ADULT_YEARS = 16.0
DECIMALS = {"ms": 0, "bpm": 0, "deg": 0, "mV": 2}
SEXES = ("female", "male")


class Category(NamedTuple):
    """The category of a value; ``word`` is ``""`` where there is none, with a ``reason`` if one is known."""

    word: str
    reason: str | None = None


@dataclass(frozen=True, eq=False)  # one is a key of the values that a compiled criterion reads
class Limit:
    """One limit.

    Attributes:
        name: as criteria use it, e.g. ``long_pr_ms``.
        unit: of its value.
        rules: conditions (``leads``, ``sex``, ``age_from``, ``age_below``) and a ``value``, ``None`` where there is no
            limit; the first rule whose conditions hold applies.
        source: publication of the limit, and what it says.
        adaptation: how the limit here differs, and why.
    """

    name: str
    unit: str
    rules: tuple[Mapping[str, Any], ...]
    source: str = ""
    adaptation: str = ""

    def value(self, lead: str | None, sex: str | None, age: float | None) -> float | None:
        """The limit for one patient.

        Args:
            lead: for a limit that depends on the lead.
            sex: ``"female"``, ``"male"`` or ``None``.
            age: years, or ``None``.

        Returns:
            ``None`` where no limit is known.
        """
        for rule in self.rules:
            if "leads" in rule and lead not in rule["leads"]:
                continue
            if "sex" in rule and sex != rule["sex"]:
                continue
            if "age_from" in rule and (age is None or age < rule["age_from"]):
                continue
            if "age_below" in rule and (age is None or age >= rule["age_below"]):
                continue
            return None if rule["value"] is None else float(rule["value"])
        return None

    @property
    def for_criteria(self) -> Limit | float:
        """What stands for it in a compiled criterion: its value where that is the same for everyone."""
        first = self.rules[0]
        return float(first["value"]) if set(first) == {"value"} and first["value"] is not None else self

    def for_patient(self, sex: str | None, age: float | None) -> Limit:
        """The same limit with only the rules that may apply to a patient.

        Args:
            sex: ``"female"``, ``"male"``, or ``None`` for the rules of both.
            age: years, or ``None`` for the rules of adults.
        """
        kept = []
        for rule in self.rules:
            if sex is not None and rule.get("sex", sex) != sex:
                continue
            if "age_below" in rule and (rule["age_below"] <= ADULT_YEARS if age is None else age >= rule["age_below"]):
                continue
            if "age_from" in rule and age is not None and age < rule["age_from"]:
                continue
            decided = {"sex"} if sex is not None else set()
            decided |= {"age_from", "age_below"} if age is not None else set()
            kept.append({key: value for key, value in rule.items() if key not in decided})
            if set(kept[-1]) == {"value"}:
                break
        return replace(self, rules=tuple(kept))


class Values(dict[tuple[str | None, Hashable], Value]):
    """The values that a compiled criterion reads for one patient, each looked up once.

    Args:
        read: the value of a quantity in a lead (``None``: of the record), ``None`` where unknown.
        lead: the lead in question, for names without a lead.
        sex: ``"female"``, ``"male"`` or ``None``.
        age: years, or ``None``.
    """

    def __init__(
        self, read: Callable[[str | None, str], Value], lead: str | None, sex: str | None, age: float | None
    ) -> None:
        super().__init__()
        self.read, self.lead, self.sex, self.age = read, lead, sex, age

    def __missing__(self, key: tuple[str | None, Hashable]) -> Value:
        lead, name = key[0] or self.lead, key[1]
        value = self.read(lead, name) if isinstance(name, str) else name.value(lead, self.sex, self.age)  # type: ignore[attr-defined]
        self[key] = value
        return value


def rounded(value: float, unit: str) -> float:
    """Round a value as texts show it: whole ms, bpm and degrees, hundredths of a millivolt; other units unchanged.

    Args:
        value: in ``unit``.
        unit: ``ms``, ``bpm``, ``deg``, ``mV`` or another.

    Example:
        >>> rounded(200.14, "ms"), rounded(0.154, "mV"), rounded(0.1034, "")
        (200.0, 0.15, 0.1034)
    """
    return round(float(value), DECIMALS[unit]) if unit in DECIMALS else float(value)


def shown(value: float, unit: str, uncertainty: float | None = None) -> str:
    """A value as texts show it.

    Args:
        value: in ``unit``.
        unit: ``ms``, ``bpm``, ``deg``, ``mV`` or another.
        uncertainty: in the same unit, or ``None``.

    Example:
        >>> shown(118.2, "ms", 8.7)
        '118 +- 9 ms'
        >>> shown(71.6, "bpm"), shown(-0.154, "mV"), shown(-30.2, "deg"), shown(-0.3, "deg")
        ('72 bpm', '-0.15 mV', '-30 degrees', '0 degrees')
    """
    number = rounded(value, unit) or 0.0  # never "-0"
    digits = DECIMALS.get(unit, 0)
    spread = "" if uncertainty is None else f" +- {uncertainty:.{digits}f}"
    return f"{number:.{digits}f}{spread} {'degrees' if unit == 'deg' else unit}".strip()


@lru_cache(maxsize=1024)
def unit_of(name: str) -> str:
    """The unit of a measured quantity.

    Args:
        name: of the quantity.

    Returns:
        ``ms``, ``bpm``, ``deg``, ``mV``, or ``""`` for a number without a unit.

    Example:
        >>> unit_of("pr"), unit_of("heart_rate"), unit_of("axis_t"), unit_of("st60_mv"), unit_of("p_share")
        ('ms', 'bpm', 'deg', 'mV', '')
    """
    if name in _MS or name.startswith("qtc") or name.endswith("_ms"):
        return "ms"
    if name == "heart_rate" or name.endswith("_bpm"):
        return "bpm"
    if name == "axis" or name.startswith("axis_") or name.endswith("_deg"):
        return "deg"
    return "mV" if name.endswith("_mv") else ""


_MS = {"rr", "pr", "qrs", "qt", "p"}


@lru_cache(maxsize=1)
def _tables() -> tuple[Mapping[str, Limit], Mapping[str, Mapping[str, str]]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    raw = yaml.load((files(__package__) / "limits.yaml").read_text(encoding="utf-8"), Loader=loader)
    limits = {name: limit(name, **settings) for name, settings in raw["limits"].items()}
    for quantity, words in raw["categories"].items():
        for rule in words.values():
            if unknown := {name for _, name in names(rule)} - set(limits) - {quantity}:
                raise CriterionError(
                    f"the category rule {rule!r} reads {sorted(unknown)}", where=f"limits.yaml, {quantity}"
                )
    return limits, raw["categories"]


def limit(name: str, unit: str, rules: Any, source: str = "", adaptation: str = "") -> Limit:
    """Make a limit from its YAML form.

    Args:
        name: as criteria use it.
        unit: of its value.
        rules: a list of numbers, or of mappings of conditions and a ``value``.
        source: publication of the limit.
        adaptation: how the limit here differs, and why.
    """
    plain = tuple(rule if isinstance(rule, Mapping) else {"value": rule} for rule in rules)
    return Limit(name, unit, plain, source, adaptation)


def load_limits() -> Mapping[str, Limit]:
    """All limits by name.

    Raises:
        CriterionError: the file can't be read as limits.
    """
    return _tables()[0]


def load_categories() -> Mapping[str, Mapping[str, str]]:
    """The rules of categories: quantity -> word -> rule."""
    return _tables()[1]


@lru_cache(maxsize=1024)
def distinctions(limits: tuple[Limit, ...]) -> tuple[bool, tuple[float, ...]]:
    """What limits depend on.

    Args:
        limits: those that a rule reads.

    Returns:
        Whether they differ between the sexes, and the adult ages from which on they differ, () for none.
    """
    rules = [rule for one in limits for rule in one.rules]
    borders = sorted({float(rule[key]) for rule in rules for key in ("age_from", "age_below") if key in rule})
    adult = (ADULT_YEARS, *(border for border in borders if border > ADULT_YEARS))
    return any("sex" in rule for rule in rules), adult if borders else ()


def over_patients(
    limits: Collection[Limit],
    sex: str | None,
    age: float | None,
    decide: Callable[[str | None, float | None], bool | None],
) -> tuple[bool | None, str | None]:
    """Evaluate a rule for a patient; where sex or age is not known, for all possible ones.

    Args:
        limits: those that the rule reads.
        sex: ``"female"``, ``"male"`` or ``None``.
        age: years; ``None`` is taken for an adult.
        decide: the result of the rule for a sex and an age.

    Returns:
        The result and ``None``; or, where it is not the same for all, ``None`` and the reason.
    """
    by_sex, borders = distinctions(tuple(limits))
    sexes: tuple[str | None, ...] = SEXES if sex is None and by_sex else (sex,)
    ages: tuple[float | None, ...] = borders if age is None and borders else (age,)
    if len(sexes) == len(ages) == 1:
        return decide(sexes[0], ages[0]), None
    answers = {(who, years): decide(who, years) for who, years in itertools.product(sexes, ages)}
    if len(set(answers.values())) == 1:
        return next(iter(answers.values())), None
    differ_by_sex = any(len({answers[who, years] for who in sexes}) > 1 for years in ages)
    differ_by_age = any(len({answers[who, years] for years in ages}) > 1 for who in sexes)
    on = " and ".join(word for word, depends in (("sex", differ_by_sex), ("age", differ_by_age)) if depends)
    return None, f"it depends on the patient's {on}, which the record does not say"


def category(name: str, value: float, sex: str | None = None, age: float | None = None) -> Category:
    """The category of a global value.

    Args:
        name: ``heart_rate``, ``atrial_rate_bpm``, ``pr``, ``qrs``, ``p``, ``axis``, or a QTc by any formula (``qtc``,
            ``qtc_bazett``, ...).
        value: bpm, ms or degrees.
        sex: ``"female"`` or ``"male"``; ``None`` where not known.
        age: years; ``None`` where not known, which is taken for an adult.

    Returns:
        The word (``short``, ``normal``, ``prolonged``, ``slow``, ``fast``, ``left``, ...), or none with a reason.

    Example:
        >>> category("pr", 200.14), category("axis", -45).word, category("qtc", 455, "male").word
        (Category(word='normal', reason=None), 'left', 'prolonged')
        >>> category("qtc", 455)
        Category(word='', reason="it depends on the patient's sex, which the record does not say")
    """
    key = "qtc" if name.startswith("qtc") else name
    return _category(key, rounded(value, unit_of(name)), sex, age)


@lru_cache(maxsize=4096)
def _category(key: str, value: float, sex: str | None, age: float | None) -> Category:
    limits, categories = _tables()
    why = None
    for word, rule in categories.get(key, {}).items():
        holds, reason = holds_for(rule, {key: value}, sex, age)
        if holds:
            return Category(word)
        why = why or reason
    if why is None and any(
        limits[used].for_patient(sex, age).rules[-1]["value"] is None
        for rule in categories.get(key, {}).values()
        for _, used in names(rule)
        if used in limits
    ):
        why = f"no limit is known for a patient of {age:g} years" if age is not None else "no limit is known"
    return Category("", why)


def holds_for(
    rule: str, values: Mapping[str, Value], sex: str | None, age: float | None
) -> tuple[bool | None, str | None]:
    """Whether a rule holds for a patient.

    Args:
        rule: an expression over limits and ``values``.
        values: name -> value.
        sex: ``"female"``, ``"male"`` or ``None``.
        age: years, or ``None``.

    Returns:
        True, False or None, and why it is None.
    """
    criterion, used = _criterion(rule)

    def decide(who: str | None, years: float | None) -> bool | None:
        holds = criterion(Values(lambda _, name: values.get(name), None, who, years))
        return None if holds is None else bool(holds)

    return over_patients(used, sex, age, decide)


@lru_cache(maxsize=1024)
def _criterion(rule: str) -> tuple[Criterion, tuple[Limit, ...]]:
    """A rule over the shared limits, compiled, and the limits that it reads."""
    limits = load_limits()
    used = {name: limit.for_criteria for name, limit in limits.items()}
    return compiled(rule, used), tuple(limits[name] for _, name in names(rule) if name in limits)
