"""Fields that no log shows. In: a Struct and their names. Out: what its repr() is to say. Rules: pure."""

from msgspec import Struct


def repr_without(of: Struct, *hidden: str) -> str:
    """As a Struct's own repr(), but for these fields."""
    shown = ", ".join(f"{name}={getattr(of, name)!r}" for name in of.__struct_fields__ if name not in hidden)
    return f"{type(of).__name__}({shown})"
