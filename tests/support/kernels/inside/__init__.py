"""What runs in a guest: makes real kills under the shipped agent, and prints what the agent and the kernel reported."""

#: The cases in cases.py, by name and in their order; the host reads this, and cannot import them.
NAMES = (
    "container_limit",
    "systemd_layout",
    "pod_limit",
    "bystander",
    "threads",
    "orphan",
    "shared",
    "nested",
    "nested_limit",
    "long_path",
    "deep_path",
    "container_node",
    "service",
    "limit_lowered",
    "tmpfs_own",
    "tmpfs_left_behind",
    "page_cache",
    "pipes",
    "sockets",
    "tcp",
    "page_tables",
    "pipes_of_victim",
    "page_tables_of_victim",
    "pool",
    "other_container",
    "long_arguments",
    "crowd",
    "simultaneous",
    "child",
    "init_wrapper",
    "first",
    "brim",
    "group_of_1",
    "group_of_5",
    "group_of_50",
    "group_of_900",
    "group_spares",
    "group_of_pod",
    "swap",
    "node",
    "three_pods",
    "node_memory",
)

#: Those that cgroup v1 cannot have: there is no memory.oom.group, a limit below the usage is refused, and TCP's buffers
#: do not count against it.
UNIFIED = frozenset({"limit_lowered", "tcp", "node_memory", *(name for name in NAMES if name.startswith("group"))})
#: Those that need two NUMA nodes.
NUMA = frozenset({"node_memory"})
