"""What a script wrote is there after Redis was killed and started again, with the users that the services have."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, ConnectionError

from clew import provision
from clew.core.paths import STACK
from clew.core.wait import wait_until
from redis import Redis

USERS = STACK / "redis" / "users.acl"
TWO_WRITES = "redis.call('SET', 'ledger:a', 1) redis.call('SET', 'ledger:b', 1)"


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(provision.find_redis()), str(STACK / "redis/durable.conf"), "--port", str(port)]
    command += ["--dir", str(folder), "--aclfile", str(folder / "users.acl")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except ConnectionError:
        return False


def test_redis_reads_its_own_file_of_writes_as_a_user_who_may_do_everything_and_whom_nobody_is(tmp_path):
    """It reads the file as the user `default`: what that user may not do, it leaves out, and goes on."""
    provision.ensure_redis(print)
    default = re.findall(r"^user default .*$", USERS.read_text(), re.MULTILINE)
    (tmp_path / "users.acl").write_text("\n".join([*default, "user operator on >x ~* +@all", ""]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for kill in (True, False):
        with (
            started(tmp_path, port) as server,
            Redis(port=port, username="operator", password="x", socket_timeout=5) as client,  # noqa: S106
        ):
            try:
                wait_until(lambda: answers(client), 20, "redis-server to answer", "make lint")
                if kill:
                    client.eval(TWO_WRITES, 0)
                    server.kill()
                    continue
                assert client.mget("ledger:a", "ledger:b") == [b"1", b"1"]
                with Redis(port=port) as nobody, pytest.raises(AuthenticationError):
                    nobody.get("ledger:a")
            finally:
                server.kill()
