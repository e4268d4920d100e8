"""The page: controls, and beside them the answer for one loss or two. Every visitor has a state of their own."""

from __future__ import annotations

import asyncio
import io
import math
from typing import Any

from nicegui import Client, background_tasks, ui

from ...errors import GeomsolveError
from ...text import dumps
from .model import MOST_DECADES, PASTED, SLIDERS, Answer, Inputs, answer, losses, outlook, sources
from .pictures import image, profile, sphere

_NONE = "none"
# Seconds after which a visitor is told that an answer takes its time, and how high pictures are.
_SLOW, _HEIGHT = 0.4, 260
_STYLE = """
.nicegui-content { padding: 12px; gap: 12px }
.page, .answers, .pictures { display: flex; flex-wrap: wrap; gap: 12px; width: 100%; align-items: flex-start }
.controls { flex: 0 0 310px; gap: 8px }
.answers { flex: 1 1 320px; width: auto; min-width: 0 }
.answer { flex: 1 1 290px; min-width: 0; gap: 8px }
.pictures > div { flex: 1 1 200px; min-width: 0; text-align: center }
.pictures img { width: min(100%, 260px); aspect-ratio: 1; image-rendering: pixelated; border: 1px solid #ddd }
.title { font-size: 18px; font-weight: 500 }
.note { font-size: 12px; color: #555 }
.wrong { color: #b00020 }
.right { color: #1b5e20 }
.code { font: 12px monospace; white-space: pre-wrap; word-break: break-all }
@media (max-width: 700px) { .controls { flex: 1 1 100% } }
"""


class _SupersededError(Exception):
    """The visitor has moved on."""


class Page:
    """One visitor's page."""

    def __init__(self) -> None:
        self.asked = self.shown = 0
        self.busy = False
        self.start = math.nan  # where the slider stands for the counts as they are given
        self.looked = ""
        ui.add_css(_STYLE)
        ui.label("geomsolve: where the optimum of a contrastive loss puts your classes").classes("title")
        with ui.element("div").classes("page"):
            with ui.card().classes("controls"):
                self._controls()
            with ui.element("div").classes("answers"):
                self.cards = [Card(), Card()]
        ui.timer(0.0, self._choose_source, once=True)

    def _controls(self) -> None:
        named, again = sources(), {"on_change": self.refresh}
        self.source = self._select("class counts", named, SLIDERS, "source", self._choose_source)
        self.pasted = ui.textarea(placeholder="1000,100,10 or CSV, JSON, value_counts", on_change=self._choose_source)
        self.pasted.classes("full-width").props("outlined dense debounce=400 rows=4 data-test=pasted")
        self.wrong = ui.label().classes("wrong").props("role=alert data-test=wrong")
        self.many, self.classes = _slider("classes", min=3, max=300, value=5, **again)
        self.imbalance, self.ratio = _slider("imbalance", min=0, max=MOST_DECADES, step=0.02, value=2, **again)
        self.threshold = ui.label().classes("note").props("data-test=threshold")
        self.first = self._select("loss", losses(), "supcon", "loss", self.refresh)
        self.second = self._select("beside it", [_NONE, *losses()], _NONE, "second", self.refresh)
        self.heat, self.temperature = _slider("temperature", min=-2, max=1, step=0.02, value=0, **again)
        with ui.row().classes("full-width no-wrap"):
            self.batch = ui.number("batch", placeholder="all", min=2, precision=0, **again)
            self.dim = ui.number("dimension", placeholder="as needed", min=1, precision=0, **again)
            for control, name in ((self.batch, "batch"), (self.dim, "dim")):
                control.classes("col").props(f"dense clearable data-test={name}")
        samplers = ("instance", "class-balanced", "square-root")
        self.sampler = self._select("sampler of batches", samplers, "instance", "sampler", self.refresh)

    def _select(self, words: str, options: Any, value: str, name: str, act: Any) -> Any:
        chosen = ui.select(list(options), value=value, label=words, on_change=act)
        return chosen.classes("full-width").props(f"dense data-test={name}")

    def inputs(self) -> Inputs:
        """What the controls say."""
        free = self.source.value == SLIDERS or self.ratio.value != self.start
        return Inputs(
            source=str(self.source.value),
            pasted=str(self.pasted.value or ""),
            classes=int(self.classes.value),
            ratio=round(10.0 ** float(self.ratio.value), 3) if free else None,
            temperature=float(f"{10.0 ** float(self.temperature.value):.3g}"),
            batch=None if not self.batch.value else int(self.batch.value),
            sampler=str(self.sampler.value),
            dim=None if not self.dim.value else int(self.dim.value),
        )

    async def _choose_source(self) -> None:
        """Other counts: the slider stands where their imbalance is."""
        self.pasted.set_visibility(self.source.value == PASTED)
        for control in (self.classes, self.many):
            control.set_visibility(self.source.value == SLIDERS)
        if self.source.value != SLIDERS:
            try:
                ratio = self.inputs().given.imbalance_ratio
            except GeomsolveError as error:
                self.wrong.set_text(str(error))
                return
            self.start = min(MOST_DECADES, round(math.log10(ratio), 2))
            self.ratio.set_value(self.start)
        await self.refresh()

    async def refresh(self) -> None:
        """Answers for the controls as they are, the latest only where they move faster than they can be answered."""
        self.asked += 1
        if self.busy:
            return
        self.busy = True
        try:
            while self.shown != self.asked:
                self.shown = self.asked
                try:
                    await self._show(self.asked)
                except GeomsolveError as error:
                    self.wrong.set_text(str(error))
                except _SupersededError:
                    pass
        finally:
            self.busy = False

    async def _show(self, turn: int) -> None:
        inputs = self.inputs()
        names = [name for name in (str(self.first.value), str(self.second.value)) if name != _NONE]
        takes = frozenset[str]().union(*(losses()[name] for name in names))
        for control, name in ((self.temperature, "temperature"), (self.batch, "batch"), (self.sampler, "sampler")):
            control.set_enabled(name in takes and (name != "sampler" or inputs.batch is not None))
        self.cards[1].column.set_visibility(len(names) > 1)
        self.many.set_text(f"classes: {inputs.classes}")
        self.heat.set_text(f"temperature: {inputs.temperature:g}")
        self.imbalance.set_text(f"largest over smallest count: {inputs.counts.imbalance_ratio:.4g}")

        def progress(_: str) -> None:
            if self.asked != turn:
                raise _SupersededError

        for name, card in zip(names, self.cards, strict=False):
            work = asyncio.ensure_future(asyncio.to_thread(answer, inputs, name, progress))
            if not (await asyncio.wait([work], timeout=_SLOW))[0]:
                card.head.set_text(f"{name}: solving …")
            card.show(await work)
        self.wrong.set_text("")
        key = f"{inputs.given} {names[0]} {inputs.options(names[0])}"
        if key != self.looked:
            self.looked = key
            background_tasks.create(self._look(inputs, names[0], key))

    async def _look(self, inputs: Inputs, loss: str, key: str) -> None:
        """The threshold of the first loss, as a mark on the slider; it does not hold up the pictures."""

        def progress(_: str) -> None:
            if self.looked != key:
                raise _SupersededError

        try:
            ratio, words = await asyncio.to_thread(outlook, inputs, loss, progress)
        except _SupersededError:
            return
        if self.looked == key:
            self.threshold.set_text(words)
            self.ratio.props.pop("marker-labels", None)
            if ratio is not None and 0.0 <= math.log10(ratio) <= MOST_DECADES:
                self.ratio.props["marker-labels"] = [{"value": math.log10(ratio), "label": "collapse"}]
            self.ratio.update()

    def leave(self) -> None:
        """The visitor is gone: nothing more is computed for them."""
        self.asked = self.shown = -1
        self.looked = ""


def _slider(name: str, **options: Any) -> tuple[Any, Any]:
    """A line of words that says the value, and the slider."""
    return ui.label().props(f"data-test={name}-said"), ui.slider(**options).props(f"data-test={name}")


class Sphere(ui.element, component="sphere.js"):  # type: ignore[call-arg]
    """The points of an answer on their sphere."""


class Card:
    """The answer for one loss."""

    answer: Answer

    def __init__(self) -> None:
        with ui.card().classes("answer") as self.column:
            self.head = ui.label().classes("text-weight-medium").props("data-test=head")
            self.proof = ui.label().props("data-test=proof")
            self.words = ui.label().props("data-test=words")
            with ui.element("div").classes("pictures"):
                with ui.element("div"):
                    self.sphere = Sphere()
                    self.axes = ui.label().classes("note")
                with ui.element("div"):
                    self.gram = ui.element("img")
                    self.scale = ui.label().classes("note")
                with ui.element("div"):
                    self.profile = ui.echart({}).style(f"height: {_HEIGHT}px")
            self.levels = ui.label().props("data-test=levels")
            with ui.row() as self.buttons:
                for words, act in (
                    ("copy as Python", lambda: self._copy(self.answer.inputs.python(self.answer.loss))),
                    ("copy as command", lambda: self._copy(self.answer.inputs.command(self.answer.loss))),
                    ("picture", self._picture),
                    ("JSON", lambda: ui.download.content(dumps(self.answer.to_dict()), f"{self.answer.loss}.json")),
                ):
                    ui.button(words, on_click=act).props("flat dense no-caps size=sm")
            self.code = ui.label().classes("code").props("data-test=code")
        self.buttons.set_visibility(False)

    def show(self, found: Answer) -> None:
        """The answer in place of the last one."""
        self.answer, solution, atoms = found, found.solution, found.atoms
        self.head.set_text(f"{solution.objective.name}, temperature {solution.objective.temperature:g}")
        self.proof.classes(replace="right" if solution.ok else "wrong").set_text(
            f"{'certified: proved optimal' if solution.ok else 'NOT certified'}, loss {solution.value:.12g} nats, "
            f"gap {solution.certificate.gap:.1e}"
        )
        collapsed = ""
        if solution.objective.description.atoms == "class means":
            together = sum(len(group) for group in solution.collapsed)
            collapsed = f"; {f'{together} classes share points' if together else 'nothing is collapsed'}"
        self.words.set_text(f"{solution.counts}. Rank {solution.rank}{collapsed}.")
        points, words = sphere(found)
        _set(self.sphere, {**points, "height": _HEIGHT})
        self.axes.set_text(words)
        _set(self.gram, {"src": image(found), "alt": f"cosines at loss {solution.value:.12g}"})
        seen = "" if len(atoms.gram) == atoms.total else f"; {len(atoms.gram)} of {atoms.total} shown"
        scale = ", logarithmic beyond ±0.02" if atoms.small else ""
        self.scale.set_text(f"Cosines {atoms.off.min():.3g} to {atoms.off.max():.3g} (blue −1, red 1{scale}){seen}.")
        self.profile.options.clear()
        self.profile.options.update(profile(found))
        levels = "; ".join(f"{name} {value:.6f}" for name, value in found.levels.items())
        self.levels.set_text(f"Loss levels: {levels}")
        self.code.set_text("")
        self.buttons.set_visibility(True)

    def _copy(self, text: str) -> None:
        ui.clipboard.write(text)
        self.code.set_text(text)

    async def _picture(self) -> None:
        found, file = self.answer, io.BytesIO()
        figure = await asyncio.to_thread(found.solution.plot, embedding=found.embedding)
        await asyncio.to_thread(figure.savefig, file, format="png")
        ui.download.content(file.getvalue(), f"{found.loss}.png", "image/png")


def _set(element: ui.element, values: dict[str, Any]) -> None:
    element.props.update(values)
    element.update()


def serve(host: str, port: int, open_browser: bool) -> None:
    """Serve the page until Ctrl-C."""

    def page(client: Client) -> None:
        client.on_delete(Page().leave)

    ui.page("/")(page)
    more: dict[str, Any] = {
        "reload": False, "show_welcome_message": False, "reconnect_timeout": 20.0, "tailwind": False
    }  # fmt: skip
    ui.run(host=host, port=port, show=open_browser, title="geomsolve", **more)
