"""What is left at the end. In: releases that are uninstalled. Out: nothing, in the cluster and on its nodes."""

import time

from cluster import Asked, Eyes, Kubectl, Release, wait
from cluster.reported import LastWords
from cluster.suite import (
    BURST,
    INSTANCE,
    LOOPS,
    MARKS,
    NAME,
    UNINSTALLS,
    Run,
    agents,
    container_ended,
    figures,
    hold,
    nothing_left,
    removed,
    sweep,
    values,
)
from cluster.victims import Victims

pytestmark = MARKS


def test_uninstall(kubectl: Kubectl, release: Release, asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """Nothing is left: no object of the chart's, no process, and on each node no pins and no files."""
    manifest = release.manifest()
    assert kubectl("get", "-f", "-", "-o", "name", stdin=manifest).split()
    hold(asked, all_eyes)
    removed(kubectl, release)
    assert not kubectl("get", "-f", "-", "--ignore-not-found", "-o", "name", stdin=manifest).split()
    kinds = (
        "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,daemonsets,controllerrevisions,configmaps,"
        "secrets,services,networkpolicies,resourcequotas,priorityclasses"
    )
    assert not kubectl("get", kinds, "-A", "-l", INSTANCE, "-o", "name").split()
    assert not kubectl("get", "secrets", "-n", NAME, "-o", "name").split(), "Helm's record of the release"
    nothing_left(kubectl, asked, all_eyes)


def test_uninstall_with_events_waiting(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """Nothing is left on the nodes either where Events wait: a Pod's processes are killed more often than the agent may
    ask the server about one Pod."""
    removed(kubectl, release)
    release.install(values())
    for node, eyes in all_eyes.items():
        if eyes.kills_groups:
            loops = [victims.container(f"app{number}", victims.once) for number in range(LOOPS)]
            run(victims.pod("waits", node, *loops, restartPolicy="Always"))
        else:
            run(victims.pod("waits", node, victims.container("app", victims.storm)))

    burst = int(asked.environ.get("OOMEVENTER_OBJECT_BURST", BURST))

    def waits(eyes: Eyes) -> dict[str, float] | None:
        """The agent's figures, once all requests that are free are made, and more waits than what is on its way."""
        before = figures(kubectl, asked, eyes)["oomeventer_events_delivered_total"]
        time.sleep(3)
        now = figures(kubectl, asked, eyes)
        spent = now["oomeventer_events_delivered_total"] == before >= burst
        return now if spent and now["oomeventer_events_waiting"] else None

    for node, eyes in all_eyes.items():
        now = wait(f"Events wait on {node}", lambda eyes=eyes: waits(eyes), 300)
        names = ("waiting", "seen_total", "delivered_total", "merged_total")
        print(f"\n  {node}:", *(f"oomeventer_events_{name} {now[f'oomeventer_events_{name}']:.0f}" for name in names))
    hold(asked, all_eyes)
    removed(kubectl, release)
    nothing_left(kubectl, asked, all_eyes)


def test_uninstall_after_kills(
    kubectl: Kubectl, run: Run, release: Release, asked: Asked, victims: Victims, all_eyes: dict[str, Eyes]
) -> None:
    """Nothing is left on any node where a container is killed, and then the release is uninstalled, CLUSTER_UNINSTALLS
    times. What an agent said that left something is printed."""
    clean = 0
    removed(kubectl, release)
    for turn in range(UNINSTALLS):
        release.install(values())
        pods = [run(victims.pod(f"last{turn}", node, victims.container("app", victims.once))) for node in all_eyes]
        for pod in pods:
            container_ended(kubectl, pod)
        hold(asked, all_eyes)
        said = {node: LastWords(kubectl, NAME, pod["metadata"]["name"]) for node, pod in agents(kubectl).items()}
        removed(kubectl, release)
        for node, eyes in all_eyes.items():
            words = said[node].close()
            if found := sweep(kubectl, eyes, asked):
                print(
                    f"\n  {node}, uninstallation {turn + 1}: {', '.join(found)} left; its agent's last words:\n{words}"
                )
            clean += not found
    print(f"\n  {clean} of {UNINSTALLS * len(all_eyes)} nodes were left clean, in {UNINSTALLS} uninstallations")
    assert clean == UNINSTALLS * len(all_eyes)


def test_namespace_deleted(kubectl: Kubectl, release: Release, asked: Asked, all_eyes: dict[str, Eyes]) -> None:
    """Nothing is left on the nodes either where the agents' namespace is deleted and nothing was uninstalled: with the
    DaemonSet goes, in no order, all that its agents may ask the server with. What is in no namespace stays."""
    removed(kubectl, release)
    release.install(values())
    hold(asked, all_eyes)
    kubectl.delete("namespace", NAME)
    wait(f"namespace {NAME} is gone", lambda: not kubectl.there("namespace", NAME), 300)
    try:
        nothing_left(kubectl, asked, all_eyes)
    finally:
        kubectl("delete", "clusterrolebindings,clusterroles", "-l", INSTANCE)
