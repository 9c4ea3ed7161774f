"""Notebooks: what they call, how they are executed and checked, and the recordings they replay.

In: a stage's number, a request, or what a learner wrote. Out: displays (`clew.show`), recordings, saved notebooks.
Start reading at `stage.py`: `Stage` is what a notebook calls. It asks a `Backend` (`backend.py`), of which there are
two: `live.py` runs the stage, `replayed.py` answers from a recording. `receivers.py` does the same for the experiment
with strict layers, whose rules are in `strict.py`, and `ways` for three ways to carry an ID; `bench.py` does it for
notebooks 8 (`busy.py`) and 9 (`promise.py`), which act on the stack of the drills. `recordings.py` loads recordings,
`record.py` makes them.
`lessons.py` executes and saves notebooks, `exercises.py` checks what learners write.
"""
