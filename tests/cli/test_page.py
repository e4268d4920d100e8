"""The page in a real browser: its numbers are those of solve, visitors do not meet, and nothing they type is run."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import refuses, reported

import geomsolve as gs

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
)  # fmt: skip


def test_a_port_that_cannot_be_served_is_refused(capsys):
    refuses(capsys, ["app", "--port", "0"], "port: must be from 1 to 65535; got 0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuses(capsys, ["app", "--port", port], f"port: 127.0.0.1:{port} cannot be served: .*in use.*another --port")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pytest.importorskip("nicegui", reason="needs a browser: make app")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "geomsolve", "app", "--port", str(port)]
    here = {**os.environ, "PYTHONPATH": str(Path(gs.__file__).parents[1])}
    here.pop("PYTEST_CURRENT_TEST", None)  # by this NiceGUI would take itself for a test of its own
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=here
    ) as server:
        line = server.stdout.readline()
        assert line == f"http://127.0.0.1:{port}  (Ctrl-C ends it)\n"
        yield line.split()[0]
        server.terminate()
        said = server.stdout.read()
    assert "Traceback" not in said, said[-2000:]
    assert list(folder.iterdir()) == []  # the server leaves nothing behind


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs a browser: make app")
    if BROWSER is None:
        pytest.skip("needs a browser: make app")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser, address):
    """A function that opens the page as another visitor; what the pages' consoles called errors fails the test."""
    contexts, errors = [], []

    def visitor(width=1280, height=800):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        for _ in range(50):
            with contextlib.suppress(Exception):
                page.goto(address)
                break
            page.wait_for_timeout(200)
        part(page, "proof").filter(has_text="certified").wait_for()
        return page

    yield visitor
    for context in contexts:
        context.close()
    assert errors == []


def part(page, name, place=0):
    return page.locator(f"[data-test={name}]").nth(place)


def slide(page, slider, share):
    """Click on the slider's track at this share of its length; the value it then says it has."""
    track = part(page, slider)
    low, high = (float(track.get_attribute(f"aria-value{end}")) for end in ("min", "max"))
    track.click(position={"x": share * track.bounding_box()["width"], "y": 16})
    page.wait_for_function(
        f"Math.abs(document.querySelector('[data-test={slider}]').getAttribute('aria-valuenow')"
        f" - {low + share * (high - low)}) < {0.05 * (high - low)}"
    )
    return float(track.get_attribute("aria-valuenow"))


def choose(page, name, option):
    part(page, name).click()
    page.get_by_role("option", name=option, exact=True).click()


def command(page, place=0):
    """The words of the command that the page gives for what it shows."""
    page.get_by_role("button", name="copy as command").nth(place).click()
    part(page, "code", place).filter(has_text="geomsolve solve").wait_for()
    return part(page, "code", place).inner_text().split()[1:]


def settled(page, pattern, name="words"):
    part(page, name).filter(has_text=re.compile(pattern)).wait_for()


pytestmark = pytest.mark.app


def test_sliders_move_the_numbers_to_what_solve_says(visit, capsys):
    page = visit()
    before = part(page, "proof").inner_text()
    ratio = round(10 ** slide(page, "imbalance", 0.4), 3)
    classes = slide(page, "classes", 0.1)
    temperature = float(f"{10 ** slide(page, 'temperature', 0.6):.3g}")
    settled(page, rf"{classes:g} classes, .*ratio {ratio:.4g}, .*\. Rank {classes - 1:g}; nothing is collapsed")
    settled(page, f"temperature {temperature:g}$", "head")
    assert part(page, "proof").inner_text() != before
    words = command(page)
    counts = f"exponential:{classes:g}:{ratio:.6g}:{5 * ratio:.9g}"
    assert words == f"solve --counts {counts} --objective supcon --temperature {temperature}".split()
    value = reported(capsys, *words)["value"]
    assert part(page, "proof").inner_text().startswith(f"certified: proved optimal, loss {value:.12g} nats")
    assert f"optimum {value:.6f}" in part(page, "levels").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").first.click()
    with open(download.value.path()) as file:
        assert json.load(file)["value"] == value
    with page.expect_download() as download:
        page.get_by_role("button", name="picture").first.click()
    with open(download.value.path(), "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_the_threshold_is_a_mark_on_the_slider(visit):
    page = visit()
    ratio = gs.threshold(gs.SupCon, gs.load_counts("exponential:5:100:500"), temperature=1.0, certify=False)
    critical = 100.0**ratio.value
    settled(page, re.escape(f"Collapse begins at a ratio of {critical:.6g}."), "threshold")
    assert part(page, "imbalance").get_by_text("collapse").is_visible()
    for share, rank in ((0.4, "4"), (0.9, "[123]")):
        assert (10 ** slide(page, "imbalance", share) > critical) == (share > 0.5)
        settled(page, rf"5 distinct\)\. Rank {rank}; ")


def test_a_bad_paste_says_what_is_wrong_and_a_good_one_is_solved(visit, capsys):
    page = visit()
    before = part(page, "proof").inner_text()
    choose(page, "source", "paste")
    for text, message in (("/etc/passwd", "counts: pasted has no rows of counts"), ("9,0,1", "class 1 has 0")):
        part(page, "pasted").fill(text)
        settled(page, re.escape(message), "wrong")
        assert part(page, "proof").inner_text() == before
    part(page, "pasted").fill("class,n\ncat,900\ndog,30\nfox,7\nTOTAL,937")
    settled(page, r"pasted: 3 classes, counts 900 to 7")
    assert part(page, "wrong").inner_text() == ""
    value = reported(capsys, "solve", "--counts", "900,30,7", "--temperature", "1")["value"]
    assert f"loss {value:.12g} nats" in part(page, "proof").inner_text()


def test_two_visitors_do_not_share_a_state(visit):
    first, second = visit(), visit()
    classes = f"{slide(first, 'classes', 0.1):g}"
    settled(first, f"{classes} classes")
    assert "5 classes" in part(second, "words").inner_text()
    choose(second, "source", "isic2019")
    settled(second, "isic2019: 8 classes")
    assert f"{classes} classes" in part(first, "words").inner_text()
    assert f"exponential:{classes}:" in " ".join(command(first))


def test_two_losses_side_by_side_at_a_phone_s_width_too(visit, capsys):
    page = visit(390, 844)
    choose(page, "second", "gcl")
    part(page, "proof", 1).filter(has_text="certified").wait_for()
    assert part(page, "head", 1).inner_text().startswith("GCL")
    value = reported(capsys, *command(page, 1))["value"]
    assert f"loss {value:.12g} nats" in part(page, "proof", 1).inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_it_is_served_on_this_machine_alone(address):
    port = int(address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: the address by which others would know this machine
        outside = probe.getsockname()[0]
    if outside.startswith("127."):
        pytest.skip("this machine has no address but its own")
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((outside, port), timeout=5).close()
