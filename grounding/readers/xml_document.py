"""XML files of devices: root element, a tree of limited size without namespaces, and numbers in texts."""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ErrorString
from xml.parsers.expat import errors as expat

import numpy as np
from numpy.typing import NDArray

from ..errors import EcgFormatError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_DOCUMENT_BYTES = 48 << 20  # a 10 s ECG takes 0.1-2 MB in these formats
MAX_TAGS = 400_000  # a 10 s ECG has some ten thousand
_ENDED = {
    expat.codes[name]
    for name in (
        expat.XML_ERROR_NO_ELEMENTS,
        expat.XML_ERROR_UNCLOSED_TOKEN,
        expat.XML_ERROR_PARTIAL_CHAR,
        expat.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
}
_ROOT = re.compile(r"<([A-Za-z_][\w.\-]*:)?([A-Za-z_][\w.\-]*)[\s/>]")
_BLOCK_CHARACTERS = 1 << 22
_SEPARATOR = re.compile(r"[\s,;]")
_SKIPPED = re.compile(r"\s*(?:<\?[^>]*\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>)", re.DOTALL)


def root_name(head: bytes) -> str | None:
    """The local name of an XML file's root element.

    Args:
        head: the first bytes of the file.

    Returns:
        None where it is not XML.

    Example:
        >>> root_name(b'<?xml version="1.0"?><!-- x --><a:RestingECG b="1">'), root_name(b"1,2,3")
        ('RestingECG', None)
    """
    encoding = "utf-8-sig"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif head[:4] in (b"<\0?\0", b"\0<\0?"):
        encoding = "utf-16-le" if head[0] else "utf-16-be"
    text = head.decode(encoding, "replace").lstrip()
    while text.startswith("<") and (skipped := _SKIPPED.match(text)):
        text = text[skipped.end() :].lstrip()
    root = _ROOT.match(text)
    return root[2] if root else None


def has_root(*names: str) -> Callable[[bytes], bool]:
    """Make a ``sniff`` function for XML files.

    Args:
        *names: possible names of the root element, in upper or lower case.
    """
    wanted = {name.lower() for name in names}
    return lambda head: (root_name(head) or "").lower() in wanted


def load_xml(path: Path, *roots: str) -> Element:
    """The tree of an XML file, without namespaces.

    Args:
        path: the file.
        *roots: possible names of the root element.

    Raises:
        EcgFormatError: it is too large, cut off, not well-formed, declares entities, or has another root.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException, ElementTree

    where = str(path)
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise EcgFormatError(
            f"the file is over {MAX_DOCUMENT_BYTES >> 20} MB", where=where, remedy="export a shorter recording"
        )
    data = path.read_bytes()
    tags = max(data.count(b"<"), data.count(b"="))
    if tags > MAX_TAGS:
        raise EcgFormatError(
            f"it has {tags} tags or attributes, more than an ECG", where=where, remedy="check the file"
        )
    try:
        root = _parse(data, ElementTree.fromstring, ParseError)
    except DefusedXmlException as error:
        raise EcgFormatError(
            f"it declares entities, which are refused ({type(error).__name__})", where=where, remedy="take them out"
        ) from None
    except ParseError as error:
        line, column = error.position
        what = "the file is truncated" if error.code in _ENDED else "it is no well-formed XML"
        raise EcgFormatError(
            f"{what} (line {line}, column {column}: {ErrorString(error.code)})", where=where, remedy="export it again"
        ) from None
    for element in root.iter():
        if "}" in str(element.tag):
            element.tag = str(element.tag).rpartition("}")[2]
        if any("}" in name for name in element.attrib):
            element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    if roots and root.tag.lower() not in {name.lower() for name in roots}:
        raise EcgFormatError(f"its root is <{root.tag[:60]}>, not <{roots[0]}>", where=where, remedy="check the file")
    return root


def _parse(data: bytes, parse: Any, parse_error: type[Exception]) -> Element:
    """Parse in the declared encoding; if that fails, in Latin-1, in which every byte is a character."""
    try:
        return parse(data)  # type: ignore[no-any-return]
    except parse_error as error:
        if getattr(error, "code", None) not in (
            expat.codes[expat.XML_ERROR_INVALID_TOKEN],
            expat.codes[expat.XML_ERROR_UNKNOWN_ENCODING],
            expat.codes[expat.XML_ERROR_INCORRECT_ENCODING],
        ):
            raise
        text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
        try:
            return parse(re.sub(r"^\s*<\?xml[^>]*\?>", "", text, count=1))  # type: ignore[no-any-return]
        except parse_error:
            raise error from None


def text_at(element: Element | None, path: str = ".") -> str:
    """The text of the first element at a path, with single blanks.

    Args:
        element: where the path starts.
        path: as in ``Element.find``.

    Returns:
        Empty where there is no such element or text.
    """
    found = None if element is None else element.find(path)
    return " ".join(found.text.split()) if found is not None and found.text else ""


def number_at(element: Element | None, path: str = ".") -> float | None:
    """The number at the beginning of an element's text.

    Args:
        element: where the path starts.
        path: as in ``Element.find``.

    Returns:
        None where there is no such element or number.
    """
    return number_in(text_at(element, path))


def number_in(text: str | None) -> float | None:
    """The number at the beginning of a text.

    Args:
        text: such as ``"41 bpm"``.

    Returns:
        None where it does not begin with a number.

    Example:
        >>> number_in("41 bpm"), number_in("4,88"), number_in("---")
        (41.0, 4.88, None)
    """
    match = re.match(r"\s*([+-]?(?:\d{1,30}[.,]?\d{0,30}|[.,]\d{1,30})(?:[eE][+-]?\d{1,3})?)", text or "")
    value = float(match[1].replace(",", ".")) if match else np.nan
    return value if np.isfinite(value) else None


def numbers_in(text: str | None, what: str, where: str) -> NDArray[np.float32]:
    """All numbers of a text.

    Args:
        text: numbers separated by commas, semicolons or blanks.
        what: name of the channel, for errors.
        where: the file, for errors.

    Returns:
        (n,); NaN between two commas.

    Raises:
        EcgFormatError: something in it is not a number.
    """
    whole = (text or "").strip()
    out = np.empty(len(whole) + 1, np.float32)  # an upper bound; pages of memory are used only as they are filled
    n_numbers = at = 0
    while at < len(whole):
        end = at + _BLOCK_CHARACTERS
        if end < len(whole):  # up to the next separator
            found = _SEPARATOR.search(whole, end)
            end = found.start() if found else len(whole)
        part = whole[at:end].replace(", ,", ",,")
        for _ in range(2):  # the first pass replaces only one pair of three commas
            part = part.replace(",,", ",nan,")
        part = part.replace(",", " ").replace(";", " ")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # NumPy warns if it stops before the end
                numbers = np.fromstring(part, np.float32, sep=" ") if part.strip() else out[:0]
        except (DeprecationWarning, ValueError):
            raise EcgFormatError(
                f"the samples of {what} are not all numbers", where=where, remedy="export it again"
            ) from None
        out[n_numbers : n_numbers + len(numbers)] = numbers
        n_numbers += len(numbers)
        at = end
    out.resize(n_numbers, refcheck=False)
    return out


def bytes_in(text: str | None, what: str, where: str) -> bytes:
    """Base64 text as bytes.

    Args:
        text: with or without line breaks.
        what: name of the channel, for errors.
        where: the file, for errors.

    Raises:
        EcgFormatError: it is not base64.
    """
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EcgFormatError(
            f"the samples of {what} are no base64 ({error})", where=where, remedy="export it again"
        ) from None
