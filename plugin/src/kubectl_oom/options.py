"""The words of the command line. In: them. Out: Options. Rules: what says which cluster and who one is goes to kubectl
as it was given; the names of options are kubectl's own where it has such an option."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from kubectl_oom import __version__, choice
from kubectl_oom.errors import OomError
from kubectl_oom.plain import harmless, seconds

_USAGE = """kubectl oom [options]                  the kills, a line for each series
       kubectl oom show POD [-c CONTAINER]    one kill's story on one screen (also: show node/NODE)
       kubectl oom top [--by owner]           who is killed most; HELD: times x what the last one held, together
       kubectl oom explain [HINT ...]         more on a hint; without a name: which there are"""
_EPILOG = """Events live for an hour by default; --history reads what the agents keep on the nodes. Where no agent tells
of a container, what Kubernetes itself knows of it is shown (lastState OOMKilled); with -A only where there are no
Events at all, or with --pods, since that reads every Pod. With -l, Pods that are gone are not found.
Exit status: 0, also where nothing is found; 1: an error; 2: unknown options."""

#: kubectl's own, which take a value; as kubectl 1.36 has them.
_PASSED = (
    *("context", "kubeconfig", "cluster", "user", "token", "as", "as-uid", "cache-dir", "request-timeout", "profile"),
    *("certificate-authority", "client-certificate", "client-key", "tls-server-name", "username", "password"),
)
_REPEATED = ("as-group", "as-user-extra")
_SWITCHES = ("insecure-skip-tls-verify", "match-server-version", "disable-compression")
COMMANDS = ("list", "show", "top", "explain")


@dataclass(frozen=True)
class Options:
    """target: show's Pod. hints: explain's. flags: kubectl's. namespace: None for the context's; everywhere: all."""

    command: str
    target: str
    hints: list[str]
    flags: list[str]
    namespace: str | None
    everywhere: bool
    selector: str
    chosen: choice.Choice
    sort: str
    by: str
    watch: bool
    output: str
    headers: bool
    history: bool
    agent_selector: str
    pods: bool
    color: str


def read(words: Sequence[str]) -> Options:
    """Ends the program, as argparse does it, for --help and for words that it does not know. Raises OomError."""
    given = _parser().parse_intermixed_args(list(words))
    command, *names = _command(given.words, given.output)
    return _options(given, command, names)


def begun(words: Sequence[str]) -> tuple[Options, list[str]]:
    """Of a command line that is not at its end: as for the list; and the words that are no options. As read()."""
    given = _parser().parse_intermixed_args(list(words))
    return _options(given, "list", []), given.words


def _options(given: argparse.Namespace, command: str, names: list[str]) -> Options:
    try:
        since = datetime.now(timezone.utc) - timedelta(seconds=seconds(given.since)) if given.since else None
    except (ValueError, OverflowError) as e:
        raise OomError(f"--since: {e}") from e
    return Options(
        command=command,
        target=names[0] if command == "show" else "",
        hints=names if command == "explain" else [],
        flags=_flags(given),
        namespace=given.namespace,
        everywhere=given.all_namespaces,
        selector=given.selector,
        chosen=choice.Choice(since, choice.owner(given.owner), given.node, given.container),
        sort=given.sort,
        by=given.by,
        watch=given.watch,
        output=given.output,
        headers=not given.no_headers,
        history=given.history,
        agent_selector=given.agent_selector,
        pods=given.pods,
        color=given.color,
    )


def _command(words: list[str], output: str) -> list[str]:
    """The command, and the names that it takes."""
    command, *names = words or ["list"]
    if command not in COMMANDS:
        name = harmless(command, 80)
        raise OomError(f"there is no command {name}: kubectl oom show {name} shows one Pod, kubectl oom --help all")
    if command != "explain" and len(list(filter(None, names))) != (command == "show"):
        wanted = "show POD takes one Pod" if command == "show" else f"{command} takes no names"
        raise OomError(f"kubectl oom {wanted}; kubectl oom --help tells more")
    if (command != "list" and output in ("wide", "name")) or (command == "explain" and output):
        raise OomError(f"-o {output} is not for {command}")
    return [command, *names]


def _flags(given: argparse.Namespace) -> list[str]:
    flags = [f"--{name}={value}" for name in (*_PASSED, "server") if (value := _value(given, name)) is not None]
    flags += [f"--{name}={value}" for name in _REPEATED for value in _values(given, name)]
    return flags + [f"--{name}={value}" for name in _SWITCHES if (value := _value(given, name)) is not None]


def _value(given: argparse.Namespace, name: str) -> object:
    return getattr(given, "kubectl_" + name.replace("-", "_"))


def _values(given: argparse.Namespace, name: str) -> list[str]:
    found = _value(given, name)
    return found if isinstance(found, list) else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubectl oom",
        usage=_USAGE,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    add = parser.add_argument
    add("--version", action="version", version=f"kubectl-oom {__version__}")
    add("-n", "--namespace", help="the namespace; default: the context's")
    add("-A", "--all-namespaces", action="store_true", help="all namespaces")
    add("-l", "--selector", default="", help="only Pods with these labels")
    add("-c", "--container", default="", help="only this container's")
    add("--since", metavar="2h", help="only series whose last kill was within this time, with all their kills")
    add("--owner", default="", metavar="deploy/web", help="only this workload's")
    add("--node", default="", help="only on this node")
    add("--sort", choices=("time", "count", "held"), default="time", help="the first in the list; default: time")
    add("--by", choices=("owner", "namespace", "node", "image"), default="owner", help="top: of what; default: owner")
    add("-w", "--watch", action="store_true", help="after the list, each further kill")
    add("-o", "--output", choices=("wide", "json", "yaml", "name"), default="", help="another form")
    add("--no-headers", action="store_true", help="without the titles of the columns")
    add("--history", action="store_true", help="the agents' journals, too (kubectl exec)")
    add("--agent-selector", default="app.kubernetes.io/name=oomeventer", metavar="LABELS", help="the agents' Pods")
    add("--pods", action="store_true", help="with -A: read every Pod's status, too")
    add("--color", choices=("auto", "always", "never"), default="auto", help="default: on a terminal")
    kubectl = parser.add_argument_group("passed on to kubectl")
    for name in _PASSED:
        kubectl.add_argument(f"--{name}", dest="kubectl_" + name.replace("-", "_"), metavar="…")
    kubectl.add_argument("-s", "--server", dest="kubectl_server", metavar="…")
    for name in _REPEATED:
        kubectl.add_argument(f"--{name}", dest="kubectl_" + name.replace("-", "_"), action="append", metavar="…")
    for name in _SWITCHES:
        kubectl.add_argument(
            f"--{name}",
            dest="kubectl_" + name.replace("-", "_"),
            nargs="?",
            const="true",
            choices=("true", "false"),
            metavar="",
        )
    return parser
