"""Outbox and history, on disk (SQLite).

In: incidents, their Events, and what became of these. Out: what is to be done next, also for the next process; and what
was. SQLite lives here.
"""

from oomeventer.journal.budgets import Spent
from oomeventer.journal.database import StoreError
from oomeventer.journal.handed import RecordedIncident
from oomeventer.journal.history import numbered_history, read_history
from oomeventer.journal.journal import UNFINISHED, Journal
from oomeventer.journal.outbox import Waiting
from oomeventer.journal.plans import Plan

__all__ = [
    "UNFINISHED",
    "Journal",
    "Plan",
    "RecordedIncident",
    "Spent",
    "StoreError",
    "Waiting",
    "numbered_history",
    "read_history",
]
