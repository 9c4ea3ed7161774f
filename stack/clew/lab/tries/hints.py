"""Three hints for each layer: where to look, what is missing, the line."""

from __future__ import annotations

HINTS: dict[str, tuple[str, str, str]] = {
    "nginx": (
        "nginx writes an ID in three places: into its log, into its answer, and into the request that it passes on. "
        "Look at what each of them takes.",
        "All three take `$request_id`, which nginx makes itself. What the client sent is `$http_x_request_id`, which "
        "is empty when the client sent none, and may be any text. A `map` makes one variable of two.",
        "Above `log_format`: map $http_x_request_id $correlation_id { default $request_id; "
        '"~^[A-Za-z0-9._-]{1,128}$" $http_x_request_id; } - then use $correlation_id in all three places.',
    ),
    "routes": (
        "The route has the ID: it logs it as request_id. Look at what it gives to the next layer.",
        "`arguments` is all that the task service gets. The ID is not among them.",
        'One more item in `arguments`: "correlation_id": correlation_id,',
    ),
    "task-service": (
        "The route now passes `correlation_id=…` to `create_task`. Look at where in its signature that lands.",
        "It lands in `**_`, which takes what has no name of its own and is never read. Give it a name, with a default "
        "for callers that do not know it, and pass it on.",
        "In the signature: correlation_id: str | None = None, before **_ - and in `arguments`: "
        '"correlation_id": correlation_id,',
    ),
    "queue-service": (
        "`send_task` puts a message on a queue. Which part of it reaches the worker's function?",
        "Only `kwargs` does. The ID lands in `**_`: take it by name, and put it into `kwargs` if there is one. "
        "`kwargs` is a copy, so the caller's data stay as they are.",
        "In the signature: correlation_id: str | None = None, before **_ - and above `ledger.accept`: "
        'if correlation_id: kwargs["correlation_id"] = correlation_id',
    ),
    "worker": (
        "The message's kwargs become the arguments of a task's function. Look at where `correlation_id` lands, in all "
        "four tasks.",
        "It lands in `**_`. Take it by name, with a default for messages that have none, and give it to `task_log`.",
        "In each of the four signatures: correlation_id=None, before **_ - and in each `task_log`: "
        "correlation_id=correlation_id",
    ),
}
