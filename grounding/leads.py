"""Names of leads and channels as people and devices write them, and their standard spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from .units import text_of

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = frozenset(STANDARD_LEADS[:6])

ChannelKind = Literal["lead", "ecg", "other", "unknown"]


class Channel(NamedTuple):
    """A channel's name in standard spelling (empty where it has none), and the kind of channel that the name indicates.

    Kinds: ``lead``, a named ECG lead; ``ecg``, an ECG without a lead name ("ECG", "EKG 2"); ``other``, an EEG, pulse
    wave, respiration, pressure, rate, time, label and the like; ``unknown``, anything else.
    """

    name: str
    kind: ChannelKind


MAX_NAME = 64  # characters; a longer text is not the name of a channel
_S = r"[\s_.\-]*"
# words before a lead's name; after a short one there must be a separator
_WORD = (
    r"mdc[ _]ecg[ _]lead|brustwandableitung|brustwand|extremitätenableitung|precordial|einthoven|goldberger|wilson|"
    r"ableitung|derivaci[oó]n|d[eé]rivation|derivazione|deriva[cç][aã]o|afleiding|avledning|afledning|"
    r"elvezet[eé]s|odprowadzenie|kytkentä|derivasyon|відведення|отведение|отв|απαγωγή|svod|"
    r"lead|ecg|ekg|導聯|导联|誘導|第|유도|리드"
)
_SHORT_WORD = r"abl|deriv|d[eé]r|odpr|channel|chan|ch|kanal|canal|signal|vcg|frank"
# a hyphen directly after the word is a separator (ECG-aVR); one directly before the name is a minus sign (ECG -aVR)
_BEFORE = re.compile(
    rf"(?:(?:{_WORD})(?:\s*-\s+|-|[\s_.:/#]*)|(?:{_SHORT_WORD})(?:\s*-\s+|-|[\s_.:/#]+))(?=\S)", re.IGNORECASE
)
_AFTER = re.compile(rf"(?:[\s_.:\-/]+(?:{_WORD})|导联|導聯|誘導|유도)$", re.IGNORECASE)
_UNIT_AFTER = re.compile(r"[\s_]+(?:[muµμn]|mc|milli|micro)v(?:olts?)?$", re.IGNORECASE)
_REFERENCE_AFTER = re.compile(r"[\s_.:\-/]+(?:ref|reference|wct|avg|average|gnd)$", re.IGNORECASE)

_LIMB = {"1": "I", "2": "II", "3": "III"}
_ELECTRODES = {"la-ra": "I", "ll-ra": "II", "ll-la": "III"}
_LEADS = tuple(
    (re.compile(pattern, re.IGNORECASE), spell)
    for pattern, spell in (
        (rf"(?:[dl]{_S})?(i{{1,3}})", lambda m: m[1].upper()),
        (rf"d{_S}([123])", lambda m: _LIMB[m[1]]),
        (rf"(?:ml|mod){_S}(i{{1,3}}|[123])", lambda m: _LIMB.get(m[1], m[1].upper())),
        (rf"a{_S}v{_S}([rlf])", lambda m: f"aV{m[1].upper()}"),
        (rf"-\s*a{_S}v{_S}([rlf])|a{_S}v{_S}([rlf]){_S}neg", lambda m: f"-aV{(m[1] or m[2]).upper()}"),
        (rf"(?:mod|m)?{_S}v{_S}([1-9])", lambda m: f"V{m[1]}"),
        (rf"c{_S}([1-6])", lambda m: f"V{m[1]}"),
        (rf"[vc]{_S}([1-9]){_S}r(?:ight)?", lambda m: f"V{m[1]}R"),
        (rf"v{_S}([xyz])", lambda m: f"V{m[1].lower()}"),
        (r"(?:la|ll)[\s_]*-[\s_]*(?:ra|la)", lambda m: _ELECTRODES.get(re.sub(r"[\s_]", "", m[0].lower()), "")),
        (r"v|mcl[1-6]?|ml[45]|c[mcsbr][1-7]|v[1-9]-v[1-9]", lambda m: m[0].upper()),
        (r"nehb[ _]?([daj])", lambda m: f"Nehb {m[1].upper()}"),
    )
)
_BY_C = re.compile(rf"c{_S}[1-6]", re.IGNORECASE)

_IS_ECG = re.compile(r"(?:^|[^a-z])(?:ecg|ekg)|electrocard|elektrokard|mdc_ecg", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?:{_WORD})[\s_.:\-/#]*[0-9]{{1,3}}", re.IGNORECASE)
# a value derived from an ECG is not an ECG: "ECG HR", "ECG quality"
_NO_ECG = re.compile(
    r"hr|rate|rr|rri|quality|sqi|labels?|annot\w*|markers?|events?|status|imp|impedance|time|timestamps?|"
    r"r?peaks?|beats?|flags?|off|leadoff|index|resp\w*|qrs"
)
_SITE = r"(?:fp[12z]|(?:af|fc|ft|cp|tp|po)(?:z|[0-9]|10)|[ftp](?:z|[1-9]|10)|c[1-6z]|o[12z]|nz|iz|[am][12])"
_COUNTED = re.compile(r"([fctpo]) ?([0-9]{1,4})", re.IGNORECASE)
_EEG = re.compile(rf"(?:{_SITE})(?:\s*[-/:_ ]\s*(?:{_SITE}|ref|le|avg|cle|ave|a1a2|m1m2))*", re.IGNORECASE)
_EYE = re.compile(r"(?:e[12]|[lr]oc|.*eog.*)(?:\s*[-/:]\s*(?:[am][12]|e[12]|ref|fpz))?", re.IGNORECASE)
# a channel is not an ECG where a word of its name is one of these, or begins with one of the stems
_OTHER_WORDS = {
    "hr",
    "rr",
    "rri",
    "ibi",
    "pr",
    "bp",
    "ap",
    "pa",
    "art",
    "abp",
    "cvp",
    "pap",
    "icp",
    "lap",
    "rap",
    "uap",
    "uvp",
    "rvp",
    "cpp",
    "ibp",
    "abd",
    "tho",
    "thx",
    "sat",
    "fc",
    "fr",
    "bpm",
    "acc",
    "accx",
    "accy",
    "accz",
    "accel",
    "gyr",
    "gyro",
    "gyrx",
    "gyry",
    "gyrz",
    "mag",
    "magx",
    "magy",
    "magz",
    "imu",
    "no",
    "nr",
    "id",
    "idx",
    "row",
    "ms",
    "sec",
    "secs",
    "date",
    "datum",
    "fecha",
    "hora",
    "hour",
    "zeit",
    "czas",
    "tijd",
    "aika",
    "ora",
    "ura",
    "temp",
    "tmp",
    "class",
    "target",
    "beat",
    "beats",
    "mic",
    "leg",
    "legs",
    "chin",
    "rat",
    "lat",
    "tib",
    "plm",
    "eda",
    "gsr",
    "scg",
    "bcg",
    "pcg",
    "co2",
    "o2",
    "rpm",
    "eeg",
    "emg",
    "eog",
    "ppg",
    "sound",
    "light",
    "steps",
    "imp",
    "qrs",
    "pacer",
    "spike",
    "sqi",
    "quality",
    "flag",
    "flags",
    "leadoff",
}
_OTHER_LETTERS = {"t", "s", "n", "#"}  # only where the letter is the whole name
_OTHER_STEMS = (
    "eeg",
    "ieeg",
    "ecog",
    "seeg",
    "emg",
    "pleth",
    "photopleth",
    "ppg",
    "spo",
    "sao",
    "oxi",
    "oxy",
    "resp",
    "breath",
    "atem",
    "atmung",
    "airflow",
    "flow",
    "nasal",
    "thor",
    "abdo",
    "nibp",
    "press",
    "druck",
    "presi",
    "etco",
    "capno",
    "puls",
    "pouls",
    "heart",
    "herzf",
    "frequen",
    "fréquen",
    "frecuen",
    "cardia",
    "temper",
    "accelero",
    "gyrosc",
    "magnetom",
    "posit",
    "snor",
    "body",
    "time",
    "zeit",
    "uhrzeit",
    "tiempo",
    "temps",
    "tempo",
    "elapsed",
    "datetime",
    "时间",
    "時間",
    "время",
    "index",
    "sample",
    "unnamed",
    "label",
    "annot",
    "marker",
    "event",
    "trigger",
    "stage",
    "hypnogram",
    "status",
    "battery",
    "counter",
    "diagnos",
    "symbol",
    "patient",
    "artefact",
    "artifact",
    "seizure",
    "stimul",
    "impedan",
    "skin",
    "cpap",
    "gravity",
    "altitude",
    "speed",
    "humid",
    "blood",
    "arter",
    "venous",
    "pulmon",
    "intracran",
)


def canonical_lead(name: str) -> str:
    """The standard spelling of a lead name.

    A modified lead of a Holter recorder (``MLII``) gets the name of the lead it stands for. For all names of a
    recording together use ``canonical_leads``, which distinguishes the chest lead ``C3`` from the EEG electrode.

    Args:
        name: in any usual spelling; a name that is not a lead's is returned without superfluous blanks.

    Example:
        >>> [canonical_lead(name) for name in ("AVR", "MDC_ECG_LEAD_V1", "Lead III", "DI", "EKG-II", "MLII", "v4r")]
        ['aVR', 'V1', 'III', 'I', 'II', 'II', 'V4R']
        >>> canonical_lead("EEG C3"), canonical_lead("-aVR")
        ('EEG C3', '-aVR')
    """
    clean = _clean(name)
    return _lead(clean) or clean


def canonical_leads(names: Sequence[str]) -> tuple[str, ...]:
    """The standard spelling of every name of a recording.

    Args:
        names: all channel names of one recording.

    Returns:
        As many names, in the same order.

    Example:
        >>> canonical_leads(["I", "II", "C1"]), canonical_leads(["C3", "O1", "ECG"]), canonical_leads(["II", "MLII"])
        (('I', 'II', 'V1'), ('C3', 'O1', 'ECG'), ('II', 'MLII'))
    """
    return tuple(channel.name for channel in recognise(names))


def channel_kind(name: str) -> ChannelKind:
    """The kind of a channel, by its name alone.

    Args:
        name: of the channel.

    Example:
        >>> [channel_kind(name) for name in ("aVF", "ECG 2", "EEG C3-A2", "PLETH", "time", "x7")]
        ['lead', 'ecg', 'other', 'other', 'other', 'unknown']
    """
    return recognise([name])[0].kind


def recognise(names: Sequence[object]) -> tuple[Channel, ...]:
    """Name and kind of every channel of a recording.

    ``C1`` to ``C6`` are chest leads (German usage) if there are limb leads too, and EEG electrodes otherwise. ``MLII``
    is II unless the recording also has a II.

    Args:
        names: the file's names, text or bytes; None or blank where a channel has none (it stays blank and unknown).
    """
    return _recognised(tuple(_clean(name) for name in names))


@lru_cache(maxsize=1024)  # the recordings of a data set have the same names
def _recognised(clean: tuple[str, ...]) -> tuple[Channel, ...]:
    leads = [_lead(name) for name in clean]
    kinds: list[ChannelKind] = ["lead" if lead else _kind(name) for name, lead in zip(clean, leads, strict=True)]
    by_c = {row for row, name in enumerate(clean) if leads[row] and _BY_C.fullmatch(_stem(name))}
    others = [row for row in range(len(clean)) if row not in by_c]
    chest = bool(LIMB_LEADS & {leads[row] for row in others}) or {leads[row] for row in by_c} == set(STANDARD_LEADS[6:])
    scalp = any(kinds[row] == "other" and _is_scalp(clean[row]) for row in others)
    if not chest or scalp or {leads[row] for row in by_c} & {leads[row] for row in others}:
        for row in by_c:
            leads[row], kinds[row] = "", "other"
    # with "c0" or "c7" among the names, these are numbered columns, not electrodes
    counted = {match[1].lower() for name in clean if (match := _COUNTED.fullmatch(name)) and not _EEG.fullmatch(name)}
    for row, name in enumerate(clean):
        if (match := _COUNTED.fullmatch(name)) and match[1].lower() in counted:
            leads[row], kinds[row] = "", "unknown"
    _name_augmented(clean, leads, kinds)
    modified = [row for row, lead in enumerate(leads) if lead != "" and _is_modified(clean[row], lead)]
    taken = {lead for row, lead in enumerate(leads) if row not in modified}
    for row in modified:
        if leads[row] in taken:
            leads[row] = _stem(clean[row])
    return tuple(Channel(lead or name, kind) for lead, name, kind in zip(leads, clean, kinds, strict=True))


def _name_augmented(clean: Sequence[str], leads: list[str], kinds: list[ChannelKind]) -> None:
    """``VR VL VF`` and ``R L F`` are aVR, aVL and aVF where all three stand beside I, II, III and chest leads."""
    if not {*STANDARD_LEADS[:3], "V1", "V2"} <= set(leads) or set(STANDARD_LEADS[3:6]) & set(leads):
        return
    stems = [_stem(name).lower() for name in clean]
    for before in ("v", ""):
        if all(stems.count(f"{before}{letter}") == 1 for letter in "rlf"):
            for letter in "rlf":
                row = stems.index(f"{before}{letter}")
                leads[row], kinds[row] = f"aV{letter.upper()}", "lead"
            return


def no_lead_warning(names: Sequence[str]) -> tuple[str, ...]:
    """A warning where no channel has the name of a lead, which the axis and most findings need.

    Args:
        names: all channel names of one recording.

    Returns:
        One warning, or none.

    Example:
        >>> no_lead_warning(["II", "x"]), no_lead_warning(["x", "y"])
        ((), ('none of the 2 names is a standard lead: x, y; name them with leads= where you know them',))
    """
    if not names or any(channel.kind == "lead" for channel in recognise(names)):
        return ()
    if len(names) == 1:
        return (f"the name {names[0]!r} is no standard lead; name it with leads= where you know it",)
    listed = ", ".join(names[:12]) + ", ..." * (len(names) > 12)
    return (f"none of the {len(names)} names is a standard lead: {listed}; name them with leads= where you know them",)


def _clean(name: object) -> str:
    """Text with single blanks."""
    return " ".join(unicodedata.normalize("NFC", text_of(name)).split())


def _stem(name: str) -> str:
    """A name without words like "Lead", unit, reference electrode and remarks in brackets."""
    text = re.split(r"[(\[,]", name)[0].strip() or name
    text = _REFERENCE_AFTER.sub("", _UNIT_AFTER.sub("", text))
    while match := _BEFORE.match(text):
        text = text[match.end() :]
    return _AFTER.sub("", text).strip(" _.:")


@lru_cache(maxsize=4096)
def _lead(name: str) -> str:
    """The standard spelling of a lead's name; empty for any other name."""
    if not name or len(name) > MAX_NAME:
        return ""
    lead = _spelled(_stem(name))
    inner = re.match(r"([^()\[\],]*)[(\[,]\s*([^()\[\],]+)", name)  # "ECG (II)", "ECG, Lead II"
    if not lead and inner and inner[2].lower() != "v" and _kind(inner[1].strip()) in ("ecg", "unknown"):
        lead = _spelled(_stem(inner[2].strip()))
    return lead


def _spelled(stem: str) -> str:
    text = unicodedata.normalize("NFKC", stem)
    return next((spell(match) for pattern, spell in _LEADS if (match := pattern.fullmatch(text))), "")


def _is_modified(name: str, lead: str) -> bool:
    return _stem(name)[:1] in ("m", "M") and not lead.startswith("M")


def _is_scalp(name: str) -> bool:
    return bool(_EEG.fullmatch(name) or _EYE.fullmatch(name) or re.search("eeg|emg|chin", name, re.IGNORECASE))


@lru_cache(maxsize=4096)
def _kind(name: str) -> ChannelKind:
    """The kind of a channel whose name is not a lead's."""
    if not name or len(name) > MAX_NAME:
        return "unknown"
    lower = name.lower()
    words = re.findall(r"[^\W\d_]+", lower)
    if _IS_ECG.search(lower) or _NUMBERED.fullmatch(lower):
        return "other" if any(_NO_ECG.fullmatch(word) for word in words) else "ecg"
    words += re.findall(r"[^\W_]+", lower)
    if (
        lower in _OTHER_LETTERS
        or _EEG.fullmatch(name)
        or _EYE.fullmatch(name)
        or any(word in _OTHER_WORDS or word.startswith(_OTHER_STEMS) for word in words)
    ):
        return "other"
    return "unknown"
