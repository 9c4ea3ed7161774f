"""What every other package uses: errors, paths, waiting, locks, running commands.

In: nothing of clew. Out: `ClewError` (what happened and what to type next), `paths` (where things are), `wait_until`
and `Deadline` (no wait without an end), `locks.held` (one command at a time), `processes.run` (a command with a
deadline that holds), `parse_line` (a log line as a dictionary), the five beads of a trail.

Only the standard library: `stack/bootstrap.py` imports this package before anything is installed.
Start reading in `errors.py`, then `wait.py`.
"""
