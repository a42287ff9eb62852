"""Log lines, of text and of JSON: one for each record, whatever is in it.

In: records with hostile messages, exceptions and arguments. Out: lines.
"""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from machine import Agent, Cgroup, Victim, kubeconfig
from oomeventer import logs
from oomeventer.errors import OomeventerError
from oomeventer.incident.codec import as_json, encode
from oomeventer.incident.commands import read_commands
from oomeventer.kernel.kill import Arguments
from oomeventer.node import Observation
from oomeventer.pipeline import Pipeline, Stage
from oomeventer.redaction import Redaction
from oomeventer.text import one_line, printable
from samples import incident, kill
from standin import ApiServer

log = logging.getLogger("oomeventer.test")

HOSTILE = [
    "a\nb",
    "a\r\nb",
    "\x1b[2J\x1b[1;1H",
    "2026-11-22 08:21:00,000 ERROR forged\n2026-11-22 08:21:00,000 ERROR forged",
    '"}\n{"level": "error"}',
    "vertical\x0btab, form\x0cfeed, \x1c\x1d\x1e\x85\u2028\u2029",
    "\u202edlrow",
    "\udcff\ud800",
    "\0",
    "back\\slash\\n",
    "%s %d %(x)s {}",
]
FORMS = ["text", "json"]


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where a log goes; what logging was before is put back."""
    root, ours = logging.getLogger(), logging.getLogger("oomeventer")
    before = root.handlers, root.level, ours.level, sys.excepthook
    yield io.StringIO()
    root.handlers, sys.excepthook = before[0], before[3]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.captureWarnings(False)


def lines(out: io.StringIO) -> list[str]:
    """What was logged; each line is one, by everybody's idea of a line, and printable ASCII or more."""
    text = out.getvalue()
    assert text.endswith("\n")
    found = text[:-1].split("\n")
    assert found == text.splitlines()
    assert all(line.isprintable() for line in found)
    text.encode()
    return found


def message(line: str, form: str) -> str:
    if form == "json":
        text: str = json.loads(line)["message"]
        return text
    (text,) = re.fullmatch(r"[0-9-]{10} [0-9:]{8},[0-9]{3} [A-Z]+ (.*)", line).groups()  # type: ignore[union-attr]
    return text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", HOSTILE)
def test_one_line(out: io.StringIO, form: str, text: str) -> None:
    """A message, its arguments, an exception's text and its cause's: one line for all."""
    logs.setup("info", form, out)
    log.warning("victim %s", text)
    log.warning(text)
    try:
        try:
            raise ValueError(text)
        except ValueError as e:
            raise OomeventerError(text) from e
    except OomeventerError:
        log.exception("with %s", text)
    log.error("a stack", stack_info=True)
    first, second, third, _ = lines(out)
    assert message(first, form) == f"victim {one_line(text)}"
    assert message(second, form) == one_line(text)
    raised = json.loads(third)["exception"] if form == "json" else third
    assert "ValueError: " in raised
    assert "OomeventerError: " in raised
    assert " | " in raised


def test_what_is_printable_stays() -> None:
    """What assemble.py made printable is not escaped again; what it would escape is escaped the same way."""
    for text in HOSTILE:
        assert one_line(printable(text)) == printable(text)
        assert one_line(text).replace("\\\\", "\\") == printable(text).replace("\\\\", "\\")


def test_text(out: io.StringIO) -> None:
    """Time, level, message."""
    logs.setup("info", "text", out)
    log.info("watches %s", "lab-node")
    assert re.fullmatch(r"20[0-9-]{8} [0-9:]{8},[0-9]{3} INFO watches lab-node\n", out.getvalue())


@pytest.mark.parametrize("said", ["killed", "größer \u2028"])
def test_json(out: io.StringIO, said: str) -> None:
    """Time in UTC with milliseconds, level, logger, message; the incident as its schema has it; ASCII."""
    logs.setup("info", "json", out)
    log.info("watches %s", "łab-node")
    log.warning("killed", extra={"incident": partial(encode, replace(incident(), message=said))})
    assert out.getvalue().isascii()
    plain, reported = map(json.loads, lines(out))
    assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", plain.pop("time"))
    assert plain == {"level": "info", "logger": "oomeventer.test", "message": "watches łab-node"}
    schema = json.loads(resources.files("oomeventer").joinpath("incident/schema.json").read_text())
    jsonschema.validate(reported["incident"], schema)
    assert reported["incident"] == as_json(replace(incident(), message=said))


def test_the_time(out: io.StringIO) -> None:
    """The moment of the record, also at a whole second."""
    record = log.makeRecord("x", logging.INFO, "f", 1, "m", (), None)
    record.created = 1795336812.0
    assert json.loads(logs.Json().format(record))["time"] == "2026-11-22T08:40:12.000Z"


@pytest.mark.parametrize("form", FORMS)
def test_arguments_that_do_not_fit(out: io.StringIO, form: str) -> None:
    """A mistake in a log call costs no line, and no traceback between the lines."""
    logs.setup("info", form, out)
    log.info("%d kills", "many")
    log.info("%s %s", "one\n")  # noqa: PLE1206
    assert [message(line, form) for line in lines(out)] == ["'%d kills' % ('many',)", r"'%s %s' % ('one\n',)"]


def test_levels(out: io.StringIO) -> None:
    """Ours from the level on; libraries from WARNING on, and where only errors are wanted, errors."""
    library = logging.getLogger("kubernetes_asyncio.client.rest")
    logs.setup("debug", "json", out)
    log.debug("ours")
    library.debug("Authorization: Bearer hunter2")
    library.info("Authorization: Bearer hunter2")
    library.warning("theirs")
    logs.setup("error", "json", out)
    log.warning("ours")
    library.warning("theirs")
    log.error("at last")
    assert [json.loads(line)["message"] for line in lines(out)] == ["ours", "theirs", "at last"]


@pytest.mark.parametrize("form", FORMS)
def test_what_python_says_itself(out: io.StringIO, form: str) -> None:
    """Warnings and a program's end by a fault are lines like all others."""
    logs.setup("info", form, out)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("two\nlines", stacklevel=1)
        logging.captureWarnings(False)
    try:
        raise ValueError("two\nlines")
    except ValueError as e:
        sys.excepthook(type(e), e, e.__traceback__)
    assert len(lines(out)) == 2


async def test_no_secret_of_a_kill_that_breaks_a_stage(out: io.StringIO) -> None:
    """A fault's line tells the item, and the item may be a kill as the kernel recorded it, with all its arguments."""

    async def broken(item: Any) -> None:
        raise ValueError("no")

    async def source() -> Any:
        yield (kill(arguments=b"x\0hunter2\0", environment=b"A=hunter2\0", cgroup="/", levels=()),)

    logs.setup("info", "text", out)
    await Pipeline([Stage("record", broken)]).run(source(), asyncio.Event())
    (line,) = lines(out)
    assert "dropped in stage record" in line
    assert "hunter2" not in line


def test_no_secret_of_a_record() -> None:
    """However long a line may be, a record's repr() has all but the victim's text."""
    one = kill(arguments=b"x\0hunter2\0", environment=b"A=hunter2\0")
    later = Arguments(one.process, 0, b"x\0hunter2\0", b"A=hunter2\0", one.missing)
    for record in (one, later):
        assert "hunter2" not in repr(record)
        assert f"process={record.process!r}" in repr(record)


def test_no_secret_of_a_command() -> None:
    """Nor what the policy shows, which may be all."""
    one = kill(arguments=b"x\0hunter2\0")
    for policy in (Redaction(), Redaction(arguments="all")):
        (command,) = read_commands([one], Observation(), policy).values()
        assert command.argv == [b"x", b"hunter2"]
        assert "hunter2" not in repr(command)
        assert "more=False" in repr(command)


@pytest.mark.parametrize("form", FORMS)
def test_last_words(form: str, tmp_path: Path) -> None:
    """Why a command ends: as people read it, or one object."""
    command = [sys.executable, "-m", "oomeventer", "detach", "--pins", str(tmp_path), "--log-format", form]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    text = json.loads(line)["message"] if form == "json" else line.removeprefix("oomeventer: ")
    assert text.startswith(f"{tmp_path} is not in a BPF file system: ")


@pytest.mark.kernel
async def test_the_agent(api: ApiServer, program: Path, tmp_path: Path) -> None:
    """One JSON object a line from start to stop, and one line for an incident, whatever the victim is called."""
    config = kubeconfig(tmp_path, api.url, api.token)
    whom = ["--kubeconfig", str(config), "--cri-endpoint", "none", "--node-name", "lab-node"]
    where = ["--pins", "none", "--journal", "none", "--log-format", "json", "--log-level", "debug"]
    evil = "x\n2026 ERROR\x1b[2J"
    async with Agent("run", *whom, *where, ready="sends Events to") as agent:
        hog = program.with_name(evil)
        hog.write_bytes(program.read_bytes())
        hog.chmod(0o755)
        with Cgroup(24 << 20) as cgroup, Victim(hog, cgroup, ["hog", "100"]) as victim:
            victim.go()
            victim.wait()
            async with asyncio.timeout(30):
                await api.until(lambda: any(request.method == "POST" for request in api.requests))
    records = [json.loads(line) for line in agent.log]
    reported = [record for record in records if "incident" in record and record["incident"]["cgroup"] == cgroup.path]
    (record,) = reported
    assert record["level"] == "warning"
    assert record["incident"]["victims"][0]["comm"] == printable(evil[:15])
    assert one_line(record["message"]) == record["message"]
    assert api.token not in "\n".join(agent.log)
