"""`make reading`: docs/reading-an-event.md. In: real kills here, what guests reported last (.cache/kernels). Out: the
page, and the README, with each kind's newest message."""

import asyncio
import json
import platform
import sys
from typing import Any

from machine.cgroup import hierarchy
from oomeventer.incident import compose_all
from oomeventer.incident.codec import from_json
from places import REPOSITORY
from reading_page import kills
from reading_page.page import Made, messages, renewed

PAGE, README = REPOSITORY / "docs/reading-an-event.md", REPOSITORY / "README.md"
GUESTS = REPOSITORY / ".cache/kernels/log"
#: What this machine may not be able to make, by the guests' cases (kernels/inside).
CASES = {"page cache": "page_cache", "group": "group_of_5", "lowered": "limit_lowered", "node": "three_pods"}


def here() -> dict[str, Made]:
    """Of the kills that this machine can make."""
    version = "v1" if hierarchy().name == "memory" else "v2"
    where = f"Made by `make reading`: a real containerd, Linux {_short(platform.release())}, cgroup {version}."
    return {kind: (message, where) for kind, message in asyncio.run(kills.messages()).items()}


def guests() -> dict[str, Made]:
    """Of the others, by the guest that ran last of those that have one."""
    made = {}
    for file in sorted(GUESTS.glob("*.json"), key=lambda path: path.stat().st_mtime):
        reported = json.loads(file.read_text())
        for kind, case in CASES.items():
            if incidents := reported["cases"].get(case, {}).get("incidents"):
                made[kind] = _message(incidents[-1]), _where(reported["hello"])
    return made


def _message(incident: dict[str, Any]) -> str:
    """The Node's Event's, where there is one."""
    return str(compose_all(from_json(incident))[-1].body["message"])


def _where(hello: dict[str, Any]) -> str:
    version = "v2" if hello["unified"] else "v1"
    return f"Made by `make test-kernels`: a guest, Linux {_short(hello['kernel'])}, cgroup {version}."


def _short(release: str) -> str:
    return ".".join(release.split("-")[0].split(".")[:2])


def main() -> None:
    """Renew it, and say what it lacks."""
    made = {**guests(), **here()}
    text = renewed(PAGE.read_text(), made)
    PAGE.write_text(text)
    README.write_text(renewed(README.read_text(), made))
    if missing := [kind for kind, message in messages(text).items() if not message]:
        sys.exit(f"no message yet of: {', '.join(missing)} (make test-kernels, then make reading)")


if __name__ == "__main__":
    main()
