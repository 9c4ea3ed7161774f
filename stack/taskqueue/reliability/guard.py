"""No message ends a worker: what is malformed goes to the dead letters before Celery sees it.

kombu parses what BRPOP returns with an unguarded `json.loads`, and Celery relies on the fields of what comes out: an
error in either ends the worker, and its unacknowledged messages then end the next one. Neither offers a hook between
Redis and the parser. The one seam is the class of the Redis client: kombu asks its channel for it, and itself uses a
subclass with another `parse_response` where keys have a prefix. Here `parse_response` is the gate.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from kombu.transport import redis as kombu_redis
from redis.client import PubSub
from redis.exceptions import RedisError

import redis
from taskqueue.reliability import dead_letters, wellformed
from taskqueue.settings import settings

logger = logging.getLogger("taskqueue")
HEAD_BYTES = 200

_app: Celery | None = None


def install(app: Celery) -> None:
    """Have the workers of `app` pass over malformed messages. With the stock settings, leave Celery as it is."""
    global _app
    if settings.durable:
        _app = app
        app.conf.broker_transport = f"{__name__}:GuardedTransport"


def refuse(raw: bytes, queue: str, reason: str) -> None:
    """Keep a malformed message as a dead letter and log it."""
    ids = wellformed.ids_in(raw)
    about: dict[str, Any] = {"queue": queue, "reason": reason, "size": len(raw), **ids._asdict()}
    try:
        about["dead_letter"] = dead_letters.add(reason, queue=queue, content=raw, **ids._asdict())
    except RedisError as error:
        about["head"] = ascii(raw[:HEAD_BYTES])
        logger.warning("Malformed message on %s, not kept (%s): %s", queue, error, reason, extra=about)
    else:
        logger.warning("Malformed message on %s, now a dead letter: %s", queue, reason, extra=about)


class GuardedPubSub(PubSub):
    """Passes on no malformed message of remote control: it is only logged, since every worker gets it."""

    def parse_response(self, *args: Any, **options: Any) -> Any:
        response = super().parse_response(*args, **options)
        if not isinstance(response, list | tuple) or response[0] not in (b"message", b"pmessage"):
            return response
        try:
            wellformed.check_control(response[-1])
        except wellformed.Malformed as malformed:
            logger.warning("Malformed remote control, ignored: %s", malformed, extra={"size": len(response[-1])})
            return None
        return response


class GuardedRedis(redis.Redis):
    """Passes on no malformed message of a queue: to kombu it is as if nothing had come."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        response = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not response:
            return response
        key, raw = response
        try:
            wellformed.check_task(raw, _app.tasks if _app else ())
        except wellformed.Malformed as malformed:
            queue = key.decode(errors="replace").partition(kombu_redis.Channel.sep)[0]
            refuse(raw, queue, str(malformed))
            return None
        return response

    def pubsub(self, **options: Any) -> PubSub:
        return GuardedPubSub(self.connection_pool, **options)


class GuardedQoS(kombu_redis.QoS):
    """Gives back unacknowledged messages; one that cannot be read does not keep the others from being given back."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except (ValueError, TypeError, RecursionError):
            with self.channel.conn_or_acquire(client) as connection:
                raw = connection.hget(self.unacked_key, tag)
                if raw is not None:
                    refuse(raw, self.unacked_key, "an unacknowledged message cannot be read")
                self._remove_from_indices(tag).execute()


class GuardedChannel(kombu_redis.Channel):
    """kombu's channel with the clients above."""

    QoS = GuardedQoS

    def _get_client(self) -> type[redis.Redis]:
        super()._get_client()  # which checks redis-py's version
        return GuardedRedis


class GuardedTransport(kombu_redis.Transport):
    """kombu's Redis transport with the channel above."""

    Channel = GuardedChannel
