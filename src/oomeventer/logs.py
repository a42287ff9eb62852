"""Log lines. In: log records. Out: for each exactly one line on stderr, of text or of JSON.

Rules: whatever is in a message, a traceback or an exception's text, no record makes a second line, and no line moves a
terminal's cursor. Libraries are heard from WARNING on: what they say at DEBUG may be a request with its token.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from oomeventer.text import one_line

_JOINT = " | "

log = logging.getLogger(__name__)


def setup(level: str, form: str, out: TextIO | None = None) -> None:
    """Log from now on. level: debug, info, warning or error; form: text or json; out: stderr."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(Json() if form == "json" else Text())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger(__package__).setLevel(_number(level))
    logging.captureWarnings(True)
    sys.excepthook = _fault


def last_words(text: str, form: str) -> None:
    """Why the program ends: for people as it is, for programs as a record."""
    if form == "json":
        log.error("%s", text)
    else:
        print(f"oomeventer: {text}", file=sys.stderr)


class Text(logging.Formatter):
    """For people: time, level, message, and what was raised."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s ")

    def format(self, record: logging.LogRecord) -> str:
        """See Formatter."""
        record.asctime = self.formatTime(record)
        return self.formatMessage(record) + _JOINT.join([_message(record), *_raised(record)])


class Json(logging.Formatter):
    """For programs: an object with time (RFC 3339, UTC, milliseconds), level, logger and message; `exception` where
    something was raised; `incident`, as incident/schema.json has it, where the record is about one: of the record it
    is a function, which makes its JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """See Formatter."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if raised := _raised(record):
            line["exception"] = _JOINT.join(raised)
        text = json.dumps(line, default=repr)  # ASCII: no separator of lines is in it, and no half of a character
        if (incident := getattr(record, "incident", None)) is None:
            return text
        body = incident()
        return f'{text[:-1]}, "incident": {body if body.isascii() else json.dumps(json.loads(body))}}}'


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # its arguments do not fit: better logged as it is than lost
        text = f"{record.msg!r} % {record.args!r}"
    return one_line(text)


def _raised(record: logging.LogRecord) -> list[str]:
    text = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
    if record.stack_info:
        text += record.stack_info
    return [one_line(line.strip()) for line in text.splitlines() if line.strip()]


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("ended by a fault of this program", exc_info=(kind, error, trace))
