"""How fast the view is: frames a second while the paper is moved, and how soon a saved page is there.

    python benchmarks/explorer.py [--chromium /usr/bin/chromium] [--seconds 3]

Chromium runs headless, in software where there is no graphics card. Every frame of the screen the paper is moved by
some pixels and drawn anew, as when it is dragged; what is counted is the frames that were drawn, and how long the
script took for one. The page is opened from disk ten times, each in a fresh context; the times are those from the
start of the navigation until the view is drawn, and until Chromium shows it (its first contentful paint: there is
nothing else on the page), and beside them what the page's main thread computed until then (its processor time, which
other programs at work on the machine change less).
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

import gem
import grounding
from gem.views.scene import scene
from gem.views.scripts import bundle

DAY_S, DAY_HZ = 86_400, 250
PAN = """async ([layout, zoom, seconds]) => {
    const { stage } = window.view;
    window.view.setLayout(layout);
    stage.fit();
    stage.zoom(zoom, 0, 0);
    let spent = 0;
    const paint = stage.paint.bind(stage);
    stage.paint = () => { const start = performance.now(); paint(); spent += performance.now() - start; };
    const next = () => new Promise(requestAnimationFrame);
    for (let k = 0; k < 20; k++) { stage.pan(3, 0); await next(); }  // the pyramid is made with the first frame
    spent = 0;
    const [frames, start] = [stage.frames, performance.now()];
    for (let way = 1; performance.now() - start < 1000 * seconds; ) {
        const before = stage.camera.x;
        stage.pan(7 * way, 0);
        if (stage.camera.x === before) way = -way;  // at an end of the paper
        await next();
    }
    const drawn = stage.frames - frames;
    delete stage.paint;
    return [drawn / ((performance.now() - start) / 1000), spent / drawn, stage.width, stage.height];
}"""
SHOWN = """new Promise((done) => new PerformanceObserver((list) => {
    for (const entry of list.getEntriesByName("first-contentful-paint")) done(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
CASES = (
    ("12 leads x 10 s, 12 x 1", "12x1", 2.0),
    ("12 leads x 10 s, 3 x 4", "3x4", 2.0),
    ("a day of one lead, 10 s in sight", "rhythm", 1.0),
    ("a day of one lead, 2 h in sight", "whole", 12.0),
    ("a day of one lead, all but 1 h in sight", "whole", 24 / 23),
)


def day() -> grounding.ECGRecord:
    """A day of lead II at 250 Hz: a bundled recording again and again, with noise and a wandering baseline."""
    rng = np.random.default_rng(0)
    one = grounding.read_record(grounding.sample_path("ptbxl_102")).resample(DAY_HZ).lead("II")
    signal = np.resize(one, DAY_S * DAY_HZ) + rng.normal(0, 0.02, DAY_S * DAY_HZ)
    signal += 0.3 * np.sin(np.arange(len(signal)) * (2 * np.pi / (DAY_HZ * 17)))
    return grounding.ECGRecord.from_array(signal[None], DAY_HZ, ["II"], record_id="a day")


def mounted(page: Page, made: dict[str, Any]) -> float:
    """Show a scene in an empty page; ms until it was drawn."""
    page.set_content("<!DOCTYPE html><title>x</title><main id=place></main>")
    page.add_script_tag(content=bundle() + "\nwindow.mount = mount;", type="module")
    page.wait_for_function("() => Boolean(window.mount)")
    page.evaluate("made => { window.made = made; }", made)
    took: float = page.evaluate(
        """() => { const start = performance.now();
        window.view = window.mount(document.getElementById("place"), window.made);
        window.view.stage.resized(); return performance.now() - start; }"""
    )
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    args = parser.parse_args()
    said = gem.explain(
        grounding.sample_path("ptbxl_102"),
        text="Sinus rhythm at 83 bpm. PR 245 ms. QRS 99 ms. T-wave inversion in aVL.",
    )
    short, long = scene(said), scene(day())
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        print(f"Chromium {browser.version}, headless; {platform.processor() or platform.machine()}\n")
        print("| what is moved | stage (px) | frames a second | script for a frame (ms) |\n| --- | --- | --- | --- |")
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(120_000)
        made = None
        for name, layout, zoom in CASES:
            wanted = long if "day" in name else short
            if wanted is not made:
                first, made = mounted(page, wanted), wanted
                if wanted is long:
                    print(f"<!-- a day: {first:.0f} ms until it was drawn -->")
            fps, ms, width, height = page.evaluate(PAN, [layout, zoom, args.seconds])
            print(f"| {name} | {width:.0f} x {height:.0f} | {fps:.0f} | {ms:.1f} |", flush=True)
        page.close()
        holter = gem.explain(day(), text="QRS 100 ms.").save(Path(folder) / "day.html")
        opened = browser.new_page(viewport={"width": 1440, "height": 900})
        opened.goto(holter.as_uri(), timeout=120_000)
        took = opened.evaluate("performance.getEntriesByName('gem-view')[0].startTime")
        size = holter.stat().st_size / 1e6
        print(f"\nA saved page of a day of one lead: {size:.0f} MB, drawn after {took / 1000:.1f} s")
        opened.close()
        path = said.save(Path(folder) / "page.html")
        drawn, shown, work = [], [], []
        for _ in range(10):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            opened = context.new_page()
            devtools = context.new_cdp_session(opened)
            devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            opened.goto(path.as_uri())
            shown.append(opened.evaluate(SHOWN))
            metrics = {part["name"]: part["value"] for part in devtools.send("Performance.getMetrics")["metrics"]}
            work.append(1000 * metrics["TaskDuration"])
            drawn.append(opened.evaluate("performance.getEntriesByName('gem-view')[0].startTime"))
            context.close()
        print(
            f"\nA saved page of 10 s: {path.stat().st_size / 1000:.0f} kB, drawn after "
            f"{statistics.median(drawn):.0f} ms ({min(drawn):.0f} to {max(drawn):.0f}), shown after "
            f"{statistics.median(shown):.0f} ms ({min(shown):.0f} to {max(shown):.0f}; medians of ten), for which the "
            f"main thread computed {statistics.median(work):.0f} ms; scripts {len(bundle().encode()) / 1000:.0f} kB."
        )
        browser.close()


if __name__ == "__main__":
    main()
