"""Sends again what is accepted and neither runs on a living worker nor has a message.

Every worker looks once a second, and one of them at a time has the lead. A task is sent again after one look only if
its worker has another process now, which proves that the old one is dead. Everything else takes more looks in a row: a
message that is being fetched is on no queue for a moment. An extra message does no harm, because a task runs only with
a claim.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from celery import Celery
from celery.worker import state as worker_state
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

import redis
from taskqueue import broker
from taskqueue.contract import FINAL_STATES, LEASE_KEY, QUEUES
from taskqueue.reliability import keys, lease, ledger
from taskqueue.settings import settings

logger = logging.getLogger("taskqueue")

LOOK_SECONDS = 1.0
LEAD_SECONDS = 3  # then another worker takes the lead
YOUNG_SECONDS = 2  # a message may be on its way for this long
REPLACED_LOOKS, EXPIRED_LOOKS, MISSING_LOOKS, DISOWN_LOOKS = 1, 2, 3, 3
FULL_LOOK_EVERY = 10  # looks; the counts alone do not always show that a message is missing
UNACKED, UNACKED_INDEX = "unacked", "unacked_index"  # kombu's names


class View(NamedTuple):
    """What Redis says at one moment. Times are Redis's, in ms."""

    now: int
    accepted: int
    running: dict[str, str]
    due: dict[str, tuple[int, int]]
    queued: int
    leases: dict[str, str]

    def owner_state(self, owner: str) -> str:
        """Return alive; replaced (its worker has another process now, so it is dead); or expired."""
        holder = self.leases.get(owner.partition("/")[0])
        return "alive" if holder == owner else "expired" if holder is None else "replaced"


class Reconciler:
    """One worker's part. `look` is called about once a second, with pauses when Redis is away."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.client = redis.Redis.from_url(
            settings.redis_url,
            decode_responses=True,
            socket_timeout=2,
            socket_connect_timeout=0.5,
            retry=Retry(NoBackoff(), 0),
        )
        self.messages = ledger.script("messages")
        self.strikes: dict[str, int] = {}
        self.idle: dict[str, int] = {}
        self.looks = 0
        self.looked_at = 0.0

    def look(self) -> None:
        """Look once.

        Raises:
            redis.RedisError: Redis is away.
        """
        if time.monotonic() - self.looked_at > 3 * LOOK_SECONDS:  # Redis was away: what was seen before does not count
            self.strikes, self.idle = {}, {}
        view = self.view()
        self.looked_at = time.monotonic()
        self.disown(view.running)
        if self.leads():
            self.looks += 1
            self.reconcile(view)
        else:
            self.strikes = {}

    def view(self) -> View:
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.hlen(keys.TASKS)
            pipeline.hgetall(keys.RUNNING)
            pipeline.hgetall(keys.DUE)
            for queue in QUEUES:
                pipeline.llen(queue)
            (seconds, microseconds), accepted, running, due, *depths = pipeline.execute()
        workers = sorted({owner.partition("/")[0] for owner in running.values()})
        leases = self.client.mget([f"{LEASE_KEY}{worker}" for worker in workers]) if workers else []
        return View(
            now=int(seconds) * 1000 + int(microseconds) // 1000,
            accepted=accepted,
            running=running,
            due={task_id: _due(text) for task_id, text in due.items()},
            queued=sum(depths),
            leases={worker: str(value) for worker, value in zip(workers, leases, strict=True) if value is not None},
        )

    def disown(self, running: dict[str, str]) -> None:
        """Let go of claims that this process does not run: its pool's process was killed, or a claim's answer lost."""
        active = {request.id for request in worker_state.active_requests}
        claimed = {task_id for task_id, owner in running.items() if owner == lease.OWNER}
        self.idle = {task_id: self.idle.get(task_id, 0) + 1 for task_id in claimed - active}
        for task_id in [task_id for task_id, looks in self.idle.items() if looks >= DISOWN_LOOKS]:
            if ledger.release(task_id, lease.OWNER):
                logger.warning("Claim released: this worker does not run it", extra={"task_id": task_id})

    def leads(self) -> bool:
        """Take or keep the lead, if no other living worker has it."""
        took = self.client.set(keys.LEADER, lease.OWNER, nx=True, px=LEAD_SECONDS * 1000)
        if not took and self.client.get(keys.LEADER) != lease.OWNER:
            return False
        self.client.pexpire(keys.LEADER, LEAD_SECONDS * 1000)
        return True

    def reconcile(self, view: View) -> None:
        """Count a look for each task that nobody runs and no message is left of; send again what has enough of them."""
        wanted = self.orphans(view)
        delivered: dict[str, str] = {}
        if self.missing(view) or self.strikes.keys() - wanted.keys() or self.looks % FULL_LOOK_EVERY == 0:
            without_message, delivered = self.without_message(view, wanted)
            wanted |= dict.fromkeys(without_message, MISSING_LOOKS)
        self.strikes = {task_id: self.strikes.get(task_id, 0) + 1 for task_id in wanted}
        ready = [task_id for task_id, looks in wanted.items() if self.strikes[task_id] >= looks]
        if not ready or self.uptime() < lease.LEASE_SECONDS:  # Redis restarted: nobody could refresh a lease
            return
        if not delivered:
            delivered = self.where_messages_are()[1]
        for task_id in ready:
            del self.strikes[task_id]
            self.send_again(view, task_id, delivered.get(task_id))

    def orphans(self, view: View) -> dict[str, int]:
        """Return the tasks whose owner is dead, with the number of looks that it takes to be sure."""
        looks = {"replaced": REPLACED_LOOKS, "expired": EXPIRED_LOOKS}
        states = {task_id: view.owner_state(owner) for task_id, owner in view.running.items()}
        return {task_id: looks[state] for task_id, state in states.items() if state != "alive"}

    def missing(self, view: View) -> bool:
        """Tell whether there are fewer messages than tasks that wait. Messages of cancelled tasks can hide it."""
        later = sum(at > view.now for at, _ in view.due.values())
        return view.accepted - len(view.running) - later > view.queued

    def without_message(self, view: View, orphans: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """Return the tasks that wait and are on no queue, and the delivery tags of what was delivered."""
        queued, delivered = self.where_messages_are()
        old = self.client.zrangebyscore(keys.ACCEPTED, "-inf", view.now - YOUNG_SECONDS * 1000)
        patience = YOUNG_SECONDS * 1000
        waits = {task_id for task_id, (at, _) in view.due.items() if at + patience > view.now}
        excluded = queued | waits | view.running.keys() | set(orphans)
        return [task_id for task_id in map(str, old) if task_id not in excluded], delivered

    def where_messages_are(self) -> tuple[set[str], dict[str, str]]:
        """Return the tasks that are on a queue, and the delivery tag of each that was delivered to a worker."""
        queued, delivered = self.messages(keys=[UNACKED, *QUEUES], args=[], client=self.client)
        return set(queued), dict(zip(delivered[1::2], delivered[::2], strict=True))

    def uptime(self) -> int:
        return int(self.client.info("server")["uptime_in_seconds"])

    def send_again(self, view: View, task_id: str, delivery_tag: str | None) -> None:
        """Send a task's message again; if it has its final state, take it out of the ledger instead."""
        owner = view.running.get(task_id)
        state = broker.state_of(task_id)
        if state is not None and state["status"] in FINAL_STATES:
            ledger.finish(task_id, state["status"])
            return
        entry = ledger.entry_of(task_id)
        if entry is None:
            return
        if owner is not None:
            ledger.release(task_id, owner)
        if delivery_tag is not None:
            self.client.hdel(UNACKED, delivery_tag)
            self.client.zrem(UNACKED_INDEX, delivery_tag)
        retries = view.due.get(task_id, (0, 0))[1]
        about: dict[str, Any] = {"task_id": task_id, "correlation_id": entry.correlation_id, "owner": owner}
        reason = "its message is gone" if owner is None else f"{owner.partition('/')[0]} ended"
        try:
            self.app.send_task(
                entry.task_name, kwargs=entry.kwargs, task_id=task_id, queue=entry.queue, retries=retries
            )
        except OperationalError as error:
            logger.warning("Not sent again yet: %s", error, extra=about)
        else:
            logger.warning("Sent again: %s", reason, extra=about)


def _due(text: str) -> tuple[int, int]:
    at, _, retries = text.partition("/")
    return int(at), int(retries)
