"""What a statement is about, in the same words whoever wrote it: two texts are compared by it."""

from __future__ import annotations

from ..criteria.knowledge import load_knowledge
from .parsed import ParsedStatement

QUANTITIES = {
    "heart_rate": "heart rate",
    "pr": "PR interval",
    "pr_sd_ms": "standard deviation of the PR interval",
    "qrs": "QRS duration",
    "qt": "QT interval",
    "axis": "axis",
    "rr": "RR interval",
    "p": "P duration",
    "atrial_rate_bpm": "atrial rate",
    "axis_p": "P axis",
    "axis_t": "T axis",
}
_WAVES = {
    "j": "J point",
    "st40": "ST 40 ms after the J point",
    "st60": "ST 60 ms after the J point",
    "st80": "ST 80 ms after the J point",
    "r2": "second R wave",
    "s2": "second S wave",
    "q_ms": "duration of the Q wave",
    "r_peak_time_ms": "R-peak time",
}
_SUMS = {"sokolow": "Sokolow-Lyon index", "cornell": "Cornell voltage"}


def topic_of(statement: ParsedStatement, quantity: str = "") -> str:
    """What a statement is about: a quantity, a wave's amplitude or findings, with the leads that it names.

    Args:
        statement: from ``read_statements``.
        quantity: which one, of a statement about several.

    Returns:
        A few words; empty where nothing that is known is named.

    Example:
        >>> from grounding.statements.parsing import read_statements
        >>> [topic_of(one) for one in read_statements("PR is 160 ms. No LBBB. T inversion in V1.")]
        ['PR interval', 'complete left bundle branch block', 'T-wave inversion in V1']
    """
    names = statement.subject
    if statement.kind in ("number", "category", "missing"):
        name = quantity or (names[0] if names else "")
        name = "qtc" if statement.kind == "category" and name == "qt" else name
        return QUANTITIES.get(name, "QTc" if name.startswith("qtc") else name.replace("_", " "))
    if statement.kind == "regularity":
        return "regularity of the rhythm"
    if statement.kind == "relation":
        return relation_topic(statement)
    if statement.kind == "amplitude":
        parts = [_SUMS.get(name) or wave_topic(name.split(":")[0]) for name in names]
        return _in_leads(" + ".join(parts), statement.leads)
    knowledge = load_knowledge()
    groups = [
        " or ".join(knowledge[name].label if name in knowledge else name.replace("_", " ") for name in group)
        for group in statement.findings
    ]
    return _in_leads(" and ".join(groups), statement.leads)


def relation_topic(statement: ParsedStatement) -> str:
    """What a relation is about.

    Args:
        statement: of kind ``relation``.

    Example:
        >>> from grounding.statements.parsing import read_statements
        >>> [relation_topic(one) for one in read_statements("R in V5 is taller than in V6. P upright in II.")]
        ['R amplitude in V5 against R amplitude in V6', 'direction of the P wave in II']
    """
    name, *rest = statement.subject
    sides = [f"{wave_topic(wave)} in {lead}" for wave, _, lead in (side.partition(":") for side in rest) if lead]
    if len(sides) == 2:
        return f"{sides[0]} against {sides[1]}"
    if sides:
        return f"lead with the largest {wave_topic(rest[0].partition(':')[0])}"
    if rest and rest[0] in ("p", "qrs"):
        name = f"{name} of the {'P wave' if rest[0] == 'p' else 'QRS'}"
    return _in_leads(name, statement.leads)


def wave_topic(wave: str) -> str:
    """What is stated of a wave in a lead.

    Args:
        wave: subject of a statement of kind ``amplitude``.

    Example:
        >>> wave_topic("r"), wave_topic("st60")
        ('R amplitude', 'ST 60 ms after the J point')
    """
    return _WAVES.get(wave) or f"{wave.upper()} amplitude"


def _in_leads(words: str, leads: tuple[str, ...]) -> str:
    return f"{words} in {', '.join(leads)}" if words and leads else words
