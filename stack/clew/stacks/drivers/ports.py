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
    wanted = {**stack.ports, **stack.metrics_ports} if metrics else stack.ports
    for service, port in wanted.items():
        if service != NGINX and port == stack.port:
            raise ClewError(f"Port {port} is reserved for {service}.", stack.command("up PORT=8180"))
    taken = [service for service, port in wanted.items() if _is_taken(stack, port, privileged)]
    if taken:
        # More than the front door: most likely the same stage of another checkout.
        way_out = stack.command("up PORT=8180" if taken == [NGINX] else "up CLEW_PORTS=180")
        port = wanted[taken[0]]
        raise ClewError(f"Port {port}, needed for {taken[0]}, is in use{_who_listens(port)}.", way_out)


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
