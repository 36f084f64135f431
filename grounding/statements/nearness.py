"""Whether a finding would be there, or not, if every value were off by as much as readers and devices differ."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import lru_cache

from ..criteria.assessment import Assessment, enough_leads
from ..criteria.expressions import Criterion, Value, compiled, kleene_all, kleene_any, kleene_not, names, parse
from ..criteria.knowledge import Condition, FindingEntry, leads_of, load_knowledge
from ..criteria.limits import unit_of
from .amplitudes import measured_amplitude
from .tolerances import CLEAR_SHARE, P_FLAT_MV, P_PRESENT_SHARE, ST_LIMITS_MV, SUM_TOLERANCE_MV, TOLERANCES

Read = Callable[[str | None, str], Value]

_OF_UNIT = {"ms": 10.0, "mV": 0.1, "bpm": 5.0, "deg": 15.0}
_OF_LOW_WAVES_MV = {"j": 0.04, "st0": 0.04, "st40": 0.04, "st60": 0.04, "st80": 0.04, "p": 0.03, "t": 0.05}
# of numbers without a unit: shares of beats, of the largest QRS deflection, and variations
_OF_SHARES = {"_share": 0.1, "_rel": 0.04, "_cv": 0.03, "r_progression": 0.1}
_SIGNS: dict[type[ast.cmpop], int] = {ast.Gt: 1, ast.GtE: 1, ast.Lt: -1, ast.LtE: -1}


def nearly(assessment: Assessment, name: str, present: bool) -> bool:
    """Whether a finding is nearly there, or hardly there.

    Args:
        assessment: of the recording.
        name: of the finding.
        present: which of the two is asked: whether its rule holds with each limit moved by the tolerance of its
            quantity in favour of the finding (True), or fails with each moved against it (False).
    """
    entry = load_knowledge().get(name)
    if entry is None:
        return False
    return _condition(assessment, entry, entry.when, 1 if present else -1) is present


def nearly_in(assessment: Assessment, name: str, lead: str, present: bool) -> bool:
    """Whether a lead nearly shows a finding whose rule is evaluated lead by lead, or hardly shows it.

    Args:
        assessment: of the recording.
        name: of the finding.
        lead: a standard lead.
        present: which of the two, as in ``nearly``.
    """
    entry = load_knowledge().get(name)
    part = None if entry is None else entry.part_by_leads()
    if entry is None or part is None:
        return False
    return _expression(assessment, entry, part["where"], lead, 1 if present else -1) is present


def half_there(assessment: Assessment, name: str, lead: str) -> bool:
    """Whether an ST deviation is present in a lead, though smaller than its criterion requires.

    Args:
        assessment: of the recording.
        name: of the finding.
        lead: a standard lead.
    """
    limit = ST_LIMITS_MV.get(name)
    if limit is None:
        return False
    value = measured_amplitude(assessment.quantities, "st", lead)[0]
    sign = 1.0 if name == "st_elevation" else -1.0
    return value is not None and sign * value >= CLEAR_SHARE * limit


def p_is_flat(assessment: Assessment) -> bool:
    """Whether the P waves have no clear direction in lead II, so that their axis decides nothing.

    Args:
        assessment: of the recording.
    """
    share = assessment.quantities.value(None, "ordinary_p_share")[0]
    height, _ = measured_amplitude(assessment.quantities, "p", "II")
    return isinstance(share, float) and share >= P_PRESENT_SHARE and height is not None and abs(height) < P_FLAT_MV


def _condition(assessment: Assessment, entry: FindingEntry, condition: Condition, favour: int) -> bool | None:
    if isinstance(condition, str):
        return _expression(assessment, entry, condition, None, favour)
    if "leads" in condition:
        truth = {lead: _expression(assessment, entry, condition["where"], lead, favour) for lead in leads_of(condition)}
        return enough_leads(truth, int(condition.get("at_least", 1)), bool(condition.get("contiguous", False)))
    if "finding" in condition:
        return assessment.findings[condition["finding"]].present
    key = next(one for one in ("all", "any", "none") if one in condition)
    parts = [_condition(assessment, entry, part, -favour if key == "none" else favour) for part in condition[key]]
    held = kleene_all(parts) if key == "all" else kleene_any(parts)
    return kleene_not(held) if key == "none" else held


def _expression(assessment: Assessment, entry: FindingEntry, text: str, lead: str | None, favour: int) -> bool | None:
    limits, m = entry.rule(text).limits, assessment.measurement

    def read(named: str | None, name: str) -> Value:
        at = named or lead
        if name in limits:
            return limits[name].value(at, m.sex, m.age)
        return assessment.quantities.value(at, name)[0]

    return _truth(parse(text), read, favour, frozenset(limits))


def _truth(node: ast.expr, read: Read, favour: int, limits: frozenset[str]) -> bool | None:
    match node:
        case ast.BoolOp(op=op, values=items):
            parts = [_truth(item, read, favour, limits) for item in items]
            return kleene_any(parts) if isinstance(op, ast.Or) else kleene_all(parts)
        case ast.UnaryOp(op=ast.Not(), operand=item):
            return kleene_not(_truth(item, read, -favour, limits))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _SIGNS:
            a, b = _value(left, read), _value(right, read)
            if not isinstance(a, int | float) or not isinstance(b, int | float):
                return None
            spare = favour * _SIGNS[type(op)] * _tolerance(node, limits)
            return a + spare >= b if _SIGNS[type(op)] > 0 else a + spare <= b
    value = _value(node, read)
    return None if value is None else bool(value)


def _value(node: ast.expr, read: Read) -> Value:
    text = ast.unparse(node)
    value: Value = _plain(text)({key: read(*key) for key in names(text)})
    return value


@lru_cache(maxsize=1024)
def _plain(text: str) -> Criterion:
    return compiled(text, {})


def _tolerance(node: ast.expr, limits: frozenset[str]) -> float:
    """By how much the left side of a comparison may be off: the largest tolerance of what it reads."""
    read = [name for _, name in names(ast.unparse(node)) if name not in limits]
    sizes = [_of_quantity(name) for name in read]
    if any(name.endswith("_mv") for name in read) and any(isinstance(part, ast.Add) for part in ast.walk(node)):
        sizes.append(SUM_TOLERANCE_MV)
    return max(sizes, default=0.0)


def _of_quantity(name: str) -> float:
    known = TOLERANCES.get("qtc" if name.startswith("qtc") else name)
    if known is not None:
        return known
    if name.endswith("_mv") and (wave := name.removesuffix("_mv")) in _OF_LOW_WAVES_MV:
        return _OF_LOW_WAVES_MV[wave]
    by_name = next((size for ending, size in _OF_SHARES.items() if name.endswith(ending)), 0.0)
    return by_name or _OF_UNIT.get(unit_of(name), 0.0)
