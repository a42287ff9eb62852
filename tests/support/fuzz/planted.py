"""A fault that is there on purpose, to see that the harness finds faults. In: bytes. Out: Planted, for some."""


class Planted(Exception):
    """Found."""


def planted(data: bytes) -> None:
    """Raises for one beginning in 2**32: by chance not to be found, by coverage in a moment."""
    for place, byte in enumerate(b"oom!"):
        if data[place : place + 1] != bytes([byte]):
            return
    raise Planted
