"""Debian's packages: the mirror in apt's sources, packages downloaded and unpacked, without network."""

import hashlib
import shutil
import subprocess

import pytest

from clew.core.errors import ClewError
from clew.provision import debian

needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt's own parser reads the sources")
MIRROR = "http://mirror.example/debian/"


@pytest.fixture
def mirror_of(tmp_path, write):
    """The archive that apt finds in a machine's sources, which are given as file names and texts."""

    def ask(**sources: str) -> str | None:
        for name, text in sources.items():
            write(tmp_path / "parts" / name.replace("_", "."), text)
        (tmp_path / "state/lists/partial").mkdir(parents=True)
        places = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": tmp_path / "parts"}
        options = [f"-o{name}={place}" for name, place in {**places, "Dir::State": tmp_path / "state"}.items()]
        return debian.debian_mirror(*options)

    return ask


DEB822 = """\
Types: deb deb-src
# the archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@needs_apt
@pytest.mark.parametrize(
    "text",
    [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian/ trixie main contrib non-free-firmware",
        "deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main",
        "# deb http://other.example/debian trixie main\ndeb http://mirror.example/debian trixie main # ours",
        "deb http://security.example/debian-security trixie-security main\n"
        "deb http://mirror.example/debian stable main",
        "deb cdrom:[Debian 13]/ trixie main\ndeb http://mirror.example/debian trixie main",
        "deb http://vendor.example/longer/path/apt trixie main\ndeb http://mirror.example/debian trixie main",
    ],
)
def test_mirror_in_one_line_format(mirror_of, text):
    assert mirror_of(sources_list=text + "\n") == MIRROR


@needs_apt
def test_mirror_in_deb822_format(mirror_of):
    assert mirror_of(debian_sources=DEB822) == MIRROR


@needs_apt
@pytest.mark.parametrize(
    "text",
    [
        DEB822.replace("Types: deb deb-src", "Enabled: no\nTypes: deb"),
        DEB822.replace("http://mirror.example/debian\nSuites: bookworm bookworm-updates", "x:/y\nSuites: noble"),
        "Types: deb\nURIs: http://archive.example/ubuntu\nSuites: noble noble-updates\nComponents: main universe\n",
    ],
    ids=["disabled", "other release", "ubuntu"],
)
def test_no_mirror_in_deb822_format(mirror_of, text):
    assert mirror_of(system_sources=text) is None


@needs_apt
@pytest.mark.parametrize(
    "text",
    [
        "",
        "# deb http://mirror.example/debian trixie main",
        "deb cdrom:[Debian 13]/ trixie main",
        "deb http://archive.example/ubuntu noble main",
    ],
    ids=["empty", "commented", "disc", "ubuntu"],
)
def test_no_mirror_in_one_line_format(mirror_of, text):
    assert mirror_of(sources_list=text + "\n") is None


def test_no_mirror_without_apt(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.debian_mirror() is None


@pytest.mark.parametrize("suite", ["bookworm-updates", "bookworm-security", "bookworm-backports", "noble"])
def test_only_the_archive_itself_is_picked(suite):
    assert debian.pick_mirror(f"{suite}\tmain\t{MIRROR}") is None
    assert debian.pick_mirror(f"bookworm\tcontrib\t{MIRROR}") is None
    assert debian.pick_mirror(f"{suite}\tmain\thttp://other.example/\nbookworm\tmain\t{MIRROR}") == MIRROR


def test_mirror_list_of_a_cloud_image(tmp_path, write):
    mirrors = write(tmp_path / "debian.list", f"# nearest first\n{MIRROR}\tpriority:1\nhttp://far.example/debian\n")
    assert debian.plain_mirror(f"mirror+file:{mirrors}/") == MIRROR
    assert debian.plain_mirror(MIRROR) == MIRROR


@pytest.fixture
def source(tmp_path, write):
    """A package source in a folder: clew-outer needs clew-inner."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("needs apt-get and dpkg-deb")
    folder = tmp_path / "source"
    index = ""
    for name, needs in (("clew-outer", "Depends: clew-inner\n"), ("clew-inner", "")):
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n{needs}"
        write(tmp_path / name / "DEBIAN/control", control)
        write(tmp_path / name / "usr/share" / name, name)
        folder.mkdir(exist_ok=True)
        deb = folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", tmp_path / name, deb], check=True, capture_output=True)
        content = deb.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        index += f"{control}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}\n\n"
    write(folder / "Packages", index)
    return write(tmp_path / "own.list", f"deb [trusted=yes] copy:{folder} ./\n")


@pytest.mark.parametrize(("dependencies", "unpacked"), [(True, {"clew-outer", "clew-inner"}), (False, {"clew-outer"})])
def test_unpacks_a_package(checkout, source, dependencies, unpacked):
    target = checkout / ".clew/cache/debs/it"
    debian.unpack_debs(["clew-outer"], target, "advice", dependencies=dependencies, sources=source)
    assert {path.name for path in (target / "usr/share").iterdir()} == unpacked
    assert [path.name for path in target.parent.iterdir()] == ["it"]


def test_says_which_package_is_not_there(checkout, source):
    target = checkout / "it"
    with pytest.raises(ClewError, match=r"(?s)clew-nowhere.*\nNext: sudo line$"):
        debian.unpack_debs(["clew-nowhere"], target, "sudo line", dependencies=False, sources=source)
    assert not target.exists()


@needs_apt
def test_says_that_there_is_no_network(checkout, tmp_path, monkeypatch, write):
    monkeypatch.setenv("CLEW_COMMAND", "make stage-3 up")
    closed = write(tmp_path / "closed.list", "deb [trusted=yes] http://127.0.0.1:9/ ./\n")
    with pytest.raises(ClewError, match=r"(?s)no network\?.*127\.0\.0\.1.*\nNext: make stage-3 up$"):
        debian.unpack_debs(["nginx"], checkout / "it", "sudo line", dependencies=True, sources=closed)
