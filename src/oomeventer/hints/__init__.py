"""What a person may do about a kill: a table of rules, each with the evidence that it needs.

In: an Incident with all that is known of it. Out: its hints. Rules: pure. table.py is the table; docs/hints.md has a
section for each of its rows.
"""

from oomeventer.hints.table import advise

__all__ = ["advise"]
