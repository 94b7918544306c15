"""Nothing in the tests reaches beyond this machine: who tries is told that there is no network, and noted (FAULTS 19)."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence

_LOCAL = frozenset(["localhost", socket.gethostname(), "", "0.0.0.0", "::"])


class Guard:
    """Sees every connection that Python code of this process begins, from `watch` on: an audit hook stays."""

    def __init__(self) -> None:
        self.tried: list[str] = []  # to where

    def watch(self) -> None:
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: Sequence[object]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            link, address = arguments
            assert isinstance(link, socket.socket)
            asks_for_route = event == "socket.connect" and link.type == socket.SOCK_DGRAM  # nothing is sent
            if isinstance(address, tuple) and not asks_for_route and not is_local(str(address[0])):
                self.tried.append(f"{event} {address}")
                raise OSError(errno.ENETUNREACH, f"tests have no network: {address}")
        elif event == "socket.getaddrinfo" and not is_local(_text(arguments[0])):
            self.tried.append(f"{event} {arguments[0]!r}")
            raise socket.gaierror(socket.EAI_NONAME, f"tests have no network: {arguments[0]!r}")


def is_local(host: str) -> bool:
    """Whether this is the machine itself: a name of its own, or an address that it can listen at."""
    if host in _LOCAL:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if address.is_loopback:
        return True
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _text(host: object) -> str:
    return host.decode("latin-1") if isinstance(host, bytes) else str(host or "")
