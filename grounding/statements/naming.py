"""Findings by name, with their walls and leads."""

from __future__ import annotations

from functools import lru_cache

from .context import CLOSE, JOINS, OR, Context, QuantitySubject, family_of
from .exceptions import leave_out_finding, leave_out_leads
from .items import Phrase
from .lexicon import GROUPS, QUANTITY_OF, REGION_LEADS, SEGMENT_OF, WALLS, Subject
from .parsed import NO_CRITERION, ParsedStatement
from .scope import OTHER_TIME
from .tokens import word_set

ST_POINTS = frozenset({"st", "j", "st40", "st60", "st80"})
SECOND_WAVES = frozenset({"r2", "s2"})
LEAD_TIMES = frozenset({"q_ms", "r_peak_time_ms"})  # times within the QRS of a lead
WAVES = frozenset({"p", "q", "r", "s", "t"}) | ST_POINTS | SECOND_WAVES | LEAD_TIMES
# the wave to which a number in mm after a finding refers
AMPLITUDE_OF = {
    "st_elevation": "st",
    "st_depression": "st",
    "t_wave_inversion": "t",
    "flat_t_wave": "t",
    "tall_t_wave": "t",
    "q_waves": "q",
    "pathological_q_waves": "q",
}
DIRECTIONS = {
    "st_elevation": 1.0,
    "st_depression": -1.0,
    "t_wave_inversion": -1.0,
}  # a deviation to the other side has no size
_INFARCTIONS = frozenset(WALLS["infarction"][""][0][:3])
_ACUTE = word_set(
    "acute recent evolving hyperacute subacute akuter akute akuten akutem frischer frische frischen subakuter"
)
_ADJECTIVES = frozenset({"ischemic", "ischemische", "ischemischen", "ischemietypische", "ischemietypischen"})
_EARLIER = frozenset({"prior", "previous", "past"})
_TYPES = frozenset({"type", "typ", "like", "configuration", "konfiguration", "artig"})
_TYPE_NAMES = frozenset({"mobitz", "wenckebach", "i", "ii", "1", "2"})
# words before "for" after which a finding is one of the ECG: "positive for AF", unlike "flecainide for AF"
_FOUND_FOR = word_set(
    "positive diagnostic criteria evidence suspicious suggestive typical characteristic pathognomonic significant "
    "notable remarkable except specific meets sign signs support"
)
# words that may come between a finding and the leads after it, and between leads and the finding after them
_TO_LEADS = word_set(
    "in all every each the lead leads over across of ( at from involving noted seen present is are observed on : "
    "within evident about involves and bis von den der ueber ableitung ableitungen auch up to , mainly especially most "
    "maximal best predominantly limited affecting - "
    "findet finden sich vorhanden mm mv > < above below exceeding exceeds less more "
    "greater than over under least ueber unter"
)
_FROM_LEADS = JOINS | word_set(
    "there is are show shows a an : the no has have with leads lead without ) zeigen zeigt besteht bestehen findet "
    "finden sich eine ein keine in of evidence segment"
)
# kinds of items that may come between leads and a finding of theirs; what the words in between are does not matter
_BETWEEN_LEADS = word_set(
    "present absent maybe both approx compare number quality region skip comparative now no no_strong stop"
)
# verbs behind leads that are the subject of what follows: "V1-V3 exhibit ST elevation"
_SHOWING = word_set(
    "show shows exhibit exhibits display displays demonstrate demonstrates reveal reveals has have present presents "
    "zeigen zeigt weisen weist haben hat"
)
_BEFORE_LEADS = word_set("in at over across the lead leads den der ueber ableitung ableitungen also auch")
_CLAUSE_STARTS = frozenset(
    {"", ",", ":", "-", "*", "•", "–", "and", "und", "while", "whereas", "but", "waehrend", "(", "["}
)
_NOT_TO_LEADS = frozenset({"but", "whereas", "while", "waehrend"})
_FAR_LEADS = 14  # words
_EVERY = word_set("all every each allen jeder saemtlichen")
_LEAD_LISTS = frozenset({"and", ",", "or", "&", "und", "oder", "as", "well", "in", "the", "/"})
_AHEAD_OF_REGION = frozenset({"regional", "finding", "wave", "region", "quality", "unmodelled", "maybe", "said"})


def read_finding(c: Context, number: int, item: Phrase) -> None:
    """Read the name of a finding."""
    name_finding(c, number, item, item.term.subject, item.term.negated)


def name_finding(c: Context, number: int, item: Phrase, subject: Subject, denied: bool = False) -> None:
    """Add a statement about a finding, or several of which one must be present.

    Args:
        c: the sentence.
        number: of the item.
        item: the words.
        subject: the findings.
        denied: the words deny them.
    """
    if _names_something_else(c, number, item):
        return
    regions = _regions_for(c, item)
    first = regions[0].first if regions else item.first
    if subject[0][0] in _INFARCTIONS and _acute(c, first, item.last):
        subject = GROUPS["acute_infarction"]
    if not denied and _alternative(c, item, subject):
        return
    scope = c.scope_for(item.first, item.last, number, subject)
    exclusion = scope.exclusion or _purpose(c, first)
    if exclusion == OTHER_TIME and subject[0][0] in _INFARCTIONS and _earlier(c, first):
        exclusion = ""
    statement = c.add(
        "finding",
        (),
        first,
        item.last,
        findings=subject,
        negated=scope.negated != denied,
        uncertain=scope.uncertain,
        exclusion=exclusion,
    )
    c.head([statement], first, item.last)
    if regions:
        statement.leads = tuple(
            dict.fromkeys(lead for region in regions for lead in REGION_LEADS[region.term.values[0]])
        )
        statement.region = True
    else:
        take_leads_before(c, statement, first)
    take_amount_before(c, statement, first)
    leave_out_finding(c, statement, first, item.last)
    segment = SEGMENT_OF.get(subject[0][0])
    c.segment = (segment, item.last) if segment else None
    quantity = _quantity_of(subject)
    c.subjects = [QuantitySubject(quantity, item.first, item.last, by_finding=True)] if quantity else []
    c.qualities, c.waves = [], []


@lru_cache(maxsize=4096)
def _quantity_of(subject: Subject) -> str:
    return next((QUANTITY_OF[name] for name in subject[0] if name in QUANTITY_OF), "")


def _names_something_else(c: Context, number: int, item: Phrase) -> bool:
    """Whether the name of a finding is part of another term: "delay of LBBB type", "pacemaker lower rate"."""
    if item.first == item.last and c.words[item.first] in c.other_meanings:
        return True
    following = c.next(number)
    own_type = c.word(item.last + 2) in _TYPE_NAMES and item.term.subject != GROUPS["av_block"]
    return (c.word(item.last + 1) in _TYPES and not own_type) or (
        following is not None and following.first == item.last + 1 and following.term.kind == "unmeasured"
    )


def _purpose(c: Context, first: int) -> str:
    """The exclusion of a finding that is the purpose of something else: "flecainide for AF"; else ``""``."""
    at = first - 1
    while at > 0 and c.words[at] in ("a", "an", "the", "her", "his", "acute", "chronic", "persistent"):
        at -= 1
    if at < 1 or c.words[at] != "for" or c.item_at[at] >= 0 or c.item_at[at - 1] >= 0:
        return ""
    return OTHER_TIME if c.words[at - 1].isalpha() and c.words[at - 1] not in _FOUND_FOR else ""


def _acute(c: Context, first: int, last: int) -> bool:
    """Whether an infarction is called acute, before or after it: its sign is ST elevation, not Q waves."""
    return not _ACUTE.isdisjoint((*c.words[max(0, first - 3) : first], *c.words[last + 1 : last + 3]))


def _earlier(c: Context, first: int) -> bool:
    """Whether a finding is called prior; a prior infarction is still visible, unlike prior fibrillation."""
    return not _EARLIER.isdisjoint(c.words[max(0, first - 2) : first])


def _alternative(c: Context, item: Phrase, subject: Subject) -> bool:
    """Join a finding to the one before as an alternative: "atrial fibrillation or flutter"; whether that was done."""
    head = c.heads[-1] if c.heads else None
    if head is None or head.closed or len(head.statements) != 1 or len(subject) != 1:
        return False
    gap = c.gap(head.last, item.first)
    before = head.statements[0]
    if (
        not 0 < len(gap) <= 3
        or OR.isdisjoint(gap)
        or before.kind != "finding"
        or before.negated
        or before.leads
        or before.exclusion
    ):
        return False
    if len(before.findings) != 1 or ("/" in gap and not before.findings[0][0].startswith("atrial")):
        return False
    before.findings = (tuple(dict.fromkeys((*before.findings[0], *subject[0]))),)
    before.end = c.ends[item.last]
    head.last = item.last
    for scope in c.scopes:
        scope.last = item.last
    return True


def read_regional(c: Context, number: int, item: Phrase) -> None:
    """Read infarction or ischaemia with the walls before it: "inferior and lateral infarcts" are two statements."""
    walls = WALLS[item.term.values[0]]
    infarction = item.term.values[0] == "infarction"
    regions = _regions_for(c, item)
    first = regions[0].first if regions else item.first
    names = [region.term.values[0] for region in regions] or [""]
    if infarction and _acute(c, first, item.last):
        subjects = [GROUPS["acute_infarction"]]
    elif len(names) > 1 and not {"or", "oder", "/", "-"}.isdisjoint(c.gap(regions[0].last, item.first)):
        subjects = [(tuple(name for wall in names for name in walls[wall][0]),)]
    else:
        subjects = [walls[name] for name in names]
    if not regions and _alternative(c, item, subjects[0]):
        return
    scope = c.scope_for(item.first, item.last, number, walls[""])
    following = c.next(number)
    if scope.negated and c.words[item.last] in _ADJECTIVES and following is not None:
        named = following.term.kind == "finding" and family_of(following.term.subject)
        if named and following.first - item.last <= 2:
            item = Phrase(item.term, item.first, following.last)  # "no ischaemic ST changes" leaves others open
            scope.last, c.done_to = following.last, number + 1
    exclusion = "" if infarction and scope.exclusion == OTHER_TIME and _earlier(c, first) else scope.exclusion
    statements = [
        c.add(
            "finding",
            (),
            first,
            item.last,
            findings=subject,
            negated=scope.negated,
            uncertain=scope.uncertain,
            exclusion=exclusion,
        )
        for subject in subjects
    ]
    c.head(statements, first, item.last)
    for statement in statements:
        leave_out_finding(c, statement, first, item.last)
    c.segment, c.subjects, c.qualities, c.waves = None, [], [], []


def read_unmodelled(c: Context, number: int, item: Phrase) -> None:
    """Read a finding without a criterion."""
    _regions_for(c, item)
    scope = c.scope_for(item.first, item.last, number)
    statement = c.add(
        "finding",
        (),
        item.first,
        item.last,
        negated=scope.negated,
        uncertain=scope.uncertain,
        exclusion=scope.exclusion or NO_CRITERION,
    )
    c.head([statement], item.first, item.last)
    c.subjects, c.segment, c.qualities = [], None, []


def _regions_for(c: Context, item: Phrase) -> list[Phrase]:
    regions, c.regions = c.regions, []
    return regions if regions and item.first - regions[-1].last <= 4 else []


def read_region(c: Context, number: int, item: Phrase) -> None:
    """Read a region ("inferior"), before or after its finding."""
    c.regions = [*c.regions[-3:], item] if c.regions and item.first - c.regions[-1].last <= 3 else [item]
    following = c.next(number)
    ahead = following is not None and following.first - item.last <= 4 and following.term.kind in _AHEAD_OF_REGION
    if not ahead and c.heads:
        c.regions = []
        leads = REGION_LEADS[item.term.values[0]]
        if c.last_leads[0] and _joined_to_leads(c, number, item):
            _extend_leads(c, leads, item)
        elif _attach(c, leads, True, item):
            c.last_leads = (leads, True)


def read_lead(c: Context, number: int, item: Phrase) -> None:
    """Read leads, before or after their finding."""
    leads, region = item.term.values, item.term.region
    if region and not _EVERY.isdisjoint(c.words[max(0, item.first - 1) : item.last + 1]):
        region = False  # "in all precordial leads": in each, not in some of them
    if leads == ("same",):
        leads, region = c.last_leads
    elif c.last_leads[0] and _joined_to_leads(c, number, item):
        _extend_leads(c, leads, item)
        return
    elif _explains_region(c, number, item) or leave_out_leads(c, leads, item):
        return
    c.last_leads = (leads, region)
    speaks_of_wave = c.segment is not None and c.segment[0] in WAVES and bool(c.waves) and not c.waves[-1][1]
    if speaks_of_wave and not (c.heads and c.heads[-1].last >= c.segment_first):
        c.leads_before = item  # "T waves in V1-V3 are inverted"
    elif (c.word(item.last + 1) in _SHOWING and _begins_clause(c, item)) or not _attach(c, leads, region, item):
        c.leads_before = item


def _extend_leads(c: Context, leads: tuple[str, ...], item: Phrase) -> None:
    """Add leads to those before them, in the statements that have these."""
    before = c.last_leads[0]
    c.last_leads = (tuple(dict.fromkeys((*before, *leads))), True)
    for statement in c.out[-3:]:
        if statement.leads and set(statement.leads) <= set(before):
            statement.leads, statement.region = c.last_leads
    if c.leads_before is not None:
        c.leads_before = item


def _joined_to_leads(c: Context, number: int, item: Phrase) -> bool:
    """Whether leads continue a list with a region: "limb leads and V5,6"."""
    before = c.before(number)
    if (
        before is None
        or before.term.kind not in ("lead", "region")
        or item.first - before.last > 4
        or not (before.term.region or item.term.region or "region" in (before.term.kind, item.term.kind))
    ):
        return False
    return set(c.gap(before.last, item.first)) <= _LEAD_LISTS


def _explains_region(c: Context, number: int, item: Phrase) -> bool:
    """Whether leads in brackets are those of the region before them: "in lateral leads (I, aVL, V5-V6)"."""
    before = c.before(number)
    if before is None or c.gap(before.last, item.first) != ["("]:
        return False
    if before.term.kind == "finding":  # "inferior ST elevation (II, III, aVF)"
        return bool(c.heads) and c.heads[-1].last == before.last and c.heads[-1].statements[0].region
    if c.leads_before is before:
        closing = c.word(item.last + 1) == ")"
        c.leads_before = Phrase(before.term, before.first, item.last + closing)
    return before.term.kind == "lead" and before.term.region


def _attach(c: Context, leads: tuple[str, ...], region: bool, item: Phrase) -> bool:
    """Assign leads to the findings before them, as to both in "ST elevation and T inversion in V1-V3"."""
    given = joined = False
    for head in reversed(c.heads):
        receivers = [
            statement
            for statement in head.statements
            if statement.kind in ("finding", "amplitude") and not statement.leads
        ]
        if not receivers or (given and not joined):
            break
        if not given and not (
            _only_to_leads(c.gap(head.last, item.first)) or _leads_belong(c, receivers, head.last, item.first)
        ):
            break
        for statement in receivers:
            statement.leads, statement.region = leads, region
        if not given:
            for statement in receivers:
                statement.end = max(statement.end, c.ends[item.last])
            for statement in c.out[-2:]:
                if statement.kind == "amplitude" and not statement.leads and statement.subject[0] in WAVES:
                    statement.leads, statement.region = leads, region
            head.last = max(head.last, item.last)
            for scope in c.scopes:
                if scope.heads:
                    scope.last = max(scope.last, item.last)
        given, joined = True, head.joined
    return given


def _only_to_leads(gap: list[str]) -> bool:
    return len(gap) <= 9 and all(word in _TO_LEADS or word[0].isdecimal() or word.endswith("ly") for word in gap)


def _leads_belong(c: Context, statements: list[ParsedStatement], last: int, first: int) -> bool:
    """Whether leads belong to the shapes beside them: nothing that could have leads of its own is in between.

    The words there may be any ("can be seen in", "is greatest in", "localized to"): a shape whose leads are not
    understood would be looked for in all of them.

    Args:
        c: the sentence.
        statements: about the shapes.
        last: last token of what comes first.
        first: first token of what comes behind it.
    """
    if first - last > _FAR_LEADS or not all(family_of(one.findings) for one in statements):
        return False
    between = {c.items[number].term.kind for number in c.item_at[last + 1 : first] if number >= 0}
    gap = c.gap(last, first)
    if gap[:2] == ["measure", "in"]:
        return False  # "What does the ST elevation measure in III?" asks for a size
    bracketed = gap.count("(") != gap.count(")")  # "(II, III, aVF), T inversion"
    return between <= _BETWEEN_LEADS and _NOT_TO_LEADS.isdisjoint(gap) and (not bracketed or gap[-1:] == ["("])


def _begins_clause(c: Context, leads: Phrase) -> bool:
    """Whether leads are the first words of a clause, so that they belong to what follows: "..., V1-V3 exhibit"."""
    at = leads.first - 1
    while c.word(at) in _BEFORE_LEADS:
        at -= 1
    return c.word(at) in _CLAUSE_STARTS


def take_leads_before(c: Context, statement: ParsedStatement, first: int) -> None:
    """Assign leads that precede a finding: "in V1-V4 there is ST elevation".

    Args:
        c: the sentence.
        statement: about the finding.
        first: its first token.
    """
    before, c.leads_before = c.leads_before, None
    if before is None:
        before = c.leads_heading
        later = before is not None and c.last_lead > before.last
        if before is not None and not later and family_of(statement.findings):
            statement.leads, statement.region = before.term.values, before.term.region
        return
    if c.word(before.last + 1) == ":" and _begins_clause(c, before):
        c.leads_heading = before  # "V5: ST depression, T inversion"
    same = before.term.values == ("same",)
    if first < before.first:
        statement.leads, statement.region = c.last_leads
    elif (len(gap := c.gap(before.last, first)) <= CLOSE + 2 and _FROM_LEADS.issuperset(gap)) or (
        _begins_clause(c, before) and "," not in gap[1:] and _leads_belong(c, [statement], before.last, first)
    ):
        statement.leads, statement.region = c.last_leads if same else (before.term.values, before.term.region)


def direction_of(finding: ParsedStatement) -> str:
    """The ST finding that an amplitude is the size of; ``""`` where none or several are meant.

    Args:
        finding: beside the amplitude.
    """
    names = [name for group in finding.findings for name in group]
    return names[0] if len(names) == 1 and names[0] in DIRECTIONS else ""


def take_amount_before(c: Context, statement: ParsedStatement, first: int) -> None:
    """Add the statement on an amount that precedes a finding: "2 mm ST elevation".

    Args:
        c: the sentence.
        statement: about the finding.
        first: its first token.
    """
    amount, c.amount = c.amount, None
    if amount is None or not 0 < first - amount.last <= 4:
        return
    wave = AMPLITUDE_OF.get(statement.findings[0][0])
    if wave:
        stated = c.add(
            "amplitude",
            (wave,),
            amount.first,
            amount.last,
            number=amount.number,
            leads=statement.leads,
            region=statement.region,
            word=direction_of(statement),
            exclusion=statement.exclusion,
        )
        stated.uncertain = statement.uncertain
        c.heads[-1].statements.append(stated)
