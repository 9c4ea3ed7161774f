"""Fix it yourself: a working copy of a stage, and a check of what it does."""
