"""The mystery: a stack with something wrong, or with nothing. Detect, localise, name the cause, fix.

`faults.py` has what can be wrong, `draw.py` what a seed makes of it, `case.py` the folder, the clock and the score,
`probe.py` what a stack must do to count as fixed, `guess.py` the four steps.
"""
