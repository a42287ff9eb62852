"""The chart: each scenario is rendered by Helm's own code, held to the API's own schemas of each Kubernetes version
that it is for, and to the least that the agent needs. And what is made of the chart is up to date."""

import copy
import json
import platform
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import promql_parser
import pytest
import yaml

if platform.machine() != "x86_64":
    pytest.skip("Helm as a Python module is not built for this machine", allow_module_level=True)

import helm_python

import grafana
from chart import CHART, REPOSITORY, posture, publish, render, values
from chart.dashboard import QUESTIONS
from chart.queries import WORKLOAD
from oomeventer import __version__, setting_table, settings
from oomeventer.probes.families import FAMILIES

SCENARIOS = {file.stem: file for file in sorted((CHART / "ci").glob("*.yaml"))}
#: From Chart.yaml's kubeVersion to the newest whose schemas kubernetes_validate has.
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
#: Of operators' kinds the API server itself has no schema.
FOREIGN = {"PodMonitor", "PrometheusRule", "SecurityContextConstraints"}
VALUES = values.read((CHART / "values.yaml").read_text())
LEAST = render.LEAST

#: The agent's own, which the chart does not move.
DEFAULT_JOURNAL = settings.read({}, {}).journal

AGENT_RULES = {
    ("ClusterRole", "", "events", "*", "create"),
    ("ClusterRole", "", "events", "*", "patch"),
    ("ClusterRole", "", "pods", "*", "get"),
}


@pytest.fixture(params=SCENARIOS)
def given(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A scenario's values."""
    return render.values(SCENARIOS[request.param])


def objects(scenario: str) -> list[dict[str, Any]]:
    return render.objects(render.values(SCENARIOS[scenario]))


def test_flow_schema() -> None:
    """Both objects, for the agents' account, before the one of all accounts; none by default."""
    kinds = {"FlowSchema", "PriorityLevelConfiguration"}
    assert not kinds & {item["kind"] for item in render.objects(LEAST)}
    found = render.objects(LEAST | {"flowSchema": {"enabled": True, "shares": 7}})
    schema, level = (render.one(found, kind) for kind in ("FlowSchema", "PriorityLevelConfiguration"))
    assert schema["spec"]["priorityLevelConfiguration"]["name"] == level["metadata"]["name"]
    assert level["spec"]["limited"]["nominalConcurrencyShares"] == 7
    assert schema["spec"]["matchingPrecedence"] < 9000
    ((subject,),) = (rule["subjects"] for rule in schema["spec"]["rules"])
    account = render.one(found, "ServiceAccount")["metadata"]
    assert subject["serviceAccount"] == {"name": account["name"], "namespace": account["namespace"]}
    rules = {
        (of, verb)
        for rule in schema["spec"]["rules"]
        for one in rule["resourceRules"]
        for of in one["resources"]
        for verb in one["verbs"]
    }
    assert {(resource, verb) for _, _, resource, _, verb in AGENT_RULES} <= rules


# -- what is made of the chart -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "text"), publish.made().items(), ids=lambda part: getattr(part, "name", ""))
def test_made(file: Path, text: str) -> None:
    """No drift: `make chart` would change nothing."""
    assert file.read_text() == text


def test_without_helm() -> None:
    """daemonset.yaml is the chart's default, in a namespace that admits it, and without Helm's labels."""
    text = (REPOSITORY / "daemonset.yaml").read_text()
    namespace, *rest = list(yaml.safe_load_all(text))
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "privileged"}
    wanted = render.objects(LEAST)
    for item in wanted:
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            item["metadata"]["labels"].pop(label)
    key = str
    assert sorted(rest, key=key) == sorted(wanted, key=key)


def test_version() -> None:
    """The chart's image is the package's."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


# -- values ------------------------------------------------------------------------------------------------------------


def groups(at: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The maps whose keys are all known."""
    found = [path] if at.get("additionalProperties") is False else []
    for name, below in at.get("properties", {}).items():
        found += groups(below, (*path, name)) if below else []  # false: a key that there must not be
    return found


@pytest.mark.parametrize("path", groups(values.schema(VALUES)), ids=".".join)
def test_unknown_key(path: tuple[str, ...]) -> None:
    """Is refused, by Helm, wherever it is."""
    given: dict[str, Any] = {"surely_not_a_key": 1}
    for name in reversed(path):
        given = {name: given}
    with pytest.raises(helm_python.HelmValuesError, match="surely_not_a_key"):
        render.texts(with_image(given))


def with_image(given: dict[str, Any]) -> dict[str, Any]:
    """Those values, with what everybody has to set."""
    return {**LEAST, **given, "image": LEAST["image"] | given.get("image", {})}


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": {"repository": "a b"}},
        {"image": {"repository": "Registry.example/Oomeventer"}},
        {"image": {"repository": "registry.example/oomeventer:1"}},  # that is a tag
        {"image": {"tag": "a b"}},
        {"image": {"digest": "latest"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"nameOverride": "Oom"},
        {"fullnameOverride": "oom_eventer"},
        {"fullnameOverride": "-oom"},
        {"fullnameOverride": "o" * 64},
        {"runtime": {"socket": "unix:///run/containerd/containerd.sock"}},
        {"runtime": {"socket": "/containerd.sock"}},  # its directory would be all of the node
        {"runtime": {"socket": "/run/../containerd.sock"}},  # the same
        {"runtime": {"socket": "/./containerd.sock"}},
        {"runtime": {"socket": "/run/containerd/.."}},
        {"pins": {"hostPath": "/sys/fs/bpf/.."}},
        {"cgroups": {"hostPath": "/sys/./fs"}},
        {"journal": {"enabled": "no"}},
        {"journal": {"hostPath": "/"}},
        {"journal": {"hostPath": "/var/../etc"}},
        {"privileges": {"seccompProfile": {"type": "Localhost"}}},
        {"privileges": {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "a.json"}}},
        {"privileges": {"appArmorProfile": {"type": "Localhost"}}},
        {"privileges": {"appArmorProfile": {"localhostProfile": "a"}}},
        {"privileges": {"appArmorProfile": {"type": "Unconfined", "localhostProfile": "a"}}},
        {"metrics": {"port": 80}},
        {"log": {"level": "loud"}},
        {"settings": {"arguments": "some"}},
        {"settings": {"journal_days": 0}},
        {"settings": {"burst": 1.5}},
        {"settings": {"pins": "none"}},  # has a value of its own
        {"settings": {"ring_bytes": 5}},
        {"settings": {"ring_bytes": "3Mi"}},  # no power of two
        {"settings": {"ring_bytes": "32Ki"}},
        {"settings": {"ring_bytes": "2Gi"}},
        {"settings": {"journal_bytes": "lots"}},
        {"settings": {"journal_bytes": 1048575}},
        {"settings": {"journal_bytes": "1048575"}},
        {"settings": {"journal_bytes": "1023Ki"}},
        {"settings": {"journal_bytes": "0Mi"}},
        {"settings": {"journal_bytes": "1025Gi"}},
        {"settings": {"journal_bytes": "64MiB"}},
        {"settings": {"cgroup_root": "sys/fs/cgroup"}},
        {"settings": {"node_cgroup": "docker/abc"}},
        {"settings": {"kubeconfig": 5}},
        {"settings": {"kubeconfig": "config"}},
        {"settings": {"environment_names": "A B"}},
        {"settings": {"environment_names": "A;B"}},
        {"settings": {"environment_names": "A,*"}},
        {"extraEnv": [{"value": "x"}]},
        {"extraEnv": [{"name": "A", "value": 1}]},
        {"extraEnv": [{"name": "OOMEVENTER_LISTEN", "value": ":1"}]},  # has a value of its own
        {"priorityClassName": "a b"},
        {"podLabels": {"app.kubernetes.io/name": "other"}},
        {"podLabels": {"app.kubernetes.io/instance": "other"}},
        {"podAnnotations": {"kubectl.kubernetes.io/default-container": "other"}},
        {"podMonitor": {"interval": "often"}},
        {"podMonitor": {"interval": "30"}},
        {"prometheusRule": {"runbookBaseUrl": "docs/alerts.md"}},
        {"prometheusRule": {"runbookBaseUrl": "https://git.example/alerts.md#top"}},
        {"networkPolicy": {"apiServerPorts": ["https"]}},
    ],
    ids=str,
)
def test_wrong_value(wrong: dict[str, Any]) -> None:
    """Is refused by the schema before anything is installed, and named."""
    (name,) = wrong
    with pytest.raises(helm_python.HelmValuesError, match=f"at '/{name}"):
        render.texts(with_image(wrong))


@pytest.mark.parametrize(
    "right",
    [
        {"image": {"repository": "oomeventer"}},
        {"image": {"repository": "localhost:5000/tools/oom__eventer"}},
        {"image": {"repository": "Registry.example:5000/a-b/c.d/e"}},
        {"image": {"tag": "0.1.0-rc.1_x"}},
        {"fullnameOverride": "oom-eventer-2"},
        {"runtime": {"socket": "/run/cri-dockerd.sock"}},
        {"runtime": {"socket": "/var/snap/microk8s/common/run/containerd.sock"}},
        {"runtime": {"socket": "/run/.hidden/..socket"}},
        {"journal": {"hostPath": "/data"}},
        {"privileges": {"seccompProfile": {"type": "Unconfined"}}},
        {"privileges": {"appArmorProfile": {"type": "Unconfined"}}},
        {"privileges": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "a"}}},
        {"settings": {"ring_bytes": 65536}},
        {"settings": {"ring_bytes": "65536"}},
        {"settings": {"ring_bytes": "64Ki"}},
        {"settings": {"ring_bytes": "1Gi"}},
        {"settings": {"journal_bytes": 1048576}},
        {"settings": {"journal_bytes": "1048576"}},
        {"settings": {"journal_bytes": "1024Ki"}},
        {"settings": {"journal_bytes": "1Mi"}},
        {"settings": {"journal_bytes": "10Gi"}},
        {"settings": {"environment_names": ""}},
        {"settings": {"environment_names": "A, _B2 ,CACHE_*,"}},
        {"podMonitor": {"interval": "1m30s"}},
        {"networkPolicy": {"apiServerPorts": [443]}},
    ],
    ids=str,
)
def test_right_value(right: dict[str, Any]) -> None:
    """Is taken, and the agent understands what it is given then."""
    found = render.objects(with_image(right))
    settings.read({}, posture.environ(found) | {"OOMEVENTER_NODE_NAME": "node-1"})


@pytest.mark.parametrize("setting", ["ring_bytes", "journal_bytes"])
def test_sizes(setting: str) -> None:
    """The schema takes no size that the agent refuses, whatever its unit."""
    (of,) = (each for each in setting_table.SETTINGS if each.name == setting)
    schema = values.schema(VALUES)["properties"]["settings"]["properties"][setting]
    numbers = {near for bits in range(42) for near in ((1 << bits) - 1, 1 << bits, (1 << bits) + 1)}
    numbers |= {10**digits + near for digits in range(13) for near in (-1, 0, 1)}
    taken: set[bool] = set()
    for size in numbers:
        for text in (size, *(f"{size}{unit}" for unit in ("", "Ki", "Mi", "Gi"))):
            if jsonschema.Draft7Validator(schema).is_valid(text):
                of.parse(str(text))
                taken.add(True)
            else:
                taken.add(False)
    assert taken == {True, False}


def test_no_image() -> None:
    """None is published, and a name that is not ours could be anybody's: so one has to be given, by one sentence."""
    for image in ({}, {"digest": f"sha256:{'0' * 64}"}, {"tag": "1"}):
        with pytest.raises(helm_python.HelmError) as refused:
            render.texts({"image": image})
        assert "make image" in str(refused.value)
        assert "--set image.repository=" in str(refused.value)


def test_quota_without_class() -> None:
    """A quota is of a priority class, so without one there is none to be made."""
    with pytest.raises(helm_python.HelmError, match="priorityClassName is empty"):
        render.texts(LEAST | {"priorityQuota": {"pods": 5}, "priorityClassName": ""})
    assert "priorityClassName" not in posture.pod(render.objects(LEAST | {"priorityClassName": ""}))


def test_each_value_is_set_somewhere() -> None:
    """Each does something: what it is set to in a scenario, or its default, is in what is rendered, or changes it."""
    everything = render.values(SCENARIOS["everything"])
    set_there = {path for scenario in SCENARIOS for path in paths(render.values(SCENARIOS[scenario]))}
    left = {value.path for value in VALUES if not any(f"{path}.".startswith(f"{value.path}.") for path in set_there)}
    others: dict[str, Any] = {
        "image.tag": "other",
        "nameOverride": "other",
        "pins.enabled": False,
        "pins.hostPath": "/other/bpf",
        "cgroups.enabled": False,
        "serviceAccount.create": False,
        "rbac.create": False,
        "priorityClassName": "other",
        "tolerations": [],
        "nodeSelector": {"other": "other"},
        "resources": {"limits": {"memory": "1Gi"}},
        "terminationGracePeriodSeconds": 60,
    }
    assert left == set(others)
    everything["image"].pop("digest")
    everything.pop("fullnameOverride")
    before = render.texts(everything)
    for path, other in others.items():
        changed = copy.deepcopy(everything)
        at = changed
        *parents, name = path.split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
        at[name] = other
        assert render.texts(changed) != before, path


def paths(given: dict[str, Any], prefix: str = "") -> list[str]:
    below = [(f"{prefix}{name}", value) for name, value in given.items()]
    return [p for path, value in below for p in ([path] if not isinstance(value, dict) else paths(value, f"{path}."))]


def test_settings_are_understood(given: dict[str, Any]) -> None:
    """The agent takes what the chart tells it, without a mistake."""
    environ = posture.environ(render.objects(given)) | {"OOMEVENTER_NODE_NAME": "node-1"}
    read = settings.read({}, environ)
    assert read.daemonset == ("oomeventer", given.get("fullnameOverride", "oomeventer"))
    assert read.listen == ("", given.get("metrics", {}).get("port", 9836))
    assert read.journal == (None if given.get("journal", {}).get("enabled") is False else DEFAULT_JOURNAL)


def test_each_setting_is_reachable() -> None:
    """By a value that is for it, or by `settings`; none by both."""
    environ = set(posture.environ(render.objects(LEAST)))
    by_map = set(values.schema(VALUES)["properties"]["settings"]["properties"])
    by_value = {setting.name for setting in setting_table.SETTINGS if setting.variable in environ} | {"taskstats"}
    assert by_map | by_value == {setting.name for setting in setting_table.SETTINGS if "run" in setting.commands}
    assert not by_map & by_value


def test_numbers_stay_as_written() -> None:
    """Helm hands them to a template as floats."""
    environ = posture.environ(objects("everything"))
    assert environ["OOMEVENTER_GIVE_UP_SECONDS"] == "1000000"
    assert environ["OOMEVENTER_EVENTS_PER_SECOND"] == "2.5"
    assert render.one(objects("everything"), "ResourceQuota")["spec"]["hard"]["pods"] == "1000000"


# -- objects -----------------------------------------------------------------------------------------------------------


def test_lint(given: dict[str, Any]) -> None:
    """Helm has nothing to say but that an icon is recommended."""
    found = helm_python.lint(CHART, given, strict=True, namespace=render.NAMESPACE)
    assert [message["error"] for message in found["messages"]] == ["icon is recommended"]
    assert found["errors"] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas(given: dict[str, Any], version: str) -> None:
    """Each object is one of the API of that version, with no field that it does not know."""
    assert f"{version}.0" in kubernetes_validate.utils.all_versions()
    checked = [item for item in render.objects(given) if item["kind"] not in FOREIGN]
    assert len(checked) >= 6
    for item in checked:
        kubernetes_validate.validate(item, version, strict=True)


def test_schemas_are_strict() -> None:
    """A field that no version has is refused, so the test above says something."""
    wrong = render.one(render.objects(LEAST), "DaemonSet")
    wrong["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(jsonschema.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_oldest_version() -> None:
    """kubeVersion is where the API has all of the fields: before, it does not."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={VERSIONS[0]}.0-0"
    with pytest.raises(jsonschema.ValidationError):
        kubernetes_validate.validate(render.one(render.objects(LEAST), "DaemonSet"), "1.29", strict=True)


def test_two_releases() -> None:
    """Nothing that the whole cluster shares has the same name in both."""
    cluster = [
        {(item["kind"], item["metadata"]["name"]) for item in found if "namespace" not in item["metadata"]}
        for found in (render.objects(LEAST | {"openshift": True}, namespace=name) for name in ("oomeventer", "other"))
    ]
    assert len(cluster[0]) == 3
    assert not cluster[0] & cluster[1]


def test_references(given: dict[str, Any]) -> None:
    """Bindings, accounts, selectors and ports name what is there."""
    found = render.objects(given)
    daemonset = render.one(found, "DaemonSet")
    account = daemonset["spec"]["template"]["spec"]["serviceAccountName"]
    assert render.one(found, "ServiceAccount")["metadata"]["name"] == account
    for binding in ("ClusterRoleBinding", "RoleBinding"):
        bound = render.one(found, binding)
        assert bound["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "oomeventer"}]
        role = render.one(found, bound["roleRef"]["kind"])
        assert role["metadata"]["name"] == bound["roleRef"]["name"]
    selector = daemonset["spec"]["selector"]["matchLabels"]
    assert selector.items() <= daemonset["spec"]["template"]["metadata"]["labels"].items()
    assert [port["name"] for port in posture.container(found)["ports"]] == ["metrics"]
    for item in found:
        match item["kind"]:
            case "PodMonitor":
                assert item["spec"]["selector"]["matchLabels"] == selector
                assert [endpoint["port"] for endpoint in item["spec"]["podMetricsEndpoints"]] == ["metrics"]
            case "NetworkPolicy":
                assert item["spec"]["podSelector"]["matchLabels"] == selector
                policy = given.get("networkPolicy", {})
                wanted = [{"ports": [{"protocol": "TCP", "port": "metrics"}], "from": policy.get("from")}]
                assert item["spec"]["ingress"] == (wanted if policy.get("from") else [])
                if ports := policy.get("apiServerPorts"):
                    assert item["spec"]["policyTypes"] == ["Ingress", "Egress"]
                    assert [port["port"] for port in item["spec"]["egress"][0]["ports"]] == ports
                else:
                    assert (item["spec"]["policyTypes"], "egress" in item["spec"]) == (["Ingress"], False)
            case "SecurityContextConstraints":
                assert item["users"] == [f"system:serviceaccount:oomeventer:{account}"]


def test_notes(given: dict[str, Any]) -> None:
    """The next step; and how to find the Pod that is not ready, what its Events mean, and how to remove it all."""
    notes = render.texts(given)["NOTES.txt"]
    found = render.objects(given)
    daemonset = render.one(found, "DaemonSet")
    selector = ",".join(f"{key}={value}" for key, value in daemonset["spec"]["selector"]["matchLabels"].items())
    for words in (
        "kubectl label namespace oomeventer pod-security.kubernetes.io/enforce=privileged",
        f"rollout status daemonset/{daemonset['metadata']['name']}",
        f"get pods -o wide -l {selector}",
        "exec POD -- oomeventer doctor",
        "logs POD --previous",
        "describe pod POD",
        f"describe daemonset {daemonset['metadata']['name']}",
        "runtime.socket",
        "runtime.mountPropagation=None",
        "priorityQuota.pods=",
    ):
        assert words in notes
    assert notes.index("helm uninstall") < notes.index("delete namespace oomeventer")
    assert "!" not in notes


@pytest.mark.parametrize(
    ("risky", "words"),
    [
        ({"runtime": {"socket": ""}}, "rbac.listPods=true"),
        ({"serviceAccount": {"create": False}}, "account oomeventer has to be in namespace oomeventer already"),
        ({"rbac": {"create": False}}, "rbac.create is false"),
        ({"prometheusRule": {"enabled": True}}, "podMonitor.enabled is not"),
    ],
    ids=str,
)
def test_warnings(risky: dict[str, Any], words: str) -> None:
    """What is likely to be a mistake is printed first."""
    notes = render.texts(LEAST | risky)["NOTES.txt"]
    assert notes.startswith("!")
    assert words in notes.partition("The agent uses")[0]


def test_a_scraper_without_a_door() -> None:
    """Where nobody may scrape a PodMonitor is a mistake, and what to do is printed."""
    scraped = {"podMonitor": {"enabled": True}}
    with pytest.raises(helm_python.HelmError, match=r"name your Prometheus in networkPolicy\.from"):
        render.texts(LEAST | scraped)
    door = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]}
    for policy in (door, {"enabled": False}):
        render.one(render.objects(LEAST | scraped | {"networkPolicy": policy}), "PodMonitor")


def test_notes_in_default() -> None:
    """Nobody is asked to open the namespace that everybody's Pods are in, nor to delete it."""
    notes = render.texts(LEAST, namespace="default")["NOTES.txt"]
    assert "namespace of its own" in notes
    assert "label namespace" not in notes
    assert "delete namespace" not in notes


def test_image() -> None:
    """A digest wins over a tag, a tag over the chart's version."""

    def image(**given: str) -> str:
        found = posture.container(render.objects({"image": {"repository": "registry.example/oom", **given}}))["image"]
        return str(found)

    assert image() == f"registry.example/oom:{__version__}"
    assert image(tag="x") == "registry.example/oom:x"
    digest = f"sha256:{'0' * 64}"
    assert image(tag="x", digest=digest) == f"registry.example/oom@{digest}"


# -- posture -----------------------------------------------------------------------------------------------------------


def test_least_privileges(given: dict[str, Any]) -> None:
    """Two capabilities, no way to more, nothing of the host's but its pids and what is mounted."""
    found = render.objects(given)
    pod, container = posture.pod(found), posture.container(found)
    privileges = given.get("privileges", {})
    wanted = ["BPF", "PERFMON"] + ["SYS_RESOURCE"] * bool(privileges.get("oldKernels"))
    wanted += ["NET_ADMIN"] * bool(privileges.get("taskstats"))
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": wanted},
    }
    context = dict(pod["securityContext"])
    assert context.pop("seccompProfile")["type"] == privileges.get("seccompProfile", {}).get("type", "RuntimeDefault")
    for name in ("seLinuxOptions", "appArmorProfile"):
        assert context.pop(name, {}) == privileges.get(name, {})
    assert context == {"runAsUser": 0, "runAsGroup": 0}
    assert pod["hostPID"] is True
    assert not {"hostNetwork", "hostIPC", "shareProcessNamespace"} & set(pod)
    assert not any("hostPort" in port for port in container["ports"])
    if given.get("openshift"):
        constraints = render.one(found, "SecurityContextConstraints")
        allowed = {name for name, value in constraints.items() if name.startswith("allow") and value is True}
        assert allowed == {"allowHostPID", "allowHostDirVolumePlugin"}
        assert constraints["allowedCapabilities"] == wanted
        assert constraints["requiredDropCapabilities"] == ["ALL"]


def test_mounts(given: dict[str, Any]) -> None:
    """Four directories at most; two are written, both its own; never a whole root, and never the socket alone."""
    found = posture.mounts(render.objects(given))
    socket = Path(given.get("runtime", {}).get("socket", "/run/containerd/containerd.sock"))
    journal = given.get("journal", {})
    wanted = {
        "/host/runtime": (str(socket.parent), "Directory", False),
        "/sys/fs/cgroup": ("/sys/fs/cgroup", "Directory", False),
        "/host/bpf/oomeventer": ("/sys/fs/bpf/oomeventer", "DirectoryOrCreate", True),
    }
    if journal.get("enabled", True):
        place = journal.get("hostPath", "/var/lib/oomeventer")
        wanted["/var/lib/oomeventer"] = (place, "DirectoryOrCreate", True)
    assert found == wanted
    assert posture.environ(render.objects(given))["OOMEVENTER_CRI_ENDPOINT"] == f"unix:///host/runtime/{socket.name}"


def test_nothing_over_the_account() -> None:
    """A socket may lie in /run itself: what is mounted of the node hides nothing of the container's own /run, where the
    account's token is."""
    for socket in ("/run/cri-dockerd.sock", "/var/run/cri-dockerd.sock"):
        found = posture.mounts(render.objects(LEAST | {"runtime": {"socket": socket}}))
        assert found["/host/runtime"][0] == str(Path(socket).parent)
        assert not [
            place for place in found if place in ("/run", "/var/run") or place.startswith(("/run/", "/var/run/"))
        ]


def test_as_little_as_can_be() -> None:
    """Without pins, journal, runtime and cgroups nothing of the node is mounted."""
    off = {name: {"enabled": False} for name in ("pins", "journal", "cgroups")}
    found = render.objects({**LEAST, **off, "runtime": {"socket": ""}})
    assert posture.mounts(found) == {}
    environ = posture.environ(found)
    assert [environ[f"OOMEVENTER_{name}"] for name in ("PINS", "JOURNAL", "CRI_ENDPOINT")] == ["none"] * 3


def test_pins_are_not_below_sys() -> None:
    """The runtimes' AppArmor profiles forbid to write below /sys/fs, the BPF file system there included."""
    pins = settings.read({}, posture.environ(render.objects(LEAST)) | {"OOMEVENTER_NODE_NAME": "n"}).pins
    assert pins == Path("/host/bpf/oomeventer")


def test_rbac(given: dict[str, Any]) -> None:
    """What the account may do, all of it."""
    found = render.objects(given)
    name = given.get("fullnameOverride", "oomeventer")
    wanted = AGENT_RULES | {("Role", "apps", "daemonsets", name, "get")}
    if given.get("rbac", {}).get("listPods"):
        wanted |= {("ClusterRole", "", "pods", "*", "list")}
    assert posture.rules(found) == wanted
    assert render.one(found, "ServiceAccount")["automountServiceAccountToken"] is False


def test_everywhere(given: dict[str, Any]) -> None:
    """On every Linux node, whatever its taints, and among the last to be evicted."""
    pod = posture.pod(render.objects(given))
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["priorityClassName"] == "system-node-critical"


def test_one_agent_a_node() -> None:
    """Two cannot have a node's pins at once."""
    strategy = render.one(render.objects(LEAST), "DaemonSet")["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%", "maxSurge": 0}}


def test_probes(given: dict[str, Any]) -> None:
    """They wait longer than the agent takes to say that something hangs."""
    container = posture.container(render.objects(given))
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    assert {container[f"{name}Probe"]["timeoutSeconds"] for name in asked} == {5}


def test_permissions_are_documented() -> None:
    """Each capability, directory, rule and the pid namespace has its reason in docs/permissions.md."""
    page = (REPOSITORY / "docs/permissions.md").read_text()
    found = objects("everything")
    for capability in posture.container(found)["securityContext"]["capabilities"]["add"]:
        assert f"`{capability}`" in page
    for path, _, _ in posture.mounts(render.objects(LEAST)).values():
        assert f"`{path}`" in page
    for _, _, resource, _, verb in posture.rules(found):
        assert re.search(rf"`[a-z, ]*\b{verb}\b[a-z, ]*` {resource}", page), (verb, resource)
    for word in ("hostPID", "privileged", "RuntimeDefault", "spc_t", "readOnlyRootFilesystem"):
        assert word in page


# -- metrics -----------------------------------------------------------------------------------------------------------


def dashboard() -> dict[str, Any]:
    """As Grafana gets it."""
    text = render.one(objects("everything"), "ConfigMap")["data"]["oomeventer.json"]
    found: dict[str, Any] = json.loads(text)
    return found


def panels() -> list[dict[str, Any]]:
    """Of the dashboard; without its rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Of the dashboard and of the alerts, as Prometheus gets them."""
    (group,) = render.one(objects("everything"), "PrometheusRule")["spec"]["groups"]
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert len(asked) >= 25
    return asked + [rule["expr"] for rule in group["rules"]]


#: Beside FAMILIES: of Python's client, of others, and what Prometheus adds by the PodMonitor.
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
OTHERS = {"up", "kube_daemonset_status_number_unavailable"}
ADDED = {"node", "agent", "instance", "job", "le", "daemonset", "workload"}


@pytest.mark.parametrize("expression", expressions())
def test_expressions(expression: str) -> None:
    """They are PromQL, and of metrics and labels that there are."""
    text = re.sub(r"\$__(range|rate_interval|interval)", "5m", expression)
    promql_parser.parse(text)
    names = set(re.findall(r"\b(?:oomeventer|process|kube)_[a-z_]+|\bup(?={)", text))
    known = PROCESS | OTHERS | set(FAMILIES)
    for family in FAMILIES.values():
        if family.kind == "histogram":
            known = known - {family.name} | {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    assert names
    assert names <= known
    labels = ADDED.union(*(family.labels for family in FAMILIES.values()))
    by = re.findall(r"\b(?:by|without|on) \(([a-z, ]+)\)", text)
    matched = re.findall(r"[{,]([a-z]+)(?:=|!=|=~|!~)", text)
    assert {label.strip() for part in by for label in part.split(",")} | set(matched) <= labels


def test_grafanas_schema() -> None:
    """The dashboard is one of Grafana's, with panels, options and units that there are."""
    assert grafana.faults(dashboard()) == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("tittle",), "x"),
        (("panels", 1, "gridPos", "w"), "wide"),
        (("panels", 1, "targets", 0, "exp"), "up"),
        (("panels", 1, "datasource"), {"type": "prometeus", "uid": "x"}),
        (("panels", 1, "options", "graphmode"), "none"),
        (("panels", 1, "options", "graphMode"), "nothing"),
        (("panels", 1, "type"), "number"),
        (("panels", 1, "fieldConfig", "defaults", "unit"), "kills"),
        (("panels", 4, "transformations", 0, "idd"), "merge"),
        (("templating", "list", 0, "type"), "source"),
    ],
    ids=str,
)
def test_grafanas_schema_is_strict(path: tuple[Any, ...], wrong: Any) -> None:
    """What is none of its fields, types or values is found."""
    broken = at = dashboard()
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = wrong
    assert grafana.faults(broken)


def test_dashboard() -> None:
    """Each panel is below a question, has a place of its own, and says what it tells; its variables are there."""
    found = dashboard()
    assert [panel["title"] for panel in found["panels"] if panel["type"] == "row"] == list(QUESTIONS)
    assert found["panels"][0]["type"] == "row"
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for panel in panels():
        assert len(panel["description"]) > 60, panel["title"]
        for target in panel["targets"]:
            assert all(label in target["expr"] for label in re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
    variables = {variable["name"] for variable in found["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(found["panels"])))
    assert used == variables == {"source", "namespace", "node"}


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("checkout-5d4f7c8b9-x2k9p", "checkout"),  # of a ReplicaSet
        ("node-exporter-x2k9p", "node-exporter"),  # of a DaemonSet, or a Job
        ("report-29400000-k4z8d", "report"),  # of a CronJob
        ("db-0", "db"),  # of a StatefulSet
        ("kube-proxy", "kube-proxy"),  # of nobody: no random part has a vowel
        ("web", "web"),
        ("api-v2-7f9c6d5b84-zz2wq", "api-v2"),
    ],
)
def test_workload(pod: str, workload: str) -> None:
    """The Pod's name without what its controller has added."""
    found = re.fullmatch(WORKLOAD, pod)
    assert found
    assert found[1] == workload


def test_alerts() -> None:
    """Each says what happened and what to do; without a journal none is about it; the last can be turned off."""
    everything = render.values(SCENARIOS["everything"])
    (group,) = render.one(objects("everything"), "PrometheusRule")["spec"]["groups"]
    for rule in group["rules"]:
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["labels"]["severity"] == "warning"
    everything["journal"] = {"enabled": False}
    everything["prometheusRule"]["killsPerHour"] = 0
    (fewer,) = render.one(render.objects(everything), "PrometheusRule")["spec"]["groups"]
    gone = {rule["alert"] for rule in group["rules"]} - {rule["alert"] for rule in fewer["rules"]}
    assert gone == {"OomeventerJournalInMemory", "ContainerOOMKilledRepeatedly"}


def test_runbooks() -> None:
    """Each alert leads to a section of docs/alerts.md, which has one for each, and says what to look at and how it
    ends; where nobody knows the page's address they lead nowhere."""
    (group,) = render.one(objects("everything"), "PrometheusRule")["spec"]["groups"]
    sections = re.split(r"^## ", (REPOSITORY / "docs/alerts.md").read_text(), flags=re.MULTILINE)[1:]
    assert [section.split("\n", 1)[0] for section in sections] == [rule["alert"] for rule in group["rules"]]
    for rule in group["rules"]:
        assert rule["annotations"]["runbook_url"] == f"https://docs.example/alerts.md#{rule['alert'].lower()}"
    for section in sections:
        assert re.search(r"^- Look first: .+^- End it: ", section, re.MULTILINE | re.DOTALL), section
    without = render.values(SCENARIOS["everything"])
    without["prometheusRule"]["runbookBaseUrl"] = ""
    (group,) = render.one(render.objects(without), "PrometheusRule")["spec"]["groups"]
    assert not [rule for rule in group["rules"] if "runbook_url" in rule["annotations"]]


def test_labels_do_not_clash() -> None:
    """The kills' own namespace, pod and container are not those of the agent's Pod."""
    (endpoint,) = render.one(objects("everything"), "PodMonitor")["spec"]["podMetricsEndpoints"]
    (dropped,) = (rule["regex"] for rule in endpoint["relabelings"] if rule.get("action") == "labeldrop")
    assert set(dropped.split("|")) == set(FAMILIES["oomeventer_kills_total"].labels) - {"scope"}


# -- helm test ---------------------------------------------------------------------------------------------------------


def test_hooks() -> None:
    """`helm test` makes objects that are valid, restricted, and none of the release's own: the DaemonSet must not take
    its Pod for one of the agents'."""
    (text,) = render.texts(LEAST | {"fullnameOverride": "x" * 63}, tests=True).values()
    found = list(yaml.safe_load_all(text))
    assert [item["kind"] for item in found] == ["ServiceAccount", "Role", "RoleBinding", "Pod"]
    (daemonset,) = (item for item in objects("default") if item["kind"] == "DaemonSet")
    for item in found:
        kubernetes_validate.validate(item, "1.36", strict=True)
        assert item["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert len(item["metadata"]["name"]) <= 63
    pod = found[-1]
    assert not daemonset["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert_restricted(pod["spec"])
    (script,) = pod["spec"]["containers"][0]["args"]
    compile(script, "files/test.py", "exec")


def test_the_victim_goes_where_agents_are() -> None:
    """The Pod of `helm test` is bound to the same nodes as the DaemonSet's: elsewhere nobody would report its kills."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["one"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    narrowed = LEAST | {"affinity": {"nodeAffinity": required}, "nodeSelector": {"pool": "one"}}
    (text,) = render.texts(narrowed, tests=True).values()
    victim = list(yaml.safe_load_all(text))[-1]["spec"]
    agent = render.one(render.objects(narrowed), "DaemonSet")["spec"]["template"]["spec"]
    for where in ("affinity", "nodeSelector", "tolerations"):
        assert victim[where] == agent[where], where


# -- examples ----------------------------------------------------------------------------------------------------------

#: It names a node that may be lost, and has no limit on purpose.
NODE = REPOSITORY / "examples/node.yaml"
EXAMPLES = sorted(set((REPOSITORY / "examples").glob("*.yaml")) - {NODE})


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example(file: Path) -> None:
    """Of the API, with a limit, an image that has no registry's name, and a comment that says what to type, and how to
    take the image from elsewhere."""
    text = file.read_text()
    assert f"kubectl apply -f examples/{file.name}" in text
    assert f"kubectl delete -f examples/{file.name}" in text
    assert f"sed 's,image: ,&YOUR-REGISTRY/,' examples/{file.name} | kubectl apply -f -" in text
    for item in yaml.safe_load_all(text):
        kubernetes_validate.validate(item, "1.36", strict=True)
        name = item["metadata"]["name"] if item["kind"] == "Pod" else "$pod"
        assert f"kubectl get events --field-selector involvedObject.name={name},reason=OOMKilled" in text
        spec = item["spec"]["template"]["spec"] if item["kind"] == "Deployment" else item["spec"]
        containers = spec["containers"] + spec.get("initContainers", [])
        assert {container["image"] for container in containers} == {"busybox"}
        limited = [part for part in (spec, *containers) if "memory" in part.get("resources", {}).get("limits", {})]
        assert limited
        assert_restricted(spec)


def test_node_example() -> None:
    """It says that it is dangerous, and is not applied before a node is named."""
    text = NODE.read_text()
    assert text.startswith("# DANGEROUS")
    assert "sed 's/NODE-THAT-MAY-BE-LOST/your-node/' examples/node.yaml | kubectl apply -f -" in text
    pod = yaml.safe_load(text)
    kubernetes_validate.validate(pod, "1.36", strict=True)
    assert pod["spec"]["nodeName"] == "NODE-THAT-MAY-BE-LOST"
    assert_restricted(pod["spec"])


def assert_restricted(spec: dict[str, Any]) -> None:
    """Pod Security, level restricted."""
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"] + spec.get("initContainers", []):
        asked = container["securityContext"]
        assert (asked["allowPrivilegeEscalation"], asked["capabilities"]) == (False, {"drop": ["ALL"]})


def test_examples() -> None:
    assert len(EXAMPLES) >= 11
    dev = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    assert any(str(name).startswith("helm-python-sdk") for name in dev)
