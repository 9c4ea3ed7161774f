"""What `ledger.accept` raises when a request does not lead to a new task."""

from __future__ import annotations


class AlreadyAccepted(Exception):
    """The same idempotency key and payload have led to this task before.

    `from_client` tells whether the client sent the key twice, or nginx asked a second server for one request.
    """

    def __init__(self, task_id: str, from_client: bool) -> None:
        super().__init__(task_id)
        self.task_id = task_id
        self.from_client = from_client


class Refused(Exception):
    """No task was created. `code` is one of taskqueue.codes; `retry_after` says after how many seconds to try again."""

    def __init__(self, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
