"""Philips XML (SierraECG and PhilipsECG, 1.03 and later): PageWriter, TraceMasterVue, IntelliSpace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError
from ..leads import STANDARD_LEADS
from .channels import Channels
from .device import add_device_values, add_person, years_between
from .registry import register_reader
from .xml_document import bytes_in, has_root, load_xml, number_at, number_in, numbers_in, text_at

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_VALUES = (
    ("heartrate", "heart_rate"),
    ("meanventrate", "heart_rate"),
    ("rrint", "rr"),
    ("print", "pr"),
    ("meanprint", "pr"),
    ("qrsdur", "qrs"),
    ("meanqrsdur", "qrs"),
    ("qtint", "qt"),
    ("meanqtint", "qt"),
    ("qtcb", "qtc_bazett"),
    ("qtcf", "qtc_fridericia"),
    ("meanqtc", "qtc"),
    ("pfrontaxis", "p_axis"),
    ("qrsfrontaxis", "axis"),
    ("tfrontaxis", "t_axis"),
)
_MEASURED = ("globalmeasurements", "interpretationmeasurements", "crossleadmeasurements")
_MAX_SAMPLES = 1 << 22  # over all leads: eleven minutes of twelve leads at 500 Hz; exports have eleven seconds
_CHUNK_HEADER = 8
_CODE_BITS, _LAST_CODE = 10, 1023
_PLACES = 1 << np.arange(_CODE_BITS - 1, -1, -1)
_BLOCK_BYTES = _CODE_BITS << 16


@register_reader((".xml",), sniff=has_root("restingecgdata"))
def philips(path: Path) -> Channels:
    """Philips (Sierra) XML 1.03-1.04: the rhythm waveform, plain or compressed (XLI)."""
    where = str(path)
    root = load_xml(path, "restingecgdata")
    wave = next(root.iter("parsedwaveforms"), None)
    if wave is None:
        raise EcgFormatError("there is no rhythm recording in it", where=where, remedy="export the waveforms too")
    about = next(root.iter("signalcharacteristics"), None)

    def setting(attribute: str, *elements: str) -> str:
        return wave.get(attribute, "").strip() or next((t for name in elements if (t := text_at(about, name))), "")

    rate = number_in(setting("samplespersecond", "samplingrate"))
    duration_ms = number_in(wave.get("durationperchannel"))
    if not rate or rate <= 0 or not duration_ms or duration_ms <= 0:
        raise EcgFormatError("it gives no sampling rate or duration", where=where, remedy="export it again")
    names = _names(wave, about)
    n_samples = round(duration_ms * rate / 1000)
    if not names or n_samples * len(names) > _MAX_SAMPLES:
        raise EcgFormatError(
            f"it promises {len(names)} leads of {duration_ms:g} ms at {rate:g} Hz",
            where=where,
            remedy="export it again",
        )
    signed = setting("signalsigned", "signalsigned").lower() not in ("false", "no", "0", "f")
    stored = _stored_steps(wave, names, n_samples, signed, where)
    step = number_in(setting("resolution", "resolution", "signalresolution"))
    zero = number_in(setting("signaloffset", "signaloffset")) or 0.0
    signals = [(row - zero) * step if step else row for row in stored]
    meta: dict[str, Any] = {}
    add_person(meta, _age(root), text_at(next(root.iter("sex"), None)))
    _add_device(meta, root)
    return Channels(names, signals, rate, "uV" if step else "adu", meta, word="lead")


def _names(wave: Element, about: Element | None) -> list[str | None]:
    """Lead names in order; versions before 1.04 have only the number of leads."""
    labels = wave.get("leadlabels", "").split()
    count = number_in(wave.get("numberofleads")) or number_at(about, "numberchannelsvalid") or len(labels) or 12
    n_leads = int(min(max(count, 1), 256))
    set_names = list(STANDARD_LEADS) if n_leads >= 12 else []
    names: list[str | None] = [*(labels or set_names)]
    return (names + [None] * n_leads)[: len(labels) or n_leads]


def _stored_steps(
    wave: Element, names: list[str | None], n_samples: int, signed: bool, where: str
) -> list[NDArray[np.float64]]:
    """The stored integers of each lead."""
    packed = (wave.get("compression") or wave.get("compressmethod") or "").strip()
    if packed.lower() in ("", "none", "uncompressed") or wave.get("compressflag", "").lower() in ("false", "no", "0"):
        if wave.get("dataencoding", "").lower() == "base64":
            raw = bytes_in(wave.text, "parsedwaveforms", where)
            values: NDArray[Any] = np.frombuffer(raw, "<i2" if signed else "<u2", len(raw) // 2)
        else:
            values = numbers_in(wave.text, "parsedwaveforms", where)
        available = len(values) // len(names)
        if available < n_samples:
            raise EcgFormatError(
                f"the samples are truncated: {available} of {n_samples} in each lead",
                where=where,
                remedy="export it again",
            )
        rows = values[: n_samples * len(names)].reshape(len(names), n_samples).astype(np.float64)
        return list(rows)
    if packed.upper() != "XLI":
        raise EcgFormatError(f"its compression {packed[:30]!r} is not known", where=where, remedy="export it plainly")
    leads = _unpacked(bytes_in(wave.text, "parsedwaveforms", where), len(names), n_samples, where)
    if (
        tuple(names[:6]) == STANDARD_LEADS[:6]
    ):  # III, aVR, aVL, aVF are stored as differences to what follows from I and II
        one, two = leads[0], leads[1]
        three = leads[2] = two - one - leads[2]
        leads[3] = -leads[3] - (one + two) // 2
        leads[4] = (one - three) // 2 - leads[4]
        leads[5] = (two + three) // 2 - leads[5]
    return [lead.astype(np.float64) for lead in leads]


def _unpacked(data: bytes, n_leads: int, n_samples: int, where: str) -> list[NDArray[np.int64]]:
    """Unpack XLI: one chunk per lead, LZW of second differences. Unpacking stops at the size expected."""
    leads: list[NDArray[np.int64]] = []
    at, limit = 0, 2 * n_samples + 4096
    while len(leads) < n_leads:
        size = int.from_bytes(data[at : at + 4], "little", signed=True)
        first = int.from_bytes(data[at + 6 : at + _CHUNK_HEADER], "little", signed=True)
        chunk = data[at + _CHUNK_HEADER : at + _CHUNK_HEADER + max(size, 0)]
        if size <= 0 or len(chunk) < size:
            raise EcgFormatError(
                f"its compressed samples are truncated: {len(leads)} of {n_leads} leads",
                where=where,
                remedy="export it again",
            )
        plain = _lzw(chunk, limit)
        if plain is None or not 4 <= 2 * n_samples <= len(plain) <= limit:
            raise EcgFormatError(
                f"the compressed samples of lead {len(leads) + 1} are damaged, or not the {n_samples} it promises",
                where=where,
                remedy="export it again",
            )
        leads.append(_integrated_twice(plain, first)[:n_samples])
        at += _CHUNK_HEADER + size
    return leads


def _lzw(packed: bytes, limit: int) -> bytes | None:
    """LZW with codes of ten bits; None where a code is invalid. It stops after ``limit`` bytes."""
    out = bytearray()
    strings = [bytes([value]) for value in range(256)]
    previous = b""
    for begin in range(0, len(packed), _BLOCK_BYTES):
        bits = np.unpackbits(np.frombuffer(packed[begin : begin + _BLOCK_BYTES], np.uint8))
        codes = bits[: len(bits) // _CODE_BITS * _CODE_BITS].reshape(-1, _CODE_BITS) @ _PLACES
        for code in codes.tolist():
            if code == _LAST_CODE:
                return bytes(out)
            if code > len(strings) or (code == len(strings) and not previous):
                return None
            string = strings[code] if code < len(strings) else previous + previous[:1]
            out += string
            if len(out) > limit:
                return bytes(out)
            if previous and len(strings) < _LAST_CODE:
                strings.append(previous + string[:1])
            previous = string
    return bytes(out)


def _integrated_twice(plain: bytes, first: int) -> NDArray[np.int64]:
    """Samples from their second differences, which are stored as all high bytes, then all low bytes."""
    half = (len(plain) + 1) // 2
    high, low = np.frombuffer(plain[:half], np.int8), np.frombuffer(plain[half:].ljust(half, b"\0"), np.uint8)
    stored = high.astype(np.int64) << 8 | low
    bend = np.empty(half, np.int64)  # second difference of each sample but the first two
    bend[:2] = stored[0], stored[1] - stored[0]
    bend[2:] = 64 - stored[1:-1]
    bend[2] = -first
    bend[1:] = np.cumsum(bend[1:])
    return np.cumsum(bend)


def _age(root: Element) -> float | None:
    age = next(root.iter("age"), None)
    years = number_at(age, "years")
    if years is not None:
        return years
    born, then = text_at(age, "dateofbirth"), next((e.get("date", "") for e in root.iter("dataacquisition")), "")
    return years_between(born.replace("-", ""), then.replace("-", ""))


def _add_device(meta: dict[str, Any], root: Element) -> None:
    """Measurements of the first interpretation, or those outside of it, and its statements."""
    interpretation = next(root.iter("interpretation"), None)
    inner = [] if interpretation is None else [e for name in _MEASURED for e in interpretation.iter(name)]
    places = inner + [e for name in _MEASURED for e in root.iter(name)]
    values = [(ours, number_at(place, name)) for place in places for name, ours in _VALUES]
    statements = (
        []
        if interpretation is None
        else [
            f"{text_at(one, 'leftstatement')} {text_at(one, 'rightstatement')}"
            for one in interpretation.findall("statement")
        ]
    )
    add_device_values(meta, values, statements)
