"""Names of pages: one for each recording, and none written over another's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import gem
import grounding
from gem.cli import entry as cli
from gem.explanation import Explanation
from gem.views.files import PageFiles, mark

SAMPLES = sorted(path.with_suffix("") for path in grounding.sample_path().parent.glob("*.hea"))


@pytest.fixture(scope="module")
def explained() -> list[Explanation]:
    return [gem.explain(path) for path in SAMPLES[:3]]


def named(explanation: Explanation, record_id: str) -> Explanation:
    from dataclasses import replace

    assert explanation.record is not None
    record = replace(explanation.record, record_id=record_id)  # a record keeps no half of a surrogate pair
    return replace(explanation, record_id=record.record_id, record=record)


def write(path: Path, sample: Path) -> str:
    """The sample as a CSV."""
    record = grounding.read_record(sample)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join(record.leads), *(",".join(f"{value:.3f}" for value in row) for row in record.signal.T)]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_two_recordings_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    first, second = (write(tmp_path / f"d{i}" / "rec.csv", SAMPLES[i]) for i in range(2))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second run writes the same two pages
        assert cli.main(["explain", first, second, "--fs", "500", "--html", "out"]) == 0
        said = capsys.readouterr().err
        assert f"wrote {Path('out/rec.html')}" in said
        assert f"wrote {Path('out/rec-2.html')}" in said
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["rec-2.html", "rec.html"]
    assert (tmp_path / "out/rec.html").read_text() != (tmp_path / "out/rec-2.html").read_text()


def test_a_page_of_another_recording_stays(explained: list[Explanation], tmp_path: Path) -> None:
    """In the working directory too: whatever lies there by that name and is not this recording's page."""
    one, other = named(explained[0], "rec"), named(explained[1], "rec")
    assert PageFiles().save(one, tmp_path, ".html").name == "rec.html"
    assert PageFiles().save(other, tmp_path, ".html").name == "rec-2.html"
    assert PageFiles().save(one, tmp_path, ".html").name == "rec.html"
    assert PageFiles().save(other, tmp_path, ".html").name == "rec-2.html"
    (tmp_path / "rec.html").write_text("my notes")
    assert PageFiles().save(one, tmp_path, ".html").name == "rec-3.html"
    assert (tmp_path / "rec.html").read_text() == "my notes"


@pytest.mark.parametrize(
    "names",
    [
        ("a b", "a:b", "a_b"),
        ("Rec", "rec", "REC"),
        ("a\x1b", "a\n", "a\udcff"),
        ("x" * 300, "x" * 301, "x" * 302),
        ("", ".", ".."),
        ("é" * 200, "é" * 201, "é" * 202),
    ],
)
def test_names_that_meet(names: tuple[str, ...], explained: list[Explanation], tmp_path: Path) -> None:
    files = PageFiles()
    paths = [
        files.save(named(explanation, name), tmp_path, ".html")
        for explanation, name in zip(explained, names, strict=True)
    ]
    assert len({str(path).casefold() for path in paths}) == 3
    assert all(
        path.stat().st_size > 10_000 and path.name.isprintable() and not path.name.startswith(".") for path in paths
    )


def test_pdfs_are_told_apart_as_well(explained: list[Explanation], tmp_path: Path) -> None:
    pytest.importorskip("typst")
    one, other = named(explained[0], "rec"), named(explained[1], "rec")
    for _ in range(2):
        assert PageFiles().save(one, tmp_path, ".pdf").name == "rec.pdf"
        assert PageFiles().save(other, tmp_path, ".pdf").name == "rec-2.pdf"


def test_a_page_that_fails_leaves_no_empty_file(
    explained: list[Explanation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gem.views.html.page", lambda explanation: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        PageFiles().save(explained[0], tmp_path, ".html")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_given_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--html out.html`` writes that file, as asked; a name without a suffix is a folder."""
    monkeypatch.chdir(tmp_path)
    for sample in SAMPLES[:2]:
        assert cli.main(["explain", str(sample), "--html", "out.html"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]
    assert cli.main(["explain", str(SAMPLES[0]), "--html", "pages"]) == 0
    assert [path.name for path in (tmp_path / "pages").iterdir()] == [f"{SAMPLES[0].name}.html"]


def test_the_mark_is_the_recordings(explained: list[Explanation], tmp_path: Path) -> None:
    assert mark(explained[0]) == mark(gem.explain(SAMPLES[0])) != mark(explained[1])
    assert mark(named(explained[0], "other")) != mark(explained[0])
    text = explained[0].save(tmp_path / "x.html").read_text()
    assert mark(explained[0]) in text
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("name", ["a\udcffb", "\x00\x1b[31m", "\u202eabc\x85\u2028", "<script>"])
def test_every_view_holds_any_name(name: str, explained: list[Explanation], tmp_path: Path) -> None:
    odd = named(explained[0], name)
    assert odd.save(tmp_path / "x.html").read_text(encoding="utf-8")
    odd._repr_html_().encode()
    again = Explanation.from_json(odd.save(tmp_path / "x.json"), odd.record)
    assert again.record_id == odd.record_id == name.replace("\udcff", "?")
    if shutil.which("typst") or pytest.importorskip("typst"):
        assert odd.save(tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
