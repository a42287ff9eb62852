"""Pictures of a terminal. In: data/kills.json. Out: docs/pictures/*.svg, by name.

Rules: the command is run by a real kubectl, on a terminal, from the API server's stand-in, with the incidents' times
moved so that a kill is as long ago as AGES says; what it prints is drawn by rich, and nothing else is. The same bytes
each time.
"""

import asyncio
import html
import io
import json
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from oomeventer.incident import block, compose_all
from oomeventer.incident.codec import from_json
from pictures.record import KILLS
from places import REPOSITORY
from plugin import Plugin, at_present, kubeconfig, tls
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event

PICTURES = REPOSITORY / "docs/pictures"
WIDTH, HEIGHT = 112, 40
#: In the file's order: far enough from where the words for an age change.
AGES = [timedelta(minutes=minutes, seconds=5) for minutes in (12, 25, 41, 52, 14)]
COMMANDS = {
    "list": ("-A",),
    "show-leak": ("show", "checkout-7d9f8c-x2x4q", "-n", "shop"),
    "show-tmpfs": ("show", "report-28gtq", "-n", "batch"),
    "top": ("top", "-A"),
}
#: A piece of text as rich writes it.
_RUN = re.compile(
    r'<text class="(?P<style>[^"]+)" x="(?P<x>[^"]+)" y="(?P<y>[^"]+)" textLength="(?P<length>[^"]+)" '
    r'clip-path="[^"]+">(?P<text>[^<]*)</text>'
)
#: No font is fetched from anywhere.
_FORM = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def drawn() -> dict[str, str]:
    """All of them."""
    told: list[dict[str, Any]] = json.loads(KILLS.read_text())
    printed = asyncio.run(_printed(told))
    pictures = {name: _svg(f"$ kubectl oom {' '.join(words)}", printed[name]) for name, words in COMMANDS.items()}
    traced = block(from_json(told[0]["incident"]), WIDTH)
    return pictures | {"trace": _svg("# oomeventer trace", traced)}


async def _printed(told: list[dict[str, Any]]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        async with ApiServer(tls=tls(directory)) as api:
            oom = Plugin(directory, kubeconfig(directory, api.url, api.token))
            for one, age in zip(told, AGES, strict=True):
                api.put_pod(one["pod"])
                for event in compose_all(at_present(from_json(one["incident"]), age)):
                    api.put_namespace(event.namespace)
                    create_event(api, CORE, event.namespace, event.body | {"count": one["count"]}, "oomeventer")
            return {
                name: await oom.on_terminal(*words, columns=WIDTH, lines=HEIGHT) for name, words in COMMANDS.items()
            }


def _svg(title: str, printed: str) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in printed.rstrip("\n").split("\n"):
        text = Text.from_ansi(line)
        for part in text.divide(range(WIDTH, len(text), WIDTH)):  # as a terminal breaks a line
            console.print(part, highlight=False, no_wrap=True)
    return _RUN.sub(_placed, console.export_svg(title=title, code_format=_FORM))


def _placed(run: re.Match[str]) -> str:
    """Each word at its place, as wide as its cells: not all that shows SVG heeds blanks and textLength."""
    text = html.unescape(run["text"])
    cell = float(run["length"]) / len(text)
    return "".join(
        f'<text class="{run["style"]}" x="{float(run["x"]) + word.start() * cell:.1f}" y="{run["y"]}" '
        f'textLength="{len(word[0]) * cell:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(word[0])}</text>'
        for word in re.finditer(r"[^\xa0]+(\xa0[^\xa0]+)*", text)
    )
