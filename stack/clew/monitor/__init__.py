"""Prometheus next to a stack: figures of all requests, and alerts.

In: a `Stack` that is up. Out: what Prometheus answers to a query, the alerts that arrive, and how long they took. What
is measured is in `taskqueue/metrics.py`, what is asked and when it alerts in `stack/prometheus`. Start reading at
`prometheus.py`; `figures.py` says what a person is shown, `fire.py` has an alert fire and resolve.
"""
