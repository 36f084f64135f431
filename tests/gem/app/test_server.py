"""The running server: what it reads and answers, whom it refuses, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import grounding

httpx = pytest.importorskip("httpx")

SAMPLE = grounding.sample_path("ptbxl_286")
PAIR = [SAMPLE, SAMPLE.with_suffix(".dat")]


def files(*paths: Path) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (path.name, path.read_bytes())) for path in paths]


def post(app: Any, path: str, **options: Any) -> Any:
    headers = {**app.headers, **options.pop("headers", {})}
    return httpx.post(f"{app.place}{path}", headers=headers, timeout=90, **options)


def get(app: Any, path: str, **options: Any) -> Any:
    return httpx.get(f"{app.place}{path}", headers={**app.headers, **options.pop("headers", {})}, timeout=90, **options)


@pytest.fixture(scope="module")
def opened(app: Any) -> dict[str, Any]:
    answer = post(app, "api/records", files=files(*PAIR), data={"text": "LBBB. PR is 300 ms."})
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["opened"]
    return one


# ---- what it is for


def test_a_recording_is_read_measured_and_forgotten_on_disk(app: Any, opened: dict[str, Any]) -> None:
    verdicts = [part["verdict"] for part in opened["scene"]["statements"]]
    assert verdicts == ["supported", "contradicted"]
    assert opened["scene"]["record"]["leads"][:2] == ["I", "II"]
    assert "path" not in json.dumps(opened["scene"]["record"])
    assert app.left() == []


def test_what_cannot_be_read_is_an_error_without_the_path_and_leaves_nothing(app: Any) -> None:
    answer = post(app, "api/records", files=files(PAIR[0])).json()
    assert answer["opened"] == []
    assert "missing" in answer["failed"][0]["error"]
    assert str(app.home) not in answer["failed"][0]["error"]
    answer = post(app, "api/records", files=[("files", ("notes.pdf", b"%PDF-1.4 no ECG"))]).json()
    assert answer["failed"][0]["error"]
    assert app.left() == []


def test_numbers_that_a_file_does_not_tell_come_from_the_form(app: Any, tmp_path: Path) -> None:
    table = tmp_path / "plain.csv"
    signal_ = grounding.read_record(SAMPLE).signal[:2, :2500]
    np.savetxt(table, signal_.T, delimiter=",", header="I,II", comments="")
    answer = post(app, "api/records", files=files(table), data={"fs": "500", "units": "mV", "age": "60"}).json()
    (one,) = answer["opened"]
    assert (one["scene"]["record"]["fs"], one["scene"]["record"]["age"]) == (500, 60)
    assert post(app, "api/records", files=files(table), data={"fs": "fast"}).status_code == 422


def test_a_text_is_checked_again_and_an_older_one_is_dropped(app: Any, opened: dict[str, Any]) -> None:
    path = f"api/records/{opened['id']}/text"
    half = b'{"text": "QRS 300 ms. \\ud83d", "number": 5}'  # half of a character
    answer = post(app, path, content=half, headers={"Content-Type": "application/json"}).json()
    assert answer["scene"]["statements"][0]["verdict"] == "contradicted"
    assert post(app, path, json={"text": "QRS 150 ms.", "number": 4}).json() == {"superseded": True}
    assert post(app, path, json={"text": "x" * 30_000, "number": 6}).status_code == 422
    assert post(app, path, json={"text": 3, "number": 7}).status_code == 422
    slow, began = 0.0, time.perf_counter()
    for number in range(10, 20):
        post(app, path, json={"text": f"PR is {number + 200} ms.", "number": number})
        slow, began = max(slow, time.perf_counter() - began), time.perf_counter()
    assert slow < 0.25


def test_of_many_texts_at_once_only_the_latest_need_be_checked(app: Any, opened: dict[str, Any]) -> None:
    path, out = f"api/records/{opened['id']}/text", list[Any]()
    text = "Sinus rhythm, rate 75. LBBB. PR is 300 ms. QTc prolonged. " * 60

    def one(number: int) -> None:
        out.append(post(app, path, json={"text": text, "number": number}).json())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100, 112)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("superseded" in answer for answer in out) >= 1
    assert any(answer.get("number") == 111 for answer in out)


def test_a_moved_boundary_changes_interval_and_verdict_and_is_undone(app: Any, opened: dict[str, Any]) -> None:
    key = opened["id"]
    before = get(app, f"api/records/{key}").json()["scene"]
    post(app, f"api/records/{key}/text", json={"text": f"PR {before['intervals']['pr']:.0f} ms.", "number": 200})
    moved = {"p_onset": before["median"]["boundaries"]["p_onset"] - 60}
    after = post(app, f"api/records/{key}/edit", json={"boundaries": moved}).json()["scene"]
    assert after["intervals"]["pr"] - before["intervals"]["pr"] == pytest.approx(60, abs=0.5)
    assert after["statements"][0]["verdict"] == "contradicted"
    typed = post(app, f"api/records/{key}/text", json={"text": f"PR {after['intervals']['pr']:.0f}.", "number": 201})
    assert typed.json()["scene"]["statements"][0]["verdict"] == "supported"
    undone = post(app, f"api/records/{key}/edit", json={"boundaries": {}}).json()["scene"]
    assert undone["intervals"]["pr"] == before["intervals"]["pr"]
    assert undone["edits"] == []
    assert post(app, f"api/records/{key}/edit", json={"boundaries": {"nowhere": 1}}).status_code == 422


def test_texts_and_recordings_are_compared(app: Any, opened: dict[str, Any]) -> None:
    body = {"record": opened["id"], "texts": {"A": "LBBB.", "B": "No LBBB."}}
    answer = post(app, "api/compare", json=body).json()
    row = dict(zip(answer["columns"], answer["rows"][0], strict=True))
    assert (row["A: verdict"], row["B: verdict"], row["verdicts"]) == ("supported", "contradicted", "differ")
    assert post(app, "api/compare", json={"record": opened["id"], "texts": {"A": "LBBB."}}).status_code == 422
    other = grounding.sample_path("ptbxl_102")
    (second,) = post(app, "api/records", files=files(other, other.with_suffix(".dat"))).json()["opened"]
    both = post(app, "api/compare", json={"record": opened["id"], "earlier": second["id"]}).json()
    assert {row["quantity"] for row in both["values"]} >= {"heart_rate", "pr", "qrs"}
    assert "complete left bundle branch block" in " ".join(both["new"]).lower()


def test_every_format_is_exported(app: Any, opened: dict[str, Any]) -> None:
    starts = {"html": b"<!", "pdf": b"%PDF", "typ": b"#let", "json": b"{", "fhir.json": b"{", "sr.json": b"{"}
    for ending, start in starts.items():
        answer = get(app, f"api/records/{opened['id']}/export/{ending}")
        assert answer.status_code == 200, (ending, answer.text)
        assert answer.content.lstrip().startswith(start)
        assert answer.headers["content-disposition"] == f'attachment; filename="ptbxl_286.{ending}"'
    assert get(app, f"api/records/{opened['id']}/export/exe").status_code == 404
    assert app.left() == []


@pytest.mark.slow
def test_gem_nano_describes_and_answers(app: Any, opened: dict[str, Any]) -> None:
    one = post(app, f"api/records/{opened['id']}/model", json={}).json()
    assert one["author"] == "gem-nano"
    assert "bundle branch block" in one["text"]
    said = post(app, f"api/records/{opened['id']}/ask", json={"question": "Is there bundle branch block?"}).json()
    assert said["text"].startswith("Yes")
    again = post(app, f"api/records/{opened['id']}/ask", json={"question": "Why?"}).json()
    assert not again["declined"]
    assert post(app, f"api/records/{opened['id']}/ask", json={"question": ""}).status_code == 422


def test_what_is_closed_is_gone(app: Any) -> None:
    (one,) = post(app, "api/records", files=files(*PAIR)).json()["opened"]
    assert httpx.delete(f"{app.place}api/records/{one['id']}", headers=app.headers).status_code == 200
    assert get(app, f"api/records/{one['id']}").status_code == 422


# ---- whom it refuses


def test_without_the_key_nothing_is_told(app: Any) -> None:
    for path in ("", "static/app.js", "api/status", "api/folder", "docs", "?key=wrong"):
        answer = httpx.get(f"{app.place}{path}")
        assert answer.status_code == 401, path
        assert "recording" not in answer.text
    assert httpx.get(f"{app.place}api/status", headers={"Authorization": "Bearer x"}).status_code == 401


def test_the_key_becomes_a_cookie_and_leaves_the_address(app: Any) -> None:
    with httpx.Client() as client:
        answer = client.get(app.address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "httponly" in answer.headers["set-cookie"].lower()
        assert "samesite=strict" in answer.headers["set-cookie"].lower()
        page = client.get(app.place)
        assert "Drop a recording" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        # a cookie alone does not let a post pass that does not say where it comes from
        assert client.post(f"{app.place}api/compare", json={}).status_code == 403
        assert client.post(f"{app.place}api/compare", json={}, headers={"Origin": app.place[:-1]}).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_posts_from_other_sites_are_refused(app: Any, headers: dict[str, str]) -> None:
    answer = post(app, "api/records", files=files(*PAIR), headers=headers)
    assert answer.status_code == 403
    assert get(app, "api/status", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.nip.io:{port}", "", "a@127.0.0.1:{port}"],
)
def test_another_name_for_this_machine_is_refused(app: Any, host: str) -> None:
    answer = get(app, "api/status", headers={"Host": host.format(port=app.port)})
    assert answer.status_code in (400, 421)
    assert get(app, "api/status", headers={"Host": f"localhost:{app.port}"}).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["../evil.hea", "/etc/evil.hea", "..\\evil.hea", "a/b.hea", "..", ".hidden", "a\x00b.hea", "x" * 300],
)
def test_names_that_are_paths_are_refused(app: Any, name: str) -> None:
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\nhello\r\n--xx--\r\n"
    )
    answer = post(app, "api/records", content=body, headers={"Content-Type": "multipart/form-data; boundary=xx"})
    assert answer.status_code in (400, 422), answer.text
    assert app.left() == []


@pytest.mark.parametrize(
    "path",
    [
        "static/../server.py",
        "static/..%2fserver.py",
        "static/%2e%2e/server.py",
        "static/%2fetc%2fpasswd",
        "static//etc/passwd",
        "static/app.js%00.css",
        "static/..%5cserver.py",
        "api/records/..%2f..%2fetc/export/json",
    ],
)
def test_paths_do_not_lead_out(app: Any, path: str) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as raw:  # clients tidy addresses up
        raw.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nAuthorization: Bearer {app.key}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"422", b"400"), answer[:200]
    assert b"root:" not in answer
    assert b"import" not in answer


# ---- what would be too much


def memory_mb(process: int) -> float:
    line = next(one for one in Path(f"/proc/{process}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("told", [True, False], ids=["length told", "chunked"])
def test_a_gigabyte_is_refused_early(app: Any, told: bool) -> None:
    before, size = memory_mb(app.process.pid), 1 << 30
    head = f"POST /api/records HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nAuthorization: Bearer {app.key}\r\n"
    head += "Content-Type: multipart/form-data; boundary=xx\r\n"
    head += f"Content-Length: {size}\r\n\r\n" if told else "Transfer-Encoding: chunked\r\n\r\n"
    start = b'--xx\r\nContent-Disposition: form-data; name="files"; filename="a.dat"\r\n\r\n'
    piece, sent, began = bytes(1 << 20), 0, time.perf_counter()
    with socket.create_connection(("127.0.0.1", app.port), timeout=20) as raw:
        raw.sendall(head.encode())
        if not told:
            raw.sendall(f"{len(start):x}\r\n".encode() + start + b"\r\n")
            with contextlib.suppress(OSError):
                while sent < size:
                    raw.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    sent += len(piece)
        answer = b""
        with contextlib.suppress(OSError):
            answer = raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413") or (not told and sent < size / 2)
    assert sent < 400 << 20
    assert time.perf_counter() - began < 20
    assert memory_mb(app.process.pid) - before < 200
    assert app.left() == []
    assert get(app, "api/status").status_code == 200


def test_pictures_that_unpack_to_gigabytes_are_refused(app: Any, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(bomb, compress_level=1)
    assert bomb.stat().st_size < 2 << 20
    answer = post(app, "api/records", files=files(bomb)).json()
    assert answer["opened"] == []
    assert answer["failed"][0]["error"]
    assert app.left() == []


def test_too_many_files_and_too_much_json_are_refused(app: Any, opened: dict[str, Any]) -> None:
    assert post(app, "api/records", files=files(*PAIR) * 6).status_code in (400, 422)
    assert post(app, "api/records", files=files(PAIR[0], PAIR[0])).status_code == 422
    answer = post(app, f"api/records/{opened['id']}/text", json={"text": "x" * (300 << 10), "number": 900})
    assert answer.status_code == 413
    deep = "[" * 100_000
    answer = post(app, "api/compare", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert post(app, "api/compare", content="a=b", headers={"Content-Type": "text/plain"}).status_code == 415


def test_connections_that_stall_stop_nobody(app: Any, opened: dict[str, Any]) -> None:
    ways = [
        b"",
        b"GET / HT",
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nX: ".encode(),
        f"POST /api/compare HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nAuthorization: Bearer {app.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".encode(),
        f"POST /api/records HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nAuthorization: Bearer {app.key}\r\n"
        "Content-Type: multipart/form-data; boundary=xx\r\nContent-Length: 1000\r\n\r\n--xx".encode(),
    ]
    stalled = []
    try:
        for number in range(120):
            raw = socket.create_connection(("127.0.0.1", app.port), timeout=20)
            raw.sendall(ways[number % len(ways)])
            stalled.append(raw)
        began = time.perf_counter()
        answer = post(app, f"api/records/{opened['id']}/text", json={"text": "LBBB.", "number": 950})
        assert answer.json()["scene"]["counts"]["supported"] == 1
        assert time.perf_counter() - began < 2
        for raw in stalled:  # each is ended by the server
            with contextlib.suppress(ConnectionError):
                while raw.recv(65536):
                    pass
        assert time.perf_counter() - began < 20
    finally:
        for raw in stalled:
            raw.close()
    answer = post(app, "api/records", files=files(*PAIR))
    assert answer.status_code == 200
    assert app.left() == []


# ---- how it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["TERM", "INT", "KILL"])
def test_nothing_is_left_and_no_secret_is_told(serve: Callable[..., Any], number: int, tmp_path: Path) -> None:
    server = serve()
    photo = tmp_path / "photo.png"
    grounding.render(grounding.read_record(SAMPLE)).save(photo)

    def drop() -> None:
        with contextlib.suppress(httpx.HTTPError):
            post(server, "api/records", files=files(photo), data={"text": "Mrs Miller has LBBB."})

    thread = threading.Thread(target=drop)
    thread.start()
    limit = time.monotonic() + 20
    while not server.left() and time.monotonic() < limit:
        time.sleep(0.01)
    assert server.left()  # it is being read
    said = server.end(number)
    thread.join(10)
    for _ in range(100):  # after a kill, the worker tidies up
        if not list(server.home.iterdir())[1:]:
            break
        time.sleep(0.05)
    assert [path.name for path in server.home.iterdir()] == ["stderr.txt"]
    assert "Miller" not in said
    assert server.key not in said  # beyond the one line that was read already
    assert "Traceback" not in said


def test_a_worker_that_takes_too_long_is_stopped_and_replaced(tmp_path: Path) -> None:
    from gem.app.workers import Worker
    from grounding import EcgError

    worker = Worker(str(tmp_path))
    try:
        assert worker.call(abs, -3, limit_s=30) == 3
        began = time.perf_counter()
        with pytest.raises(EcgError, match="more than 1 s"):
            worker.call(time.sleep, 60, limit_s=1)
        assert time.perf_counter() - began < 5
        assert worker.call(abs, -4, limit_s=30) == 4
    finally:
        worker.close()


def test_calls_do_not_pile_up(tmp_path: Path) -> None:
    import asyncio

    from gem.app.workers import BusyError, Lane, Worker

    async def many() -> list[Any]:
        lane = Lane([Worker(str(tmp_path))], waiting=2)
        calls = [asyncio.create_task(lane.run(time.sleep, 0.3, limit_s=30)) for _ in range(6)]
        out = await asyncio.gather(*calls, return_exceptions=True)
        lane.close()
        return out

    # in a thread of its own: the browser tests' playwright has a loop in this one
    with ThreadPoolExecutor(1) as thread:
        out = thread.submit(asyncio.run, many()).result()
    assert sum(isinstance(one, BusyError) for one in out) >= 3
    assert sum(one is None for one in out) >= 2


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import sys

    from gem.cli import main

    for name in [one for one in sys.modules if one.startswith(("gem.app.", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["app", "--no-browser"]) == 2
    assert 'pip install "gem-ecg[app]"' in capsys.readouterr().err


def test_an_address_that_is_taken_and_a_folder_that_is_none_are_errors(app: Any, capsys: Any) -> None:
    from gem.cli import main

    assert main(["app", "--no-browser", "--port", str(app.port)]) == 2
    assert "--port" in capsys.readouterr().err
    assert main(["app", "nowhere", "--no-browser"]) == 2
    assert "no such folder" in capsys.readouterr().err
