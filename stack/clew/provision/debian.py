"""Debian's packages, without root and without touching the system: downloaded, and unpacked into a folder."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clew.core import paths
from clew.core.errors import ClewError
from clew.core.processes import run, tail
from clew.provision.checkout import again

DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN_RELEASES = {"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
                   "oldstable", "stable", "testing", "unstable"}  # fmt: skip
LISTS_STAY_FRESH = 3600.0


def apt(home: Path, *arguments: str) -> list[str]:
    """Return an apt-get command whose lists and downloads are under `home`."""
    options = {
        "Dir::State": home / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": home / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    return ["apt-get", "-y", *(f"-o{name}={value}" for name, value in options.items()), *arguments]


def unpack_debs(
    packages: Sequence[str], target: Path, advice: str, *, dependencies: bool, sources: Path | None = None
) -> None:
    """Download Debian packages and unpack them into the folder `target`, which is replaced.

    Args:
        advice: what to type when it fails.
        dependencies: also unpack what the packages need and this machine lacks.
        sources: an apt source list to use instead of the machine's own.

    Raises:
        ClewError: a package could not be downloaded or unpacked.
    """
    home = paths.CACHE / ("apt" if sources is None else f"apt-{sources.stem}")
    own = [] if sources is None else [f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=-"]
    goal = ["install", "--no-install-recommends", "--download-only"] if dependencies else ["download"]
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    trouble = refresh_lists(home, own)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
        archives, tree = Path(part, "archives"), Path(part, "tree")
        (archives / "partial").mkdir(parents=True)
        tree.mkdir()
        into = f"-oDir::Cache::archives={archives}"
        ran = run(apt(home, *own, into, *goal, *packages), 300, cwd=archives)
        debs = sorted(archives.glob("*.deb"))
        if ran.code != 0 or not debs:
            (home / "refreshed").unlink(missing_ok=True)
            if trouble:
                raise ClewError(
                    f"A package source does not answer as it should (no network?): {trouble}", again(advice)
                )
            raise ClewError(f"apt-get could not download {' '.join(packages)}:\n{tail(ran.output)}", advice)
        for deb in debs:
            ran = run(["dpkg", "-x", deb, tree], 60)
            if ran.code != 0:
                raise ClewError(f"dpkg could not unpack {deb.name}:\n{tail(ran.output)}", advice)
        tree.rename(target)


def refresh_lists(home: Path, own: Sequence[str]) -> str:
    """Bring apt's private lists up to date; return its first complaint, or nothing.

    A complaint is not an error yet: when one source is out of reach, the others may have all that is needed.
    """
    refreshed = home / "refreshed"
    if refreshed.exists() and time.time() - refreshed.stat().st_mtime < LISTS_STAY_FRESH:
        return ""
    (home / "state" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    text = run(apt(home, *own, "update"), 300).output
    complaints = [line for line in text.splitlines() if line.startswith(("E: ", "W: Failed to fetch "))]
    if not complaints:
        refreshed.touch()
    return "".join(complaints[:1])


def pick_mirror(targets: str) -> str | None:
    """Return Debian's own archive among lines `release<TAB>component<TAB>address` of apt's sources, None without."""
    rows = [line.split("\t") for line in targets.splitlines()]
    archives = [
        address
        for release, component, address in rows
        if release in DEBIAN_RELEASES and component == "main" and not address.startswith("cdrom:")
    ]
    # Vendors' repositories may use Debian's release names too, but not its path.
    return max(archives, key=lambda address: "/debian" in address, default=None)


def debian_mirror(*options: str) -> str | None:
    """Return the address of Debian's archive in this machine's apt configuration; None without, as on Ubuntu."""
    listing = ["apt-get", "indextargets", "--no-release-info", *options]
    fields = "$(RELEASE)\t$(COMPONENT)\t$(REPO_URI)"
    ran = run([*listing, "--format", fields, "Created-By: Packages"], 20)
    return pick_mirror(ran.output) if ran.code == 0 else None


def plain_mirror(address: str) -> str:
    """Return an address that debootstrap understands.

    For a `mirror+file:` list, which Debian's cloud images use, it is the first address in that file.
    """
    if not address.startswith("mirror+file:"):
        return address
    lines = Path("/" + address.removeprefix("mirror+file:").strip("/")).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))
