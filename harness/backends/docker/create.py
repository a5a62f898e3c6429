"""Makes and removes containers and their network, by Docker's SDK."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

from harness.agent.job_options import CAPABILITIES
from harness.agent.settings import HOST_NAME_LENGTH, NAMES, TRANSIENT, packed
from harness.backends.base import Progress
from harness.backends.docker import labels
from harness.backends.docker.container_options import ContainerOptions, parse_gpus, parse_volume
from harness.backends.docker.cpu import quota
from harness.errors import HarnessError, InputError, NetworkStateError, NodeError, UnavailableError
from harness.linux.sysctls import CONTAINER
from harness.model.address import node_name
from harness.model.cpu import CpuShare
from harness.model.plan import NetworkPlan

try:
    import docker
    from docker.errors import APIError, DockerException, ImageNotFound, NotFound
    from docker.types import DeviceRequest, EndpointConfig, IPAMConfig, IPAMPool, Mount
    from requests.exceptions import RequestException
except ModuleNotFoundError as missing:
    raise UnavailableError(
        f"to start containers, this Python needs Docker's SDK, with {missing.name}: pip install 'tc-harness[docker]'"
    ) from None

SYSCTLS: Final = {name.replace("/", "."): value for name, value in CONTAINER.items()}
SECURITY: Final = ("no-new-privileges:true",)
TMPFS: Final = {"/tmp": "exec,size={tmp}", "/run": "size=16m"}
"""Mount options by folder; ``tmp`` is Limits.tmp."""
DNS_OPTIONS: Final = ("ndots:1", "timeout:1", "attempts:1")
AGENT: Final = "harness-node"
"""The program in the image that is process 1."""
_GPU: Final = "gpu"
_AT_ONCE: Final = 8
_STOP_SECONDS: Final = 5
_LEAVE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5


@contextlib.contextmanager
def _client() -> Iterator[Any]:
    """A client of the daemon that the environment names; turns the SDK's errors in the block into ours.

    Raises:
        UnavailableError: the daemon does not answer.
        HarnessError: it refuses a request.
    """
    try:
        client = docker.from_env(timeout=120)
    except DockerException as problem:
        raise UnavailableError(f"no Docker daemon answers ({problem}); start it, or set DOCKER_HOST") from None
    with contextlib.closing(client):
        try:
            yield client
        except APIError as problem:
            cause = problem.explanation or f"HTTP {problem.status_code}"
            raise HarnessError(f"Docker refuses: {cause}") from None
        except RequestException as problem:
            raise UnavailableError(
                f"the Docker daemon does not answer a request ({problem}); see its log, start it again"
            ) from None
        except DockerException as problem:
            raise HarnessError(f"cannot send a request to Docker: {problem}") from None


def create(network: str, plan: NetworkPlan, recipe: ContainerOptions, progress: Progress) -> dict[int, str]:
    """Make a bridge network with one container per node; returns their ids by rank. An error leaves what was made.

    Raises:
        InputError: the image's or the network's name is invalid.
        UnavailableError: there is no daemon or no image.
        NetworkStateError: names or subnets are taken.
    """
    if (over := len(f"{_prefix(network)}-node-{plan.size}") - HOST_NAME_LENGTH) > 0:
        most = len(network) - over
        raise InputError(f"--name {network!r} is too long for {plan.size} containers: use up to {most} characters")
    with _client() as client:
        progress(f"looking for the image {recipe.image}")
        try:
            client.images.get(recipe.image)
        except ImageNotFound:
            raise UnavailableError(
                f"there is no image {recipe.image!r} at this Docker daemon; make it: harness image build"
            ) from None
        except APIError as problem:
            if problem.status_code != 400:
                raise
            raise InputError(f"--image {recipe.image!r} is not a name of an image: {problem.explanation}") from None
        progress("making a bridge network")
        _make_network(client, network, plan)
        made: dict[int, str] = {}

        def one(rank: int) -> None:
            made[rank] = _make_node(client, network, plan, rank, recipe)

        progress(f"starting {plan.size} containers")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(one, range(plan.size)):
                pass
        return made


def check_free(network: str) -> None:
    """Raise NetworkStateError where ended containers of such a network are left."""
    with _client() as client:
        ours = {"label": f"{labels.NETWORK}={network}"}
        if client.containers.list(all=True, filters=ours, ignore_removed=True):
            raise NetworkStateError(
                f"there are containers of a network {network!r} that have ended; remove them with"
                f" 'harness down --name {network}', or give another --name"
            )


def _prefix(network: str) -> str:
    """The prefix of the names that the network and its containers have at Docker."""
    return f"harness-{network}"


def _make_network(client: Any, network: str, plan: NetworkPlan) -> None:
    net = plan.addressing
    for old in client.networks.list(filters={"label": f"{labels.NETWORK}={network}"}):
        with contextlib.suppress(APIError):  # a killed command has left it; one in use is reported below
            old.remove()
    name = _prefix(network)
    if client.networks.list(names=[f"^{name}$"]):
        raise NetworkStateError(f"Docker has a network {name!r} that harness did not make; give another --name")
    pools = [IPAMPool(str(subnet), gateway=str(subnet[-2])) for subnet in (net.ipv4_net, net.ipv6_net)]
    try:
        client.networks.create(
            name,
            driver="bridge",
            options={"com.docker.network.driver.mtu": str(plan.mtu)},
            enable_ipv6=True,
            ipam=IPAMConfig(pool_configs=pools),
            labels={labels.NETWORK: network},
        )
    except APIError as problem:
        if "overlap" in str(problem.explanation):
            raise NetworkStateError(
                f"{net.ipv4_net} or {net.ipv6_net} is taken by another network of Docker (docker network ls);"
                " give another --subnet and --subnet6"
            ) from None
        raise HarnessError(f"Docker cannot make the network {name!r}: {problem.explanation}") from None


def _make_node(client: Any, network: str, plan: NetworkPlan, rank: int, recipe: ContainerOptions) -> str:
    name = f"{_prefix(network)}-node-{rank + 1}"
    mine = {labels.NETWORK: network, labels.RANK: str(rank)}
    environment = {
        NAMES: f"{_prefix(network)}-node-{{}}",
        "ENGINE": recipe.engine,
        "CONGESTION_CONTROL": recipe.congestion_control,
        **packed(plan),
    }
    if recipe.transient:
        mine[labels.TRANSIENT] = environment[TRANSIENT] = "1"
    try:
        container = client.containers.create(
            recipe.image,
            entrypoint=[AGENT],  # not the image's own command, which would be a job
            name=name,
            hostname=name,
            labels=mine,
            environment=environment,
            network=_prefix(network),
            networking_config={_prefix(network): _endpoint(client, plan, rank)},
            mounts=[_mount(volume) for volume in recipe.volumes],
            cap_drop=["ALL"],
            cap_add=list(CAPABILITIES),
            security_opt=list(SECURITY),
            read_only=True,
            tmpfs={folder: mount.format(tmp=recipe.limits.tmp) for folder, mount in TMPFS.items()},
            pids_limit=int(recipe.limits.pids),
            mem_limit=recipe.limits.memory,
            shm_size="1g",
            sysctls=SYSCTLS,
            dns_search=["."],
            dns_opt=list(DNS_OPTIONS),
            device_requests=_gpus(recipe.gpus),
            auto_remove=recipe.transient,
            **_cpu(plan.node_shape(rank).cpu),
        )
        container.start()
    except APIError as problem:
        raise _not_started(problem, name, rank, recipe) from None
    return str(container.id)


def _endpoint(client: Any, plan: NetworkPlan, rank: int) -> EndpointConfig:
    """A node's name and addresses on the bridge network."""
    net = plan.addressing
    return EndpointConfig(
        client.api._version,
        aliases=[node_name(rank)],
        ipv4_address=str(net.ipv4(rank)),
        ipv6_address=str(net.ipv6(rank)),
    )


def _not_started(problem: APIError, name: str, rank: int, recipe: ContainerOptions) -> HarnessError:
    """The error that says why Docker did not start a container."""
    if problem.status_code == 409:
        return NetworkStateError(f"Docker has a container {name!r} already; give another --name")
    cause = str(problem.explanation)
    if recipe.gpus and _GPU in cause:
        return UnavailableError(f"{cause}: install NVIDIA's container toolkit, or leave out --gpus")
    lacks = "executable file not found" in cause
    remedy = f"make {recipe.image} from harness-node: it has no {AGENT} on its PATH" if lacks else ""
    return NodeError(rank, "start its container", cause, remedy)


def _gpus(text: str | None) -> list[DeviceRequest]:
    request = parse_gpus(text)
    return [] if request is None else [DeviceRequest(capabilities=[[_GPU]], **request)]


def _cpu(share: CpuShare | None) -> dict[str, int]:
    """A CPU share as arguments of the SDK."""
    if share is None:
        return {}
    made = quota(share)
    return {"cpu_period": made["CpuPeriod"], "cpu_quota": made["CpuQuota"]}


def _mount(volume: str) -> Mount:
    source, target, read_only = parse_volume(volume)
    return Mount(target, source, type="bind", read_only=read_only)


def check_running(containers: Mapping[int, str]) -> None:
    """Raise NodeError with the last line of its log where one of these containers has ended."""
    with _client() as client:
        for rank, identity in containers.items():
            try:
                container = client.containers.get(identity)
            except NotFound:
                raise NodeError(rank, "start", "its container ended and was removed") from None
            if container.status in ("exited", "dead"):
                lines = container.logs(tail=3).decode(errors="replace").strip().splitlines()
                raise NodeError(rank, "start", lines[-1] if lines else f"its container ended ({container.status})")


def remove(network: str) -> None:
    """Remove all containers and networks of that name. Does nothing where there are none. Raises HarnessError."""
    with _client() as client:
        ours = {"label": f"{labels.NETWORK}={network}"}
        found = client.containers.list(all=True, filters=ours, ignore_removed=True)

        def one(container: Any) -> None:
            try:
                container.remove(force=True)
            except APIError as problem:
                if problem.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):  # it is removing itself
                    raise
            with contextlib.suppress(APIError, RequestException):
                container.wait(condition="removed", timeout=_STOP_SECONDS)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(one, found):
                pass
        deadline = time.monotonic() + _LEAVE_SECONDS
        for left in client.networks.list(filters=ours):
            while not _is_removed(left, {container.id for container in found}, network, deadline):
                time.sleep(_POLL_SECONDS)


def _is_removed(left: Any, ours: Set[str], network: str, deadline: float) -> bool:
    """Try to remove a network; False, until the deadline, where only our containers use it, which are ending."""
    try:
        left.remove()
    except NotFound:
        return True
    except APIError as problem:
        remedy, cause = "", str(problem.explanation)
        if "active endpoints" in cause:
            others = _others(left, ours)
            if not others and time.monotonic() < deadline:
                return False
            who = ", ".join(others) or f"the containers that 'docker network inspect {left.name}' lists"
            remedy = f"; remove {who}, then run 'harness down --name {network}'"
        raise HarnessError(f"Docker cannot remove the network {left.name!r}: {cause}{remedy}") from None
    return True


def _others(network: Any, ours: Set[str]) -> list[str]:
    """The names of other containers on a network."""
    try:
        network.reload()
    except NotFound:
        return []
    there = network.attrs.get("Containers") or {}
    return sorted(one["Name"] for identity, one in there.items() if identity not in ours)
