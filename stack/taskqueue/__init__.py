"""The runtime of the nine services, the same in every stage: a stage adds its routes, its services and its tasks.

What enters: HTTP requests, Celery's messages, and three environment variables (`settings`).
What leaves: answers with an X-Request-ID, messages in Redis, results, and log lines as JSON.

Start reading at `web.create_app`, which a stage gives its routes to, and at `worker.app`, which its tasks belong to.
`contract` has the names that the clew tool shares, `logs` the line that every hand-off writes, `middleware` the ID of a
request, `errors` what is answered when something is wrong, `schemas` what a client may send, `broker` everything that
the API asks Redis, `risk` the four calculations.
"""
