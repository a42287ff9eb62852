"""What can be many, and how many of it are tried. In: nothing. Out: Lines."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Amount:
    """How many there are when a kill is measured. pods: of the node, each with one container, known to the runtime and
    with cgroups. beside, within: processes elsewhere on the node, and in the container that is killed in. incidents: in
    the journal. cluster: Pods in the cluster, NAMESPACE of them in each namespace. is_node: the node ran out, and not
    the container."""

    pods: int = 10
    beside: int = 0
    within: int = 1
    incidents: int = 0
    cluster: int = 10
    is_node: bool = False


NAMESPACE = 10
#: The most processes here; a machine has 32,768 pids by default, so others on it may have 2,000.
PROCESSES = 30000


@dataclass(frozen=True, slots=True)
class Line:
    """what: the field of Amount that is varied. reason: why it may rise; without one that is a fault."""

    name: str
    what: str
    amounts: tuple[int, ...]
    base: Amount = Amount()
    reason: str = ""

    def at(self, amount: int) -> Amount:
        """So many of it."""
        return replace(self.base, **{self.what: amount})


LINES = (
    Line("containers on the node", "pods", (10, 100, 300, 1000)),
    Line(
        "containers on the node, which runs out",
        "pods",
        (10, 100, 300, 1000),
        Amount(is_node=True),
        "each Pod's usage is read, up to 512",
    ),
    Line("processes on the node", "beside", (100, 1000, 10000, PROCESSES)),
    Line("processes in the container", "within", (1, 30, 300, 3000), reason="they are looked at, up to 256"),
    Line("incidents in the journal", "incidents", (0, 1000, 10000, 50000)),
    Line("Pods in the cluster", "cluster", (10, 100, 1000, 10000)),
)
