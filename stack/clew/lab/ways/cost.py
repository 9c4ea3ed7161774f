"""What each way costs: CPU time of a POST in the API, measured in turns."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from clew import provision
from clew.lab.posting import Variant, in_turns, redis_of_its_own
from clew.lab.ways import folder
from clew.stacks.drivers import Say

ROUNDS, POSTS, WARM_UP = 20, 20, 60
AGAIN = "by hand, a second process"


@dataclass(frozen=True)
class Cost:
    """Medians over all rounds: `microseconds` of CPU time of a POST, `ratio` to by hand, compared round by round."""

    name: str
    microseconds: float
    ratio: float


def measure(say: Say, rounds: int = ROUNDS) -> list[Cost]:
    """Return the cost of each way, and of by hand a second time: how far that ratio is from 1 is what chance does.

    Raises:
        ClewError: Redis or an application did not start.
    """
    provision.ensure_redis(say)
    with ExitStack() as open_until_end:
        port = open_until_end.enter_context(redis_of_its_own())
        variants = []
        for way, name in [*folder.WAYS.items(), (folder.BY_HAND, AGAIN)]:
            stage = Path(open_until_end.enter_context(tempfile.TemporaryDirectory()))
            folder.write(way, stage)
            variants.append(Variant(name, stage, "durable", port))
        in_turns(variants, rounds, POSTS, WARM_UP)
    return [Cost(one.name, round(one.microseconds), round(one.ratio(variants[0]), 2)) for one in variants]
