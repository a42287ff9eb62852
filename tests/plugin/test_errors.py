"""What goes wrong between the plugin and the cluster: a sentence on stderr, and status 1.

In: a kubectl that is missing, or one of the test's own that fails in a way that a real one does. Out: what is said.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from plugin import Plugin, environment, put
from standin import ApiServer, Truncated

ONE = '{"items":[{"reason":"OOMKilled","involvedObject":{"kind":"Pod","namespace":"shop","name":"a"}}]}'


def fake(tmp_path: Path, script: str) -> Plugin:
    """The plugin, run directly, with a kubectl that is this shell script."""
    program = tmp_path / "fake"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    oom = Plugin(tmp_path, None, str(program))
    # kubectl oom would be the script: so it hands this one word on, and is asked for all else itself.
    program.write_text(f'#!/bin/sh\n[ "$1" != oom ] || {{ shift; exec kubectl-oom "$@"; }}\n{script}\n')
    return oom


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        ("echo 'the plug is out' >&2; exit 3", ["-n", "shop"], "error: the plug is out"),
        ("exit 3", ["-n", "shop"], "error: kubectl ended with status 3"),
        ("echo '<html>'", ["-n", "shop"], "is no list of the API"),
        (f"echo '{ONE[:-30]}'", ["-n", "shop"], "error: the list ended before its end"),
        (f"echo '{ONE[:-30]}'; echo 'it broke' >&2; exit 1", ["-n", "shop"], "error: it broke"),
        ("exit 0", ["-n", "shop", "--since", "soon"], "error: --since: no duration: 'soon'"),
        ("exit 0", ["pods"], "there is no command pods: kubectl oom show pods shows one Pod"),
        ("exit 0", ["show"], "show POD takes one Pod"),
        ("exit 0", ["top", "-o", "wide"], "-o wide is not for top"),
        ("exit 0", ["explain", "-o", "json"], "-o json is not for explain"),
        ("exit 0", ["explain", "nothing"], "there is no hint nothing; kubectl oom explain lists them"),
        ("exit 0", ["--owner", "deploy/"], "--owner deploy/: name it as KIND/NAME"),
    ],
)
async def test_a_sentence_and_status_1(tmp_path: Path, script: str, words: list[str], said: str) -> None:
    done = await fake(tmp_path, script)(*words)
    assert said in done.err
    assert (done.status, done.out) == (1, "")
    assert "Traceback" not in done.err


def test_without_kubectl(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kubectl_oom", "-n", "shop"]
    done = subprocess.run(command, env=environment(PATH=str(tmp_path)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: kubectl is not on PATH: kubectl oom works through it\n"


async def test_every_flag_that_says_who_and_where_goes_to_kubectl(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    oom = fake(tmp_path, f"echo \"$*\" >>{seen}; echo '{ONE}'")
    flags = [
        *(
            "--context=c",
            "--kubeconfig=k",
            "--cluster=l",
            "--user=u",
            "--server=s",
            "--token=t",
            "--as=a",
            "--as-uid=i",
        ),
        *("--request-timeout=5s", "--certificate-authority=x", "--tls-server-name=y", "--cache-dir=z"),
        *("--as-group=g1", "--as-group=g2", "--insecure-skip-tls-verify=true"),
    ]
    done = await oom("-n", "shop", *flags)
    assert done.status == 0
    asked = seen.read_text().splitlines()
    assert len(asked) == 2
    assert {" ".join(sorted(line.split()[1:-2])) for line in asked} == {" ".join(sorted(flags))}


async def test_the_contexts_namespace_is_asked_with_these_flags(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f"echo \"$*\" >>{seen}; case $1 in config) echo other ;; *) echo '{ONE}' ;; esac"
    await fake(tmp_path, script)("--context=c")
    config, *lists = seen.read_text().splitlines()
    assert config == "config --context=c view --minify -o jsonpath={..namespace}"
    assert all("/api/v1/namespaces/other/" in line for line in lists)


async def test_unknown_options_are_status_2(tmp_path: Path) -> None:
    done = await fake(tmp_path, "exit 0")("--nonsense")
    assert done.status == 2
    assert "unrecognized arguments: --nonsense" in done.err
    assert (await fake(tmp_path, "exit 0")("--help")).status == 0


async def test_an_answer_that_is_cut_short(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    api.faults += [Truncated()] * 10
    done = await oom("-n", "shop")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


async def test_a_reader_that_has_enough(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak", "spike")
    process = await oom.start("-n", "shop", "-o", "json")
    assert process.stdout
    process.stdout._transport.close()  # type: ignore[attr-defined]
    _, said = await process.communicate()
    assert process.returncode == 0
    assert said == b""
