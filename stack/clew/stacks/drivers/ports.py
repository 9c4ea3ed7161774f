"""Whether a stack's ports are free, checked before anything starts."""

from __future__ import annotations

import contextlib
import socket

import psutil

from clew.core.errors import ClewError
from clew.stacks.services import NGINX
from clew.stacks.stack import Stack


def check_ports(stack: Stack, privileged: bool, metrics: bool = False) -> None:
    """Make sure that no program listens on the ports of a stack that is down, with `metrics` also those of its workers.

    Raises:
        ClewError: a port is in use, or two services want the same port, or a port is below 1024 and the program that
            will open it is not `privileged`.
    """
    figures = [(f"the figures of {service}", port) for service, port in stack.metrics_ports.items()] if metrics else []
    wanted = [*stack.ports.items(), *figures]
    for name, port in wanted:
        if name != NGINX and port == stack.port:
            raise ClewError(f"Port {port} is reserved for {name}.", stack.command("up PORT=8180"))
    taken = [(name, port) for name, port in wanted if _is_taken(stack, port, privileged)]
    if taken:
        name, port = taken[0]
        # More than the front door: most likely the same stage of another checkout.
        way_out = stack.command("up PORT=8180" if taken == [(NGINX, stack.port)] else "up CLEW_PORTS=180")
        raise ClewError(f"Port {port}, needed for {name}, is in use{_who_listens(port)}.", way_out)


def _is_taken(stack: Stack, port: int, privileged: bool) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            if not privileged:
                raise ClewError(f"Port {port} may only be used by root.", stack.command("up PORT=8080")) from None
        except OSError:
            return True
    return False


def _who_listens(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return " by another program"
