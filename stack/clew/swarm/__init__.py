"""Past one machine: a stage as a Docker Swarm, on three nodes that are containers here, or on a Swarm of yours.

In: a stage, a number of nodes. Out: a running Swarm (`control.up`), and what was done with it: scaled, updated, a node
drained, killed, restored; each with the seconds that it took.

`stackfile.py` makes Swarm's stack file from `stack/compose.yaml` and `stack/swarm/overlay.yaml`; `images.py` has a
stage as an image; `nodes.py` runs the nodes; `cluster.py` asks a manager; `control.py` is what people type. `drill.py`
does all of it under load and counts what was lost; `autoscale.py` decides how many workers a backlog needs.
Start reading at `stackfile.py`, then `control.py`.
"""
