"""What a fleet is put through."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scene:
    """model: of kills.MODELS, None for no kills. seconds: for which kills are made, by the clock that runs `speed`
    times as fast. patience: how many seconds it may last after that. down: for so many seconds the API server is gone;
    it goes before the first kill. seats: of the API server, for all requests
    (--max-requests-inflight and the same for writes together); None: as it has by default. flow_schema: the chart's is
    in place."""

    name: str
    words: str
    model: str | None
    seconds: float
    speed: float = 1.0
    patience: float = 90.0
    down: float = 0.0
    seats: int | None = None
    flow_schema: bool = False


SCENES = (
    Scene("rest", "all start at once, and then nothing is killed", None, 600.0, speed=10.0),
    Scene("independent", "one kill on each node within 60 s", "independent", 60.0),
    Scene("roll-out", "a bad version kills on every node in the same second, and after each restart", "roll-out", 60.0),
    Scene("crash loop", "a crash loop on each node, for an hour", "crash loop", 3600.0, speed=60.0),
    Scene("outage", "one kill on each node, while the API server is down", "independent", 5.0, down=60.0),
    Scene("few seats", "the roll-out, before an API server with 40 seats", "roll-out", 60.0, seats=40),
    Scene("own seats", "the same, with the chart's FlowSchema", "roll-out", 60.0, seats=40, flow_schema=True),
)
