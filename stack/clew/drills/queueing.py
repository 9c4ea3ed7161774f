"""How long tasks wait for a free process, by queueing theory: M/M/c and, for other service times, Allen and Cunneen.

Arrivals are independent of each other (Poisson), and `servers` processes take tasks from one queue, first come, first
served. Sources: A. K. Erlang (1917) for the probability of waiting; A. O. Allen, "Probability, Statistics, and Queueing
Theory", 2nd ed. (1990), section 5.3, for the approximation with other service times.
"""

from __future__ import annotations

import math


def utilization(arrivals: float, service_seconds: float, servers: int) -> float:
    """Return the share of its time that a server works, from arrivals a second; 1 is the limit."""
    return arrivals * service_seconds / servers


def erlang_c(offered: float, servers: int) -> float:
    """Return the probability that a task must wait; `offered` is arrivals times mean service time (Erlang).

    Raises:
        ValueError: `offered` is negative, or not less than `servers`: the queue would grow without end.
    """
    if servers < 1 or not 0 <= offered < servers:
        raise ValueError(f"{offered:g} Erlang need more than {servers} servers: add servers or slow the arrivals")
    blocked = 1.0  # Erlang B, computed server by server so that no factorial overflows
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked / (1 - (offered / servers) * (1 - blocked))


def mean_wait(arrivals: float, service_seconds: float, servers: int, variation: float = 1.0) -> float:
    """Return the mean wait in seconds; `variation` is the service time's standard deviation divided by its mean.

    1 (exponential service times) makes it exact, 0 is for tasks that all take the same time.

    Raises:
        ValueError: the queue would grow without end.
    """
    must_wait = erlang_c(arrivals * service_seconds, servers)
    return (1 + variation**2) / 2 * must_wait / (servers / service_seconds - arrivals)


def wait_percentile(arrivals: float, service_seconds: float, servers: int, share: float) -> float:
    """Return the wait in seconds that a `share` of all tasks does not exceed, with exponential service times.

    Raises:
        ValueError: the queue would grow without end, or `share` is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"A share of {share:g} is not in [0, 1)")
    must_wait = erlang_c(arrivals * service_seconds, servers)
    longer = 1 - share
    return max(0.0, math.log(must_wait / longer) / (servers / service_seconds - arrivals)) if must_wait else 0.0


def servers_for(arrivals: float, service_seconds: float, wait_seconds: float, share: float = 0.99) -> int:
    """Return the least number of servers with which a `share` of all tasks waits at most `wait_seconds`."""
    servers = math.floor(arrivals * service_seconds) + 1
    while wait_percentile(arrivals, service_seconds, servers, share) > wait_seconds:
        servers += 1
    return servers
