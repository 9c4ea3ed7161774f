"""One HTTP request, byte by byte, for what no client library would send. To loopback only."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any


@dataclass(frozen=True)
class RawAnswer:
    status: int
    header_list: list[tuple[str, str]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.header_list)

    @property
    def ids(self) -> list[str]:
        return [value for name, value in self.header_list if name == "x-request-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, request: bytes) -> RawAnswer:
    """Send `request` as it is and read the answer, whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        with HTTPResponse(connection) as response:
            response.begin()
            body = response.read()
            headers = [(name.lower(), value) for name, value in response.getheaders()]
    return RawAnswer(response.status, headers, body)


def post(port: int, body: object, ids: list[bytes], path: str = "/api/v1/tasks") -> RawAnswer:
    """POST `body` (bytes as they are, else as JSON) with one X-Request-ID header for each of `ids`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"POST {path} HTTP/1.1".encode(),
        b"Host: 127.0.0.1",
        b"Connection: close",
        b"Content-Type: application/json",
        f"Content-Length: {len(content)}".encode(),
        *(b"X-Request-ID: " + value for value in ids),
    ]
    return ask(port, b"\r\n".join(head) + b"\r\n\r\n" + content)
