"""Taskstats, asked by a thread of its own, with one socket for as long as it lives: to open one takes thrice as long as
to ask. In: threads' ids. Out: what the kernel knows of them, as a Future.

Rules: never raises: of whom it knows nothing is not in the answer. Where taskstats is not to be had, or breaks, that is
logged once, and there are no answers from then on. A thread that hangs in the kernel is left behind, with what waits.
"""

import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread

from oomeventer.node.taskstats import Statistics, Taskstats

log = logging.getLogger(__name__)

Answer = Future[dict[int, Statistics]]

#: Questions that wait; more are not asked. Kills are looked at one after another, so they wait where the thread hangs.
MOST = 2
#: How long close() waits for the thread.
CLOSE_SECONDS = 1.0


class Asker:
    """Opens its socket at once: the first time that takes a while."""

    def __init__(self) -> None:
        self._questions: SimpleQueue[tuple[Sequence[int], Answer] | None] = SimpleQueue()
        self._is_over = False
        self._thread = Thread(target=self._run, name="taskstats", daemon=True)
        self._thread.start()

    def ask(self, tids: Sequence[int]) -> Answer | None:
        """About these threads; None where nothing is asked any more, or too much waits."""
        if self._is_over or self._questions.qsize() >= MOST:
            return None
        answer = Answer()
        self._questions.put((tids, answer))
        if self._is_over:  # since then
            self._answer_nothing()
        return answer

    def close(self) -> None:
        """The thread closes its socket, and ends."""
        self._is_over = True
        self._questions.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            with Taskstats() as taskstats:
                while question := self._questions.get():
                    _answer(taskstats, *question)
        except Exception as e:  # pyroute2 raises its own, OSError and RuntimeError alike
            self._is_over = True
            log.warning("%s; incidents go on without it", e)
            self._answer_nothing()

    def _answer_nothing(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                if question := self._questions.get_nowait():
                    question[1].set_result({})


def _answer(taskstats: Taskstats, tids: Sequence[int], answer: Answer) -> None:
    found: dict[int, Statistics] = {}
    try:
        found = {tid: statistics for tid in tids if (statistics := taskstats.read(tid))}
    finally:
        answer.set_result(found)
