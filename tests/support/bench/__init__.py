"""What the agent costs, and how soon it tells: figures that are compared within one run (`make bench`).

Rules: kills are real, in cgroups made here; the agent is the shipped one, as a process; the API server is the stand-in.
What is compared was taken in turns, so that a machine that others use weighs on both sides alike. No figure is asserted
anywhere: a figure says something beside another one of the same run, and nothing on another machine.
"""


class BenchError(Exception):
    """Something could not be measured; the message says what, and what to do."""
