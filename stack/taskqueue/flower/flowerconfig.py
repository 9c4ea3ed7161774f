"""Flower's settings: a login. Its password is made at the first start, in a file that only Flower has."""

import os
import secrets
from pathlib import Path

_password = Path(os.environ["WEB_PASSWORD_FILE"])
if not _password.exists():
    _new = _password.with_suffix(".new")
    _new.touch(mode=0o600)
    _new.write_text(secrets.token_urlsafe(12))
    _new.rename(_password)  # so that a password file is never an empty one
basic_auth = [f"learner:{_password.read_text()}"]
