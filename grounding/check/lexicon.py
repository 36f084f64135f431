"""The words that texts use about ECGs, and what each stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..findings.knowledge import LEAD_GROUPS, load_knowledge
from ..record import STANDARD_LEADS

# a word, an ordinal, a number, or one sign; hyphens inside words are separators ("first-degree" reads as "first degree")
_TOKEN = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+(?:\.\d+)?|[A-Za-zµ]+\d?(?:'s)?|[^\w\s]")


@dataclass(frozen=True)
class Token:
    """One word or sign: as written, as compared, and where."""

    text: str
    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Term:
    """What a phrase stands for.

    ``kind`` is ``quantity``, ``finding``, ``category``, ``regularity``, ``lead``, ``no`` (negates what follows), ``absent`` (negates what stands
    before), ``maybe``, ``maybe_post``, ``stop`` (ends a scope), ``formula``, ``compare``, ``missing``, ``reference``, ``segment`` or ``skip``.
    """

    kind: str
    values: tuple[str, ...] = ()
    negated: bool = False
    region: bool = False  # leads named as a region ("chest leads"), not one by one


def tokens(text: str, offset: int = 0) -> list[Token]:
    out = []
    for match in _TOKEN.finditer(text):
        raw = match.group()
        word = raw.lower().removesuffix("'s").replace("aemi", "emi").replace("aemic", "emic")
        out.append(Token(raw, word, match.start() + offset, match.end() + offset))
    return out


# quantity -> phrases. Names are those of Measurement.
QUANTITIES = {
    "heart_rate": ("heart rate", "ventricular rate", "hr", "rate", "pulse rate", "beats per minute rate"),
    "pr": ("pr interval", "pr", "pr duration", "pq interval", "pq", "p r interval", "pr time"),
    "qrs": ("qrs duration", "qrs interval", "qrs width", "qrs", "qrs complex", "qrs complexes", "qrsd"),
    "qt": ("qt interval", "qt", "uncorrected qt"),
    "qtc": ("qtc", "qtc interval", "corrected qt", "corrected qt interval", "qtcb", "qtcf"),
    "axis": ("axis", "qrs axis", "frontal axis", "electrical axis", "heart axis", "mean qrs axis", "frontal qrs axis", "cardiac axis"),
    "rr": ("rr interval", "rr intervals", "rr"),
    "p": ("p wave duration", "p duration"),
    "atrial_rate_bpm": ("atrial rate",),
    "intervals": ("intervals", "conduction intervals"),
}  # fmt: skip
CATEGORIES = {
    "normal": ("normal", "within normal limits", "normal limits", "unremarkable", "within the normal range", "in the normal range", "wnl", "normally"),
    "prolonged": ("prolonged", "long", "lengthened", "prolongation", "widened", "wide", "broad", "broadened", "increased", "widening"),
    "short": ("short", "shortened", "narrow", "shortening"),
    "fast": ("fast", "rapid", "high", "tachycardic", "elevated"),
    "slow": ("slow", "low", "bradycardic"),
    "left": ("left", "leftward"),
    "right": ("right", "rightward"),
    "abnormal": ("abnormal",),
    "shape": ("inverted", "depressed", "raised", "upright", "negative", "positive", "isoelectric", "poor", "reduced"),
}  # fmt: skip
REGULARITY = {
    "regular": ("regular", "regular rhythm", "rhythm regular"),
    "irregular": ("irregular", "irregularly irregular", "irregularity"),
}
# phrases that stand for any of several findings, or for one's absence
_INFARCTION = (
    "anterior_myocardial_infarction",
    "inferior_myocardial_infarction",
    "lateral_myocardial_infarction",
    "pathological_q_waves",
)
_ISCHEMIA = ("anterior_ischemia", "inferior_ischemia", "lateral_ischemia", "st_depression", "t_wave_inversion")
_SINUS = ("sinus_rhythm", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia")
_FASCICULAR = ("left_anterior_fascicular_block", "left_posterior_fascicular_block")
_BUNDLE = ("complete_left_bundle_branch_block", "complete_right_bundle_branch_block", "incomplete_right_bundle_branch_block", "incomplete_left_bundle_branch_block")  # fmt: skip
_AV_BLOCK = ("first_degree_av_block", "second_degree_av_block", "third_degree_av_block")
GROUPS: dict[str, tuple[str, ...]] = {
    "st segment deviation": ("st_elevation", "st_depression"), "st segment abnormalities": ("st_elevation", "st_depression"),
    "left or right bundle branch block": _BUNDLE, "right or left bundle branch block": _BUNDLE,
    "sinus rhythm": _SINUS, "regular sinus rhythm": _SINUS,
    "sinus": _SINUS,
    "myocardial infarction": _INFARCTION, "infarction": _INFARCTION, "mi": _INFARCTION, "infarct": _INFARCTION,
    "ischemia": _ISCHEMIA, "myocardial ischemia": _ISCHEMIA, "ischemic changes": _ISCHEMIA, "ischemic st t changes": _ISCHEMIA,
    "st t changes": (*_ISCHEMIA, "st_elevation"), "st t abnormalities": (*_ISCHEMIA, "st_elevation"), "st t wave changes": (*_ISCHEMIA, "st_elevation"),
    "st changes": ("st_elevation", "st_depression"), "st segment changes": ("st_elevation", "st_depression"),
    "st deviation": ("st_elevation", "st_depression"),
    "fascicular block": _FASCICULAR, "hemiblock": _FASCICULAR,
    "bundle branch block": _BUNDLE, "bbb": _BUNDLE,
    "incomplete bundle branch block": _BUNDLE[2:],
    "atrioventricular block": _AV_BLOCK, "av block": _AV_BLOCK, "heart block": _AV_BLOCK,
    "conduction disturbance": (*_FASCICULAR, *_BUNDLE, *_AV_BLOCK, "nonspecific_intraventricular_conduction_delay", "wolff_parkinson_white"),
    "conduction abnormality": (*_FASCICULAR, *_BUNDLE, *_AV_BLOCK, "nonspecific_intraventricular_conduction_delay", "wolff_parkinson_white"),
    "hypertrophy": ("left_ventricular_hypertrophy", "right_ventricular_hypertrophy"),
    "ventricular hypertrophy": ("left_ventricular_hypertrophy", "right_ventricular_hypertrophy"),
    "axis deviation": ("left_axis_deviation", "right_axis_deviation", "extreme_axis_deviation"),
    "extrasystole": ("premature_atrial_complex", "premature_ventricular_complex"),
    "extrasystoles": ("premature_atrial_complex", "premature_ventricular_complex"),
    "premature beats": ("premature_atrial_complex", "premature_ventricular_complex"),
    "premature complexes": ("premature_atrial_complex", "premature_ventricular_complex"),
    "ectopic beats": ("premature_atrial_complex", "premature_ventricular_complex"),
    "ectopy": ("premature_atrial_complex", "premature_ventricular_complex"),
    "p waves": ("p_waves",), "p wave": ("p_waves",),
    "normal ecg": ("normal_ecg",), "normal ekg": ("normal_ecg",), "normal electrocardiogram": ("normal_ecg",), "ecg is normal": ("normal_ecg",),
    "normal tracing": ("normal_ecg",), "normal 12 lead ecg": ("normal_ecg",),
}  # fmt: skip
OPPOSITES: dict[str, tuple[str, ...]] = {
    "normal r wave progression": ("poor_r_wave_progression",), "good r wave progression": ("poor_r_wave_progression",),
    "normal r progression": ("poor_r_wave_progression",), "abnormal ecg": ("normal_ecg",), "abnormal ekg": ("normal_ecg",),
    "isoelectric st segments": ("st_elevation", "st_depression"), "isoelectric st segment": ("st_elevation", "st_depression"),
}  # fmt: skip
SEGMENTS = {
    "r": ("r wave progression", "r progression"),
    "st": ("st segment", "st segments", "st"),
    "t": ("t wave", "t waves"),
}
# what is said of a segment -> findings, and whether they are denied
SEGMENT_WORDS: dict[tuple[str, str], tuple[tuple[str, ...], bool]] = {
    ("r", "normal"): (("poor_r_wave_progression",), True), ("r", "poor"): (("poor_r_wave_progression",), False),
    ("r", "reduced"): (("poor_r_wave_progression",), False), ("r", "abnormal"): (("poor_r_wave_progression",), False),
    ("st", "elevated"): (("st_elevation",), False), ("st", "raised"): (("st_elevation",), False),
    ("st", "depressed"): (("st_depression",), False), ("st", "isoelectric"): (("st_elevation", "st_depression"), True),
    ("st", "normal"): (("st_elevation", "st_depression"), True), ("t", "inverted"): (("t_wave_inversion",), False),
    ("t", "negative"): (("t_wave_inversion",), False), ("t", "upright"): (("t_wave_inversion",), True),
    ("t", "normal"): (("t_wave_inversion",), True), ("t", "positive"): (("t_wave_inversion",), True),
}  # fmt: skip
LEAD_PHRASES: dict[str, tuple[str, ...]] = {
    "inferior leads": LEAD_GROUPS["inferior"], "lateral leads": LEAD_GROUPS["lateral"], "high lateral leads": LEAD_GROUPS["high_lateral"],
    "septal leads": LEAD_GROUPS["septal"], "anterior leads": LEAD_GROUPS["anterior"], "anteroseptal leads": LEAD_GROUPS["anteroseptal"],
    "anterolateral leads": LEAD_GROUPS["anterolateral"], "inferolateral leads": (*LEAD_GROUPS["inferior"], "V5", "V6"),
    "precordial leads": LEAD_GROUPS["precordial"], "chest leads": LEAD_GROUPS["precordial"], "limb leads": LEAD_GROUPS["limb"],
    "right precordial leads": LEAD_GROUPS["right_precordial"], "left precordial leads": LEAD_GROUPS["left_precordial"], "all leads": STANDARD_LEADS,
}  # fmt: skip
_PLAIN: dict[str, Iterable[str]] = {
    "no": ("no", "no evidence of", "without", "without evidence of", "absence of", "no sign of", "no signs of", "negative for", "free of", "lack of", "nor", "neither", "not", "never", "rules out", "does not show", "no significant", "no clear", "excludes", "isn't", "aren't", "lacks"),
    "absent": ("absent", "not present", "not seen", "not evident", "not observed", "not noted", "not detected", "not identified", "not visible", "not found", "ruled out", "is excluded", "are excluded", "not met", "not fulfilled", "missing", "not discernible", "not identifiable", "not apparent"),
    "maybe": ("possible", "possibly", "probable", "probably", "likely", "may", "might", "could", "cannot exclude", "can not exclude", "cannot rule out", "can not rule out", "suspected", "suspicious for", "suggest", "suggests", "suggesting", "suggestive of", "consider", "questionable", "borderline", "consistent with", "compatible with", "suspicion of", "concerning for", "concern for", "potential", "potentially"),
    "maybe_post": ("cannot be excluded", "can not be excluded", "not excluded", "cannot be ruled out", "can not be ruled out", "is possible", "are possible", "is likely", "is probable", "is suspected", "not be excluded", "not be ruled out"),
    "stop": ("but", "however", "although", "though", "except", "whereas", "while", "there is", "there are", "shows", "show", "yet", "instead"),
    "missing": ("not measurable", "not measured", "cannot be measured", "could not be measured", "unmeasurable", "not be measured"),
    "reference": ("normal range", "reference range", "normal value", "normal values", "reference", "upper limit", "lower limit", "threshold", "cutoff", "cut off", "criterion", "defined as", "normal limit"),
    "skip": ("history of", "otherwise normal", "otherwise normal ecg", "otherwise normal ekg", "12 lead", "twelve lead", "no change", "not only", "left ventricle", "right ventricle", "high quality", "normal variant", "left atrium", "right atrium", "left sided", "right sided", "lead i lead", "sinus node", "short term", "long term", "high risk", "low risk"),
}  # fmt: skip
FORMULAS = {"qtc_bazett": ("bazett", "qtcb"), "qtc_fridericia": ("fridericia", "qtcf"), "qtc_framingham": ("framingham",), "qtc_hodges": ("hodges",)}  # fmt: skip
COMPARE = {
    ">": (">", "more than", "greater than", "above", "exceeds", "exceeding", "over", "longer than", "at least", "≥"),
    "<": ("<", "less than", "below", "under", "shorter than", "at most", "≤"),
}
# the value that a finding's name speaks about, so that a number after it can be read: "left axis deviation (-42 degrees)"
SUBJECTS = {
    "normal_rate": "heart_rate", "bradycardia": "heart_rate", "tachycardia": "heart_rate", **dict.fromkeys(_SINUS, "heart_rate"),
    "supraventricular_tachycardia": "heart_rate", "atrial_fibrillation": "heart_rate", "atrial_flutter": "heart_rate", "paced_rhythm": "heart_rate",
    "normal_pr": "pr", "first_degree_av_block": "pr", "short_pr": "pr", "normal_qrs": "qrs", "wide_qrs": "qrs", **dict.fromkeys(_BUNDLE, "qrs"),
    "nonspecific_intraventricular_conduction_delay": "qrs", "normal_axis": "axis", "left_axis_deviation": "axis", "right_axis_deviation": "axis",
    "extreme_axis_deviation": "axis", "normal_qtc": "qtc", "prolonged_qtc": "qtc", "short_qtc": "qtc",
}  # fmt: skip

Lexicon = dict[str, list[tuple[tuple[str, ...], Term]]]


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(token.word for token in tokens(phrase) if token.text != "-")


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """First word -> phrases that begin with it, longest first."""
    found: dict[tuple[str, ...], Term] = {}
    for kind, phrases in _PLAIN.items():
        found |= {_words(phrase): Term(kind) for phrase in phrases}
    for entry in load_knowledge().values():
        for phrase in (entry.label, *entry.terms):
            words = _words(phrase)
            found[words] = Term("finding", (entry.name,))
            if not words[-1].endswith("s"):
                found.setdefault((*words[:-1], words[-1] + "s"), Term("finding", (entry.name,)))
    tables = (("quantity", QUANTITIES), ("category", CATEGORIES), ("regularity", REGULARITY), ("formula", FORMULAS), ("compare", COMPARE), ("segment", SEGMENTS))  # fmt: skip
    for kind, table in tables:
        for value, phrases in table.items():
            for phrase in phrases:
                found[_words(phrase)] = Term(kind, (value,))
    for phrase, names in GROUPS.items():
        found[_words(phrase)] = Term("finding", names)
    for phrase, names in OPPOSITES.items():
        found[_words(phrase)] = Term("finding", names, negated=True)
    for phrase, leads in LEAD_PHRASES.items():
        found[_words(phrase)] = Term("lead", leads, region=True)
    index: Lexicon = {}
    for words, term in found.items():
        index.setdefault(words[0], []).append((words, term))
    for terms in index.values():
        terms.sort(key=lambda item: -len(item[0]))
    return index


_LEADS = {lead.lower(): lead for lead in STANDARD_LEADS}


def lead_of(token: Token) -> str | None:
    """The lead a token may name, in any case of letters."""
    return _LEADS.get(token.word)
