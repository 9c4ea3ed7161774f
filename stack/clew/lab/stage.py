"""What the notebooks call: a stage that runs or, where it cannot, one that is replayed from a recording.

    stage = clew.Stage(3)
    stage.up()
    run = stage.send("MY-TRACE-123")
    run.trace()

CLEW_REPLAY=1 in the environment replays recordings everywhere, CLEW_REPLAY=0 never does. Without it a stage runs; if it
is down and cannot be started, `up` says why, and a recording is replayed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from clew import ladder
from clew.core.errors import ClewError
from clew.evidence import logs, sql
from clew.evidence.client import Answer
from clew.evidence.journey import SENT_ID
from clew.lab import crowd as crowds
from clew.lab.backend import Backend, CannotStart, Data, cannot_start, replay_wanted
from clew.lab.layers import layer_of, source
from clew.lab.live import LiveStage
from clew.lab.replayed import ReplayedStage
from clew.lab.results import Submitted, Traced
from clew.lab.tries.notebook import Tried
from clew.show.display import Beside, Display, Lines, MessageXray, Source, Table, UnifiedDiff, Words
from clew.show.two import TwoAtOnce
from clew.stacks.services import SERVICES
from clew.stacks.stack import stage_stack

SHOWN_ROWS = 20


class Stage:
    """One stage of the ladder, with its nine services.

    `replay`: True replays recordings, False never does, None leaves it to CLEW_REPLAY. `backend` is what answers.
    """

    def __init__(self, number: int, replay: bool | None = None, backend: Backend | None = None) -> None:
        self.number = ladder.stage(number).number
        wanted = replay_wanted() if replay is None else replay
        self.may_fall_back = wanted is None
        self.backend: Backend = backend or (
            ReplayedStage(self.number) if wanted else LiveStage(stage_stack(self.number))
        )
        self.first = self.backend
        self.sent: Answer | None = None
        self.looks = 0
        self.tried: Tried | None = None

    @property
    def note(self) -> str | None:
        return self.backend.note

    def up(self) -> Display:
        """Make the nine services ready; a stack that is up already is only checked, and left as it is.

        Where they cannot be started, say so and replay a recording; the next call tries to start them again.

        Raises:
            ClewError: a service of a stack that is up is not ready (it is named), or the stack cannot be started while
                CLEW_REPLAY=0 forbids to replay a recording.
        """
        if self.backend is not self.first:  # a recording is replayed, and what was sent is in the recording only
            self.backend, self.sent, self.looks = self.first, None, 0
        try:
            words = self.backend.up()
        except CannotStart as error:
            self._fall_back(error)
            return Words(cannot_start(f"Stage {self.number}", error), ok=False, note=self.note)
        return Words(words, ok=None if self.note else True, note=self.note)

    def _fall_back(self, error: CannotStart) -> None:
        if not self.may_fall_back:
            raise error
        self.backend = ReplayedStage(self.number)

    def down(self) -> Display:
        """Stop the services if this notebook started them."""
        self.backend.down()
        if self.tried is not None:
            self.tried.down()
        return Words(f"Stage {self.number} is as it was before this notebook.", note=self.note)

    def submit(self, correlation_id: str = SENT_ID, data: Data | None = None) -> Submitted:
        """Send one task request and return the answer, as curl would, without waiting for the task.

        Raises:
            ClewError: the stage is not up, or did not answer 201.
        """
        self.sent, self.looks = self.backend.submit(correlation_id, data), 0
        return Submitted(self.sent, self.note)

    def new_key(self) -> str:
        """Return an Idempotency-Key, as a client makes one for each thing that it wants done."""
        return self.backend.new_key()

    def click(self, correlation_id: str, key: str, data: Data | None = None) -> Submitted:
        """Send one task request with an Idempotency-Key, and return the answer, whatever it is.

        Raises:
            ClewError: the stage is not up, or does not answer.
        """
        answer = self.backend.click(correlation_id, key, data)
        if answer.status_code == 201:  # only then is there a task whose lines `find` has to wait for
            self.sent, self.looks = answer, 0
        return Submitted(answer, self.note)

    def look(self, service: str, wanted: str = SENT_ID) -> None:
        """Search the log of one service for an ID, and print the lines that have it, as grep would; look-ups are
        counted.

        Raises:
            ClewError: nothing was sent yet, or there is no such service.
        """
        if self.sent is None:
            raise ClewError("Nothing was sent yet.", 'sent = stage.submit("MY-TRACE-123")')
        if service not in SERVICES:
            raise ClewError(f"There is no service {service!r}; the nine are {', '.join(SERVICES)}.", "stage.look(...)")
        self.looks += 1
        lines = self.backend.lines(self.sent)
        found = [line for line in logs.with_id(lines, wanted) if line["service"] == service]
        print(f"look-up {self.looks} · {service:<18} · {len(found)} line{'s' * (len(found) != 1)}")
        for line in found:
            fields = " ".join(
                f"{name}={line[name]}" for name in ("correlation_id", "request_id", "task_id") if line.get(name)
            )
            print(f"             {str(line['message']).partition(': {')[0]}  {fields}")

    def find(self, wanted: str = SENT_ID) -> Lines:
        """Search all nine logs at once for an ID, from the last submitted request on."""
        return Lines(logs.with_id(self.backend.lines(self.sent), wanted), wanted, self.note)

    def crowd(self) -> Table:
        """Send twenty requests, every fifth with an ID that is not allowed, and wait for their tasks.

        Raises:
            ClewError: the stage is not up, or did not answer 201.
        """
        return crowds.table(self.backend.crowd(), self.note)

    def sql(self, query: str) -> Table:
        """Ask all log lines of the stage in SQL: the table `logs`, the view `hops`, and request('AN-ID').

        Raises:
            ClewError: DuckDB refuses the query.
        """
        with sql.of_lines(self.backend.lines(None)) as connection:
            columns, rows = sql.ask(connection, query, 'stage.sql("FROM logs LIMIT 5")')
        count = f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}"
        more = f", the first {SHOWN_ROWS} of them shown" if len(rows) > SHOWN_ROWS else ""
        cells = [[sql.cell(value) for value in row] for row in rows[:SHOWN_ROWS]]
        return Table(columns, cells, self.note, {"rows": len(rows)}, f"{count}{more}.")

    def send(self, correlation_id: str = SENT_ID, data: Data | None = None) -> Traced:
        """Send one task request, wait for its result, and find its five hops in the nine logs.

        Raises:
            ClewError: the stage is not up, did not answer 201, or its log lines did not appear.
        """
        return Traced(self.backend.trace(correlation_id, data), self.note)

    def two(self) -> TwoAtOnce:
        """Send two requests of two people at the same time, and tell whose each log line is, where the lines tell.

        Raises:
            ClewError: the stage is not up, did not answer 201 twice, or the two requests did not overlap.
        """
        return TwoAtOnce(self.backend.two(), self.note)

    def once(self) -> Traced:
        """Send the usual request on a stage that may be down: it is started for it, and afterwards as it was before.

        Raises:
            ClewError: the stage did not answer, or cannot be started while CLEW_REPLAY=0 forbids to replay a recording.
        """
        try:
            run = self.backend.once(SENT_ID)
        except CannotStart as error:
            self._fall_back(error)
            run = self.backend.once(SENT_ID)
        return Traced(run, self.note)

    def message(self, correlation_id: str = SENT_ID) -> MessageXray:
        """Send one more request and open its message while it waits in Redis."""
        return MessageXray(self.backend.message(correlation_id), self.note)

    def source(self, hop: str) -> Source:
        """Show the lines of a layer's file, as this stage has it, that pass the ID on or lose it."""
        return source(self.number, hop)

    def fix(self, before: Traced, after: Traced) -> Beside:
        """Show what this stage changes in the source, and what that changes in the logs."""
        titles = ("What the fix changes in the source", "What that changes in the logs of the same request")
        return Beside(UnifiedDiff(ladder.source_diff(self.number)), (before | after).unified(), titles)

    def try_fix(self, hop: str, code: str) -> Display:
        """Run this stage with `code` as the whole file of the layer that comes next, and say whether the ID passes.

        The stack for it is one of its own; it keeps running until `down`, so that the next try takes seconds.

        Raises:
            ClewError: another layer is the next one, or the stack does not answer.
        """
        layer = layer_of(hop, 'stage.try_fix("nginx", code)')
        number = ladder.LAYERS.index(layer) + 1
        if self.number != number - 1:
            raise ClewError(
                f"The {hop} is fixed on the stage before it, {number - 1}; this is stage {self.number}.",
                f'clew.Stage({number - 1}).try_fix("{hop}", code)',
            )
        if self.note is not None:
            return Words("A fix can only be tried on a stack that runs; this is a recording.", note=self.note)
        try:
            self.tried = self.tried or Tried()
            return self.tried.attempt(number, code)
        except CannotStart as error:
            if not self.may_fall_back:
                raise
            return Words(
                f"The stack to try it on cannot be started: {error.message}\nTo run it: {error.next_step}", ok=False
            )

    @contextlib.contextmanager
    def nobody_consuming(self) -> Iterator[None]:
        """Stop the workers from taking messages from the queues while the block runs."""
        with self.backend.nobody_consuming():
            yield

    def status(self, task_id: str) -> Words:
        """Ask the API for a task: GET /api/v1/tasks/{task_id}."""
        return self._ask("GET", task_id)

    def cancel(self, task_id: str) -> Words:
        """Tell the API to cancel a task: DELETE /api/v1/tasks/{task_id}."""
        return self._ask("DELETE", task_id)

    def _ask(self, method: str, task_id: str) -> Words:
        answer = self.backend.ask(method, task_id)
        body = answer["body"]
        shown = body.get("detail") or ", ".join(
            f"{name}: {value}" for name, value in body.items() if value is not None and name != "result"
        )
        result = body.get("result") or {}
        amount = f", VaR: ${result['var_amount']:,.2f}" if "var_amount" in result else ""
        return Words(
            f"{method} /api/v1/tasks/{task_id}\nHTTP {answer['status_code']} · {shown}{amount}", note=self.note
        )


def replay(number: int) -> Stage:
    """Return a stage that is replayed from the recordings that Clew ships."""
    return Stage(number, replay=True)
