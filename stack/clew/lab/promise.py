"""Notebook 9: what 201 promises, with the defaults of Celery and Redis and without. `promise_trials.py` tries it."""

from __future__ import annotations

from markupsafe import Markup

from clew.core.errors import ClewError
from clew.drills.model import HELD, exactly
from clew.lab import promise_trials as trials
from clew.lab import recordings
from clew.lab.bench import Seen, Trials, recorded
from clew.lab.busy import Said, answers, rows_told
from clew.show import plot
from clew.show.display import Beside, Lines, Plot, Table
from clew.show.plot import Segment
from clew.stacks.services import WORKERS

BESIDE_WIDTH = 520  # of a plot that is shown side by side with another one


class Promise(Trials):
    """Nine services of which one is killed while it works."""

    def kill(self, prediction: Said | None = None) -> Killed:
        """Start tasks of 3 s, kill the worker that runs most of them, start it again, and wait."""
        seen = self.bench.see(trials.kill)
        return Killed(seen, self.settings, prediction, self.note)

    def twice(self) -> Twice:
        """Kill a worker when its task has booked but could not say so; show the task's lines."""
        return Twice(self.bench.see(trials.twice), self.note)

    def power_cut(self, prediction: Said | None = None) -> Table:
        """Show a recorded run of the drill power-cut: it needs strace and half a minute, so it is not run here."""
        recording = recordings.load("trials")
        return power_cut(recorded(recording, "power_cut", "durable"), prediction, recordings.note(recording))

    @property
    def settings(self) -> str:
        return self.bench.settings


class Killed(Plot):
    """What became of each task when a worker was killed; `stock | durable` shows two of them side by side."""

    def __init__(self, seen: Seen, settings: str, prediction: Said | None = None, note: str | None = None) -> None:
        self.seen, self.settings = seen, settings
        cut = [task for task in seen["tasks"] if task["task_id"] in seen["cut"]]
        others = [task for task in seen["tasks"] if task["task_id"] not in seen["cut"]]
        finished = sum(bool(task["ends"]) for task in cut)
        again = sum(len(task["starts"]) > 1 for task in cut)
        rows: list[tuple[str, object]] = [
            ("tasks answered with 201", len(seen["tasks"])),
            ("of these, cut off in the killed worker", len(cut)),
            ("cut off, and run again", again),
            ("cut off, and finished in the end", finished),
            ("other tasks, finished", sum(bool(task["ends"]) for task in others)),
            ("other tasks, run more than once", sum(len(task["starts"]) > 1 for task in others)),
            ("tasks that still wait, says the API", seen["waiting"]),
        ]
        states = ", ".join(sorted({str(task["state"]) for task in cut}))
        words = [f"The API says of the tasks that were cut off: {states}."]
        kept = settings == "durable"
        checks = [
            exactly("cut off, and finished in the end", len(cut) if kept else 0, finished),
            exactly("other tasks, finished", len(others), sum(bool(task["ends"]) for task in others)),
            exactly("other tasks, run more than once", 0, sum(len(task["starts"]) > 1 for task in others)),
            exactly("tasks that were cut off", True, bool(cut)),
            exactly("the state of what was cut off", {"durable": "SUCCESS"}.get(settings, states), states),
        ]
        super().__init__(
            self._picture(f"{rows_told(rows)}. {words[0]}"), answers(rows, prediction), words, checks, note
        )

    def _picture(self, told: str) -> Markup:
        seen = self.seen
        bars: dict[str, list[Segment]] = {worker: [] for worker in WORKERS}
        for task in seen["tasks"]:
            for number, (begin, worker) in enumerate(task["starts"]):
                lost = number == 0 and task["task_id"] in seen["cut"]
                ends = [end for end in task["ends"] if end > begin]
                end = seen["killed_at"] if lost else min(ends, default=seen["ended"])
                bars[worker].append(Segment(begin, end, "cut" if lost else "run"))
        moments = [
            (seen["killed_at"], f"{seen['killed']} is killed", False),
            (seen["back_at"], f"{seen['killed']} is started again", True),
        ]
        panels = [
            plot.rows("a bar for each run of a task; × where it was cut off", [
                (worker.removeprefix("celery-"), plot.in_parallel(bars[worker])) for worker in WORKERS
            ], 12),
            plot.notes("what was done", moments),
        ]  # fmt: skip
        return plot.figure(seen["ended"], panels, told, BESIDE_WIDTH)

    def trail(self) -> Followed:
        """Search all nine logs for the correlation ID of one of the tasks that were cut off."""
        return Followed(self.seen["lines"], self.seen["sent_id"], self.note)

    def __or__(self, other: Killed) -> Beside:
        return Beside(self, other, (self.settings, other.settings))


class Followed(Lines):
    """The log lines of one request; how many workers had it differs from run to run."""

    def facts(self) -> dict[str, object]:
        return {"measured": True}


class Twice(Followed):
    """The log lines of a task that ran twice, and what became of its booking."""

    def __init__(self, seen: Seen, note: str | None = None) -> None:
        super().__init__(seen["lines"], seen["sent_id"], note)
        self.seen = seen

    def facts(self) -> dict[str, object]:
        checks = [
            exactly("runs", 2, self.seen["starts"]),
            exactly("bookings", ["already applied"], self.seen["effects"]),
            exactly("state", "SUCCESS", self.seen["state"]),
        ]
        return {"checks": [vars(check) for check in checks], "measured": True}


def power_cut(seen: Seen, prediction: Said | None = None, note: str | None = None) -> Table:
    """Show what an emulated power cut took with each setting of appendfsync.

    Raises:
        ClewError: the prediction names another setting.
    """
    said = prediction or {}
    for name in said:
        if name not in seen["settings"]:
            known = ", ".join(seen["settings"])
            raise ClewError(f"appendfsync has no setting {name!r}; there are {known}.", "correct the prediction")
    rows = [
        [setting, str(said.get(setting, "–")), *(f"{found[name]:,}" for name in ("accepted", "lost", "bytes_cut"))]
        for setting, found in seen["settings"].items()
    ]
    lost = {setting: found["lost"] for setting, found in seen["settings"].items()}
    checks = [
        exactly("verdict of the drill power-cut", HELD, seen["verdict"]),
        exactly("lost with always", 0, lost["always"]),
        exactly("some lost with no", True, lost["no"] > 0),
    ]
    facts = {"checks": [vars(check) for check in checks], "measured": True}
    head = ["appendfsync", "you said", "answered with 201", "lost", "bytes cut off"]
    return Table(head, rows, note, facts, f"Verdict of the drill: {seen['verdict']}.")
