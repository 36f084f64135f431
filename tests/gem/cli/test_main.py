"""The command line, run as a process: what is printed, what is written, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import grounding
from gem.cli import entry as cli

SAMPLE = str(grounding.sample_path())


def gem(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gem", *words], capture_output=True, text=True, cwd=cwd, check=False, timeout=120
    )


def write_record(folder: Path, signal: np.ndarray, fs: float, leads: list[str], name: str = "rec") -> str:
    """A WFDB record, samples x leads in mV."""
    import wfdb

    wfdb.wrsamp(
        name,
        fs=fs,
        units=["mV"] * len(leads),
        sig_name=leads,
        p_signal=signal,
        fmt=["16"] * len(leads),
        write_dir=str(folder),
    )
    return str(folder / name)


def assert_one_line_error(done: subprocess.CompletedProcess[str]) -> None:
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert lines[-1].startswith("gem: error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_measure_prints_values_and_json(tmp_path: Path) -> None:
    plain, machine = gem("measure", SAMPLE), gem("measure", SAMPLE, "--json")
    assert plain.returncode == machine.returncode == 0, plain.stderr + machine.stderr
    data = json.loads(machine.stdout)
    measured = grounding.measure(grounding.read_record(SAMPLE))
    assert data["heart_rate_bpm"] == pytest.approx(measured.heart_rate)
    assert f"Heart rate         {measured.heart_rate:.0f} bpm" in plain.stdout
    assert data["uncertainty_ms"] == {}


def test_measure_gives_a_second_opinion() -> None:
    plain = gem("measure", SAMPLE, "--second-opinion")
    assert plain.returncode == 0, plain.stderr
    measured = grounding.measure(grounding.read_record(SAMPLE), second_opinion=True)
    assert f"{measured.intervals['qrs']:.0f} +- {measured.uncertainty['qrs']:.0f} ms" in plain.stdout


def test_what_the_file_does_not_tell_is_an_option(tmp_path: Path) -> None:
    signal = grounding.read_record(SAMPLE).select(["I", "II"]).signal.T
    path = tmp_path / "rec.csv"
    np.savetxt(path, 1000 * signal, delimiter=",", header="ECG,ECG", comments="")
    done = gem(
        "measure", str(path), "--fs", "500", "--leads", "I,II", "--units", "uV", "--age", "61", "--sex", "f", "--json"
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["age"], data["sex"], data["leads"]) == (61.0, "female", ["I", "II"])
    assert data["axes_deg"]["qrs"] is not None
    assert_one_line_error(gem("measure", SAMPLE, "--sex", "x"))


def test_render_of_a_lead_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = gem("render", SAMPLE, "-o", "ecg.png", "--show", "II,QQ", cwd=tmp_path)
    assert_one_line_error(done)
    assert "there is no lead QQ" in done.stderr
    assert not (tmp_path / "ecg.png").exists()


def test_render_writes_a_picture_and_its_geometry(tmp_path: Path) -> None:
    done = gem("render", SAMPLE, "-o", "ecg.png", "--layout", "6x2", "--dpi", "100", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    layout = json.loads(done.stdout)
    assert Image.open(tmp_path / "ecg.png").size == (layout["width_px"], layout["height_px"]) == (1100, 850)
    assert len(layout["panels"]) == 13


def test_check_tells_true_from_false() -> None:
    rate = grounding.measure(grounding.read_record(SAMPLE)).heart_rate
    assert rate is not None
    done = gem("check", SAMPLE, "--text", f"The heart rate is {rate:.0f} bpm.", "--json")
    assert done.returncode == 0, done.stderr
    assert [claim["verdict"] for claim in json.loads(done.stdout)] == ["supported"]
    done = gem("check", SAMPLE, "--text", f"The heart rate is {rate + 40:.0f} bpm.", "--json")
    assert done.returncode == 1
    assert "contradicted" in [claim["verdict"] for claim in json.loads(done.stdout)]


def test_a_contradiction_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    """As a program that checks reports wants it; ``--exit-zero`` for one that reads the JSON."""
    assert cli.main(["check", SAMPLE, "--text", "The heart rate is 222 bpm."]) == 1
    assert cli.main(["check", SAMPLE, "--text", "The heart rate is 222 bpm.", "--exit-zero"]) == 0
    assert cli.main(["check", SAMPLE, "--text", "The patient feels well."]) == 0
    assert "contradicted" in capsys.readouterr().out


def test_a_light_command_imports_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from gem.cli import main\n"
        f"code = main(['render', {SAMPLE!r}, '-o', 'x.png']) or main(['measure', {SAMPLE!r}])\n"
        f"code = code or main(['check', {SAMPLE!r}, '--text', 'PR 160 ms.', '--exit-zero'])\n"
        "heavy = {'torch', 'transformers', 'lightning', 'timm'} & set(sys.modules)\n"
        "sys.exit(code or ', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["measure", "nowhere"], "there is no such file"),
        (["render", SAMPLE, "-o", "x.xyz"], "use .png"),
        (["render", SAMPLE, "-o", "x.png", "--layout", "wide"], "rows x columns"),
        (["render", SAMPLE, "-o", "nowhere/x.png"], "Check the path"),
        (["check", SAMPLE, "--file", "nowhere.txt"], "Check the path"),
        (["explain", SAMPLE, "--model", "no-such-model"], "no such model"),
        (["render", SAMPLE, "-o", "x.png", "--show", "II,QQ"], "no lead QQ"),
        (["instruct", SAMPLE, "--out", "o", "--jobs", "0"], "--jobs"),
        (["train", "gem"], "no such model"),
    ],
)
def test_errors_are_one_line_with_a_remedy(words: list[str], said: str, tmp_path: Path) -> None:
    done = gem(*words, cwd=tmp_path)
    assert_one_line_error(done)
    assert said in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = gem("measure", "nowhere", "--debug", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_room_that_cannot_be_imported_is_an_error_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms = {"fly": ("gem.no_such_module", "fly"), "swim": ("gem.cli", "swim")}
    monkeypatch.setattr(cli, "COMMAND_MODULES", rooms)
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in rooms)
    assert cli.main(["fly", "far"]) == 2
    said = capsys.readouterr().err
    assert "gem fly" in said
    assert "gem.no_such_module" in said
    assert "install gem-ecg again" in said


def test_a_room_that_lacks_a_library_names_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.COMMAND_MODULES, "train", ("matplotlib.no_such_part", "train"))
    assert cli.main(["train", "probe"]) == 2
    assert 'pip install "gem-ecg[train]"' in capsys.readouterr().err


def test_info_names_versions_and_registries() -> None:
    done = gem("info", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["versions"]["gem-ecg"] == grounding.__version__
    assert "wfdb" in facts["registries"]["readers"]


# the bad days: each ends in values with reasons, or in one line with a remedy


def test_a_truncated_dat_is_an_error(tmp_path: Path) -> None:
    record = grounding.read_record(SAMPLE)
    path = write_record(tmp_path, record.signal.T.astype(float), record.fs, list(record.leads))
    data = Path(path + ".dat")
    data.write_bytes(data.read_bytes()[:40_000])
    assert_one_line_error(gem("measure", path))


def test_a_missing_header_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rec.dat").write_bytes(b"\0" * 1000)
    done = gem("measure", str(tmp_path / "rec"))
    assert_one_line_error(done)
    assert "header" in done.stderr


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rec.hea").touch()
    done = gem("measure", str(tmp_path / "rec"))
    assert_one_line_error(done)
    assert "empty" in done.stderr


def bad_day(name: str) -> tuple[np.ndarray, float, list[str]]:
    record = grounding.read_record(SAMPLE)
    if name == "one lead":
        record = record.select(["II"])
    elif name == "two seconds":
        record = record.crop(0, 2)
    elif name == "100 Hz":
        record = record.resample(100)
    elif name == "1 kHz":
        record = record.resample(1000)
    signal = record.signal.T.astype(float)
    if name == "flat lines":
        signal = np.zeros_like(signal)
    elif name == "NaNs":
        signal[1000:1500] = np.nan
        signal[10:, 3] = np.nan
    return signal, record.fs, list(record.leads)


@pytest.mark.parametrize("name", ["one lead", "two seconds", "flat lines", "NaNs", "100 Hz", "1 kHz"])
def test_bad_days_give_values_or_reasons(name: str, tmp_path: Path) -> None:
    done = gem("measure", write_record(tmp_path, *bad_day(name)), "--json")
    if done.returncode:
        assert_one_line_error(done)
        return
    data = json.loads(done.stdout)
    missing = [key for key, value in data["intervals_ms"].items() if value is None]
    assert all(data["reasons"].get(key) for key in missing), data["reasons"]
    if name in {"100 Hz", "1 kHz", "one lead"}:
        assert data["heart_rate_bpm"] is not None
    if name == "flat lines":
        assert data["heart_rate_bpm"] is None
    assert gem("render", str(tmp_path / "rec"), "-o", str(tmp_path / "x.png")).returncode == 0


def explained(capsys: pytest.CaptureFixture[str], path: str, page: Path) -> tuple[int, str, str]:
    """(status, what was printed, what was complained about) of ``gem explain``, in this process."""
    status = cli.main(["explain", path, "--html", str(page)])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("name", ["one lead", "two seconds", "flat lines", "NaNs", "100 Hz", "1 kHz"])
def test_bad_days_are_explained_or_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_record(tmp_path, *bad_day(name))
    status, out, err = explained(capsys, path, tmp_path / "page.html")
    if status:
        assert status == 2
        assert err.strip().splitlines()[-1].startswith("gem: error: ")
        assert out == ""
        return
    assert len(out) > 100
    assert "Traceback" not in err
    assert "<svg" in (tmp_path / "page.html").read_text() or "<img" in (tmp_path / "page.html").read_text()
    assert "contradicted" not in out.splitlines()[-1].partition("inserted")[2], out
    if name == "flat lines":
        assert "bpm" not in out


@pytest.mark.parametrize("name", ["truncated", "no header", "empty"])
def test_broken_files_are_refused_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_record(tmp_path, *bad_day("whole"))
    if name == "truncated":
        Path(path + ".dat").write_bytes(Path(path + ".dat").read_bytes()[:40_000])
    elif name == "no header":
        Path(path + ".hea").unlink()
    else:
        Path(path + ".hea").write_text("")
    status, out, err = explained(capsys, path, tmp_path / "page.html")
    assert (status, out) == (2, "")
    assert err.strip().splitlines()[-1].startswith("gem: error: ")
    assert "Traceback" not in err
    assert not (tmp_path / "page.html").exists()


def test_csv_needs_its_rate(tmp_path: Path) -> None:
    record = grounding.read_record(SAMPLE)
    path = tmp_path / "ecg.csv"
    np.savetxt(path, record.signal.T, delimiter=",", header=",".join(record.leads), comments="")
    assert_one_line_error(gem("measure", str(path)))
    done = gem("measure", str(path), "--fs", "500", "--units", "mV", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fs_hz"] == 500
