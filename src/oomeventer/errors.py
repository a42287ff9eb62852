"""The root of the project's exceptions.

An exception here means "broken", never "gone": what is gone (a process, a container, a Pod) is None.
Each station derives its own error from this one, with a message that names the thing and what to do.
"""


class OomeventerError(Exception):
    """Something is broken; the message says what, and what to do about it."""
