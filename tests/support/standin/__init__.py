"""A stand-in for kube-apiserver, spoken to over HTTP: the only part of a cluster that tests replace.

In: the requests of the program under test, and what a test puts into the cluster (`put_pod`, `faults` ...).
Out: the answers of kube-apiserver 1.36 to them, and what a test looks at afterwards (`events`, `requests`).
Rules of this package:
- it follows the API server's rules, it does not look up recorded answers; tests/cluster/test_contract.py holds it
  against every answer recorded in tests/support/data/apiserver.json;
- what a real API server serves and this one does not is answered 501 NotImplemented, which no real one
  sends, so that a test that strays fails loudly and not for a wrong reason.
"""

from .faults import Answer, Fault, Garbage, Hang, LostAnswer, Reset, Trickle, Truncated
from .routing import Request
from .server import ApiServer

__all__ = [
    "Answer",
    "ApiServer",
    "Fault",
    "Garbage",
    "Hang",
    "LostAnswer",
    "Request",
    "Reset",
    "Trickle",
    "Truncated",
]
