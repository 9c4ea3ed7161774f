"""The one kind of error people see: what is wrong, and what to type next."""


class ClewError(Exception):
    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message, next_step)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\nNext: {self.next_step}"

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback, which would say nothing more."""
        return str(self).splitlines()
