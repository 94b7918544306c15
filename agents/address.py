"""An endpoint's address and its key: read, checked, and shown without what is secret."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from pydantic import SecretStr

from mocktrial.mocktools.errors import UsageError

PUBLIC_URL = "https://api.openai.com/v1"


def shown(url: str) -> str:
    """The address as messages show it: without user and password. Raises `UsageError` for one that is none."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that are none
        valid = False
    if not valid:
        raise UsageError(f"{url!r} is no address of an endpoint", hint="write http://HOST:PORT/v1")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl().rstrip("/")


def read_key(variable: str, base_url: str) -> SecretStr:
    """The key from the environment; empty where the endpoint is not the public one and none is set."""
    key = os.environ.get(variable, "").strip()
    if not key and urlsplit(base_url).hostname == urlsplit(PUBLIC_URL).hostname:
        raise UsageError(
            f"{shown(base_url)} needs a key, and {variable} is not set",
            hint=f"export {variable}=..., or name another endpoint with --base-url",
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{variable} holds characters that no key has", hint=f"set {variable} again")
    return SecretStr(key)
