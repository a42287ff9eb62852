"""`python -m bench.profiled FILE run ...`: the agent, which notes where its CPU time goes. Out, at its end: FILE, JSON,
rows of the thread, the function of ours, the library beneath it or "", seconds and calls.

Rules: the agent is the shipped one. Each thread's CPU time goes to the innermost function that runs; what is not ours
also to the one of ours that called it, and work in C, the kernel's too, to its caller. The time that noting takes is
left out. SIGUSR1 begins anew: what the start took is not in it.
"""

import json
import signal
import sys
import threading
from collections import defaultdict
from pathlib import Path
from time import thread_time
from types import CodeType, FrameType
from typing import Any

import oomeventer
from oomeventer.cli import main

_OURS = str(Path(oomeventer.__file__).parent)
#: The function of ours, and the library.
_Place = tuple[str, str]


class Thread:
    """What one thread did."""

    def __init__(self) -> None:
        self.name = threading.current_thread().name.partition("_")[0]
        self.seconds: defaultdict[_Place, float] = defaultdict(float)
        self.calls: defaultdict[_Place, int] = defaultdict(int)
        self._stack: list[_Place] = [("(the loop)", "")]
        self._known: dict[CodeType, _Place] = {}
        self._since = thread_time()

    def event(self, frame: FrameType, event: str, _: Any) -> None:
        """Of sys.setprofile()."""
        if event not in ("call", "return"):
            return
        self.seconds[self._stack[-1]] += thread_time() - self._since
        if event == "return":
            if len(self._stack) > 1:
                self._stack.pop()
        else:
            function, library = self._known.get(frame.f_code) or self._place(frame.f_code)
            place = (function or self._stack[-1][0], library)
            self.calls[place] += 1
            self._stack.append(place)
        self._since = thread_time()

    def _place(self, code: CodeType) -> _Place:
        if code.co_filename.startswith(_OURS):
            module = code.co_filename.removeprefix(f"{_OURS}/").removesuffix(".py")
            found = f"{module}:{getattr(code, 'co_qualname', code.co_name)}", ""
        else:
            parts = Path(code.co_filename).with_suffix("").parts
            packages = next((n for n, part in enumerate(parts) if part in ("site-packages", "dist-packages")), None)
            found = "", parts[packages + 1] if packages is not None else f"Python ({parts[-1]})"
        self._known[code] = found
        return found


class Profile:
    """All threads."""

    def __init__(self) -> None:
        self.threads: list[Thread] = []
        self._here = threading.local()

    def event(self, frame: FrameType, event: str, argument: Any) -> None:
        """Of any thread."""
        thread = getattr(self._here, "thread", None)
        if thread is None:
            thread = self._here.thread = Thread()
            self.threads.append(thread)
        thread.event(frame, event, argument)

    def begin(self, *_: object) -> None:
        """From now on."""
        for thread in self.threads:
            thread.seconds.clear()
            thread.calls.clear()

    def rows(self) -> list[tuple[str, str, str, float, int]]:
        """See the module."""
        return [
            (thread.name, *place, seconds, thread.calls[place])
            for thread in self.threads
            for place, seconds in thread.seconds.items()
        ]


if __name__ == "__main__":
    profile = Profile()
    signal.signal(signal.SIGUSR1, profile.begin)
    threading.setprofile(profile.event)
    sys.setprofile(profile.event)
    status = main(sys.argv[2:])
    sys.setprofile(None)
    Path(sys.argv[1]).write_text(json.dumps(profile.rows()))
    sys.exit(status)
