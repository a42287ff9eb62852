"""What Prometheus' answers are held against. In: what was done. Out: values that are equal to what it may say of it."""

from typing import Any

from prometheus import Answer


class Counted:
    """So many, as increase() has it: it adds up to a scrape's interval at the ends of what was scraped."""

    def __init__(self, count: int, scraped_seconds: float) -> None:
        self._range = (count, count * (1 + 1.2 / scraped_seconds))
        assert self._range[1] < count + 1, "too little was scraped to tell one from the next"

    def __eq__(self, value: object) -> bool:
        return isinstance(value, float) and self._range[0] - 1e-6 <= value <= self._range[1]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self._range[0]} to {self._range[1]:.2f}"


class Between:
    """Some value between two."""

    def __init__(self, low: float, high: float) -> None:
        self._range = (low, high)

    def __eq__(self, value: object) -> bool:
        return isinstance(value, float) and self._range[0] <= value <= self._range[1]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"between {self._range}"


def by(answer: Answer, *names: str) -> dict[Any, Any]:
    """Values by those labels, of which none may be missing; by one label: by its value."""
    found: dict[Any, Any] = {}
    for metric, value in answer.items():
        labels = [dict(metric)[name] for name in names]
        key = labels[0] if len(labels) == 1 else tuple(labels)
        assert key not in found, f"twice: {key}"
        found[key] = value
    return found
