"""What reaches the terminal: names from files without anything that it obeys, whatever its encoding."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import grounding
from gem import terminal
from gem.cli import entry as cli

# clear the screen, colour, title, bell, back, NUL, C1's CSI, right-to-left override and isolate, line separator, half
# a pair
HOSTILE = "a\x1b[2J\x1b[31mRED\x1b]0;pwn\x07\b\x00\x9b31m\u202eevil\u2066\u2028\udcffz"
OBEYED = set("\x1b\x07\b\x00\x9b\u202e\u2066\u2028\r")


def assert_harmless(text: str) -> None:
    assert not OBEYED & set(text), sorted(OBEYED & set(text))
    text.encode()  # no half pairs


def test_plain() -> None:
    assert_harmless(terminal.without_controls(HOSTILE))
    assert terminal.without_controls(HOSTILE).startswith(r"a\x1b[2J\x1b[31mRED\x1b]0;pwn\x07\x08\x00\x9b31m\u202eevil")
    assert terminal.without_controls("PR 160 ms, µV, °, naïve, Ωλ, 心電図") == "PR 160 ms, µV, °, naïve, Ωλ, 心電図"
    assert all(terminal.without_controls(chr(code)) != chr(code) for code in [*range(32), *range(127, 160)])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    value = {HOSTILE: ["µ 心 \U0001f600", 1.5, None]}
    terminal.print_lines("µV ≥ 心", HOSTILE)
    said = raw.tell()
    terminal.print_json(value)
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert_harmless(text)
    assert text.count("\n") >= 2
    assert json.loads(text[text.index("{") :]) == value
    assert said == 0 or text


def write_csv(path: Path, leads: list[str]) -> None:
    record = grounding.read_record(grounding.sample_path())
    rows = [",".join(leads)] + [",".join(f"{value:.3f}" for value in row) for row in record.signal[: len(leads)].T]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8", errors="surrogateescape")


def gem(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gem", *words],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
        timeout=300,
    )


NAME = "esc\x1b[31mRED\x1b]0;pwn\x07\u202e.csv"


@pytest.mark.parametrize(
    "words",
    [
        ["measure", NAME, "--fs", "500"],
        ["measure", NAME, "--fs", "500", "--json"],
        ["render", NAME, "--fs", "500", "-o", "x\x1b[31m.png"],
        ["check", NAME, "--fs", "500", "--text", "The PR is \x1b[31m120\x07 ms.", "--exit-zero"],
        ["measure", "missing\x1b[31m\x07.csv"],
        ["measure", NAME, "--bogus\x1b[31m"],
        ["bogus\x1b[31m"],
        ["measure", "gone\x1b[31m", "--debug"],
    ],
    ids=["measure", "json", "render", "check", "missing", "argument", "command", "debug"],
)
def test_no_command_hands_on_control_characters(words: list[str], tmp_path: Path) -> None:
    write_csv(tmp_path / NAME, ["I", "II", "III", "aVR", "aVL", "aVF"])
    done = gem(*words, cwd=tmp_path, PYTHONIOENCODING="utf-8")
    assert done.stdout or done.stderr
    assert_harmless(done.stdout.decode())
    assert_harmless(done.stderr.decode())
    assert b"31m" in done.stdout + done.stderr or "esc" in (done.stdout + done.stderr).decode()


def test_explanations_hand_on_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = grounding.read_record(grounding.sample_path())
    named = grounding.ECGRecord.from_array(
        record.signal, record.fs, record.leads, record_id=HOSTILE, meta={"warnings": (HOSTILE,)}
    )
    monkeypatch.setattr(cli, "read", lambda path, args: named)
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--json"]):
        assert cli.main(["explain", "x", *more]) == 0
        said = capsys.readouterr()
        assert_harmless(said.out)
        assert_harmless(said.err)
    assert json.loads(said.out)["record_id"] == named.record_id
    (page,) = tmp_path.glob("*.html")
    assert page.name.isprintable()


def test_warnings_go_through_the_same_door(capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    try:
        terminal.redirect_warnings()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            terminal.redirect_warnings()
            warnings.warn(HOSTILE, stacklevel=1)
    finally:
        warnings.showwarning = before
    said = capsys.readouterr().err
    assert said.startswith("gem: warning: a\\x1b")
    assert_harmless(said)


def test_an_ascii_terminal_is_no_reason_to_fail(tmp_path: Path) -> None:
    write_csv(tmp_path / "naïve µ.csv", ["I", "II", "III"])
    for more in ([], ["--json"]):
        done = gem(
            "measure", "naïve µ.csv", "--fs", "500", *more, cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0"
        )
        assert done.returncode == 0, done.stderr
        done.stdout.decode("ascii")
        assert b"na" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff\xfename.csv")
    write_csv(tmp_path / name, ["I", "II", "III", "aVR", "aVL", "aVF"])
    done = gem("explain", name, "--fs", "500", "--pdf", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("*.html")
    assert page.read_text(encoding="utf-8")
    assert len(list((tmp_path / "out").glob("*.pdf"))) == 1
    done.stdout.decode()


def test_say_takes_lines_and_nothing_else_breaks_them(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_lines("one\ngem: error: two", "three")
    assert capsys.readouterr().out == "one\\x0agem: error: two\nthree\n"


def test_no_file_prints_past_the_door() -> None:
    """The command line's own files print by ``print_lines`` alone."""
    files = sorted(Path(cli.__file__).parent.glob("*.py"))
    assert len(files) > 4
    for path in files:
        assert "print(" not in path.read_text().replace("_print(", ""), path


def test_numbers_are_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": [1, 2.5, True, None, "µ"], "b": {}}
    terminal.print_json(value)
    assert json.loads(capsys.readouterr().out) == value
    with pytest.raises(ValueError, match="JSON"):
        terminal.print_json({"a": float(np.nan)})


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_instructions_from_names_that_are_not_utf8(tmp_path: Path) -> None:
    """One odd name among three: three recordings in the data, and none of their names breaks a file."""
    pytest.importorskip("pyarrow")
    from gem.instruct.pipeline import instruct
    from gem.instruct.sources import find_sources

    (tmp_path / "src").mkdir()
    for name in ("a.csv", "b.csv", os.fsdecode(b"pat\xff.csv")):
        write_csv(tmp_path / "src" / name, ["I", "II", "III"])
    sources = find_sources([tmp_path / "src"])
    summary = instruct(sources, tmp_path / "out", task_names=["report"])
    assert summary["records"] == 3
    assert (tmp_path / "out" / "instructions.json").read_text(encoding="utf-8")
    assert instruct(sources, tmp_path / "out", task_names=["report"]) == summary
