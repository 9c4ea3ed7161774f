"""The live view: five hops that light up as requests pass. `seen.py` decides what a line means, `app.py` shows it."""
