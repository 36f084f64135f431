"""Names of file formats that can't be read, by the first bytes, for error messages."""

from __future__ import annotations

import re

from .xml_document import root_name

# first bytes of files that users may try to open
_SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB 7.3", "a MATLAB 7.3 (HDF5) file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf'\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"fLaC", "a FLAC file (a WFDB signal file needs its header, .hea)"),
    (b"OggS", "an Ogg file"),
    (b"{\\rtf", "an RTF document"),
    (b"ANN  1.0", "annotations of an ISHNE recording"),
    (b"MSH|", "an HL7 v2 message"),
    (b"\x0bMSH|", "an HL7 v2 message"),
    (b"%!PS", "a PostScript document"),
    (b"ALIVE\0\0\0", "an AliveCor (Kardia) ATC recording"),
    (b"GDF ", "a GDF recording"),
    (b"Brain Vision", "a BrainVision header"),
    (b"BrainVision", "a BrainVision header"),
)
_ROOTS = {
    "svg": "an SVG drawing",
    "html": "a web page",
    "sapphire": "a GE Sapphire XML export",
    "clinicaldocument": "an HL7 CDA document",
    "bundle": "a FHIR bundle",
    "observation": "a FHIR observation",
    "healthdata": "an export of Apple Health: its ECGs are CSV files beside it",
    "nativedicommodel": "DICOM written as XML",
}
_ANNOTATORS = {
    "atr",
    "qrs",
    "ann",
    "pu",
    "pu0",
    "pu1",
    "q1c",
    "q2c",
    "q1t",
    "qt1",
    "qt2",
    "man",
    "ari",
    "apn",
    "sta",
    "stb",
    "stc",
    "ecg_ann",
    "wqrs",
}
_RIFF = {b"WAVE": "a WAV file", b"WEBP": "a WebP picture", b"AVI ": "an AVI film"}
_OFFICE = (
    (b"word/", "a Word document"),
    (b"xl/", "an Excel file"),
    (b"ppt/", "a PowerPoint file"),
    (b"content.xml", "an OpenDocument file"),
    (b"mimetypeapplication/vnd.oasis", "an OpenDocument file"),
)


def content_name(head: bytes) -> str | None:
    """The name of a file's format, with its article.

    Args:
        head: the first ``SNIFF_BYTES`` bytes of the file.

    Returns:
        None where the format is unknown.

    Example:
        >>> content_name(b"%PDF-1.7"), content_name(b"<svg width='9'/>"), content_name(b"1,2,3")
        ('a PDF document', 'an SVG drawing', None)
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "a RIFF file")
    if head[:4] == b"PK\x03\x04":
        return next((name for part, name in _OFFICE if part in head), "a ZIP archive: unpack it")
    if head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return "an old Microsoft Office file (.xls, .doc)"
    if head[4:8] == b"ftyp":
        return "a picture or film (HEIC, MP4)"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "a BMP picture"
    if head[257:262] == b"ustar":
        return "a TAR archive: unpack it"
    if head[:1] == b"@" and head[1:2] and head[1] <= 64 and b"MFR" in head[:64]:
        return "an MFER recording (Nihon Kohden and others)"
    root = root_name(head)
    if root is not None:
        return _ROOTS.get(root.lower(), f"an XML file of another kind (its root is <{root[:60]}>)")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(rb"[{\[]\s*[\"{\[\]}]", text):
        kardia = b"recordedAt" in head or b"amplitudeResolution" in head
        return "a Kardia recording in JSON" if kardia else "a JSON file"
    if text[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (was the download refused?)"
    return None


def is_annotations(name: str) -> bool:
    """Whether a file name has the extension of a WFDB annotation file, which has no samples.

    Args:
        name: of the file.

    Example:
        >>> is_annotations("100.atr"), is_annotations("100.dat")
        (True, False)
    """
    return name.lower().rpartition(".")[2] in _ANNOTATORS
