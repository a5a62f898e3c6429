"""``harness k8s``: Kubernetes accepts its output, agents read it, and it refuses what pods cannot do."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from harness.agent.job_options import CAPABILITIES
from harness.agent.kubernetes_job import PodOptions, manifests
from harness.agent.settings import Settings
from harness.errors import InputError
from harness.model.plan_options import NetworkOptions, PlanOptions
from tests.unit.cli.test_main import harness

ROOT = Path(__file__).parents[3]
USUAL = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
"""Capabilities that containerd gives every container."""
ALL = (
    "-n",
    "8",
    "-p",
    "mobile",
    "--uplink",
    "20mbit",
    "--ecn",
    "--seed",
    "4",
    "--engine",
    "userspace",
    "--image",
    "reg/x:1",
)
MORE = (
    "--name",
    "train",
    "--on-failure",
    "continue",
    "--collectives",
    "--runs-claim",
    "results",
    "--start-timeout",
    "90",
    "--scenario",
    "satellite",
)


def printed(*words):
    done = harness("k8s", *words)
    assert done.returncode == 0, done.stderr
    assert "has not been tried on a cluster yet" in done.stderr
    return list(yaml.safe_load_all(done.stdout))


def environment(job):
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("words", [(), (*ALL, *MORE, "--", "python", "train.py")])
def test_the_schemas_of_kubernetes_take_it(words, version):
    for document in printed(*words):
        kubernetes_validate.validate(document, version, strict=True)


def test_an_indexed_job_behind_a_headless_service():
    service, job = printed("-n", "3", "--name", "train")
    pod = job["spec"]["template"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert service["metadata"]["name"] == pod["spec"]["subdomain"] == job["metadata"]["name"] == "train"
    assert (job["spec"]["completionMode"], job["spec"]["completions"], job["spec"]["parallelism"]) == ("Indexed", 3, 3)
    told = Settings.read(environment(job))
    assert told.host_names == ["train-0.train", "train-1.train", "train-2.train"]


def test_agents_read_the_options_back():
    _, job = printed(*ALL, *MORE, "--", "sh", "-c", "echo $RANK $$ $(hostname)")
    told = Settings.read(environment(job))
    assert told.options == PlanOptions(nodes=8, profile="mobile", uplink="20mbit", ecn=True, seed=4)
    assert (told.engine, told.stops, told.collectives, told.start_timeout) == ("userspace", False, True, 90)
    assert told.scenario == "satellite"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "reg/x:1"
    expanded = [re.sub(r"\$\$", "$", word) for word in container["args"]]  # what the kubelet makes of them
    assert expanded == ["sh", "-c", "echo $RANK $$ $(hostname)"]
    assert job["spec"]["template"]["spec"]["volumes"][-1] == {
        "name": "runs",
        "persistentVolumeClaim": {"claimName": "results"},
    }


def test_it_gives_what_compose_gives_and_of_capabilities_net_admin_alone_is_unusual():
    _, job = printed()
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["node"]
    assert set(environment(job)) <= {*compose["environment"]}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": compose["cap_add"]}
    assert set(CAPABILITIES) - USUAL == {"NET_ADMIN"}
    assert "privileged" not in context
    assert " ".join(container["args"]) in compose["command"]


@pytest.mark.parametrize(
    ("network", "job", "message"),
    [
        ({"topology": "ring"}, {}, "'ring' needs nodes that forward packets for others"),
        ({"topology": "star"}, {}, "take one in which all are neighbours"),
        ({"topology": "./mine.yaml"}, {}, "pods do not have that file"),
        ({"topology": "matrix:rtt=a.csv"}, {}, "pods do not have that file"),
        ({"profile": "mine.yaml"}, {}, "--profile 'mine.yaml': pods do not have"),
        ({"subnet": "10.0.0.0/16"}, {}, "--subnet is not for pods"),
        ({"topology": "regions:2", "trunk": "1gbit"}, {}, "containers cannot share a trunk"),
        ({"profile": "nope"}, {}, "profile 'nope' is unknown"),
        ({"engine": "netem2"}, {}, "did you mean 'netem'"),
        ({}, {"scenario": "./mine.yaml"}, "--scenario './mine.yaml': pods do not have"),
        ({}, {"name": "Train_1"}, "'Train_1' cannot name a Service"),
        ({}, {"name": "1st"}, "a letter first"),
        ({}, {"name": "a" * 62}, "with -3 at its end at most 63 characters"),
        ({}, {"master_port": 29321}, "agents use that port"),
    ],
)
def test_what_cannot_be_is_refused(network, job, message):
    options = {"name": "train", "image": "x", "command": ["true"], "master_port": 29500, **job}
    with pytest.raises(InputError, match=message):
        manifests(NetworkOptions(**network), PodOptions(**options))


@pytest.mark.parametrize("words", [("-t", "ring"), ("--on-failure", "explode"), ("--scenario", "flaky-wam")])
def test_it_is_one_line_and_nothing_is_printed(words):
    done = harness("k8s", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
