"""Who can reach which port: tried, not read from a configuration."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from clew.stacks.drivers import Driver
from clew.stacks.drivers.docker import DockerDriver
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, WORKERS
from clew.stacks.stack import Stack

HOST, OTHER = "this machine", "another machine"
WORKER, STRANGER = "a worker's container", "a container of no stack"
ITSELF = "the machine itself"  # an internal network keeps its containers from other networks, not from their host
# What listens in a container, and what is said there.
LISTENING = {
    (NGINX, 80): "the API, through nginx",
    (NGINX, 8081): "figures of nginx",
    (API_SERVERS[0], 8000): "the API, past nginx, and its metrics",
    (REDIS, 6379): "broker, ledger and results",
    (FLOWER, 5555): "Flower",
    (WORKERS[0], 9100): "figures of a worker",
}
SECONDS = 1.0
# Prints each `host:port` of its arguments that accepts a connection.
PROBE = 'for at; do timeout 1 bash -c "exec 3<>/dev/tcp/${at%:*}/${at##*:}" 2>/dev/null && echo "$at"; done; true'


@dataclass
class Door:
    """A port of a service: `port` is its number in the container, `open_to` says from where it can be reached."""

    service: str
    port: int
    what: str
    open_to: dict[str, bool] = field(default_factory=dict)


def reach(stack: Stack, driver: Driver) -> list[Door]:
    """Try every port from every place that there is, and from the containers also a port of their machine.

    "Another machine" is this one by its address in the network: what listens on loopback alone is not there.
    """
    host_ports = _host_ports(stack, driver)
    own = own_address()
    doors = [Door(service, port, what) for (service, port), what in LISTENING.items()]
    for door in doors:
        port = host_ports.get((door.service, door.port))
        door.open_to[HOST] = port is not None and accepts("127.0.0.1", port)
        if own is not None:
            door.open_to[OTHER] = port is not None and accepts(own, port)
    if isinstance(driver, DockerDriver):
        doors += _of_containers(driver, doors, own)
    return doors


def _host_ports(stack: Stack, driver: Driver) -> dict[tuple[str, int], int]:
    """Return where each port of a container is on this machine."""
    found = {(service, port): stack.ports[service] for service, port in LISTENING if service in stack.ports}
    found.pop((NGINX, 8081))
    if driver.name == "local":
        found |= {(NGINX, 8081): stack.metrics_ports[NGINX], (WORKERS[0], 9100): stack.metrics_ports[WORKERS[0]]}
    return found


def _of_containers(driver: DockerDriver, doors: list[Door], own: str | None) -> list[Door]:
    """Fill in what the containers reach; return the door to the machine that they run on."""
    addresses = driver.addresses()
    by_name = {f"{door.service}:{door.port}": door for door in doors}
    by_address = {f"{at}:{door.port}": door for door in doors for at in addresses[door.service]}
    with outside(own) as listening:
        beyond = Door(ITSELF, 0, "a port that another program opens to the network")
        extra = [f"{own}:{listening}"] if own is not None else []
        from_worker = set(driver.execute(WORKERS[1], "bash", "-c", PROBE, "probe", *by_name, *extra).split())
        from_stranger = set(driver.execute_outside("bash", "-c", PROBE, "probe", *by_address, *extra).split())
    for name, door in by_name.items():
        door.open_to[WORKER] = name in from_worker
        door.open_to[STRANGER] = any(at in from_stranger for at, other in by_address.items() if other is door)
    beyond.open_to = {WORKER: bool(from_worker & set(extra)), STRANGER: bool(from_stranger & set(extra))}
    return [beyond] if own is not None else []


@contextlib.contextmanager
def outside(own: str | None) -> Iterator[int]:
    """Open a port of this machine to its network in the block; yield its number."""
    with socket.create_server((own or "127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept would take one more connection


def _accept(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()


def own_address() -> str | None:
    """Return this machine's address in its network, None without one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


def accepts(host: str, port: int) -> bool:
    """Tell whether a connection is accepted within SECONDS."""
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return True
    except OSError:
        return False


def places(doors: Iterable[Door]) -> list[str]:
    """Return the places that were tried from, in order."""
    return list(dict.fromkeys(place for door in doors for place in door.open_to))
