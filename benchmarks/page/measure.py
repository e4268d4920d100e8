"""A page to play with: milliseconds from slider to picture.

The same minimal page in four libraries: a slider, a PNG of 100 x 100 that the server paints, and a line of 100 points
by Plotly. A key is pressed on the slider in headless Chromium; the clock, the browser's own, runs from the key's event
to the frame in which the picture of the new value stands, decoded. Presses are half a second apart.

Then `geomsolve app` with 100 classes: from the key to the frame in which the Gram matrix of the new, certified optimum
stands, of the second loss where there are two. The solve is in it, and so are the sphere and the cosines, which are
drawn before an image is decoded. Each is measured as the machine is, and once more with the processes first in line
(real-time priority), which is nearer to a machine with nothing else to do.

Each library gets an environment of its own in --venvs, 200 to 500 MB; NiceGUI's is the one with geomsolve's page.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from ..record import ROOT, Record, Table, parser, say

SHARED = """
import base64, io, sys
import numpy as np
from PIL import Image
def html(value):
    x = np.linspace(-1, 1, 100)
    file = io.BytesIO()
    Image.fromarray((128 + 127 * np.sin(0.1 * value + 3 * x[:, None] * x)).astype(np.uint8)).save(file, "png")
    code = base64.b64encode(file.getvalue()).decode()
    return f'<img id="picture" alt="{value}" width="300" src="data:image/png;base64,{code}">'
def figure(value):
    x = np.arange(100)
    line = {"type": "scatter", "x": x.tolist(), "y": np.sin(0.05 * x * (1 + value / 50)).tolist()}
    return {"data": [line], "layout": {"title": {"text": f"value {value}"}, "height": 300, "width": 500}}
port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
"""
PAGES = {
    "NiceGUI": ("nicegui", "MIT", '''
from nicegui import ui
@ui.page("/")
def page():
    def move(event):
        seen.set_content(html(int(event.value))); plot.update_figure(figure(int(event.value)))
    ui.slider(min=0, max=100, value=50, on_change=move)
    seen, plot = ui.html(html(50), sanitize=False), ui.plotly(figure(50))
ui.run(port=port, host="127.0.0.1", show=False, reload=False)
'''),
    "Panel": ("panel", "BSD", '''
import panel as pn
pn.extension("plotly")
def page():
    slider = pn.widgets.IntSlider(start=0, end=100, value=50)
    seen, plot = pn.pane.HTML(html(50)), pn.pane.Plotly(figure(50))
    def move(event):
        seen.object = html(event.new); plot.object = figure(event.new)
    slider.param.watch(move, "value")
    return pn.Column(slider, seen, plot)
pn.serve(page, port=port, address="127.0.0.1", show=False)
'''),
    "Gradio": ("gradio", "Apache 2.0", '''
import gradio as gr, plotly.graph_objects as go
with gr.Blocks() as demo:
    slider, seen, plot = gr.Slider(0, 100, 50, step=1), gr.HTML(html(50)), gr.Plot(go.Figure(figure(50)))
    move = lambda v: (html(int(v)), go.Figure(figure(int(v))))
    slider.change(move, slider, [seen, plot], show_progress="hidden", trigger_mode="always_last")
demo.launch(server_port=port, server_name="127.0.0.1", quiet=True)
'''),
    "Streamlit": ("streamlit", "Apache 2.0", '''
import streamlit as st, plotly.graph_objects as go
value = st.slider("value", 0, 100, 50)
st.markdown(html(value), unsafe_allow_html=True)
st.plotly_chart(go.Figure(figure(value)))
'''),
}  # fmt: skip
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
# When a picture of a value is first seen in a frame, by what tells it apart: the image's words and the plot's title.
WATCH = """(what) => {
  window.seen = {};
  const find = (at, what) => at.querySelector(what) || [...at.querySelectorAll('*')].reduce(
    (found, one) => found || (one.shadowRoot && find(one.shadowRoot, what)), null);
  const note = (key) => {
    if (key in seen) return;
    seen[key] = 0;
    requestAnimationFrame(() => { seen[key] = performance.now() });
  };
  const look = () => {
    const image = find(document, what), title = find(document, '.gtitle');
    if (image && image.complete) { const key = 'i' + image.alt; image.decode().then(() => note(key), () => 0) }
    if (title) note('p' + title.textContent);
    requestAnimationFrame(look);
  };
  window.addEventListener('keydown', () => { window.start = performance.now() }, true);
  look();
}"""
LAST = "(kind) => Math.max(...Object.entries(seen).filter((one) => one[0][0] == kind).map((one) => one[1])) - start"
HANDLES = (
    "[data-test=imbalance] [tabindex]",
    ".q-slider [tabindex]",
    "[role=slider]:not(.q-slider)",
    "input[type=range]",
)


def environment(folder: Path, package: str) -> Path:
    """The Python of a library's environment, made where it is not."""
    python = folder / package / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / package)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", package, "plotly", "numpy", "pillow"], check=True)
    return python


def times(browser: Any, command: list[str], presses: int, second: str = "") -> dict[str, list[float]]:
    """Milliseconds of each press until the image, and the plot, are seen; `second`: of our page, the loss beside it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    try:
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}/")
                break
            except Exception:  # it is not served yet
                time.sleep(0.5)
        image = {"": "#picture", "none": ".answer img"}.get(second, ".answer:nth-child(2) img")
        if second:
            page.locator(".answer img").first.wait_for(timeout=60_000)
            classes = page.locator("[data-test=classes]")
            classes.click(position={"x": 0.327 * classes.bounding_box()["width"], "y": 16})  # 100 of 3 to 300
        if second not in ("", "none"):
            page.locator("[data-test=second]").click()
            page.get_by_role("option", name=second, exact=True).click()
        page.locator(image).first.wait_for(timeout=60_000)
        time.sleep(4)
        page.evaluate(WATCH, image)
        page.locator(", ".join(HANDLES)).first.focus()
        kinds = ("image",) if second else ("image", "plot")
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(presses + 3):
            time.sleep(0.5)
            before = page.evaluate("Object.keys(seen).length")
            page.keyboard.press("ArrowRight")
            page.wait_for_function(
                f"Object.keys(seen).length >= {before + len(kinds)} && Object.values(seen).every((one) => one > 0)",
                timeout=60_000,
            )
            for kind in kinds if turn >= 3 else ():  # the first few warm up
                found[kind].append(page.evaluate(LAST, kind[0]))
        return found
    finally:
        page.close()
        server.terminate()
        server.wait()


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--venvs", type=Path, default=ROOT / "out" / "page-venvs", help="where environments are made"
    )
    options = arguments.parse_args()
    from playwright.sync_api import sync_playwright

    presses = 3 if options.quick else 20
    record = Record("page", __doc__, options, settings={"presses": presses}, key=("page",))
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    libraries: dict[str, list[Any]] = {}
    ours: dict[str, list[Any]] = {}
    for first in (False, True):
        if first:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # the browser and the servers inherit it
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for name, (package, licence, source) in PAGES.items():
                python = environment(options.venvs, package)
                script = options.venvs / f"{package}_page.py"
                script.write_text(SHARED + source)
                command = [str(python), str(script), "PORT"]
                if package == "streamlit":
                    settings = "--server.headless true --server.address 127.0.0.1 --browser.gatherUsageStats false"
                    command = [str(python), "-m", "streamlit", "run", str(script), "--server.port", "PORT"]
                    command += settings.split()
                asked = f"import importlib.metadata as m; print(m.version({package!r}))"
                version = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout
                files = [file for file in (options.venvs / package).rglob("*") if file.is_file()]
                size = round(sum(file.stat().st_size for file in files) / 1e6)
                found = times(browser, command, presses)
                row = libraries.setdefault(name, [name, version.strip(), licence, size])
                row += [round(median(found["image"])), round(median(found["plot"]))]
                say(f"{name}, first in line: {first}: {row[-2]} ms, {row[-1]} ms")
            for losses, second in (("SupCon", "none"), ("SupCon and SINCERE", "sincere")):
                found = times(browser, [sys.executable, "-m", "geomsolve", "app", "--port", "PORT"], presses, second)
                every = sorted(found["image"])
                row = ours.setdefault(losses, [losses])
                row += [round(os.getloadavg()[0], 1), round(median(every)), round(every[int(0.9 * len(every))])]
                say(f"geomsolve app, {losses}, first in line: {first}: {row[-2]} ms, load {row[-3]}")
            browser.close()
    head = (
        "library",
        "version",
        "licence",
        "MB installed",
        "image",
        "plot",
        "image, first in line",
        "plot, first in line",
    )
    columns = (
        "losses",
        *(f"{what}{late}" for late in ("", ", first in line") for what in ("load", "median", "nine of ten")),
    )
    record.finish(
        {"slider to picture, 100 classes, one loss": f"{ours['SupCon'][2]} ms, first in line {ours['SupCon'][5]} ms"},
        Table("Four libraries, medians in ms", head, list(libraries.values())),
        Table("geomsolve app, 100 classes, ms", columns, list(ours.values())),
    )


if __name__ == "__main__":
    sys.exit(main())
