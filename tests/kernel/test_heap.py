"""How many heaps a process has whose threads allocate. In: a Python of its own. Out: glibc's word (malloc_stats(3))."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from oomeventer.kernel import share_heap
if sys.argv[1] == "shared":
    share_heap()
for _ in range(4):
    thread = threading.Thread(target=lambda: bytearray(2000))
    thread.start()
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize("how", ["shared", "apart"])
def test_threads_share_a_heap(how: str) -> None:
    """One for all of them, where each has its own by default."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    assert (done.stderr.count("Arena ") == 1) is (how == "shared")
