"""What the notebooks call: a stage that runs, or one that is played from a recording.

    stage = clew.Stage(3)
    stage.up()
    run = stage.send("MY-TRACE-123")
    run.trace()

CLEW_REPLAY=1 in the environment plays recordings everywhere, CLEW_REPLAY=0 never does. Without it a stage runs, unless
it is down and cannot be started; then `up` says why, and plays.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, diff, logs, message, trace
from clew.evidence.journey import SENT_ID
from clew.evidence.trace import Run
from clew.lab import record
from clew.show.display import (
    Beside,
    Display,
    Lines,
    LogDiff,
    Matrix,
    MessageXray,
    Source,
    Table,
    Timeline,
    Trail,
    UnifiedDiff,
    Words,
)
from clew.stacks import lifecycle, ready
from clew.stacks.drivers import Driver, driver_of, running_driver
from clew.stacks.services import SERVICES
from clew.stacks.stack import stage_stack

READY = ("running",)


def say(text: str) -> None:
    """Tell in a cell what goes on; `quiet` takes it away when it is over."""
    print(text, flush=True)


def quiet() -> None:
    if "IPython" in sys.modules:
        importlib.import_module("IPython.display").clear_output(wait=True)


def wants_replay() -> bool | None:
    """Return what CLEW_REPLAY asks for, None when it asks for nothing."""
    return {"1": True, "0": False}.get(os.environ.get("CLEW_REPLAY", ""))


def replay_note(recording: record.Recording) -> str:
    versions = recording["versions"]
    names = ("python", "celery", "fastapi", "nginx", "redis-server")
    told = ", ".join(f"{name} {versions[name]}" for name in names)
    return f"Replay of a run recorded on {recording['made_at']} ({recording['driver']} driver, {told})"


class Traced(Display):
    """A traced request; `before | after` compares the logs of two."""

    def __init__(self, run: Run, note: str | None = None) -> None:
        self.run, self.note = run, note
        self.task_id, self.status, self.result, self.lines = run.task_id, run.status, run.result, run.lines

    def trace(self) -> Trail:
        """Show the five hops as a thread."""
        return Trail(self.run, self.note)

    def timeline(self) -> Timeline:
        """Show where the time of the request went."""
        return Timeline(self.run, self.note)

    def compared(self, prediction: dict[str, str]) -> Table:
        """Hold a prediction, a verdict for each hop, against what happened."""
        return compared(prediction, self.run, self.note)

    def __or__(self, after: Traced) -> LogDiff:
        return LogDiff(self.run, after.run, self.note or after.note)

    def text(self) -> str:
        return self.trace().text()

    def html(self) -> str:
        return self.trace().html()

    def facts(self) -> dict[str, Any]:
        return self.trace().facts()


class Submitted(Words):
    """What the client got back for its POST."""

    def __init__(self, answer: client.Answer, note: str | None = None) -> None:
        self.answer = answer
        self.task_id = str(answer.body.get("task_id", ""))
        super().__init__(
            f"HTTP {answer.status_code}\nX-Request-ID: {answer.answered_id}\n\n{json.dumps(answer.body)}", note=note
        )


class Stage:
    """One rung of the ladder, with its nine services."""

    def __init__(self, number: int, replay: bool | None = None) -> None:
        self.number = ladder.stage(number).number
        self.stack = stage_stack(number)
        self.driver: Driver | None = None
        self.started_here = False
        self.replayed: Replayed | None = None
        self.since: client.Answer | None = None
        self.looks = 0
        if replay or (replay is None and wants_replay()):
            self.replayed = Replayed(self.number)

    @property
    def note(self) -> str | None:
        return self.replayed.note if self.replayed else None

    def up(self) -> Display:
        """Have the nine services ready: those of a stack that is up already are only looked at, and left alone.

        Raises:
            ClewError: a service of a stack that is up is dead (it is named), or the stack cannot be started while
                CLEW_REPLAY=0 forbids to play a recording.
        """
        if self.replayed:
            return Words(f"Stage {self.number} is not started: a recording is played.", note=self.note)
        try:
            self._look_or_start()
        except ClewError as error:
            if wants_replay() is False or running_driver(self.stack) is not None:
                raise
            self.replayed = Replayed(self.number)
            return Words(
                f"Stage {self.number} cannot be started: {error.message}\n"
                f"To run it: {error.next_step}, then this cell again.\nUntil then a recording is played.",
                ok=False,
                note=self.note,
            )
        until = " They stay until stage.down() or make down." if self.started_here else ""
        return Words(f"Stage {self.number} is up: nine of nine services are ready.{until}", ok=True)

    def _look_or_start(self) -> None:
        self.driver = running_driver(self.stack)
        if self.driver is not None:
            states = self.driver.status()
            dead = [name for name in SERVICES if states[name] not in READY or not ready.is_ready(self.stack, name)]
            if dead:
                reason = f"Stage {self.number} is up, but not ready: {', '.join(dead)}."
                raise ClewError(reason, self.stack.command("up"))
            return
        try:
            self.driver, _ = lifecycle.up(self.stack, say)
            self.started_here = True
            client.warm_up(self.stack)
        except KeyboardInterrupt:
            self.down()
            raise ClewError(f"Interrupted: {self.stack.title} is down again.", "stage.up()") from None
        finally:
            quiet()

    def _require_up(self) -> None:
        if running_driver(self.stack) is None:
            raise ClewError(f"{self.stack.title} is not up.", "stage.up()")

    def down(self) -> Display:
        """End the services if this notebook started them."""
        if self.started_here:
            lifecycle.down(self.stack)
            self.started_here = False
            self.driver = None
        return Words(f"Stage {self.number} is as it was before this notebook.", note=self.note)

    def submit(self, correlation_id: str = SENT_ID, data: dict[str, Any] | None = None) -> Submitted:
        """Send one task request and return the answer, as curl would, without waiting for the task.

        Raises:
            ClewError: the stage is not up, or did not answer 201.
        """
        if self.replayed:
            answer = self.replayed.answer(correlation_id, data)
        else:
            self._require_up()
            answer = client.send_task(self.stack, correlation_id, client.seeded_body(data))
        self.since, self.looks = answer, 0
        return Submitted(answer, self.note)

    def look(self, service: str, wanted: str = SENT_ID) -> None:
        """Search the log of one service for an ID, and print what bears it, as grep would; look-ups are counted.

        Raises:
            ClewError: nothing was sent yet, or no such service.
        """
        if self.since is None:
            raise ClewError("Nothing was sent yet.", 'sent = stage.submit("MY-TRACE-123")')
        if service not in SERVICES:
            raise ClewError(f"There is no service {service!r}; the nine are {', '.join(SERVICES)}.", "stage.look(...)")
        if self.looks == 0 and not self.replayed:
            self._settle(self.since)
        self.looks += 1
        found = [line for line in logs.with_id(self._lines(), wanted) if line["service"] == service]
        print(f"look-up {self.looks} · {service:<18} · {len(found)} line{'s' * (len(found) != 1)}")
        for line in found:
            fields = " ".join(
                f"{name}={line[name]}" for name in ("correlation_id", "request_id", "task_id") if line.get(name)
            )
            print(f"             {str(line['message']).partition(': {')[0]}  {fields}")

    def find(self, wanted: str = SENT_ID) -> Lines:
        """Search all nine logs at once for an ID, from the last request on."""
        if self.since and not self.replayed:
            self._settle(self.since)
        return Lines(logs.with_id(self._lines(), wanted), wanted, self.note)

    def _lines(self) -> list[Line]:
        if self.replayed:
            return self.replayed.lines
        since = self.since.sent_at - trace.CLOCK_SLACK if self.since else None
        return logs.read(driver_of(self.stack), since)

    def _settle(self, answer: client.Answer) -> None:
        """Wait until the request's task is finished and its last line is in the log."""
        client.result(self.stack, answer.task_id)
        wait_until(
            lambda: any("duration_ms" in line for line in logs.with_id(self._lines(), answer.task_id)),
            trace.LINES_SECONDS,
            "the worker's last log line",
            self.stack.command("status"),
            every=0.03,
        )

    def send(self, correlation_id: str = SENT_ID, data: dict[str, Any] | None = None) -> Traced:
        """Send one task request, wait for its result, and find its five hops in the nine logs.

        Raises:
            ClewError: the stage is not up, did not answer 201, or the log lines did not come.
        """
        if self.replayed:
            return Traced(self.replayed.run(correlation_id, data), self.note)
        self._require_up()
        run = trace.trace(self.stack, correlation_id, client.seeded_body(data))
        return Traced(run)

    def once(self) -> Traced:
        """Send the usual request on a stage that may be down: it is started for it, and then as it was before."""
        if self.replayed:
            return self.send()
        try:
            return Traced(diff.run_on(self.number, SENT_ID, client.seeded_body(), say))
        except ClewError:
            if wants_replay() is False or running_driver(self.stack) is not None:
                raise
            self.replayed = Replayed(self.number)
            return self.send()
        finally:
            quiet()

    def message(self, correlation_id: str = SENT_ID) -> MessageXray:
        """Send one more request and open its message while it waits in Redis."""
        if self.replayed:
            return MessageXray(self.replayed.entry["message"], self.note)
        self._require_up()
        found = message.message(self.stack, correlation_id, client.seeded_body())
        client.result(self.stack, found["task_id"])
        return MessageXray(found)

    def source(self, hop: str) -> Source:
        """Show the lines of a layer's file, as this stage has it, that hand the ID on or lose it."""
        return source(self.number, hop)

    def fix(self, before: Traced, after: Traced) -> Beside:
        """Show what this stage changes in the source, and what that changes in the logs."""
        titles = ("What the fix changes in the source", "What that changes in the logs of the same request")
        return Beside(UnifiedDiff(ladder.source_diff(self.number)), (before | after).unified(), titles)

    @contextlib.contextmanager
    def nobody_consuming(self) -> Iterator[None]:
        """Have the workers take nothing from the queues for a while."""
        if self.replayed:
            yield
            return
        self._require_up()
        with message.nobody_consuming(self.stack):
            yield

    def status(self, task_id: str) -> Words:
        """Ask the API for a task: GET /api/v1/tasks/{task_id}."""
        return self._ask("GET", task_id)

    def cancel(self, task_id: str) -> Words:
        """Tell the API to cancel a task: DELETE /api/v1/tasks/{task_id}."""
        return self._ask("DELETE", task_id)

    def _ask(self, method: str, task_id: str) -> Words:
        if not self.replayed:
            self._require_up()
        answer = self.replayed.asked(method, task_id) if self.replayed else client.ask(self.stack, method, task_id)
        shown = answer["body"].get("detail") or ", ".join(
            f"{name}: {value}" for name, value in answer["body"].items() if value is not None and name != "result"
        )
        result = answer["body"].get("result") or {}
        amount = f", VaR: ${result['var_amount']:,.2f}" if "var_amount" in result else ""
        return Words(
            f"{method} /api/v1/tasks/{task_id}\nHTTP {answer['status_code']} · {shown}{amount}", note=self.note
        )


class Replayed:
    """A stage's recorded runs."""

    def __init__(self, number: int) -> None:
        recording = record.load("stages")
        self.entry = recording["runs"][number]
        self.note = replay_note(recording)
        self.runs = [(SENT_ID, None, record.run_of(self.entry))]
        self.answers: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []  # submitted while no worker took anything
        if number == ladder.FIXED.number:
            ids = record.load("three-ids")
            self.runs += [(entry["sent_id"], entry["data"], record.run_of(entry)) for entry in ids["runs"]]
            self.answers, self.waiting = list(ids["answers"]), list(ids["waiting"])
        self.lines = self.runs[0][2].lines

    def run(self, correlation_id: str, data: dict[str, Any] | None) -> Run:
        """Return the recorded run of a request.

        Raises:
            ClewError: this request was not recorded.
        """
        for sent_id, sent_data, run in self.runs:
            if (sent_id, sent_data) == (correlation_id, data):
                self.lines = [line for other_id, _, other in self.runs if other_id == sent_id for line in other.lines]
                return run
        known = ", ".join(sorted({known for known, _, _ in self.runs}))
        raise ClewError(
            f"The recording has no request with the ID {correlation_id!r} and this data; it has {known}.",
            "make stage-5 up, to send your own",
        )

    def answer(self, correlation_id: str, data: dict[str, Any] | None) -> client.Answer:
        for waiting in self.waiting:
            if waiting["sent_id"] == correlation_id:
                body = {"task_id": waiting["task_id"], "status": "PENDING"}
                return client.Answer(correlation_id, 0.0, 0.0, 201, correlation_id, body)
        run = self.run(correlation_id, data)
        body = {"task_id": run.task_id, "status": "PENDING"}
        return client.Answer(run.sent_id, run.sent_at, run.answered_ms, 201, run.answered_id, body)

    def asked(self, method: str, task_id: str) -> dict[str, Any]:
        """Return the next recorded answer about a task; the last of a kind is repeated.

        Raises:
            ClewError: this was not asked when the recording was made.
        """
        found = [answer for answer in self.answers if (answer["method"], answer["task_id"]) == (method, task_id)]
        if not found:
            raise ClewError(f"The recording has no {method} of {task_id}.", "make stage-5 up, to ask your own")
        if len(found) > 1:
            self.answers.remove(found[0])
        return found[0]


def replay(number: int) -> Stage:
    """Return a stage that plays the recorded runs that Clew ships."""
    return Stage(number, replay=True)


def source(number: int, hop: str) -> Source:
    """Show the lines of a layer's file on a stage that hand the ID on or lose it, with the cause or the fix in words.

    Raises:
        ClewError: there is no such layer.
    """
    layer = next((layer for layer in ladder.LAYERS if layer.hop == hop), None)
    if layer is None:
        raise ClewError(f"There is no layer {hop!r}; the five are {', '.join(ladder.HOPS)}.", "stage.source('nginx')")
    this = ladder.stage(number)
    lines = (this.folder / layer.file).read_text().splitlines()
    anchor = ladder.cause_line(this.folder / layer.file, layer)
    fixed = this.mix[ladder.LAYERS.index(layer)] == "1"
    changed = set(ladder.changed_lines(layer, fixed)) or {anchor}
    first, last = max(1, min(changed | {anchor}) - 3), min(len(lines), max(min(changed) + 12, anchor) + 3)
    while not lines[first - 1].strip():
        first += 1
    return Source(
        f"stages/{this.slug}/{layer.file}",
        first,
        lines[first - 1 : last],
        changed,
        fixed,
        f"Fix: {layer.fix}" if fixed else f"Cause: {layer.cause}",
    )


def lattice() -> Matrix:
    """Show the recorded runs of all 32 mixes; `make lattice` makes them here."""
    recording = record.load("lattice")
    return Matrix([record.run_of(entry) for entry in recording["runs"]], replay_note(recording))


def compared(prediction: dict[str, str], run: Run, note: str | None = None) -> Table:
    """Hold a prediction, a verdict for each hop, against a run."""
    rows = []
    for hop in run.hops:
        said = prediction.get(hop.hop, "?")
        told = {"?": "no prediction yet", hop.verdict: "as you said"}.get(said, "not as you said: look here")
        rows.append([hop.hop, said, hop.verdict, told])
    return Table(["hop", "you said", "it was", ""], rows, note, {"verdicts": list(run.verdicts), "stage": run.stage})


def predict(**verdicts: str) -> dict[str, str]:
    """Note a prediction: kept, replaced or missing for nginx, routes, task_service, queue_service, worker; ? for none.

    Raises:
        ClewError: a name that is no hop, or a word that is no verdict.
    """
    prediction = {name.replace("_", "-"): verdict.lower() for name, verdict in verdicts.items()}
    words = ("kept", "replaced", "missing", "?")
    for hop, verdict in prediction.items():
        if hop not in ladder.HOPS:
            raise ClewError(
                f"{hop!r} is no hop; the five are {', '.join(ladder.HOPS)}.", "mend the cell and run it again"
            )
        if verdict not in words:
            raise ClewError(f"{verdict!r} is no verdict; say {', '.join(words)}.", "mend the cell and run it again")
    open_hops = [hop for hop in ladder.HOPS if prediction.get(hop, "?") == "?"]
    print(f"Still open: {', '.join(open_hops)}." if open_hops else "Noted. Now run it.")
    return prediction
