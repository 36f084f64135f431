"""What a question asks, read with the vocabulary of ``grounding.statements``: no model is needed for it.

A phrase that names something is a link, and becomes a tag in the question ("Is there <q1>?"); a finding, value and lead
are thereby known before a model sees the question, and it can't mistake one for another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ..errors import EcgError
from ..facts import listed
from ..record import STANDARD_LEADS
from ..statements.items import Phrase, items_of
from ..statements.lexicon import lexicon
from ..statements.naming import AMPLITUDE_OF
from ..statements.parsed import NO_CRITERION, ParsedStatement
from ..statements.parsing import read_statements
from ..statements.relations import RATIO, TRANSITION
from ..statements.tokens import normalised, sentences
from .beats import with_beats
from .bounds import with_bounds
from .comparing import with_comparisons
from .derived import BEATS, LEADS, LENGTH, RATE, SHAPES
from .framing import asked_clauses, follows_up, reworded, without_contractions, without_instructions
from .options import read_option, split_options
from .parsed import CLAIMS, TRIM, Link, Question
from .qualifiers import compared, qualified, with_amounts
from .quality import asks_for_a_list, is_denied, named_quality, other_leads
from .times import asks_for_times, timed

MAX_CHARACTERS = 2000
MAX_LINKS, MAX_OPTIONS = 6, 8
_PLACE_BLANK = re.compile(r"\bin _{2,}", re.I)
_NORMAL_ECG = re.compile(
    r"\b(?:(?:this|the|that|his|her)\s+)?(?:12[- ]lead\s+)?(?:ecg|ekg|tracing|recording|electrocardiogram)\s+"
    r"(?:is\s+|looks?\s+)?"
    r"(?:(?P<normal>normal|ok|okay|fine|unremarkable|within normal limits)|abnormal|pathological)\b",
    re.I,
)
# of an ECG, not of the patient: "does this ECG show symptoms of atrial fibrillation, excluding uncertain symptoms?"
_SHOWN_SYMPTOMS = re.compile(
    r"\b(?:show|display|demonstrate|exhibit|present|reveal|indicate|suggest)\w*(?: any)? symptoms? of\b"
    r"|\b(?:excluding|including) uncertain symptoms?\b|\bsymptoms? (?:does|do|is|are) (?:this|the) (?:ecg|ekg)\b"
    r"|\bheights? of (?:the |each )?(?:[pqrst]\b|st\b|qrs\b)|\b(?:[pqrst]|qrs)[- ]?(?:waves?)? heights?\b"
    r"|\bwhen was (?=.{0,30}\b(?:[pqrst][- ]waves?|qrs|beats?|pvcs?|pacs?)\b)",
    re.I,
)
_THERE = re.compile(r"\b(?:is|are) there\b|\bany\b|\bvisible\b|\bseen\b|\bsee\b|\bgibt es\b|\bsieht man\b", re.I)
_SHAPES = ("shape", "p_shape", "t_shape", "st_shape")
# sections of words.yaml -> kind and name of a link
_DERIVED = {
    "transition": ("amplitude", TRANSITION),
    "ratio": ("amplitude", RATIO),
    **{section: ("amplitude", name) for section, name in zip(_SHAPES, SHAPES, strict=True)},
    "beats": ("amplitude", BEATS),
    "length": ("amplitude", LENGTH),
    "sampling": ("amplitude", RATE),
    "leads": ("amplitude", LEADS),
    "shortest": ("quantity", "rr_min_ms"),
    "longest": ("quantity", "rr_max_ms"),
    "variation": ("quantity", "rr_sd_ms"),
    "conduction": ("quantity", "p_per_qrs"),
}
# "don't" has no T wave, "in s" no S wave
_IS_NO_WAVE = re.compile(r"'\n[a-z]$|\b(?:in|per|\d)\s?\ns$")
_SAME_PLACE = re.compile(
    r"(?<!is )(?<!are )\bthere\b(?=\s*[?.!]*$)|\bin (?:it|this lead|that lead|these leads|those leads)\b", re.I
)
_PRONOUN = re.compile(r"\b(?:it|they|this|that|these|those)\b", re.I)
_EXTREME = re.compile(r"\b(?:maximum|minimum|shortest|longest|lowest|highest|slowest|fastest)\b", re.I)
_ORDINAL = re.compile(
    r"\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|\d+(?:st|nd|rd|th))\b(?! degree)", re.I
)
_AREA = re.compile(r"\b(?:area|integral)\b", re.I)
_EVERY = re.compile(r"\b(?:all|every|each|alle|jede)\b", re.I)
_HYPOTHETICAL = re.compile(r"\bwhat if\b|\bif (?:the|his|her|it|this)\b.{0,40}\b(?:were|was|had)\b|\bwas wäre\b", re.I)
_NOT_WHAT_WOULD_BE = "what was recorded is told, and not what would be"
_FOLLOW_SAYS = frozenset({"quality", "regularity", "number"})
_FOLLOW_KINDS = frozenset({"lead", "region", "quality", "regularity", "number", "compare", "formula", "approx"})
_ASKS_WHICH = re.compile(r"\b(?:what|which|welche[rns]?)\b", re.I)
_BEFORE_LEADS = re.compile(r"(?:\s|,|and|und|in|of|for|at|the|leads?)*", re.I)


@lru_cache(maxsize=1)
def _words() -> Mapping[str, Any]:
    import yaml

    raw: Mapping[str, Any] = yaml.safe_load((files(__package__) / "words.yaml").read_text(encoding="utf-8"))
    compiled = {
        section: {name: _pattern(phrases) for name, phrases in raw[section].items()}
        for section in ("wants", "general", "spoken", "quality", "frames")
    }
    topics = [
        (_pattern([*topic["phrases"], *topic.get("also", ())]), str(topic["reason"]), "mild" in topic)
        for topic in raw["topics"]
    ]
    qualifiers = [(_pattern(one["phrases"]), str(one["reason"]), "inside" in one) for one in raw["qualifiers"]]
    return {**compiled, "topics": topics, "qualifiers": qualifiers}


@lru_cache(maxsize=1)
def topic_phrases() -> tuple[str, ...]:
    """The phrases of what an ECG recording does not tell."""
    import yaml

    raw = yaml.safe_load((files(__package__) / "words.yaml").read_text(encoding="utf-8"))
    return tuple(str(phrase) for topic in raw["topics"] for phrase in topic["phrases"])


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted((str(phrase) for phrase in phrases), key=len, reverse=True)
    choices = "|".join(re.escape(phrase).replace(r"\ ", r"[\s-]+") for phrase in longest_first)
    return re.compile(rf"(?<!\w)(?:{choices})(?!\w)", re.I)


def read_question(text: str, history: Sequence[tuple[str, str]] = ()) -> Question:
    """Read a question.

    Args:
        text: in English or German; options are lines (or parts) that begin with ``A.``, ``B.``, ...
        history: earlier questions and answers about the same recording. Where the question names nothing ("why?"), or
            only leads ("and in V2?"), it is about what the last question named.

    Returns:
        The question; without links, wants and topic if nothing in it is known.

    Raises:
        EcgError: it is empty, longer than ``MAX_CHARACTERS``, or not a str.

    Example:
        >>> question = read_question("Is there AV block? Which lead shows it best?")
        >>> question.tagged, sorted(question.wants)
        ('Is there <q1>? Which lead shows it best?', ['where'])
        >>> read_question("And in V2?", [("Is there ST elevation in V1?", "No.")]).links[0].words
        'ST elevation in V2'
    """
    if not isinstance(text, str):
        raise EcgError(f"the question is {type(text).__name__}", remedy="pass a str")
    if not re.search(r"\w", text):
        raise EcgError("the question is empty", remedy='ask something, such as "Is there AV block?"')
    if len(text) > MAX_CHARACTERS:
        raise EcgError(
            f"the question has {len(text):,} characters", remedy=f"ask in at most {MAX_CHARACTERS:,} characters"
        )
    question = _read(text)
    names_something = any(link.kind != "lead" for link in question.links)
    if not history or question.options:
        return question
    if names_something or question.topic:
        return _in_the_same_leads(question, history)
    if question.wants & {"rhythm", "report"} and not question.links:
        return question
    if not follows_up(question.text, _words()["frames"]["follow_up"], _is_known):
        return question
    for earlier, _ in reversed(history[-8:]):
        before = _earlier(earlier)
        named = [link for link in before.links if link.kind != "lead"] if before is not None else []
        if named and before is not None:
            return _said_again(question, before, named) or _carried(question, named)
    return question


def _earlier(text: str) -> Question | None:
    return _read(text[:MAX_CHARACTERS]) if isinstance(text, str) and text.strip() else None


def _in_the_same_leads(question: Question, history: Sequence[tuple[str, str]]) -> Question:
    """The question "Is T inverted there?" in the leads of the last question that named some."""
    link = question.links[0] if len(question.links) == 1 else None
    if link is None or link.leads or link.kind not in ("claim", "amplitude") or not _SAME_PLACE.search(question.text):
        return question
    for earlier, _ in reversed(history[-8:]):
        before = _earlier(earlier)
        leads = tuple(dict.fromkeys(lead for one in before.links for lead in one.leads)) if before else ()
        if leads:
            return replace(question, links=(_in_leads(link, leads),))
    return question


def _said_again(question: Question, before: Question, named: Sequence[Link]) -> Question | None:
    """A follow-up that says something of what was named ("is it prolonged?", "and the second?"), read as a whole."""
    ordinals = [list(_ORDINAL.finditer(text)) for text in (before.text, question.text)]
    if all(len(found) == 1 for found in ordinals):
        old, new = ordinals[0][0], ordinals[1][0]
        return _read(before.text[: old.start()] + new.group() + before.text[old.end() :])
    extreme = _EXTREME.search(question.text)
    if extreme:
        again = _read(f"What is the {extreme.group()} {named[0].words}?")
        return again if again.links != before.links and again.links else None
    words = lexicon()
    kinds = {item.term.kind for sentence in sentences(question.text) for item in items_of(sentence, words)}
    if len(named) == 1 and kinds & _FOLLOW_SAYS and (pronoun := _PRONOUN.search(question.text)):
        said = question.text[: pronoun.start()] + named[0].words + question.text[pronoun.end() :]
        again = _read(said)
        if any(link.statement is not None for link in again.links):
            return again
    return None


def _is_known(word: str) -> bool:
    """Whether a word of a follow-up is a lead, a number, a word for a value, or one that qualifies a finding."""
    words = lexicon()
    kinds = {item.term.kind for sentence in sentences(word) for item in items_of(sentence, words)}
    is_number = re.fullmatch(r"(?:\d+(?:\.\d+)?)?(?:ms|bpm|mm|mv|s)?", word) is not None
    return bool(kinds & _FOLLOW_KINDS) or is_number or any(p.fullmatch(word) for p, _, _ in _words()["qualifiers"])


def _carried(question: Question, named: Sequence[Link]) -> Question:
    """The question about what an earlier one named, in its own leads if it names some."""
    leads = tuple(dict.fromkeys(lead for link in question.links for lead in link.leads))
    at = question.links[0] if question.links else None
    out: list[Link] = []
    for link in named:
        moved = replace(link, start=at.start if at else 0, end=at.end if at and not out else (at.start if at else 0))
        if leads and link.kind in ("claim", "amplitude", "quality"):
            moved = _in_leads(moved, leads)
        out.append(moved)
    # "and in V2?" asks again what was asked; a claim that was asked for its place is asked for itself
    return replace(question, links=tuple(qualified(question.text, out, _words()["qualifiers"])))


def _in_leads(link: Link, leads: tuple[str, ...]) -> Link:
    statement = replace(link.statement, leads=leads, region=False) if link.statement is not None else None
    bare = re.sub(r"\s+(?:in|over|across)\b.*$", "", link.words)
    return replace(link, leads=leads, statement=statement, words=f"{bare} in {listed(leads)}")


def _read(text: str) -> Question:
    text = reworded(without_contractions(normalised(text)))
    for phrase, pattern in _words()["spoken"].items():
        text = pattern.sub(phrase, text)
    stem, raw_options = split_options(text)
    words = _words()
    stem = without_instructions(stem, lambda heading: any(link.kind != "outside" for link in _links(heading, set())))
    wants = {name for name, pattern in words["wants"].items() if pattern.search(stem)}
    if _PLACE_BLANK.search(stem):
        wants = (wants - {"value"}) | {"where"}
    links = _with_quality(stem, list(_links(stem, wants)))
    links = with_comparisons(stem, qualified(stem, links, words["qualifiers"], "where" not in wants))
    links = with_beats(stem, with_bounds(stem, links))
    if asks_for_times(stem) and not any(link.kind == "beats" for link in links):
        links, wants = timed(stem, links, wants), wants - {"where"}
    named = [(link.start, link.end) for link in links if link.kind != "outside"]
    asked = asked_clauses(stem, lambda start, end: any(a < end and start < b for a, b in named))
    of_patient = _SHOWN_SYMPTOMS.sub(" ", asked)
    found = [(reason, mild) for pattern, reason, mild in words["topics"] if pattern.search(of_patient)]
    wanted = bool(links or words["general"]["report"].search(stem))
    topic = next((reason for reason, mild in found if not (mild and wanted)), "")
    if not topic and _HYPOTHETICAL.search(stem):
        topic = _NOT_WHAT_WOULD_BE
    rhythm = words["general"]["rhythm"].search(stem)
    if rhythm and not _at(links, *rhythm.span()):
        claims = {_kind(link) for link in links if link.kind == "claim"}
        # "what's the rhythm, and is it regular?"
        if not claims or (claims == {"regularity"} and _ASKS_WHICH.search(stem[: rhythm.start()])):
            links.append(Link(rhythm.start(), rhythm.end(), "rhythm", rhythm.group()))
            links.sort(key=lambda link: link.start)
    listed_values = any(link.kind == "amplitude" and len(link.leads) == len(STANDARD_LEADS) for link in links)
    named_kinds = {link.kind for link in links}
    if words["general"]["whole"].search(stem) and not (listed_values or named_kinds & {"claim", "quality", "leads"}):
        links, wants = [], wants | {"report"}
    if words["general"]["list"].search(stem):
        links, wants = [], wants | {"report"}
    if words["general"]["report"].search(stem) and not links:
        wants.add("report")
    if topic:
        links = [replace(link, reason=topic) if link.kind == "outside" else link for link in links]
    else:
        outside = [link for link in links if link.kind == "outside"]
        topic = outside[0].reason if outside and len(outside) == len(links) else ""
    options = tuple(read_option(letter, option, stem, links) for letter, option in raw_options)
    apart = [link for link in links if link.kind == "lead"]
    if len(apart) < len(links):
        links = [link for link in links if link.kind != "lead"]
        placeable = links[0].kind in ("claim", "amplitude") and not links[0].leads and "where" not in wants
        if apart and len(links) == 1 and placeable:  # "ST elevation, how much in V3?"
            links = [_in_leads(links[0], apart[0].leads)]
    values = [(link.names, link.leads) if link.kind == "amplitude" else None for link in links]
    links = [link for at, link in enumerate(links) if values[at] is None or values[at] not in values[:at]]
    denies = len(words["frames"]["denials"].findall(stem)) % 2 == 1
    is_read = any(link.statement is not None and link.statement.negated for link in links)  # "can AF be ruled out?"
    denies = denies != (words["frames"]["exclusions"].search(stem) is not None and not is_read)
    more = len(links) > MAX_LINKS
    return Question(stem, tuple(links[:MAX_LINKS]), options, frozenset(wants), topic, denies, more)


def _links(stem: str, wants: set[str]) -> Iterator[Link]:
    """The links of a question, in order; what the parser reads as a statement first, then what is only named."""
    found = [link for statement in read_statements(stem) if (link := _claim(stem, statement, wants)) is not None]
    found = _either_or(stem, _without_doubles(with_amounts(stem, found)))
    if (held := compared(stem)) is not None:
        found = [*(link for link in found if link not in _at(found, held.start, held.end)), held]
    whole = _NORMAL_ECG.search(stem)  # "Is this ECG normal?", where a report would say "normal ECG"
    if whole and not _at(found, *whole.span()):
        said = read_statements("Normal ECG." if whole["normal"] else "Abnormal ECG.")[0]
        found.append(Link(whole.start(), whole.end(), "claim", whole.group(), statement=said))
    found = _with_derived(stem, found)
    words = lexicon()
    for sentence in sentences(stem, words.abbreviations):
        items = items_of(sentence, words)
        for number, item in enumerate(items):
            start, end = sentence.starts[item.first], sentence.ends[item.last]
            if _at(found, start, end) or _IS_NO_WAVE.search(stem[:start] + "\n" + stem[start:end]):
                continue
            link = _named(stem, item, items[number + 1 :], items[:number], sentence)
            if link is not None:
                found.append(link)
    yield from sorted(found, key=lambda link: link.start)


def _at(links: Sequence[Link], start: int, end: int) -> list[Link]:
    """The links that have a character in a stretch of the question."""
    return [link for link in links if link.start < end and start < link.end]


def _with_derived(stem: str, links: list[Link]) -> list[Link]:
    """The links of a question, and what it names that is made of several waves, if no claim is about it."""
    asks_for_a_finding = any(link.kind == "claim" for link in links)
    for section, (kind, name) in _DERIVED.items():
        if asks_for_a_finding and name in (BEATS, LEADS):  # "How many leads show ST depression?"
            continue
        for place in _words()["general"][section].finditer(stem):
            near = _at(links, *place.span())
            leads, end = _leads_behind(stem, place.end()) if name == RATIO or name in SHAPES else ((), place.end())
            replaced = ("outside", "quantity", "amplitude") if kind == "quantity" else ("outside",)
            if all(link.kind in replaced for link in near) and (leads or name not in SHAPES):
                links = [link for link in links if link not in near]
                links.append(Link(place.start(), end, kind, stem[place.start() : end], (name,), leads))
    return links


def _leads_behind(stem: str, end: int) -> tuple[tuple[str, ...], int]:
    """The leads that follow a place in a question, and where they end."""
    found: list[str] = []
    for phrase, leads in _lead_phrases(stem):
        if phrase.start >= end and _BEFORE_LEADS.fullmatch(stem, end, phrase.start):
            found, end = [*found, *leads], phrase.stop
    return tuple(dict.fromkeys(found)), end


def _lead_phrases(stem: str) -> Iterator[tuple[slice, tuple[str, ...]]]:
    """Where leads are named, and which."""
    words = lexicon()
    for sentence in sentences(stem, words.abbreviations):
        for item in items_of(sentence, words):
            if _is_lead(item):
                yield slice(sentence.starts[item.first], sentence.ends[item.last]), item.term.values


def _with_quality(stem: str, links: list[Link]) -> list[Link]:
    """The links of a question, and what it asks of the quality of the signal, in the leads that it names."""
    found = named_quality(stem, _words()["quality"])
    if not found:
        return links
    named = [lead for _, some in _lead_phrases(stem) for lead in some]
    leads = tuple(dict.fromkeys([*named, *other_leads(stem)]))
    more = ("list",) if asks_for_a_list(stem) else ("every",) if _EVERY.search(stem) else ()
    named_so = [link for start, end, _ in found for link in _at(links, start, end)]
    others = [link for link in links if link not in named_so]
    once = {about: (start, end) for start, end, about in reversed(found)}
    quality = [
        Link(*at, "quality", stem[slice(*at)], (about, *more, *(("not",) if is_denied(stem[: at[0]]) else ())), leads)
        for about, at in once.items()
    ]
    return sorted([*others, *quality], key=lambda link: link.start)


def _without_doubles(links: list[Link]) -> list[Link]:
    """Of an amount and its finding ("2 mm ST elevation") the first, of a word and its limit ("long (> 0.2 s)") that."""
    out: list[Link] = []
    for link in links:
        inside = _at(out, link.start, link.end)
        kinds = [{_kind(one), _kind(link)} for one in inside]
        number = link.statement.number if link.statement is not None else None
        if {"category", "number"} in kinds and number is not None and number.compare:
            out = [*(one for one in out if one not in inside), link]
        elif {"amplitude", "finding"} not in kinds:
            out.append(link)
    return out


def _either_or(stem: str, links: list[Link]) -> list[Link]:
    """Of several words for the same ("narrow or wide?", "regularly irregular") one: its value, or the last."""
    out: dict[object, Link] = {}
    for link in links:
        kind = _kind(link)
        key = (kind, link.names) if kind in ("category", "regularity") else len(out)
        if key in out and kind == "category":
            if not re.search(r"\b(?:or|oder)\b", stem[out[key].end : link.end]):
                key = len(out)
            else:
                link = replace(out[key], kind="quantity", end=link.end, statement=None)
        out[key] = link
    return list(out.values())


def _kind(link: Link) -> str:
    return link.statement.kind if link.statement is not None else ""


def _claim(stem: str, statement: ParsedStatement, wants: set[str]) -> Link | None:
    start, end = statement.start, statement.end
    words = re.sub(r"\s+(?:is|are) there$", "", stem[start:end].rstrip(TRIM))  # "how many premature beats are there"
    end = start + len(words)
    if statement.kind == "missing" and statement.subject[:1] and statement.subject[0]:
        return Link(start, end, "quantity", words, statement.subject)
    if statement.kind not in CLAIMS or statement.subject == ("",):
        return None
    if statement.kind == "finding" and not statement.findings:
        return Link(start, end, "outside", words, reason="there is no criterion for it here")
    if statement.exclusion == NO_CRITERION:
        return Link(start, end, "outside", words, reason="there is no criterion for it here")
    # "What is the PR interval, and is it normal?": the value is shown with its category
    if statement.kind == "category" and "value" in wants and statement.subject:
        return Link(start, end, "quantity", words, statement.subject)
    clean = replace(statement, exclusion="", uncertain=False)
    wave = AMPLITUDE_OF.get(statement.findings[0][0]) if statement.findings else None
    if (
        wave
        and "value" in wants
        and "where" not in wants
        and re.search(r"\bhow\b|amplitude|millivolt|\bmv\b", stem, re.I)
    ):
        return Link(start, end, "amplitude", words, (wave,), statement.leads)
    return Link(start, end, "claim", words, statement.subject, statement.leads, clean)


def _named(stem: str, item: Phrase, after: Sequence[Phrase], before: Sequence[Phrase], sentence: Any) -> Link | None:
    start, end = sentence.starts[item.first], sentence.ends[item.last]
    kind, values = item.term.kind, item.term.values
    words = stem[start:end]
    if kind == "quantity":
        near = [one for one in (*after[:1], *before[-1:]) if one.term.kind == "formula"]
        if near and values[0] in ("qt", "qtc"):  # "QTc (Bazett)"
            values, end = near[0].term.values, max(end, sentence.ends[near[0].last])
            end += stem[start:end].count("(") > stem[start:end].count(")") and stem[end : end + 1] == ")"
        return Link(start, end, "quantity", stem[start:end], values)
    if kind in ("wave", "wavelead", "sum"):
        leads: tuple[str, ...] = values[1:] if kind == "wavelead" else ()
        near = [one for one in after if _is_lead(one)] or [one for one in before if _is_lead(one)]
        if not leads and near:
            leads = near[0].term.values
            if near[0].first > item.last and near[0].first - item.last <= 3:
                end = sentence.ends[near[0].last]
        if values[0] in ("st_t", "progression"):
            return None
        if _AREA.search(stem[start : end + 9]):
            return Link(start, end, "outside", f"{item.term.values[0].upper()} area", reason="it is not measured here")
        if values[0] == "p" and not leads and _THERE.search(stem) and not asks_for_times(stem):
            return Link(start, end, "claim", words, statement=read_statements("P waves are present.")[0])
        return Link(start, end, "amplitude", stem[start:end], values[:1], leads)
    if kind == "unmeasured":
        return Link(start, end, "outside", words, reason=f"{words} is not measured here")
    if kind == "unmodelled":
        return Link(start, end, "outside", words, reason="there is no criterion for it here")
    if _is_lead(item):
        return Link(start, end, "lead", words, ("lead",), values)
    return None


def _is_lead(item: Phrase) -> bool:
    """Whether an item names leads, and not "these leads"."""
    return item.term.kind == "lead" and item.term.values != ("same",)
