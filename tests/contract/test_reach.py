"""Who can reach which port, tried on both drivers: the table in docs/seeing/security.md."""

from __future__ import annotations

from up import Up

from clew.core.paths import ROOT
from clew.evidence import reach
from clew.evidence.reach import HOST, ITSELF, OTHER, STRANGER, WORKER
from clew.stacks.services import NGINX, WORKERS

PUBLISHED = {"nginx-loadbalancer:80", "fastapi-server-1:8000", "redis-broker:6379", "flower:5555"}
FIGURES = {f"{NGINX}:8081", f"{WORKERS[0]}:9100"}


def test_only_the_places_that_are_meant_reach_a_port(up: Up) -> None:
    doors = reach.reach(up.stack, up.driver)
    found = {f"{door.service}:{door.port}": door.open_to for door in doors if door.port}
    assert set(found) == PUBLISHED | FIGURES
    in_containers = up.driver.name == "docker"
    for name, open_to in found.items():
        assert open_to[HOST] is (name in PUBLISHED or not in_containers), name
        assert open_to.get(OTHER, False) is False, name  # nothing but loopback, on either driver
        assert open_to.get(STRANGER, False) is False, name
        assert open_to.get(WORKER) is (True if in_containers else None), name


def test_a_port_that_is_open_to_the_network_is_noticed() -> None:
    own = reach.own_address()
    with reach.outside(own) as port:
        assert reach.accepts(own or "127.0.0.1", port)
    assert not reach.accepts(own or "127.0.0.1", port)


def test_the_page_has_every_port() -> None:
    page = (ROOT / "docs/seeing/security.md").read_text()
    for name in (*PUBLISHED, *FIGURES, ITSELF):
        assert name in page
