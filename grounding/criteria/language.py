"""Criteria and quantities in words; the text is generated from the rule that is evaluated, so that both agree."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..evidence import Evidence
from .expressions import CriterionError, parse
from .limits import Limit, shown, unit_of

if TYPE_CHECKING:
    from .knowledge import Condition

# quantities of the record
RECORD_WORDS = {
    "heart_rate": "heart rate",
    "rr": "RR interval",
    "pr": "PR interval",
    "qrs": "QRS duration",
    "qt": "QT interval",
    "p": "P-wave duration",
    "qtc_bazett": "QTc (Bazett)",
    "qtc_fridericia": "QTc (Fridericia)",
    "qtc_framingham": "QTc (Framingham)",
    "qtc_hodges": "QTc (Hodges)",
    "axis": "QRS axis",
    "axis_p": "P axis",
    "axis_t": "T axis",
    "age": "age",
    "sex": "sex",
    "has_millivolts": "the amplitudes are in millivolts",
    "rr_min_ms": "shortest RR interval",
    "rr_max_ms": "longest RR interval",
    "rr_sd_ms": "standard deviation of the RR intervals",
    "rr_cv": "variation of the RR intervals",
    "rmssd_ms": "RMSSD",
    "p_share": "share of beats with a P wave",
    "ordinary_p_share": "share of ordinary beats with a P wave",
    "pr_sd_ms": "standard deviation of the PR interval",
    "af_probability": "probability of atrial fibrillation",
    "flutter_probability": "probability of atrial flutter",
    "atrial_rate_bpm": "atrial rate",
    "p_per_qrs": "P waves per QRS",
    "dropped_beats": "number of P waves that no QRS follows",
    "pr_trend_ms": "growth of the PR interval from beat to beat",
    "n_beats": "number of beats",
    "n_leads": "number of usable leads",
    "pvc_count": "number of premature ventricular beats",
    "pac_count": "number of premature supraventricular beats",
    "escape_count": "number of escape beats",
    "paced_share": "share of paced beats",
    "wide_share": "share of wide beats",
    "bigeminy_run": "times in a row that one ordinary beat is followed by a premature one",
    "trigeminy_run": "times in a row that two ordinary beats are followed by a premature one",
    "r_progression": "largest share of R in the QRS of V1 to V3",
    "normal_rr_cv": "variation of the RR intervals between ordinary beats",
}
# parts of a lead's median beat; the suffixes `_mv`, `_ms`, `_rel`, `_form` mean their amplitude, duration, share, form
WAVE_WORDS = {
    "p": "P wave",
    "q": "Q wave",
    "r": "R wave",
    "s": "S wave",
    "r2": "second R wave",
    "s2": "second S wave",
    "t": "T wave",
    "j": "J point",
    "st0": "ST at the J point",
    "st40": "ST 40 ms after the J point",
    "st60": "ST 60 ms after the J point",
    "st80": "ST 80 ms after the J point",
}
QRS_WAVES = frozenset({"q", "r", "s", "r2", "s2"})
LEAD_WORDS = {
    "net_rel": "R less S",
    "r_peak_time_ms": "R-peak time",
    "qrs_ms": "QRS duration",
    "qrs_form": "shape of the QRS",
    "st_form": "shape of the ST segment",
    "t_form": "shape of the T wave",
    "p_form": "shape of the P wave",
}
SHARES = {
    "af_probability",
    "flutter_probability",
    "p_share",
    "ordinary_p_share",
    "paced_share",
    "wide_share",
    "rr_cv",
    "normal_rr_cv",
    "r_progression",
}
INTERNAL = frozenset({"af_probability", "flutter_probability", "r_progression"})  # not shown to readers
OF_QRS = "of the largest QRS deflection"
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "below",
    ast.LtE: "at most",
    ast.Gt: "above",
    ast.GtE: "at least",
    ast.Eq: "equal to",
    ast.NotEq: "other than",
    ast.In: "one of",
    ast.NotIn: "none of",
}
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "plus", ast.Sub: "less", ast.Mult: "times", ast.Div: "divided by"}


def quantity_words(name: str, lead: str | None = None) -> str:
    """The name of a measured quantity in words.

    Args:
        name: of the quantity, as criteria use it.
        lead: in which it was measured; ``None`` for a quantity of the record.

    Raises:
        CriterionError: no quantity has that name.

    Example:
        >>> quantity_words("pr"), quantity_words("st60_mv", "V2")
        ('PR interval', 'ST 60 ms after the J point in V2')
        >>> quantity_words("q_ms", "III"), quantity_words("net_rel", "V1")
        ('duration of the Q wave in III', 'R less S in V1')
    """
    place = f" in {lead}" if lead else ""
    if name in RECORD_WORDS:
        return RECORD_WORDS[name]
    if name in LEAD_WORDS:
        return LEAD_WORDS[name] + place
    wave, _, what = name.rpartition("_")
    if wave in WAVE_WORDS and what in ("mv", "rel", "ms"):
        return ("duration of the " if what == "ms" else "") + WAVE_WORDS[wave] + place
    if name.startswith("issue_"):
        return f"signal quality issue {name.removeprefix('issue_').replace('_', ' ')!r}"
    if name.startswith("probability_"):
        return f"probability of {name.removeprefix('probability_')} by the encoders"
    raise CriterionError(
        f"there are no words for the quantity {name!r}", remedy="add them to grounding/criteria/language.py"
    )


def value_words(evidence: Evidence) -> str:
    """A measured number in words, e.g. ``"236 ms"``, ``"12 %"``.

    Args:
        evidence: with the value.

    Returns:
        ``""`` for what is not shown to readers, such as a share of the QRS, or the size of a wave that is not there.
    """
    name, value = evidence.quantity, evidence.value
    if not isinstance(value, int | float) or isinstance(value, bool) or name in INTERNAL or name.endswith("_rel"):
        return ""
    if value == 0 and name.rpartition("_")[0] in QRS_WAVES:
        return ""
    if name in SHARES:
        return f"{100 * value:.0f} %"
    return shown(value, evidence.unit, evidence.uncertainty) if name in RECORD_WORDS or len(evidence.leads) == 1 else ""


def criterion_words(name: str, sex: str | None = None, age: float | None = None) -> str:
    """A finding's rule in words, with the limits that apply to a patient.

    Args:
        name: of the entry in the knowledge base.
        sex: ``"female"`` or ``"male"``; ``None`` gives the limits of both.
        age: years; ``None`` gives the limits of adults.

    Example:
        >>> criterion_words("prolonged_qtc"), criterion_words("prolonged_qtc", "male", 60.0)
        ('QTc (Fridericia) at least 460 ms in women, 450 ms in men', 'QTc (Fridericia) at least 450 ms')
    """
    return criteria_words(sex, age)[name]


def criteria_words(sex: str | None, age: float | None) -> Mapping[str, str]:
    """``criterion_words`` of every finding.

    Args:
        sex: as in ``criterion_words``.
        age: as in ``criterion_words``.

    Returns:
        Name of the entry -> its rule in words.
    """
    from .knowledge import additions

    version = additions()
    # the words are the same for all ages between two borders of limits
    since = None if age is None else max((border for border in _borders(version) if border <= age), default=-math.inf)
    return _criteria_words(sex, since, version)


@lru_cache(maxsize=4)
def _borders(_: tuple[tuple[str, int], ...]) -> tuple[float, ...]:
    """The ages at which any limit changes, years."""
    from .knowledge import load_knowledge

    limits = {id(one): one for entry in load_knowledge().values() for one in entry.all_limits.values()}
    rules = [rule for one in limits.values() for rule in one.rules]
    return tuple(sorted({float(rule[key]) for rule in rules for key in ("age_from", "age_below") if key in rule}))


@lru_cache(maxsize=256)
def _criteria_words(sex: str | None, age: float | None, _: tuple[tuple[str, int], ...]) -> Mapping[str, str]:
    from .knowledge import load_knowledge

    out = {}
    for entry in load_knowledge().values():
        limits = {key: limit.for_patient(sex, age) for key, limit in entry.all_limits.items()}
        out[entry.name] = _condition(entry.when, limits)
    return out


def _condition(condition: Condition, limits: Mapping[str, Limit]) -> str:
    if isinstance(condition, str):
        return _Rule(limits).words(parse(condition))
    if "leads" in condition:
        return _leads(condition, limits)
    if "finding" in condition:
        from .knowledge import load_knowledge

        return load_knowledge()[condition["finding"]].label
    key = next(name for name in ("all", "any", "none") if name in condition)
    parts = [_condition(part, limits) for part in condition[key]]
    if key == "none":
        return "no " + " and no ".join(parts)
    joined = ("; " if key == "all" else " or ").join(parts)
    return joined if key == "all" or len(parts) == 1 else f"either {joined}"


def _leads(condition: Mapping[str, Any], limits: Mapping[str, Limit]) -> str:
    from .knowledge import LEAD_GROUPS, leads_of

    need, leads = int(condition.get("at_least", 1)), leads_of(condition)
    rule = _Rule(limits).words(parse(condition["where"]))
    neighbours = "neighbouring " if condition.get("contiguous") else ""
    if leads == LEAD_GROUPS["not_avr"]:
        place = f"{need} {neighbours}leads (not aVR)" if need > 1 else "any lead but aVR"
    elif need == len(leads):
        place = f"all of {_listed(leads)}"
    else:
        place = f"{need} {neighbours}leads of {_listed(leads)}" if need > 1 else f"any of {_listed(leads)}"
    return f"{rule}, in {'at least ' if 1 < need < len(leads) else ''}{place}"


def _listed(words: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


class _Rule:
    """One expression in words."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self.limits = limits

    def words(self, node: ast.expr) -> str:
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return self._both(parts)
            case ast.BoolOp(op=ast.Or(), values=parts):
                return " or ".join(self.words(part) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id="has_millivolts")):
                return "the amplitudes are not in millivolts"
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return f"not ({self.words(part)})"
            case ast.Compare(left=left, ops=ops, comparators=others):
                unit = next(filter(None, (self._unit(part) for part in (left, *others))), "")
                shown = [
                    f"{_SIGNS[type(op)]} {self._value(other, unit)}" for op, other in zip(ops, others, strict=True)
                ]
                return f"{self._value(left, unit)} {' and '.join(shown)}"
            case ast.Name() | ast.Attribute():
                return self._value(node, "")
        raise CriterionError(f"{type(node).__name__} has no words")

    def _both(self, parts: Sequence[ast.expr]) -> str:
        """Comparisons joined by "and"; successive ones of the same quantity name it once."""
        out: list[str] = []
        before = ""
        for part in parts:
            text = self.words(part)
            subject = ast.dump(part.left) if isinstance(part, ast.Compare) else ""
            if subject and subject == before and isinstance(part, ast.Compare):
                text = text.removeprefix(self._value(part.left, "")).strip()
                out[-1] += f" and {text}"
            else:
                alternative = isinstance(part, ast.BoolOp) and isinstance(part.op, ast.Or) and len(parts) > 1
                out.append(f"({text})" if alternative else text)
            before = subject
        return " and ".join(out)

    def _unit(self, node: ast.expr) -> str:
        """Unit of a comparison: that of its first quantity or limit, ``%`` for shares."""
        for part in ast.walk(node):
            name = part.attr if isinstance(part, ast.Attribute) else part.id if isinstance(part, ast.Name) else ""
            if name in SHARES or name.endswith("_rel"):
                return "%"
            if name == "age":
                return "years"
            if unit := self.limits[name].unit if name in self.limits else unit_of(name):
                return {"deg": "degrees"}.get(unit, unit)
        return ""

    def _value(self, node: ast.expr, unit: str) -> str:
        match node:
            case ast.Constant(value=bool(value)):
                return str(value).lower()
            case ast.Constant(value=int(value) | float(value)):
                return f"{100 * value:g} %" if unit == "%" else f"{value:g} {unit}".strip()
            case ast.Constant(value=value):
                return str(value)
            case ast.UnaryOp(op=ast.USub(), operand=part):
                return f"-{self._value(part, unit)}"
            case ast.Name(id=name) if name in self.limits:
                return limit_words(self.limits[name], unit)
            case ast.Name(id=name):
                return self._named(name, None)
            case ast.Attribute(value=ast.Name(id=lead), attr=name):
                return self._named(name, lead)
            case ast.BinOp(left=ast.Constant(value=int() | float() as factor), op=ast.Mult(), right=right):
                return f"{factor:g} times the {self._value(right, unit)}"
            case ast.BinOp(left=left, op=op, right=right):
                return f"{self._value(left, unit)} {_OPERATORS[type(op)]} {self._value(right, unit)}"
            case ast.Call(func=ast.Name(id="abs"), args=[part]):
                return f"size of the {self._value(part, unit)}".replace("size of the R less S", "size of R less S")
            case ast.Call(func=ast.Name(id=name), args=parts):
                word = "larger" if name == "max" else "smaller"
                return f"the {word} of {_listed([self._value(part, unit) for part in parts])}"
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return _listed([self._value(part, unit) for part in parts], "or")
        raise CriterionError(f"{type(node).__name__} has no words")

    def _named(self, name: str, lead: str | None) -> str:
        words = quantity_words(name, lead)
        return f"{words} ({OF_QRS})" if name.endswith("_rel") and name != "net_rel" else words


def limit_words(limit: Limit, unit: str | None = None) -> str:
    """A limit with the patients it applies to, e.g. ``"460 ms in women, 450 ms in men"``.

    Args:
        limit: the limit.
        unit: in which its value is shown; by default the limit's own, ``%`` for a share.
    """
    unit = limit.unit if unit is None else unit
    parts: list[str] = []
    for rule in limit.rules:
        who = [f"in {_listed(rule['leads'])}"] if "leads" in rule else []
        who += [f"in {'women' if rule['sex'] == 'female' else 'men'}"] if "sex" in rule else []
        who += [f"from {rule['age_from']:g} years"] if "age_from" in rule else []
        who += [f"below {rule['age_below']:g} years"] if "age_below" in rule else []
        if rule["value"] is None:
            value = "none"
        else:
            value = (
                f"{100 * rule['value']:g} %"
                if unit == "%"
                else f"{rule['value']:g} {unit.replace('deg', 'degrees') if unit == 'deg' else unit}".strip()
            )
        if not who and parts:
            who = ["otherwise"]
        parts.append(" ".join([value, *who]))
    return ", ".join(parts)
