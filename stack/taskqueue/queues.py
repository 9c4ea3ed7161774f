"""The three queues: one Redis list each, every name also its exchange and routing key."""

from __future__ import annotations

from kombu.entity import Exchange, Queue

from taskqueue.contract import QUEUES

queues = [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in QUEUES]
