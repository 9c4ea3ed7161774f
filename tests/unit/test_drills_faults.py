"""The plan of faults: the same seed gives the same one. A fault has landed only when its effect was seen."""

import itertools
import random
from collections import Counter

import pytest
from fake_drill import FakeDriver

from clew.core.errors import ClewError
from clew.drills import faults
from clew.drills.load import Plan, arrivals
from clew.drills.watch import Watch, waiting
from clew.stacks.services import REDIS, WORKERS
from clew.stacks.stack import drill_stack


def test_the_same_seed_gives_the_same_plan_and_another_one_another():
    plans = [faults.mixed(random.Random(seed), 60, 11) for seed in ("mixed/7", "mixed/7", "mixed/8")]
    assert plans[0] == plans[1] != plans[2]


def test_the_mixed_plan_has_eleven_faults_of_six_kinds():
    plan = faults.mixed(random.Random(7), 60, 11)
    kinds = Counter((one.kind, one.service.rstrip("-123")) for one in plan)
    assert kinds == {
        ("kill", "celery-worker"): 3,
        ("kill", "fastapi-server"): 3,
        ("kill", "redis-broker"): 2,
        ("pause", "redis-broker"): 1,
        ("kill a pool process of", "celery-worker"): 1,
        ("reload", "nginx-loadbalancer"): 1,
    }
    assert len(faults.mixed(random.Random(7), 60, 11, with_child=False)) == 10


@pytest.mark.parametrize("seed", range(20))
def test_each_fault_is_healed_before_the_next_and_within_the_load(seed):
    plan = faults.mixed(random.Random(seed), 60, 11)
    ends = [one.at + one.lasts for one in plan]
    assert all(end <= later.at for end, later in zip(ends, plan[1:], strict=False))
    assert plan[0].at >= 2 and ends[-1] <= 58


def test_a_regular_plan_has_one_fault_in_each_period():
    plan = faults.regularly(random.Random(7), faults.KILL, REDIS, 10, 9, 2)
    assert [int(one.at // 9) for one in plan] == list(range(10))
    assert all(later.at - earlier.at - 2 >= 6 for earlier, later in itertools.pairwise(plan))


def test_arrivals_are_at_random_at_the_rate_and_repeatable():
    times = arrivals(random.Random(7), 100, 60)
    assert times == sorted(times) == arrivals(random.Random(7), 100, 60)
    assert 5_700 < len(times) < 6_300 and times[-1] < 60


def test_the_plan_of_a_load_is_repeatable_and_clients_take_turns():
    made = [Plan(random.Random(7)).request({}, 1.0) for _ in range(2)]
    assert made[0] == made[1]
    plan = Plan(random.Random(7))
    requests = [plan.request({}, 1.0) for _ in range(4)]
    assert [one.client for one in requests] == ["retrying", "plain", "retrying", "plain"]
    assert [one.key is None for one in requests] == [False, True, False, True]
    assert len({one.correlation_id for one in requests} | {one.key for one in requests if one.key}) == 6


@pytest.mark.parametrize("kind", [faults.KILL, faults.STOP, faults.PAUSE])
def test_a_fault_lands_when_its_effect_is_seen_and_is_healed(kind):
    driver = FakeDriver()
    fault = faults.inject(driver, kind, WORKERS[0])
    assert fault.landed and fault.ended is None and driver.states[WORKERS[0]] != "running"
    faults.heal(driver, fault)
    assert driver.states[WORKERS[0]] == "running" and fault.ended >= fault.began


def test_a_fault_without_effect_has_not_landed():
    assert not faults.inject(FakeDriver(works=False), faults.KILL, REDIS).landed


def test_a_kill_of_what_was_down_already_has_not_landed():
    driver = FakeDriver()
    driver.states[REDIS] = "stopped"
    assert not faults.inject(driver, faults.KILL, REDIS).landed


def test_a_reload_needs_no_healing():
    fault = faults.inject(FakeDriver(), faults.RELOAD, "nginx-loadbalancer")
    assert fault.landed and fault.ended is not None


def test_a_pool_process_can_only_be_killed_with_the_local_driver():
    with pytest.raises(ClewError, match="local driver") as raised:
        faults.inject(FakeDriver(), faults.CHILD, WORKERS[0])
    assert "DRIVER=local" in raised.value.next_step


def test_a_start_that_the_drill_did_not_make_is_a_service_that_ended():
    driver = FakeDriver()
    watch = Watch(drill_stack(), driver)
    watch.look()
    watch.started(WORKERS[0])
    driver.start(WORKERS[0])
    watch.look()
    assert watch.ended_unexpectedly() == {}
    driver.start(WORKERS[1])
    watch.look()
    assert watch.ended_unexpectedly() == {WORKERS[1]: 1}


def test_waiting_tasks_are_read_from_the_answer():
    answer = {"high": 1, "medium": 2, "low": 3, "waiting": 9}
    assert (waiting(answer, durable=True), waiting({**answer, "waiting": 0}, durable=False)) == (9, 6)


def test_the_seed_also_decides_the_moments():
    gaps = {
        round(later.at - earlier.at, 6) for earlier, later in itertools.pairwise(faults.mixed(random.Random(7), 60, 11))
    }
    assert len(gaps) == 10
