"""The phrases of texts about ECGs and their meanings, from ``words/*.yaml`` and the labels and terms of findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any

from ..criteria.knowledge import LEAD_GROUPS, additions, bundled_knowledge, load_knowledge
from ..record import STANDARD_LEADS
from .tokens import _TOKEN, normalised, word_of

FILES = ("english.yaml", "german.yaml", "swedish.yaml")
_ENDINGS = ("", "e", "er", "es", "en", "em")
# of each of these groups one finding must be present; a single finding is ((name,),)
Subject = tuple[tuple[str, ...], ...]

_INFARCTION = (
    "anterior_myocardial_infarction",
    "inferior_myocardial_infarction",
    "lateral_myocardial_infarction",
    "pathological_q_waves",
)
_ST = ("st_elevation", "st_depression")
_T = ("t_wave_inversion", "flat_t_wave", "tall_t_wave")
_ISCHEMIA = ("anterior_ischemia", "inferior_ischemia", "lateral_ischemia", "st_depression", "t_wave_inversion")
_FASCICULAR = ("left_anterior_fascicular_block", "left_posterior_fascicular_block")
_INCOMPLETE = ("incomplete_right_bundle_branch_block", "incomplete_left_bundle_branch_block")
_BUNDLE = ("complete_left_bundle_branch_block", "complete_right_bundle_branch_block", *_INCOMPLETE)
_AV_BLOCK = ("first_degree_av_block", "second_degree_av_block", "third_degree_av_block")
# names in the word lists for several findings
GROUPS: Mapping[str, Subject] = {
    "sinus": (("sinus_rhythm", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia"),),
    "st_t_changes": ((*_ST, *_T, *_ISCHEMIA[:3]),),
    "t_changes": (_T,),
    "conduction": (
        (*_FASCICULAR, *_BUNDLE, *_AV_BLOCK, "nonspecific_intraventricular_conduction_delay", "wolff_parkinson_white"),
    ),
    "fascicular": (_FASCICULAR,),
    "bundle": (_BUNDLE,),
    "incomplete_bundle": (_INCOMPLETE,),
    "av_block": (_AV_BLOCK,),
    "hypertrophy": (("left_ventricular_hypertrophy", "right_ventricular_hypertrophy"),),
    "left_right_ventricular": (("left_ventricular_hypertrophy",), ("right_ventricular_hypertrophy",)),
    "atrial_enlargement": (("left_atrial_enlargement", "right_atrial_enlargement"),),
    "biatrial": (("left_atrial_enlargement",), ("right_atrial_enlargement",)),
    "axis_deviation": (("left_axis_deviation", "right_axis_deviation", "extreme_axis_deviation"),),
    "ectopy": (("premature_atrial_complex", "premature_ventricular_complex"),),
    "bifascicular": (("complete_right_bundle_branch_block",), _FASCICULAR),
    "intraventricular": ((*_BUNDLE, "nonspecific_intraventricular_conduction_delay"),),
    "ischemia": (_ISCHEMIA,),
    "stemi": (("st_elevation",),),
    # ST elevation supports it, ST depression or T inversion leave it open
    "acute_infarction": (
        (*_ST, "t_wave_inversion", "complete_left_bundle_branch_block"),
        ("st_elevation", "acute_infarction"),
    ),
}
# infarction and ischaemia by wall
WALLS: Mapping[str, Mapping[str, Subject]] = {
    "infarction": {
        "": (_INFARCTION,),
        "anterior": (_INFARCTION[:1],),
        "anteroseptal": (_INFARCTION[:1],),
        "septal": (_INFARCTION[:1],),
        "inferior": (_INFARCTION[1:2],),
        "lateral": (_INFARCTION[2:3],),
        "high_lateral": (_INFARCTION[2:3],),
        "anterolateral": ((_INFARCTION[0], _INFARCTION[2]),),
        "inferolateral": (_INFARCTION[1:3],),
        "posterior": (("posterior_infarction",),),
    },
    "ischemia": {
        "": (_ISCHEMIA,),
        "anterior": (_ISCHEMIA[:1],),
        "anteroseptal": (_ISCHEMIA[:1],),
        "septal": (_ISCHEMIA[:1],),
        "inferior": (_ISCHEMIA[1:2],),
        "lateral": (_ISCHEMIA[2:3],),
        "high_lateral": (_ISCHEMIA[2:3],),
        "anterolateral": ((_ISCHEMIA[0], _ISCHEMIA[2]),),
        "inferolateral": (_ISCHEMIA[1:3],),
        "posterior": (("posterior_ischemia",),),
    },
}
REGION_LEADS: Mapping[str, tuple[str, ...]] = {
    **LEAD_GROUPS,
    "all": STANDARD_LEADS,
    "inferolateral": (*LEAD_GROUPS["inferior"], "V5", "V6"),
    "posterior": (),
    "same": (),
}
# words about a segment or wave: (segment, word) -> (findings, whether they are denied)
SEGMENT_WORDS: Mapping[tuple[str, str], tuple[Subject, bool]] = {
    ("st", "up"): ((_ST[:1],), False),
    ("st", "tall"): ((_ST[:1],), False),
    ("st", "down"): ((_ST[1:],), False),
    ("st", "iso"): ((_ST,), True),
    ("st", "normal"): ((_ST,), True),
    ("st", "abnormal"): ((_ST,), False),
    ("t", "inverted"): ((_T[:1],), False),
    ("t", "flat"): ((_T[1:2],), False),
    ("t", "tall"): ((_T[2:],), False),
    ("t", "upright"): ((_T[:1],), True),
    ("t", "normal"): ((_T,), True),
    ("t", "abnormal"): ((_T,), False),
    ("st_t", "normal"): (GROUPS["st_t_changes"], True),
    ("st_t", "abnormal"): (GROUPS["st_t_changes"], False),
    ("st_t", "iso"): ((_ST,), True),
    ("st_t", "down"): ((_ST[1:],), False),
    ("st_t", "up"): ((_ST[:1],), False),
    ("st_t", "inverted"): ((_T[:1],), False),
    ("q", "abnormal"): ((("pathological_q_waves",),), False),
    ("q", "normal"): ((("pathological_q_waves",),), True),
    ("progression", "normal"): ((("poor_r_wave_progression",),), True),
    ("progression", "good"): ((("poor_r_wave_progression",),), True),
    **{("progression", word): ((("poor_r_wave_progression",),), False) for word in ("poor", "flat", "abnormal")},
}
SEGMENT_OF = {
    "q_waves": "q",
    "st_elevation": "st",
    "st_depression": "st",
    "t_wave_inversion": "t",
    "flat_t_wave": "t",
    "tall_t_wave": "t",
    "poor_r_wave_progression": "progression",
}
# findings that repeat the category of a quantity; in texts they are read as quantity and word
_BY_CATEGORY = frozenset(
    {
        "normal_rate",
        "normal_pr",
        "normal_qrs",
        "normal_axis",
        "normal_qtc",
        "wide_qrs",
        "short_pr",
        "prolonged_qtc",
        "short_qtc",
    }
)
# the quantity of a finding, to which a number after it belongs: "left axis deviation (-42 degrees)"
_SINUS_RATE = dict.fromkeys(GROUPS["sinus"][0], "heart_rate")
QUANTITY_OF: Mapping[str, str] = {
    "bradycardia": "heart_rate",
    "tachycardia": "heart_rate",
    **_SINUS_RATE,
    "supraventricular_tachycardia": "heart_rate",
    "atrial_fibrillation": "heart_rate",
    "atrial_flutter": "heart_rate",
    "paced_rhythm": "heart_rate",
    "junctional_rhythm": "heart_rate",
    "ventricular_tachycardia": "heart_rate",
    "irregular_rhythm": "heart_rate",
    "first_degree_av_block": "pr",
    **dict.fromkeys(_BUNDLE, "qrs"),
    "nonspecific_intraventricular_conduction_delay": "qrs",
    "left_axis_deviation": "axis",
    "right_axis_deviation": "axis",
    "extreme_axis_deviation": "axis",
    "left_anterior_fascicular_block": "axis",
    "left_posterior_fascicular_block": "axis",
}


@dataclass(frozen=True)
class Term:
    """The meaning of a phrase.

    Attributes:
        kind: its section in the word lists (``quantity``, ``quality``, ``finding``, ``lead``, ``number``, ``no``, ...).
        values: names of quantities, leads, or the meaning of a word (for a quantity, for a segment).
        subject: the findings it names.
        negated: the phrase denies them ("normal R-wave progression").
        region: the leads are named as a region ("chest leads"), not one by one.
    """

    kind: str
    values: tuple[str, ...] = ()
    subject: Subject = ()
    negated: bool = False
    region: bool = False


Node = dict[str, Any]  # word -> Node; the Term of a phrase that ends here under ""


@dataclass(frozen=True)
class Lexicon:
    """All known phrases and words.

    Attributes:
        tree: phrases as a tree of words.
        filler: words that may come between a quantity and its value.
        abbreviations: words that end in a full stop.
        homonyms: of a name of findings: words in a sentence with which it means something else.
        narrower: of a name of findings: words beside it -> the findings that are meant.
    """

    tree: Node
    filler: frozenset[str]
    abbreviations: frozenset[str]
    homonyms: Mapping[str, frozenset[str]]
    narrower: Mapping[Subject, Mapping[tuple[str, ...], Subject]]


def phrase_words(phrase: str) -> tuple[str, ...]:
    """The words of a phrase, without hyphens.

    Args:
        phrase: of the word lists.
    """
    return tuple(word_of(raw) for raw in _TOKEN.findall(normalised(phrase)) if raw != "-")


def _forms(phrase: str) -> Iterator[tuple[str, ...]]:
    """All forms of a phrase, in which a star stands for German endings."""
    if "*" not in phrase:
        yield phrase_words(phrase)
        return
    choices = [[part[:-1] + ending for ending in _ENDINGS] if part.endswith("*") else [part] for part in phrase.split()]
    for parts in product(*choices):
        yield phrase_words(" ".join(parts))


def _terms(words: Mapping[str, Any]) -> Iterator[tuple[str, Term]]:
    """(phrase, term) of one word list."""
    for section in ("quantities", "formulas", "waves", "sums", "regularity", "regional", "compare"):
        kind = {"quantities": "quantity", "formulas": "formula", "waves": "wave", "sums": "sum"}.get(section, section)
        for name, phrases in words.get(section, {}).items():
            yield from ((phrase, Term(kind, (name,))) for phrase in phrases)
    for name, phrases in words.get("compare_post", {}).items():
        yield from ((phrase, Term("compare", (name, "behind"))) for phrase in phrases)
    yield from ((phrase, Term("quantity", ("axis_p", "axis", "axis_t"))) for phrase in words.get("axes", ()))
    for about, shape, phrases in words.get("qualities", ()):
        yield from ((phrase, Term("quality", (about, shape))) for phrase in phrases)
    for name, phrases in words.get("said", {}).items():
        yield from ((phrase, Term("said", tuple(name.split("=")))) for phrase in phrases)
    for name, phrases in words.get("findings", {}).items():
        subject = subject_of(name.removeprefix("not "))
        yield from ((phrase, Term("finding", subject=subject, negated=name.startswith("not "))) for phrase in phrases)
    for name, phrases in words.get("regions", {}).items():
        yield from ((phrase, Term("region", (name,))) for phrase in phrases)
    for name, phrases in words.get("leads", {}).items():
        yield from (
            (phrase, Term("lead", REGION_LEADS[name] if name != "same" else ("same",), region=True))
            for phrase in phrases
        )
    plain_kinds = (
        "unmeasured",
        "qualifiers",
        "comparative",
        "unmodelled",
        "skip",
        "no",
        "no_strong",
        "absent",
        "ended",
        "false",
        "not_said",
        "present",
        "maybe",
        "maybe_post",
        "unlikely",
        "past",
        "aside",
        "general",
        "met",
        "hypothetical",
        "now",
        "contrast",
        "stop",
        "except",
        "conditional",
        "comparison",
        "reference",
        "missing",
        "approx",
        "both",
    )
    for kind in plain_kinds:
        yield from ((phrase, Term(kind)) for phrase in words.get(kind, ()))


def subject_of(name: str) -> Subject:
    """The findings of a name in the word lists.

    Args:
        name: a finding, several joined by ``|``, or one of ``GROUPS``.
    """
    return GROUPS.get(name) or (tuple(name.split("|")),)


def lexicon() -> Lexicon:
    """The lexicon of both languages; the language of a text need not be known."""
    return _lexicon(additions())


@lru_cache(maxsize=2)
def _lexicon(_: tuple[tuple[str, int], ...]) -> Lexicon:
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    found: dict[tuple[str, ...], Term] = {}
    filler: set[str] = set()
    abbreviations: set[str] = set()
    homonyms: dict[str, frozenset[str]] = {}
    narrower: dict[Subject, dict[tuple[str, ...], Subject]] = {}
    entries, bundled = load_knowledge(), bundled_knowledge()
    for entry in entries.values():
        if entry.name in _BY_CATEGORY:
            continue
        for phrase in (entry.label, *entry.terms):
            found[phrase_words(phrase)] = Term("finding", subject=((entry.name,),))
    for name in FILES:
        words = yaml.load((files(__package__) / "words" / name).read_text(encoding="utf-8"), Loader=loader)
        filler |= {word_of(word) for word in words["bridge"]}
        abbreviations |= {word_of(word) for word in words["abbreviations"]}
        homonyms |= {name: frozenset(others) for name, others in words.get("homonyms", {}).items()}
        for wide, narrow, phrases in words.get("narrower", ()):
            ways = narrower.setdefault(subject_of(wide), {})
            ways |= {form: subject_of(narrow) for phrase in phrases for form in _forms(phrase)}
        # an English phrase has precedence over one of another language that is spelled alike
        listed: dict[tuple[str, ...], Term] = {}
        for phrase, term in _terms(words):
            for form in _forms(phrase):
                listed[form] = term
        found = {**found, **listed} if name == FILES[0] else {**listed, **found}
    for name in entries:
        if name not in bundled:  # a user's finding has the last word
            for phrase in (entries[name].label, *entries[name].terms):
                found[phrase_words(phrase)] = Term("finding", subject=((name,),))
    for form, term in list(found.items()):
        if term.kind in ("finding", "unmodelled") and not form[-1].endswith("s") and form[-1].isalpha():
            found.setdefault((*form[:-1], form[-1] + "s"), term)
    tree: Node = {}
    for form, term in found.items():
        node = tree
        for word in form:
            node = node.setdefault(word, {})
        node[""] = term
    return Lexicon(tree, frozenset(filler), frozenset(abbreviations), homonyms, narrower)
