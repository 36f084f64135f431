"""A file that no reader takes is called what it is, never a known format that is incomplete."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from grounding import EcgFormatError, read_record


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 50)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.dat"))
    return file.getvalue()


def picture(kind: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, kind)
    return file.getvalue()


FILES = {
    "a GIF picture": picture("GIF"),
    "a ZIP archive": zipped("a/b.dat"),
    "an Excel file": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "a Word document": zipped("[Content_Types].xml", "word/document.xml"),
    "an OpenDocument file": zipped("mimetype", "content.xml"),
    "an old Microsoft Office file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "a TAR archive": tarred(),
    "a gzip archive": b"\x1f\x8b\x08\0" + bytes(20),
    "a 7-Zip archive": b"7z\xbc\xaf'\x1c" + bytes(20),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(20),
    "a pickle": pickle.dumps({"a": 1}),
    "an SQLite database": b"SQLite format 3\0" + bytes(20),
    "a WAV file": b"RIFF\0\0\0\0WAVEfmt ",
    "an HL7 v2 message": b"MSH|^~\\&|CART|WARD|20020124||ORU^R01",
    "annotations of an ISHNE recording": b"ANN  1.0" + bytes(600),
    "an MFER recording": b"@\x20MFR Standard 12 leads ECG       " + bytes(40),
    "an AliveCor": b"ALIVE\0\0\0" + bytes(40),
    "a Kardia recording in JSON": json.dumps({"recordedAt": "2020", "data": {"raw": {}}}).encode(),
    "a JSON file": b'{"leads": [1, 2]}',
    "an SVG drawing": b'<?xml version="1.0"?>\n<!-- made by x --><svg xmlns="http://www.w3.org/2000/svg"/>',
    "a web page": b"<!DOCTYPE html>\n<html lang='en'><body>404</body></html>",
    "a GE Sapphire XML export": b'<sapphire version="1"><dcarRecord/></sapphire>',
    "an HL7 CDA document": '\ufeff<ClinicalDocument xmlns="urn:hl7-org:v3"/>'.encode("utf-16-le"),
    "an XML file of another kind": b"<EcgOfSomebodyElse><leads/></EcgOfSomebodyElse>",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", [".bin", ".xml", ".dcm", ".csv", ".ecg", "", ".scp", ".edf"])
def test_by_its_content_whatever_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"export{suffix}"
    path.write_bytes(FILES[name])
    with pytest.raises(EcgFormatError, match=f"this is {name}") as caught:
        read_record(path)
    assert "the formats read are" in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("suffix", [".bin", ".xml", ".csv", ""])
def test_a_picture_is_read_as_one_whatever_its_name(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"export{suffix}"
    path.write_bytes(picture(kind))
    with pytest.raises(EcgFormatError, match="the picture has only 8 x 8 pixels"):
        read_record(path)


@pytest.mark.parametrize("suffix", [".bin", ".dcm", ".csv", ""])
def test_a_damaged_pdf_is_one_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pypdfium2")
    path = tmp_path / f"export{suffix}"
    path.write_bytes(b"%PDF-1.7\n%\xe2\xe3")
    with pytest.raises(EcgFormatError, match="the PDF file can't be read"):
        read_record(path)


def test_matlab_7(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(EcgFormatError, match=r"MATLAB 7\.3 .HDF5. file"):
        read_record(tmp_path / "a.mat")


def test_a_matlab_file_without_its_header(tmp_path: Path) -> None:
    import scipy.io

    scipy.io.savemat(tmp_path / "a.mat", {"val": np.zeros((2, 100))})
    with pytest.raises(EcgFormatError, match=r"there is no header file for this record; this is a MATLAB file"):
        read_record(tmp_path / "a.mat")


@pytest.mark.parametrize("extension", ["atr", "qrs", "pu1", "q1c"])
def test_annotations_of_wfdb(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"100.{extension}"
    path.write_bytes(b"\x12\x04\x00\xfc" * 30)
    with pytest.raises(EcgFormatError, match="this is a WFDB annotation file"):
        read_record(path)


def test_a_known_format_under_another_name_is_read(tmp_path: Path) -> None:
    from grounding import sample_path

    original = read_record(sample_path())
    np.savez(tmp_path / "a.npz", signal=original.signal, fs=500, leads=list(original.leads), units="mV")
    (tmp_path / "a.npz").rename(tmp_path / "a.xml")
    assert read_record(tmp_path / "a.xml").meta["format"] == "npz"
