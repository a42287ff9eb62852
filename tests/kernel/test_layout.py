"""The record's ctypes mirror against the object's own BTF: names, sizes and offsets of every field."""

import ctypes
import json
import re
import subprocess
from importlib import resources
from typing import Any

import pytest

from oomeventer.kernel import record
from oomeventer.node.procfs import ARGUMENTS_BYTES, ENVIRONMENT_BYTES
from places import REPOSITORY

MIRRORS = {
    "oom_header": record.Header,
    "oom_level": record.RawLevel,
    "oom_mark": record.RawMark,
    "oom_arguments": record.RawArguments,
}


@pytest.fixture(scope="module")
def types() -> list[dict[str, Any]]:
    """The object's BTF, as bpftool reads it (Debian: bpftool)."""
    with resources.as_file(resources.files("oomeventer.kernel") / "oom.bpf.o") as file:
        command = ["/usr/sbin/bpftool", "-j", "btf", "dump", "file", str(file)]
        dump = subprocess.run(command, check=True, capture_output=True)
    parsed: list[dict[str, Any]] = json.loads(dump.stdout)["types"]
    return parsed


@pytest.mark.parametrize("name", MIRRORS)
def test_layout(types: list[dict[str, Any]], name: str) -> None:
    """A structure is as large in ctypes as in the object, and has the same fields at the same places."""
    (btf,) = (entry for entry in types if entry["kind"] == "STRUCT" and entry["name"] == name)
    mirror = MIRRORS[name]
    assert ctypes.sizeof(mirror) == btf["size"]
    ours = {field: getattr(mirror, field).offset * 8 for field, _ in mirror._fields_}
    assert ours == {member["name"]: member["bits_offset"] for member in btf["members"]}


@pytest.mark.parametrize("prefix", ["OOM_KIND_", "OOM_LEVEL_", "OOM_"])
def test_constants(prefix: str) -> None:
    """Every enumerator of the header, and its numbers, have the same value here. (BTF keeps no unused enum.)"""
    header = REPOSITORY.joinpath("bpf/oom.h").read_text()
    enumerators = dict(re.findall(rf"^\t{prefix}(\w+) = ([0-9< ]+),", header, re.MULTILINE))
    assert enumerators
    for name, value in enumerators.items():
        if prefix == "OOM_" and name.startswith(("KIND_", "LEVEL_")):
            continue
        low, _, shift = value.partition("<<")
        assert getattr(record, prefix.removeprefix("OOM_") + name) == int(low) << int(shift or 0), name
    numbers = dict(re.findall(r"^#define OOM_(\w+) ([0-9]+)", header, re.MULTILINE))
    assert (int(numbers["FORMAT"]), int(numbers["LEVELS"])) == (record.FORMAT, record.LEVELS)
    assert (int(numbers["ARGUMENTS"]), int(numbers["ENVIRONMENT"])) == (ARGUMENTS_BYTES, ENVIRONMENT_BYTES)
