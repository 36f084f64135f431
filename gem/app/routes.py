"""What the page asks for; every answer but the page and its files is JSON or an export."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from grounding import EcgError

from ..answer import Answer
from ..comparing import compare
from ..errors import GemInputError
from ..explanation import Explanation
from ..retrieval import Library
from ..tools import Tools
from ..views.formats import FORMATS
from ..views.scene import scene
from ..views.scripts import STATIC as VIEW_FILES
from ..views.scripts import bundle
from . import tasks
from .limits import DRAW_S, MAX_FILES, MAX_QUESTION, MAX_TEXTS, MAX_TURNS, MAX_UPLOADS, MODEL_S, READ_S
from .uploads import checked_text, files_of, options_of, write_files
from .workers import BusyError

if TYPE_CHECKING:
    from .opened import Opened
    from .state import State

STATIC = Path(__file__).parent / "static"
# the only files that are served; a name of a request is never made a path
FILES = {
    "app.js": (STATIC / "app.js", "text/javascript"),
    "server.js": (STATIC / "server.js", "text/javascript"),
    "panels.js": (STATIC / "panels.js", "text/javascript"),
    "table.js": (STATIC / "table.js", "text/javascript"),
    "app.css": (STATIC / "app.css", "text/css"),
    "dom.js": (VIEW_FILES / "dom.js", "text/javascript"),
}
OWN_TEXT = "own text"
ROWS_AT_ONCE = 2_000


async def page(request: Request) -> Response:
    """The page; with the key of the printed address, a cookie and the page without the key in its address."""
    key, keys = request.query_params.get("key"), request.app.state.ours.keys
    if key is None:
        return HTMLResponse((STATIC / "index.html").read_text(encoding="utf-8"))
    if not keys.opens(key):
        return JSONResponse({"error": "this key is not of this run: open the address that gem app printed"}, 401)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(keys.cookie, keys.token, httponly=True, samesite="strict", path="/")
    return answer


async def static(request: Request) -> Response:
    """A script or the style sheet."""
    name = request.path_params["name"]
    if name == "view.js":
        return Response(bundle(), media_type="text/javascript")
    if name not in FILES:
        raise HTTPException(404, "there is no such file")
    path, kind = FILES[name]
    return Response(path.read_text(encoding="utf-8"), media_type=kind)


async def status(request: Request) -> Response:
    """What this server has: its model, a folder, the open recordings."""
    ours = _ours(request)
    return JSONResponse(
        {
            "model": ours.model,
            "folder": ours.folder is not None,
            "formats": list(FORMATS),
            "open": [one.told() for one in ours.shelf],
        }
    )


async def open_files(request: Request) -> Response:
    """Read what was dropped; on disk it is only for as long."""
    ours = _ours(request)
    if ours.uploads >= MAX_UPLOADS:
        raise BusyError("other files are still coming", remedy="wait a moment and try again")
    ours.uploads += 1
    try:
        async with request.form(max_files=MAX_FILES, max_fields=16, max_part_size=256 << 10) as form:
            files, options = files_of(form), options_of(form)
            text = checked_text(form.get("text") or "")
            with ours.scratch.folder() as folder:
                await asyncio.to_thread(write_files, folder, files)
                read = await ours.reading.run(tasks.read_folder, folder, options, limit_s=READ_S)
    finally:
        ours.uploads -= 1
    return JSONResponse(await _shelved(ours, read, text))


async def _shelved(ours: State, read: list[tasks.Read], text: str) -> dict[str, Any]:
    opened, failed = [], []
    for one in read:
        if one.record is None or one.measurement is None:
            failed.append({"name": one.name, "error": one.error})
            continue
        said = text or one.report
        made = await ours.checking(ours.shelf.add, one.name, one.record, one.measurement, said)
        opened.append({**made.told(), "report": one.report, "scene": await ours.checking(scene, made.explanation)})
    return {"opened": opened, "failed": failed}


async def show(request: Request) -> Response:
    """All of one recording."""
    one = _opened(request)
    return JSONResponse({**one.told(), "scene": await _ours(request).checking(scene, one.explanation)})


async def close(request: Request) -> Response:
    """Forget a recording."""
    _ours(request).shelf.close(request.path_params["key"])
    return JSONResponse({})


async def say(request: Request) -> Response:
    """Check a text while it is typed; of several that wait, only the latest is checked."""
    ours, one, body = _ours(request), _opened(request), await _body(request)
    text, number = checked_text(body.get("text")), body.get("number")
    if not isinstance(number, int) or isinstance(number, bool):
        raise GemInputError("the text has no number", where="number")
    if number <= one.latest:
        return JSONResponse({"superseded": True})
    one.latest = number
    async with ours.typing:
        if number != one.latest:
            return JSONResponse({"superseded": True})
        await ours.checking(one.say, text, str(body.get("author") or OWN_TEXT)[:80])
        return JSONResponse({"number": number, "scene": await ours.checking(_spoken, one.explanation)})


def _spoken(explanation: Explanation) -> dict[str, Any]:
    """The parts of a scene that follow from the text."""
    from dataclasses import replace

    whole = scene(replace(explanation, record=None))
    return {name: whole[name] for name in ("statements", "counts", "model", "probabilities") if name in whole}


async def ask_model(request: Request) -> Response:
    """Let the model say what it sees."""
    ours, one = _ours(request), _opened(request)
    said: Explanation = await ours.writing.run(tasks.write, one.record, ours.model, limit_s=MODEL_S)
    await ours.checking(one.take, said)
    return JSONResponse({**one.told(), "scene": await ours.checking(scene, one.explanation)})


async def edit(request: Request) -> Response:
    """Move boundaries by hand; the last that was sent is what counts."""
    ours, one, body = _ours(request), _opened(request), await _body(request)
    moved = body.get("boundaries")
    if not isinstance(moved, dict) or len(moved) > 8:
        raise GemInputError("there are no boundaries", where="boundaries")
    async with ours.typing:  # one after the other, in their order
        await ours.checking(one.edit, moved)
        return JSONResponse({"scene": await ours.checking(scene, one.explanation)})


async def ask(request: Request) -> Response:
    """Answer a question of a conversation."""
    ours, one, body = _ours(request), _opened(request), await _body(request)
    question = checked_text(body.get("question"), MAX_QUESTION)
    if len(one.turns) >= MAX_TURNS:
        raise GemInputError(f"{MAX_TURNS} questions were asked", remedy="open the recording again to begin anew")
    measured = one.explanation.measurement
    answer: Answer = await ours.writing.run(
        tasks.answer, one.record, measured, one.turns, question, ours.model, limit_s=MODEL_S
    )
    one.turns.append(answer)
    return JSONResponse(answer.to_dict())


async def compared(request: Request) -> Response:
    """Two recordings side by side, or several texts about one."""
    ours, body = _ours(request), await _body(request)
    if "earlier" in body:
        now, then = ours.shelf.get(str(body.get("record"))), ours.shelf.get(str(body["earlier"]))
        tools = Tools(now.explanation.measurement, (then.explanation.measurement,), Library())
        call = await ours.checking(tools.compare)
        return JSONResponse({"now": now.name, "then": then.name, **call.result})
    one, texts = ours.shelf.get(str(body.get("record"))), body.get("texts")
    if not isinstance(texts, dict) or len(texts) > MAX_TEXTS:
        raise GemInputError("there are no texts", where="texts", remedy=f"2 to {MAX_TEXTS} texts by name")
    measured = one.explanation.measurement
    said: dict[str, Any] = {}
    for name, text in texts.items():
        said[str(name)[:60] or "text"] = await ours.checking(_grounded, one, checked_text(text), str(name)[:60])
    if body.get("model"):
        said[ours.model] = await ours.writing.run(tasks.write, one.record, ours.model, limit_s=MODEL_S)
    found = await ours.checking(compare, one.record, said, measured)
    table = found.table
    return JSONResponse({"names": list(said), "columns": list(table.columns), "rows": table.to_numpy().tolist()})


def _grounded(one: Opened, text: str, name: str) -> Explanation:
    from ..grounded import ground

    return ground(one.record, text, one.explanation.measurement, name)


async def export(request: Request) -> Response:
    """A file of the explanation as it is now."""
    ours, one, ending = _ours(request), _opened(request), f".{request.path_params['ending']}"
    if ending not in FORMATS:
        raise HTTPException(404, f"use one of {', '.join(FORMATS)}")
    content = await ours.reading.run(tasks.drawn, one.explanation, ending, limit_s=DRAW_S)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", one.name.rpartition("/")[2].partition(".")[0]).strip("._") or "recording"
    headers = {"Content-Disposition": f'attachment; filename="{stem}{ending}"'}
    return Response(content, media_type=FORMATS[ending], headers=headers)


async def folder(request: Request) -> Response:
    """The next rows of the folder's table."""
    ours = _ours(request)
    if ours.folder is None:
        raise HTTPException(404, "no folder was named: gem app FOLDER")
    try:
        names, rows = (max(0, int(request.query_params.get(word, "0"))) for word in ("names", "rows"))
    except ValueError:
        raise HTTPException(400, "the place in the table is no number") from None
    return JSONResponse(ours.folder.told(names, rows, ROWS_AT_ONCE))


async def open_row(request: Request) -> Response:
    """Open a recording of the folder, by the number of its row."""
    ours, body = _ours(request), await _body(request)
    if ours.folder is None:
        raise HTTPException(404, "no folder was named: gem app FOLDER")
    path = ours.folder.file(body.get("row"))
    read = await ours.reading.run(tasks.read_one, path, ours.folder.root, {}, limit_s=READ_S)
    return JSONResponse(await _shelved(ours, [read], ""))


def _ours(request: Request) -> State:
    ours: State = request.app.state.ours
    return ours


def _opened(request: Request) -> Opened:
    return _ours(request).shelf.get(request.path_params["key"])


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send JSON")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is no JSON object")
    return body


async def failed(request: Request, error: Exception) -> Response:
    """An error as JSON; nothing of a recording or a text is in a log."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    if isinstance(error, BusyError):
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "2"})
    if isinstance(error, EcgError):
        return JSONResponse({"error": str(error)}, 422)
    return JSONResponse({"error": f"this looks like a fault of ours ({type(error).__name__})"}, 500)


def _route(path: str, endpoint: Callable[..., Any], method: str = "GET") -> Route:
    return Route(path, endpoint, methods=[method])


ROUTES = [
    _route("/", page),
    _route("/static/{name}", static),
    _route("/api/status", status),
    _route("/api/records", open_files, "POST"),
    _route("/api/records/{key}", show),
    _route("/api/records/{key}", close, "DELETE"),
    _route("/api/records/{key}/text", say, "POST"),
    _route("/api/records/{key}/model", ask_model, "POST"),
    _route("/api/records/{key}/edit", edit, "POST"),
    _route("/api/records/{key}/ask", ask, "POST"),
    _route("/api/records/{key}/export/{ending}", export),
    _route("/api/compare", compared, "POST"),
    _route("/api/folder", folder),
    _route("/api/folder/open", open_row, "POST"),
]
