"""The widget in a real JupyterLab: it shows, selects and edits, and the edit is back in Python."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupyterlab")
pytest.importorskip("anywidget")
pytest.importorskip("ipykernel")
PlaywrightTimeout = pytest.importorskip("playwright.sync_api").TimeoutError

START_S, CELL_MS = 60.0, 90_000  # of the server; of a cell, ms: a kernel starts and imports pandas

SHOW = """
import gem, grounding
record = grounding.read_record(grounding.sample_path("ptbxl_102"))
said = gem.explain(record, text="PR interval 245 ms. QRS duration 99 ms. T-wave inversion in V6.")
widget = said.widget()
heard = []
widget.observe(lambda change: heard.append(change["name"]), ["explanation", "selected"])
widget
"""
TELL = """
now = widget.explanation.measurement
print("selected:", widget.selected.text, widget.selected.verdict)
print("PR", round(now.intervals["pr"] - said.measurement.intervals["pr"], 3), now.edits)
print("heard", sorted(set(heard)))
"""
UNDO = """
widget.undo()
widget.selected = widget.explanation.statements[2]
print("undone", widget.explanation.measurement is said.measurement)
"""


TABLES = """
from IPython.display import display
display(record, said.measurement, grounding.find(said.measurement), said)
"""
# text, in a shadow of its own or not, and the ground behind it; W3C's contrast of the two
POOR = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const linear = (c) => (c <= 0.04045 * 255 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found.length < 4 || found[3] > 0.5) return found;
    }
    return [255, 255, 255];
  };
  const out = [];
  let seen = 0;
  for (const element of document.querySelectorAll('.ecg-table *, .gem *')) {
    const words = [...element.childNodes].filter((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words.length || element.closest('svg, style')) continue;
    seen++;
    const [one, other] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast >= 4.5) continue;
    out.push(`${element.tagName} ${element.className} ${words[0].textContent.slice(0, 30)} ${contrast.toFixed(1)}`);
  }
  return { seen, poor: out };
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab with a home, a token and a port of its own."""
    home = tmp_path_factory.mktemp("jupyter")
    kernels = home / "data" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    # the kernel of this interpreter, whatever kernels the machine has registered
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python", "language": "python"}))
    work = home / "work"
    work.mkdir()
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text.strip()) for text in (SHOW, TELL, UNDO, TABLES)]
    )
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python", "language": "python"}
    nbformat.write(book, work / "book.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {
        "HOME": str(home),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(root),
        "JUPYTER_TOKEN": token,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={work}", "--LabApp.expose_app_in_browser=True"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = (home / "log").open("wb")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=work, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_S
        while True:
            assert server.poll() is None, (home / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "JupyterLab did not start"
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=2).close()
                break
            except OSError:
                time.sleep(0.3)
        # the kernel is there before the page asks for it: on a busy machine the page gives up for a minute
        session = {"path": "book.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{address}/api/sessions", json.dumps(session).encode(), headers)
        urllib.request.urlopen(asked, timeout=60).close()
        yield f"{address}/lab/tree/book.ipynb?token={token}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # with its kernels
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


@pytest.fixture(scope="module")
def page(browser: Any, lab: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1500, "height": 1400})
    page = context.new_page()
    page.goto(lab)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=CELL_MS)
    yield page
    context.close()


def paper_of(page: Any) -> int:
    """How light the paper's corner is in the first view, 0-255."""
    script = """() => Math.min(...document.querySelector('.gem-view').shadowRoot.querySelector('canvas')
      .getContext('2d').getImageData(3, 3, 1, 1).data.slice(0, 3))"""
    page.wait_for_timeout(200)  # it is drawn in the next frame
    return int(page.evaluate(script))


IDLE = """() => {
  const kernel = jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def run_cell(page: Any, index: int) -> Any:
    """Run a cell and wait until it is done; returns the element of its output."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(index)
    done = cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]:"))
    for _ in range(4):
        page.wait_for_function(IDLE, timeout=CELL_MS)
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        try:
            done.wait_for(timeout=CELL_MS / 4)
            break
        except PlaywrightTimeout:
            continue  # what is sent while the kernel connects may be lost: the cell is sent again
    page.wait_for_function(IDLE, timeout=CELL_MS)
    done.wait_for(timeout=1000)
    return cell.locator(".jp-OutputArea-output")


@pytest.mark.slow
def test_the_widget_shows_selects_and_edits_and_the_edit_is_back_in_python(page: Any) -> None:
    shown = run_cell(page, 0)
    view = shown.locator(".gem-view")
    view.wait_for(timeout=CELL_MS)
    statements = view.locator(".statement")
    assert statements.count() == 3
    assert view.locator("canvas").first.bounding_box()["width"] > 300
    assert paper_of(page) > 200

    # select a statement, then move the P onset by 30 keys of 1 ms
    statements.nth(0).locator(".number").click()
    boundary = view.locator("[data-boundary=p_onset]")
    boundary.focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")  # 10 ms each
        page.wait_for_function("!document.querySelector('.gem-view').shadowRoot.querySelector('[aria-busy]')")
    view.locator(".statement .chip.contradicted").first.wait_for(timeout=10_000)

    told = run_cell(page, 1).inner_text()
    assert "selected: PR interval 245 ms. contradicted" in told
    assert "PR -30." in told
    assert "Edit(boundary='p_onset'" in told
    assert "heard ['explanation', 'selected']" in told

    assert "undone True" in run_cell(page, 2).inner_text()
    view.locator(".statement .chip.contradicted").wait_for(state="detached", timeout=10_000)
    view.locator(".statement.chosen", has_text="T-wave inversion in V6").wait_for(timeout=10_000)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_tables_and_statements_can_be_read_in_both_themes(page: Any, theme: str) -> None:
    if not page.locator(".ecg-table").count():
        if not page.locator(".gem-view").count():
            run_cell(page, 0)
        run_cell(page, 3)
    light = str(theme.endswith("Light")).lower()
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")
    page.wait_for_timeout(600)  # colours fade from one theme to the other
    found = page.evaluate(POOR)
    assert found["seen"] > 60
    assert found["poor"] == []
    assert (paper_of(page) > 200) == (light == "true")
    assert page.locator(f".gem-view[data-theme={'light' if light == 'true' else 'dark'}]").count()
