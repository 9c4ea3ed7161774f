"""The codes of all errors, nginx's own included: stable names, one for each case, for programs to act on.

A client's program reads `code`; `status` groups them for whatever speaks HTTP only, `detail` is for a person. After a
CLIENT_ERROR the same request fails again. After a SERVER_ERROR it may be sent again, with the same Idempotency-Key.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """`status` is the answer's HTTP status; `when` and `next_step` are for the documentation."""

    status: int
    when: str
    next_step: str


CODES = {
    "CLIENT_ERROR_BAD_REQUEST": Code(400, "nginx or the server cannot read the request", "Send valid HTTP."),
    "CLIENT_ERROR_MALFORMED_JSON": Code(400, "The body is not valid JSON", "Send JSON."),
    "CLIENT_ERROR_IDEMPOTENCY_KEY_MALFORMED": Code(
        400,
        "Idempotency-Key is empty, repeated, longer than 255 characters or not ASCII",
        'Send one key, such as "5f0c1b9e".',
    ),
    "CLIENT_ERROR_NOT_FOUND": Code(404, "There is nothing at this address", "See the reference of the HTTP API."),
    "CLIENT_ERROR_TASK_NOT_FOUND": Code(
        404,
        "No task has this ID, or its result is older than seven days",
        "Use the task_id that POST /api/v1/tasks returned.",
    ),
    "CLIENT_ERROR_DEAD_LETTER_NOT_FOUND": Code(
        404, "No dead letter has this ID, or not any more", "List them with GET /api/v1/dead-letters."
    ),
    "CLIENT_ERROR_METHOD_NOT_ALLOWED": Code(405, "This address has no such method", "Use one that Allow names."),
    "CLIENT_ERROR_ALREADY_FINISHED": Code(409, "A finished task cannot be cancelled", "Read its result."),
    "CLIENT_ERROR_CANNOT_REQUEUE": Code(
        409, "The dead letter cannot be sent again, or not now", "Do as `detail` says: drop it, or try again later."
    ),
    "CLIENT_ERROR_BODY_TOO_LARGE": Code(413, "The body is larger than 1 MiB", "Send less data."),
    "CLIENT_ERROR_URI_TOO_LONG": Code(414, "The address is longer than 8 KiB", "Send a shorter one."),
    "CLIENT_ERROR_MEDIA_TYPE": Code(415, "The body is not declared as JSON", "Send Content-Type: application/json."),
    "CLIENT_ERROR_VALIDATION": Code(422, "Fields are missing or wrong; `errors` names each", "Fix the fields."),
    "CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED": Code(
        422, "The Idempotency-Key was used with another payload in the last 24 hours", "Use a new key for a new task."
    ),
    "CLIENT_ERROR_TOO_MANY_REQUESTS": Code(
        429, "More than 500 requests a second came from one address", "Send fewer; wait as Retry-After says."
    ),
    "CLIENT_ERROR_HEADERS_TOO_LARGE": Code(
        431, "A header is longer than 8 KiB, or all are longer than 32 KiB", "Send less."
    ),
    "CLIENT_ERROR_OTHER": Code(400, "Another error of the request; see `status`", "See `detail`."),
    "SERVER_ERROR_UNEXPECTED": Code(500, "A bug in this service", "Search the logs for the correlation ID."),
    "SERVER_ERROR_NOT_IMPLEMENTED": Code(
        501, "nginx does not know the transfer encoding", "Send Content-Length, or chunked."
    ),
    "SERVER_ERROR_QUEUE_FULL": Code(
        503, "500 tasks are waiting, or the circuit breaker is still open after that", "Wait as Retry-After says."
    ),
    "SERVER_ERROR_BROKER_DOWN": Code(503, "Redis does not answer", "Wait as Retry-After says."),
    "SERVER_ERROR_BROKER_FULL": Code(
        503, "Redis cannot write: its memory or disk is full, or nearly so", "Make room; then try again."
    ),
    "SERVER_ERROR_TOO_LATE": Code(504, "The request waited too long for a server and was not accepted", "Try again."),
    "SERVER_ERROR_NOT_READY": Code(
        503, "GET /health only: Redis or every worker is away", "Wait until the answer is 200."
    ),
    "SERVER_ERROR_NO_SERVER": Code(
        503,
        "No API server answered nginx in time; one may have accepted the task all the same",
        "Try again as Retry-After says, with the same Idempotency-Key.",
    ),
    "SERVER_ERROR_OUTCOME_UNKNOWN": Code(
        504,
        "No API server answered nginx in time, but one may have accepted it",
        "Send it with the same Idempotency-Key.",
    ),
    "SERVER_ERROR_HTTP_VERSION": Code(505, "nginx does not know this version of HTTP", "Use HTTP/1.1."),
}

# What is answered for a status when no case is named.
BY_STATUS = {
    400: "CLIENT_ERROR_BAD_REQUEST",
    404: "CLIENT_ERROR_NOT_FOUND",
    405: "CLIENT_ERROR_METHOD_NOT_ALLOWED",
    409: "CLIENT_ERROR_ALREADY_FINISHED",
    413: "CLIENT_ERROR_BODY_TOO_LARGE",
    415: "CLIENT_ERROR_MEDIA_TYPE",
    422: "CLIENT_ERROR_VALIDATION",
    500: "SERVER_ERROR_UNEXPECTED",
    503: "SERVER_ERROR_BROKER_DOWN",
}


def code_of(status: int) -> str:
    """Return the code for a status that was answered without naming the case."""
    return BY_STATUS.get(status, "CLIENT_ERROR_OTHER" if status < 500 else "SERVER_ERROR_UNEXPECTED")
