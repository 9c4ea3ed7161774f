"""What a request left behind, and what that shows: one request sent, found again in nine logs, compared and judged.

In: a `Stack` that is up, its driver's log lines, its API's answers. Out: a `Run` (five hops, their verdicts, where the
trail ends), the difference between two runs, a raw message, a timeline. Nothing here prints. Start reading at
`trace.py`; `client.py` sends, `logs.py` reads, `message.py` looks at a queue, `journey.py` makes many runs.
"""
