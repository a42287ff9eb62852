"""kubectl oom: shows what the agent oomeventer reports of OOM kills, on the laptop of whoever is paged.

Path of one answer: options -> collect (kubectl: Events, Pods, journals) -> series -> table, top or show. Rules: it
talks to the cluster through kubectl alone; what comes from there is untrusted until reading.py made it harmless; it
imports nothing of the agent's.
"""

__version__ = "0.1.0"
