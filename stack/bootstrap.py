"""Make `.venv` and install pinned groups of packages into it.

    python3 stack/bootstrap.py run [watch sql load otel notebooks docs test delivery bench]

Needs Python 3.11 and its standard library. With nothing to do it costs a few milliseconds: one stamp for each
group tells what is installed. Older Pythons must be able to parse this file, up to the version check, and
`clew.provision` is imported only where there is work: that takes longer than finding that there is none.
"""

from __future__ import annotations

import hashlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from clew.core.errors import ClewError

if sys.version_info < (3, 11):
    import runpy
    import subprocess

    for name in ("python3.13", "python3.12", "python3.11", "python3.14"):
        if subprocess.call(["sh", "-c", name + " -c '' 2>/dev/null"]) == 0:
            os.execvp(name, [name] + sys.argv)
    platforms = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clew", "provision", "platforms.py")
    sys.exit(
        "Clew needs Python 3.11 or newer; %s is %s.\nNext: %s"
        % (sys.executable, sys.version.split()[0], runpy.run_path(platforms)["install_line"]("python"))
    )

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = ("run", "watch", "sql", "load", "otel", "notebooks", "docs", "test", "delivery", "bench")
CAUSES = {
    "CERTIFICATE_VERIFY_FAILED": ": a certificate is not trusted (a proxy's? then set PIP_CERT to its file)",
    "No space left on device": ": the disk is full",
    "DO NOT MATCH THE HASHES": ": a file is not the one that was pinned",
    "Retrying (": ": no network, or no package index behind it",
    "No matching distribution": ": the index has no ready-made package for this Python or processor",
}


def main(arguments: list[str]) -> None:
    groups = arguments or ["run"]
    unknown = sorted(set(groups) - set(GROUPS))
    if unknown:
        sys.exit(f"No such group: {', '.join(unknown)}.\nNext: python3 stack/bootstrap.py {' '.join(GROUPS)}")
    if missing(groups):
        set_up(groups)


def missing(groups: list[str]) -> list[str]:
    """Return the groups that are not installed as their requirements file says now."""
    if not is_made():
        return list(groups)
    return [group for group in groups if read(venv("made-" + group)) != stamp(read(requirements(group)))]


def is_made() -> bool:
    return os.path.exists(venv("bin", "python")) and read(venv("made")) == stamp(b"")


def stamp(content: bytes) -> bytes:
    """Return what an environment depends on: what was installed, its Python, and where the checkout is."""
    return "\n".join([hashlib.sha256(content).hexdigest(), os.path.realpath(venv("bin", "python")), ROOT]).encode()


def venv(*parts: str) -> str:
    return os.path.join(ROOT, ".venv", *parts)


def requirements(group: str) -> str:
    return os.path.join(ROOT, "stack", "requirements", group + ".txt")


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def set_up(groups: list[str]) -> None:
    import time

    from clew import provision
    from clew.core.errors import ClewError

    again = provision.again(f"python3 stack/bootstrap.py {' '.join(groups)}")
    started = time.monotonic()
    try:
        with provision.one_at_a_time("bootstrap", say) as lock:
            if not is_made():
                make_venv(again, lock)
            for group in missing(groups):
                install(group, again, lock)
        say(f".venv is ready after {time.monotonic() - started:.0f} s")
    except OSError as error:
        sys.exit(str(provision.not_writable(error.filename or ROOT, error)))
    except ClewError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"\nInterrupted; the next command completes the installation.\nNext: {again}")


def say(text: str) -> None:
    print(f"clew: {text}", file=sys.stderr, flush=True)


def make_venv(again: str, lock: int) -> None:
    import importlib.util
    import shutil

    from clew.core.processes import run

    if os.path.lexists(venv()):
        say(".venv is unfinished, or its Python or this checkout moved; creating it again")
        shutil.rmtree(venv())
    say(f"creating .venv with Python {sys.version.split()[0]} (once; a few seconds)")
    bundled = importlib.util.find_spec("ensurepip") is not None
    # sys.executable may be the very .venv that was just removed.
    command = [getattr(sys, "_base_executable", sys.executable), "-m", "venv", venv()]
    ran = run(command + ([] if bundled else ["--without-pip"]), 180, pass_fds=[lock])
    if ran.code != 0:
        raise failure("Creating .venv", ran.output, again)
    if not bundled:
        add_pip(lock)
    packages = os.path.join(venv("lib"), f"python3.{sys.version_info.minor}", "site-packages")
    write(os.path.join(packages, "clew.pth"), os.path.join(ROOT, "stack").encode() + b"\n")
    write(venv("made"), stamp(b""))


def add_pip(lock: int) -> None:
    """Install pip into the environment: Debian's package of it, unpacked into the cache, which needs no root."""
    import shutil

    from clew import provision
    from clew.core import paths
    from clew.core.errors import ClewError
    from clew.core.processes import run, tail
    from clew.provision.platforms import install_line

    package = "python3-pip-whl"
    advice = install_line("venv")
    if not shutil.which("apt-get"):
        raise ClewError("This Python comes without pip.", advice)
    tree = paths.CACHE / "debs" / package
    say(f"this Python has no pip; unpacking the system's {package} into .clew/cache (once; a few seconds)")
    try:
        with provision.one_at_a_time("packages", say):
            provision.unpack_debs([package], tree, advice, dependencies=False)
    except ClewError as error:
        raise ClewError(f"This Python comes without pip.\n{error.message}", error.next_step) from error
    for wheel in tree.glob("usr/share/python-wheels/pip-*.whl"):
        command = [venv("bin", "python"), str(wheel / "pip"), "install", "--no-index", str(wheel)]
        ran = run(command, 120, pass_fds=[lock])
        if ran.code == 0:
            return
        raise ClewError(f"pip could not install itself:\n{tail(ran.output)}", advice)
    raise ClewError(f"{package} does not contain pip.", advice)


def install(group: str, again: str, lock: int) -> None:
    from clew.core.processes import run

    forget_unfinished_packages()
    content = read(requirements(group))
    count = content.count(b"==")
    say(f"installing {count} pinned packages for `{group}` (once; a minute or less, mostly download)")
    options = [
        "--require-hashes",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "--retries=2",
    ]
    command = [venv("bin", "python"), "-m", "pip", "install", *options, "--requirement", requirements(group)]
    on_line = show_pip if sys.stderr.isatty() else None
    ran = run(command, 1200, on_line=on_line, env={"PYTHONUNBUFFERED": "1"}, pass_fds=[lock])
    if on_line:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if ran.code != 0:
        raise failure(f"Installing `{group}`", ran.output, again)
    write(venv("made-" + group), stamp(content))


def show_pip(line: str) -> None:
    if line.startswith(("Collecting ", "Installing ")):
        print(f"\r\033[K  {line[:70]}", end="", file=sys.stderr, flush=True)


def forget_unfinished_packages() -> None:
    """Remove what tells pip that a package is installed whose installation was interrupted: it could not replace it."""
    import glob
    import shutil

    for info in glob.glob(venv("lib", "python3.*", "site-packages", "*.dist-info")):
        if not os.path.exists(os.path.join(info, "RECORD")):
            shutil.rmtree(info)


def failure(what: str, text: str, again: str) -> ClewError:
    from clew.core.errors import ClewError
    from clew.core.processes import tail

    cause = next((reason for sign, reason in CAUSES.items() if sign in text), "")
    told = "\n".join(line for line in text.splitlines() if not line.startswith("WARNING: "))
    return ClewError(f"{what} failed{cause}.\n{tail(told)}", again)


if __name__ == "__main__":
    main(sys.argv[1:])
