"""What the pages tell a reader to type is there to be typed. In: the pages' commands. Out: who runs each.

Our own programs' are read here as those read them, and make's are targets. kubectl's are run by the cluster suite, on a
real cluster; the plugin's page by tests/plugin. Of the others this says who runs them, or why nobody does.
"""

import re

import pytest

from oomeventer.command_line import COMMANDS, parse
from pages import Typed, commands
from places import REPOSITORY

#: Those that are run elsewhere, or not.
ELSEWHERE = {
    "buildah": "not run: it makes an image of two architectures and pushes it to a registry, and there is none",
    "ctr": "tests/support/realcri imports archives by it; with this image, not run: it is for a node's own containerd",
    "docker": "make kind, where there is an engine; .ci/image builds the same Dockerfile by buildah for each test run",
    "helm": "tests/system/test_chart.py and tests/system/cluster, by Helm's own code",
    "install": "tests/plugin/test_readme.py",
    "journalctl": "not run: nothing on a test's machine is killed by systemd-oomd or earlyoom",
    "kind": "make kind, where there are kind and an engine",
    "ln": "tests/plugin/test_readme.py",
    "pip": "tests/system/test_wheel.py, from the wheel",
    "skopeo": "not run: it pushes to a registry, and there is none",
    "until": "make kind looks for the same Event",
}
MAKEFILE = (REPOSITORY / "Makefile").read_text()


@pytest.mark.parametrize("typed", commands(), ids=str)
def test_command(typed: Typed) -> None:
    program, *words = typed.words
    if program == "make":
        assert_targets(words)
    elif program == "oomeventer":
        assert_ours(words)
    elif program == "kubectl":
        executed = words[words.index("--") + 1 :] if "--" in words else []
        if executed[:1] == ["oomeventer"]:
            assert_ours(executed[1:])
        for file in (word for word in words if word.startswith("examples/")):
            assert (REPOSITORY / file).exists()
    else:
        assert program in ELSEWHERE


def assert_targets(words: list[str]) -> None:
    """Each is a target, or sets a variable that the Makefile or what it calls knows."""
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            assert re.fullmatch(r"[A-Z_]+", name)
        elif word not in ("&&", "make"):
            assert re.search(rf"^{re.escape(word)}:", MAKEFILE, re.MULTILINE), f"no target {word}"


def assert_ours(words: list[str]) -> None:
    """The agent's own command line takes it."""
    if words[:1] == ["COMMAND"] or "--help" in words:
        assert words[0] in {"COMMAND", *COMMANDS}
        return
    assert parse(words).mistakes == []


def test_there_are_some() -> None:
    found = commands()
    assert len(found) > 100
    assert {typed.words[0] for typed in found} >= {"make", "kubectl", "oomeventer", *ELSEWHERE}
