"""Parse questions and options: the ECG sign that they name, its leads and limits, time segments and ranges."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from grounding.criteria.knowledge import LEAD_GROUPS
from grounding.record import STANDARD_LEADS

# the first pattern that matches gives the sign; combinations come before the single waves that they contain
_SIGNS: tuple[tuple[str, str], ...] = (
    ("lv_strain", r"\blv strain|left ventricular strain"),
    ("blocked_p", r"non-?conducted p|blocked p"),
    ("one_to_one", r"consistent 1:1|1:1 p|every p wave"),
    ("dissociation", r"dissociat|independent from the ventric"),
    ("atrial_fibrillation", r"atrial fibrillation|fibrillatory waves"),
    ("dropped_beat", r"dropped beat"),
    ("premature_narrow", r"absence of (?:significant )?(?:qrs prolong|prolong)[^.]*premature"),
    ("premature_wide", r"(?:qrs prolong|prolonged qrs)[^.]*premature|prolonged significantly compared to"),
    (
        "premature_other",
        r"(?:\bin|\bon|between) the premature beat|premature atrial complexes with|following premature",
    ),
    ("premature", r"premature beats?|premature complex"),
    ("slow_rate", r"bradycardia \(|presence of bradycardia|slow heart rate|slow ventricular"),
    ("rr_regular", r"regularity of|rr intervals\) regular|rhythm regular"),
    ("cornell", r"cornell"),
    ("sokolow", r"sum of[^.]*\bs[^.]*\bv1\b[^.]*\br[^.]*\bv5(?:/| or )"),
    ("sum_other", r"\bsum of|\bratio of|terminal force"),
    ("lbbb", r"left bundle branch block"),
    ("rbbb", r"right bundle branch block"),
    ("axis_left", r"left axis deviation"),
    ("axis_right", r"right axis deviation"),
    ("axis_over", r"qrs axis (?:is )?(?:greater|above|over|>)|axis greater than"),
    ("axis_other", r"\baxis\b"),
    ("monophasic_r", r"positive monophasic"),
    ("broad_r_or_qr", r"broad monophasic r waves? or qr"),
    ("broad_r", r"broad monophasic r waves?"),
    ("rsr", r"rsr'"),
    ("slurred_s", r"slurred s"),
    ("notched_r", r"^(?!.*\b(?:broad|wide),? notched).*notch\w* (?:r|qrs)"),
    ("dominant_s", r"dominant s"),
    ("dominant_r", r"dominant r"),
    ("qr", r"\bqr pattern|\bqr complex"),
    ("rs", r"\brs pattern|\brs complex"),
    ("q_wave", r"pathological q"),
    ("pr_other", r"progressive prolong|alternat\w+[^.]*pr|variab[^.]*pr|pr[- ]segment"),
    ("pr_long", r"prolong[^.]*\bpr\b|\bpr interval[s]? prolonged"),
    ("qrs_long", r"prolong[^.]*\bqrs\b|qrs duration prolonged"),
    (
        "r_amplitude",
        r"\br (?:wave )?amplitude in (?:lead )?\w+ (?:>|greater)|maximum r amplitude|r amplitude in lead \w+ greater",
    ),
    ("st_other", r"scooped|concave|j-point elevation in|horizontal st"),
    ("st_depression", r"\bst(?:-segment)? depression"),
    ("st_elevation", r"\bst(?:-segment)? elevation"),
    ("t_inversion", r"inverted t|t wave inversion|t-wave inversion"),
)
_READ = tuple((name, re.compile(pattern)) for name, pattern in _SIGNS)
_CASE = re.compile(r"\b(qR|rS)\b")
_LEAD = re.compile(r"\b(aVR|aVL|aVF|V[1-6]|III|II|I)\b")
_REGIONS = ("anterior", "inferior", "lateral")
_NUMBER = r"([+-]?\d+(?:\.\d+)?)"


@dataclass(frozen=True)
class Sign:
    """A sign that a text asks about.

    Attributes:
        name: of the sign; ``""`` if it is unknown.
        leads: that may show it; empty for any.
        need: smallest number of these leads.
        limits: lead -> limit in mV, as in the text (lead ``""``: any lead).
        low: lower limit of an axis, degrees, as in the text.
        high: upper limit of an axis, degrees, as in the text.
    """

    name: str
    leads: tuple[str, ...] = ()
    need: int = 1
    limits: tuple[tuple[str, float], ...] = ()
    low: float | None = None
    high: float | None = None

    def limit(self, lead: str, default: float) -> float:
        """The limit that the text states for a lead, mV.

        Args:
            lead: its name.
            default: mV, if the text states none.
        """
        known = dict(self.limits)
        return known.get(lead, known.get("", default))


def read_leads(text: str) -> tuple[str, ...]:
    """Leads named in a text or, if there are none, the leads of the region that it names.

    Args:
        text: of a question or option.

    Example:
        >>> read_leads("leads II, III, and aVF"), read_leads("in anterior leads")
        (('II', 'III', 'aVF'), ('V1', 'V2', 'V3', 'V4'))
    """
    ranged = re.sub(
        r"V([1-6])\s*-\s*V([1-6])", lambda m: " ".join(f"V{n}" for n in range(int(m[1]), int(m[2]) + 1)), text
    )
    named = set(_LEAD.findall(ranged))
    if named:
        return tuple(lead for lead in STANDARD_LEADS if lead in named)
    return next((LEAD_GROUPS[region] for region in _REGIONS if re.search(rf"\b{region}\b", text)), ())


def read_sign(text: str) -> Sign:
    """The sign that a question or option names.

    Args:
        text: of a question or option.

    Example:
        >>> sign = read_sign("Is there ST elevation in at least two of the inferior leads? It is above 0.1mV.")
        >>> sign.name, sign.leads, sign.need
        ('st_elevation', ('II', 'III', 'aVF'), 2)
    """
    low_text = text.lower()
    name = next((name for name, pattern in _READ if pattern.search(low_text)), "")
    question = text.split(" Note that")[0]
    limits: list[tuple[str, float]] = []
    pieces = re.split(r"(\d+(?:\.\d+)?)\s*mV\b(?!\s*\*)", text)
    for value, after in zip(pieces[1::2], pieces[2::2], strict=True):
        leads = _LEAD.findall(after.split(". ")[0]) if name.startswith("st") else []
        limits += [(lead, float(value)) for lead in leads or [""]]
    low = high = None
    if name.startswith("axis"):
        if between := re.search(rf"between {_NUMBER} and {_NUMBER}", text):
            low, high = sorted((float(between[1]), float(between[2])))
        elif above := re.search(rf"(?:greater than|above|over|>)\s*{_NUMBER}", text):
            low, high = float(above[1]), 180.0
    need = 2 if re.search(r"at least two|two or more", question) else 1
    if name == "dominant_s" and not re.search(r"\bany of|\bor\b", question):
        need = len(read_leads(question)) or 1
    return Sign(name, read_leads(question), need, tuple(limits), low, high)


def read_span(text: str) -> tuple[float, float] | None:
    """A segment such as ``[2.29s - 2.44s]``, in seconds; None if the text has none."""
    match = re.search(rf"{_NUMBER}\s*s\b\s*-\s*{_NUMBER}\s*s\b", text)
    return (float(match[1]), float(match[2])) if match else None


def read_ordinals(text: str) -> tuple[int, int] | None:
    """The numbers of the two complexes in an option such as ``[4th QRS wave - 5th QRS wave]``."""
    found = re.findall(r"(\d+)(?:st|nd|rd|th)\b", text)
    return (int(found[0]), int(found[1])) if len(found) >= 2 else None


def read_range(text: str) -> tuple[float, float] | None:
    """A range of values: ``Below 90ms``, ``[90ms - 100ms]``, ``Above 1.5mV``; None if the text has none.

    Args:
        text: of an option.

    Example:
        >>> read_range("[-90 degrees - -30 degrees]"), read_range("Below 120ms")
        ((-90.0, -30.0), (-inf, 120.0))
    """
    if match := re.match(rf"\s*\[?\s*{_NUMBER}[^-+\d]*-\s*{_NUMBER}", text):
        return float(match[1]), float(match[2])
    number = re.search(_NUMBER, text)
    if number is None:
        return None
    if re.search(r"\b(?:below|under|less|<)", text, re.IGNORECASE):
        return -math.inf, float(number[1])
    return (float(number[1]), math.inf) if re.search(r"\b(?:above|over|more|greater|>)", text, re.IGNORECASE) else None
