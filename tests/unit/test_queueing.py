"""Queueing theory: compared with closed forms, printed values and a simulation."""

from __future__ import annotations

import heapq
import random
import statistics

import pytest

from clew.drills import queueing


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.99])
def test_one_server_waits_as_long_as_m_m_1(load: float) -> None:
    assert queueing.erlang_c(load, 1) == pytest.approx(load)
    assert queueing.mean_wait(load, 1, 1) == pytest.approx(load / (1 - load))
    assert queueing.mean_wait(load, 1, 1, variation=0) == pytest.approx(load / (1 - load) / 2)  # Pollaczek-Khinchine


@pytest.mark.parametrize(("offered", "servers", "expected"), [(1, 2, 1 / 3), (2, 3, 4 / 9), (0, 4, 0), (9, 10, 0.6687)])
def test_the_probability_of_waiting_is_erlangs(offered: float, servers: int, expected: float) -> None:
    assert queueing.erlang_c(offered, servers) == pytest.approx(expected, abs=1e-4)


def test_a_thousand_servers_overflow_nothing() -> None:
    assert 0 < queueing.erlang_c(990, 1000) < 1


@pytest.mark.parametrize("offered", [2, 2.5, -1])
def test_a_queue_that_would_grow_without_end_is_refused(offered: float) -> None:
    with pytest.raises(ValueError, match="add servers or slow"):
        queueing.erlang_c(offered, 2)


def simulated(arrivals: float, service_seconds: float, servers: int, exponential: bool) -> list[float]:
    rng = random.Random(7)
    free = [0.0] * servers
    now, waits = 0.0, []
    for _ in range(200_000):
        now += rng.expovariate(arrivals)
        start = max(now, heapq.heappop(free))
        waits.append(start - now)
        heapq.heappush(free, start + (rng.expovariate(1 / service_seconds) if exponential else service_seconds))
    return waits


def test_a_simulation_waits_as_long() -> None:
    waits = simulated(24, 0.4, 12, exponential=True)
    assert statistics.fmean(waits) == pytest.approx(queueing.mean_wait(24, 0.4, 12), rel=0.05)
    found = statistics.quantiles(waits, n=100)[98]
    assert found == pytest.approx(queueing.wait_percentile(24, 0.4, 12, 0.99), rel=0.05)
    same = simulated(24, 0.4, 12, exponential=False)
    assert statistics.fmean(same) == pytest.approx(queueing.mean_wait(24, 0.4, 12, variation=0), rel=0.15)


@pytest.mark.parametrize("wait", [0.01, 0.1, 1.0])
def test_the_least_number_of_servers_is_enough_and_one_less_is_not(wait: float) -> None:
    servers = queueing.servers_for(24, 0.4, wait)
    assert queueing.wait_percentile(24, 0.4, servers, 0.99) <= wait
    assert servers == 10 or queueing.wait_percentile(24, 0.4, servers - 1, 0.99) > wait
    assert queueing.utilization(24, 0.4, servers) < 1


@pytest.mark.parametrize("share", [1, -0.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"is not in \[0, 1\)"):
        queueing.wait_percentile(1, 0.5, 1, share)
