"""What stands in for Keystone: it checks the password and hands out tokens of a real Swift."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.swift_server import PASSWORD, TENANT, USER, SwiftServer

REGION = "here"


class Keystone(ThreadingHTTPServer):
    """Answers POST /v3/auth/tokens and POST /v2.0/tokens; `asked` counts them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, swift: SwiftServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.swift = swift
        self.asked = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def swift_token(self) -> tuple[str, str]:
        """Return a token of Swift and the URL that it is for."""
        headers = {"X-Auth-User": f"{TENANT}:{USER}", "X-Auth-Key": PASSWORD}
        request = urllib.request.Request(self.swift.auth, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.headers["X-Auth-Token"], response.headers["X-Storage-Url"]


class _Handler(BaseHTTPRequestHandler):
    server: Keystone

    def do_POST(self) -> None:
        self.server.asked += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"/v3/auth/tokens": self._version_3, "/v2.0/tokens": self._version_2}
        if self.path in answer:
            answer[self.path](body["auth"])
        else:
            self._send(404, {"error": {"message": "not found", "code": 404}})

    def _version_3(self, auth: Any) -> None:
        domain = {"id": "default"}
        wanted = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": USER, "password": PASSWORD, "domain": domain}},
            },
            "scope": {"project": {"name": TENANT, "domain": domain}},
        }
        if auth != wanted:
            self._refuse()
            return
        token, url = self.server.swift_token()
        endpoint = {"id": "1", "interface": "public", "region": REGION, "region_id": REGION}
        catalog = [
            {
                "type": "object-store",
                "name": "swift",
                "id": "1",
                "endpoints": [{**endpoint, "url": url}],
            }
        ]
        content = {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2020-01-01T00:00:00.000000Z",
            "user": {"id": "1", "name": USER, "domain": domain},
            "catalog": catalog,
        }
        self._send(201, {"token": content}, {"X-Subject-Token": token})

    def _version_2(self, auth: Any) -> None:
        credentials = {"username": USER, "password": PASSWORD}
        if auth != {"passwordCredentials": credentials, "tenantName": TENANT}:
            self._refuse()
            return
        token, url = self.server.swift_token()
        catalog = [
            {
                "type": "object-store",
                "name": "swift",
                "endpoints": [{"region": REGION, "publicURL": url}],
            }
        ]
        access = {
            "token": {"id": token, "expires": "2099-01-01T00:00:00Z"},
            "user": {"id": "1", "name": USER},
            "serviceCatalog": catalog,
        }
        self._send(200, {"access": access})

    def _refuse(self) -> None:
        message = "The request you have made requires authentication."
        self._send(401, {"error": {"message": message, "code": 401}})

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        fixed = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {**fixed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextlib.contextmanager
def running_keystone(swift: SwiftServer) -> Iterator[Keystone]:
    """Answer for Keystone until the end of the block."""
    with Keystone(swift) as keystone:
        thread = threading.Thread(target=keystone.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield keystone
        finally:
            keystone.shutdown()
            thread.join()
