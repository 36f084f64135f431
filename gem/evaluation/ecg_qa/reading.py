"""What an ECG-QA question asks for, by its words: template and paraphrase alike.

ECG-QA asks about an attribute (an SCP statement, a kind of noise, the heart axis, an extrasystole, a stage of
infarction or a numeric feature) in one ECG, or about what became of it in a second one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .noise import NOISES
from .numeric import NORMAL_MS

_LEAD = re.compile(r"\bleads? (aVR|aVL|aVF|V[1-6]|I{1,3})\b", re.I)
_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_WHICH_LEADS = re.compile(
    r"\b(?:what|which|in (?:what|which)|list|name)\b[^?]{0,24}\bleads?\b(?! (?:I{1,3}|aV[RLF]|V[1-6])\b)", re.I
)
_NUMERIC = re.compile(r"\bnumeric(?:al)?\b|\bquantitative\b|\bintervals? and durations?\b", re.I)
_NOISE = re.compile(r"\b(?:nois|interferen|distort|artefact|artifact)\w*", re.I)
_ABNORMAL = re.compile(
    r"\b(?:abnormal\w*|atypical|irregular\w*|unusual|anomalous|deviat\w*"
    r"|not (?:still )?(?:normal|typical|regular|standard)"
    r"|(?:out|outside) (?:of )?(?:the )?normal|beyond (?:the )?normal|non-?normal)\b",
    re.I,
)
_STILL = re.compile(r"\b(?:still|remain\w*|continu\w*|persist\w*|stay\w*|yet|keeps?|maintain\w*|unchanged)\b", re.I)
_GONE = re.compile(
    r"\b(?:no longer|disappear\w*|resolv\w*|vanish\w*|gone|absent|lost|not (?:\w+ )?any ?more|anymore|lack\w*)\b", re.I
)
_STATE = r"(?P<{name}>abnormal\w*|atypical|irregular|unusual|normal\w*|typical|standard|stable|regular)"
_FROM_TO = re.compile(
    rf"\bfrom (?:being )?{_STATE.format(name='before')}\b.{{0,20}}?\bto (?:being )?{_STATE.format(name='after')}\b",
    re.I,
)
_NO_LONGER = re.compile(
    r"\b(?:no longer|not any ?more|ceased to be)\W+(?:\w+\W+){0,2}?" + _STATE.format(name="before") + r"\b",
    re.I,
)
_ASIDE = re.compile(
    r",? ?\b(?:excluding|including|without|with) uncertain (?:symptoms?|ones)\b"
    r"|,? ?\b(?:as )?(?:compared|in comparison|relative) (?:to|with) the (?:first|previous|earlier|other|second)"
    r"(?: (?:ecg|one|recording|tracing))?\b,?"
    r"|,? ?\b(?:in|on|from|of|by|based on) (?:this|the|the first|the second|the previous|the latter) ecgs?"
    r"(?: (?:results?|recording|tracing))?\b"
    r"|\b(?:in|on) leads? (?:aV[RLF]|V[1-6]|I{1,3})\b|\bany ?more\b|\b(?:still|no longer|newly|now|yet)\b",
    re.I,
)
_SHOWN = (
    r"(?:show|display|demonstrate|exhibit|present|reveal|indicate|suggest|contain|detect|observe|identif|record)\w*"
)
_GONE_OR_KEPT = r"(?:disappear|resolv|vanish|remain|persist)\w*"
_OF = r"(?:any |signs? of |symptoms? of |evidence of |presence of |the |an? )*"
_ATTRIBUTES = (
    re.compile(rf"\b(?:is|are) there\b {_OF}(?P<what>[^?]+?)(?: (?:present|seen|visible|{_SHOWN}))?\s*\?", re.I),
    re.compile(
        rf"^\W*(?:can|could|is|are|was|were|has|have) (?!this\b|the (?:first|second|ecg)\b){_OF}(?P<what>[^?]+?) "
        rf"(?:be |been )*(?:present|seen|found|visible|evident|noted|gone|{_SHOWN}|{_GONE_OR_KEPT})\s*\?",
        re.I,
    ),
    re.compile(rf"\b(?:{_SHOWN}|ha(?:ve|s)) {_OF}(?P<what>[^?]+?)\s*\?", re.I),
)


def attribute_of(question: str) -> str:
    """The attribute that a question about one names: an SCP statement, an extrasystole, a stage of infarction.

    Args:
        question: in ECG-QA's words, template or paraphrase.

    Returns:
        The words; those of the whole question where none of the known forms fits.

    Example:
        >>> attribute_of("Does this ECG show symptoms of left ventricular hypertrophy, including uncertain symptoms?")
        'left ventricular hypertrophy'
        >>> attribute_of("Is sinus bradycardia still present in the second ECG compared to the first ECG?")
        'sinus bradycardia'
    """
    plain = " ".join(_ASIDE.sub(" ", question).split()).replace(" ?", "?")
    found = next((match["what"] for pattern in _ATTRIBUTES if (match := pattern.search(plain))), plain.rstrip("? "))
    return found.strip(" ,")


@dataclass(frozen=True)
class AttributeQuestion:
    """A question, read.

    Attributes:
        about: ``numeric``, ``noise`` or ``other``.
        before: the state wanted in the first of two ECGs (True: abnormal or present); None if there is one ECG.
        after: the state wanted in the second, or only, ECG.
        lead: of a question about one lead.
        which_leads: leads are asked for.
        noises: the kinds of noise that are named.
        features: the numeric features that are named.
    """

    about: str
    before: bool | None
    after: bool
    lead: str | None
    which_leads: bool
    noises: tuple[str, ...]
    features: tuple[str, ...]


def read(question: str, ecgs: int = 1) -> AttributeQuestion:
    """Read a question.

    Args:
        question: in ECG-QA's words, template or paraphrase.
        ecgs: how many ECGs it is about.

    Example:
        >>> asked = read("What numeric features of the second ECG are still abnormal as compared to the first ECG?", 2)
        >>> asked.about, asked.before, asked.after
        ('numeric', True, True)
        >>> read("Can burst noise be detected in lead V4 based on the ECG results?").noises
        ('burst noise',)
    """
    lower = question.lower()
    features = tuple(name for name in NORMAL_MS if _named(name, lower))
    noises = tuple(name for name in NOISES if _noise_named(name, lower))
    about = (
        "numeric" if features or _NUMERIC.search(question) else "noise" if noises or _NOISE.search(lower) else "other"
    )
    # "normal" alone describes the range that a value leaves, where an abnormal word stands, too
    abnormal = bool(_ABNORMAL.search(question)) if about == "numeric" else not _GONE.search(question)
    before: bool | None = None
    if ecgs > 1:
        before, abnormal = _change(question, about, abnormal)
    found = _LEAD.search(question)
    lead = next((name for name in _LEADS if found and name.lower() == found[1].lower()), None)
    return AttributeQuestion(about, before, abnormal, lead, bool(_WHICH_LEADS.search(question)), noises, features)


def _change(question: str, about: str, after: bool) -> tuple[bool, bool]:
    """The states in the first and in the second ECG, abnormal or present as True."""
    if about == "numeric":
        if told := _FROM_TO.search(question):
            return bool(_ABNORMAL.search(told["before"])), bool(_ABNORMAL.search(told["after"]))
        if told := _NO_LONGER.search(question):
            before = bool(_ABNORMAL.search(told["before"]))
            return before, not before
    return (after if _STILL.search(question) else not after), after


def _named(feature: str, lower: str) -> bool:
    words = {
        "qt corrected": r"\bqt corrected\b|\bcorrected qt\b|\bqtc\b",
        "qt interval": r"(?<!corrected )\bqt interval\b",
    }.get(feature, rf"\b{feature}\b")
    return re.search(words, lower) is not None


def _noise_named(noise: str, lower: str) -> bool:
    words = {
        "baseline drift": r"\bbaseline (?:drift|wander\w*)",
        "static noise": r"\bstatic\b",
        "burst noise": r"\bburst\b",
        "electrodes problems": r"\belectrodes?\b",
    }
    return re.search(words[noise], lower) is not None
