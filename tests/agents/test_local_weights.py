"""A name that leads to no model is said at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from mocktrial.agents.local.weights import load, load_tokenizer
from mocktrial.mocktools.errors import UsageError

pytestmark = pytest.mark.model


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Paths that a hub on loopback is asked for; it is always busy."""
    paths: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(503)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield paths
        server.shutdown()


@pytest.mark.parametrize("read", [load, load_tokenizer])
def test_the_hub_is_asked_once_for_a_name(asked: list[str], read: Callable[[str], object]) -> None:
    with pytest.raises(UsageError, match=r"no model folder at runs/typo, and the hub gives none: HTTP Error 503"):
        read("runs/typo")
    assert asked == ["/api/models/runs/typo"]


def test_a_path_is_not_asked_for(asked: list[str]) -> None:
    for name in ("./typo", "/typo", "typo", "a/b/typo"):
        with pytest.raises(UsageError, match="no model folder at"):
            load(name)
    assert asked == []
