"""Starting the live view on a stack that is up."""

from __future__ import annotations

import sys
import time

from clew.core.errors import ClewError
from clew.evidence import client
from clew.lab.watch.app import Watch
from clew.lab.watch.seen import Follower
from clew.stacks.drivers import driver_of
from clew.stacks.stack import Stack


def run(stack: Stack) -> None:
    """Show the live view until q is pressed.

    Raises:
        ClewError: the stack is not up, or this is no terminal.
    """
    driver = driver_of(stack)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ClewError("The live view needs a terminal.", stack.command("logs"))
    follower = Follower(driver, time.time())

    def send() -> str:
        answer = client.send(stack)
        return f"sent X-Request-ID: {answer.sent_id}, answered {answer.status_code} with {answer.answered_id}"

    title = f"{stack.title} · {stack.url} · {driver.name} driver"
    Watch(title, stack.command("send"), follower.new_lines, send).run()
