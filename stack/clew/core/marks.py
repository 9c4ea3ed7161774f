"""The one visual language: a thread through five beads, cut where the ID is lost. Shape and word come before colour."""

from __future__ import annotations

BEADS = {"kept": "●", "replaced": "◆", "missing": "○", "unknown": "?"}
# Told apart with every common kind of colour blindness (Okabe and Ito's palette).
COLOURS = {"kept": "#009E73", "replaced": "#E69F00", "missing": "#D55E00", "unknown": "#999999"}
NO_ID = "–"
