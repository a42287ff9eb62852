"""A setting's text, and the value that it stands for. In: text, from a flag or a variable. Out: the value.

Rules: each function raises ValueError where a text will not do; its message goes on from the text, as in "must be a
number", and has what would do. The chart's schema is made from these messages, too. The stations, whose constants are
bounds and defaults here, are imported where used: a help text needs none of them.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def one_of(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return text

    return parse


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12})(Ki|Mi|Gi)?", text)
    return int(found[1]) * {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[found[2]] if found else 0


def ring(text: str) -> int:
    """The size of the kernel's ring, in bytes."""
    from oomeventer.kernel import RING_BYTES_LEAST

    size = _bytes(text)
    if size < RING_BYTES_LEAST or size & (size - 1) or size > 1 << 30:
        raise ValueError(f"must be a power of two from {RING_BYTES_LEAST} to {1 << 30}, such as 1Mi or 262144")
    return size


def journal_bytes(text: str) -> int:
    """The size of a journal, in bytes."""
    size = _bytes(text)
    if not 1 << 20 <= size <= 1 << 40:
        raise ValueError("must be a size from 1Mi to 1024Gi, such as 64Mi")
    return size


def number(what: str, least: float, most: float) -> Callable[[str], float]:
    """A number within bounds. what: its unit, for the message."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"must be a number{what} from {least:.10g} to {most:.10g}")
        return value

    return parse


def sample_seconds(text: str) -> float:
    """Seconds; 0 for none."""
    try:
        return 0.0 if float(text) == 0 else number("", 5, 3600)(text)
    except ValueError:
        raise ValueError("must be 0 or a number of seconds from 5 to 3600") from None


seconds = number(" of seconds", 0.1, 86400 * 30)


def count(text: str) -> int:
    """A whole number."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise ValueError("must be a whole number from 1 to 999999")
    return int(text)


def pins(text: str) -> tuple[Path | None, bool]:
    """The directory, and whether it is required."""
    from oomeventer.kernel import DEFAULT_PINS

    if text == "none":
        return None, False
    auto, _, named = text.partition(":") if text.startswith("auto") else ("", "", text)
    if text != "auto" and not (auto in ("", "auto") and named.startswith("/")):
        raise ValueError("must be auto, none or the path of a directory in a BPF file system, or auto:PATH")
    return Path(named or DEFAULT_PINS), not auto


def journal(text: str) -> Path | None:
    """The path of a file; None for none."""
    if text == "none":
        return None
    if not text.startswith("/") or text.endswith("/"):
        raise ValueError("must be none or the path of a file, from the root on")
    return Path(text)


def daemonset(text: str) -> tuple[str, str]:
    """Namespace and name."""
    namespace, slash, name = text.partition("/")
    if not slash or not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise ValueError("must be NAMESPACE/NAME")
    return namespace, name


def address(text: str) -> tuple[str, int] | None:
    """Host and port; None for none."""
    if text == "none":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 <= int(port) <= 65535:
        raise ValueError("must be none or ADDRESS:PORT, such as 127.0.0.1:9836 or :9836 for all addresses")
    return host.strip("[]"), int(port)


def names(text: str) -> frozenset[str]:
    """Names of variables, and those that are always listed."""
    from oomeventer.redaction import MEMORY_VARIABLES

    found = frozenset(name.strip() for name in text.split(",") if name.strip())
    if wrong := [name for name in found if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\*?", name)]:
        raise ValueError(f"has names that no variable can have: {', '.join(sorted(wrong))}")
    return MEMORY_VARIABLES | found


def directory(text: str) -> Path:
    """A directory that is there."""
    if not text or not Path(text).is_dir():
        raise ValueError("is not a directory")
    return Path(text)


def cgroup(text: str) -> str:
    """The path of a cgroup, or auto."""
    if text != "auto" and not text.startswith("/"):
        raise ValueError("must be auto or the path of a cgroup, from the root on")
    return text


def duration(text: str) -> float:
    """Seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise ValueError("must be a number of seconds, minutes, hours or days, such as 90s, 30m, 2h or 7d")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def endpoint(text: str) -> str:
    """A socket of the runtime, or none."""
    if text != "none" and not text.removeprefix("unix://").startswith("/"):
        raise ValueError("must be unix:///path, /path or none")
    return text


def file(text: str) -> str:
    """A file that is there."""
    if not Path(text).is_file():
        raise ValueError("is no file")
    return text


def node(text: str) -> str:
    """The name of a Node."""
    # As the API asks of a Node's name: a DNS subdomain.
    if len(text) > 253 or not _NAME.fullmatch(text):
        raise ValueError("is no name that a Node can have (lower-case letters, digits, '-' and '.')")
    return text
