"""The table of a folder: the rows of ``gem measure``, conflicts with reports, and nothing from outside the folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import grounding
from gem.batch import DEFAULTS, measured_rows

httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three recordings, one with a report that is wrong, a broken one, and four ways out of it."""
    base = tmp_path_factory.mktemp("place")
    inside, outside = base / "inside", base / "outside"
    (inside / "ward").mkdir(parents=True)
    outside.mkdir()
    for number, folder in ((286, inside), (102, inside / "ward"), (13, outside), (424, outside)):
        sample = grounding.sample_path(f"ptbxl_{number}")
        for path in (sample, sample.with_suffix(".dat")):
            (folder / path.name).write_bytes(path.read_bytes())
    (inside / "ptbxl_286.txt").write_text("Normal ECG, no LBBB. PR 300 ms.")
    (inside / "broken.edf").write_bytes(b"no recording")
    (inside / "ptbxl_13.hea").symlink_to(outside / "ptbxl_13.hea")
    (inside / "ptbxl_424.hea").write_bytes((outside / "ptbxl_424.hea").read_bytes())
    (inside / "ptbxl_424.dat").symlink_to(outside / "ptbxl_424.dat")
    (inside / "linked").symlink_to(outside, target_is_directory=True)
    up = (outside / "ptbxl_13.hea").read_text().replace("ptbxl_13.dat", "../outside/ptbxl_13.dat")
    (inside / "up.hea").write_text(up.replace("ptbxl_13 ", "up ", 1))
    return inside


@pytest.fixture(scope="module")
def served(serve: Callable[..., Any], place: Path) -> Any:
    return serve(str(place))


def table(served: Any) -> dict[str, dict[str, Any]]:
    limit = time.monotonic() + 90
    while True:
        told = httpx.get(f"{served.place}api/folder", headers=served.headers, timeout=30).json()
        if told["listed"] and told["measured"] == told["total"]:
            break
        assert time.monotonic() < limit
        time.sleep(0.2)
    return {told["names"][row]: dict(zip(told["columns"][1:], values, strict=True)) for row, *values in told["rows"]}


def test_rows_are_those_of_gem_measure(served: Any, place: Path) -> None:
    rows = table(served)
    for name in ("ptbxl_286.hea", "ward/ptbxl_102.hea"):
        (wanted,) = measured_rows([place / name], DEFAULTS)
        for column in ("heart_rate_bpm", "pr_ms", "qrs_ms", "qtc_fridericia_ms", "axis_deg", "findings"):
            assert rows[name][column] == (wanted[column] or None), (name, column)
    assert rows["ptbxl_286.hea"]["conflicts"] >= 2  # no LBBB, and PR 300 ms
    assert rows["ward/ptbxl_102.hea"]["conflicts"] is None
    assert rows["broken.edf"]["error"]
    assert "ptbxl_286.txt" not in rows  # it is a report


def test_nothing_from_outside_the_folder_is_read(served: Any, place: Path) -> None:
    rows = table(served)
    assert not [name for name in rows if "linked" in name]
    assert "ptbxl_13.hea" not in rows or rows["ptbxl_13.hea"]["error"]
    for name in ("ptbxl_424.hea", "up.hea"):
        assert "leads out of the folder" in rows[name]["error"], name
        assert rows[name]["heart_rate_bpm"] is None
    names = list(rows)
    told = httpx.get(f"{served.place}api/folder", headers=served.headers).json()
    for name in names:
        answer = httpx.post(
            f"{served.place}api/folder/open",
            headers=served.headers,
            json={"row": told["names"].index(name)},
            timeout=60,
        ).json()
        assert bool(answer["opened"]) == (name in ("ptbxl_286.hea", "ward/ptbxl_102.hea")), name
    for row in (-1, 10_000, "0", "../outside/ptbxl_13.hea", True, None, 1.0):
        answer = httpx.post(f"{served.place}api/folder/open", headers=served.headers, json={"row": row}, timeout=60)
        assert answer.status_code == 422, row
    answer = httpx.get(f"{served.place}api/folder?names=a", headers=served.headers)
    assert answer.status_code == 400


def test_a_recording_of_the_folder_opens_with_its_report(served: Any) -> None:
    told = httpx.get(f"{served.place}api/folder", headers=served.headers).json()
    row = told["names"].index("ptbxl_286.hea")
    (one,) = httpx.post(f"{served.place}api/folder/open", headers=served.headers, json={"row": row}, timeout=60).json()[
        "opened"
    ]
    assert one["text"] == "Normal ECG, no LBBB. PR 300 ms."
    assert one["scene"]["counts"]["contradicted"] >= 2


def test_without_a_folder_there_is_no_table(app: Any) -> None:
    assert httpx.get(f"{app.place}api/folder", headers=app.headers).status_code == 404
