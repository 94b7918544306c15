"""`mocktrial doctor`: what is installed and reachable, what is missing, and for what.

Reads package metadata only: nothing heavy is imported. The one connection it makes is to the endpoint
that the environment or the caller names.
"""

from __future__ import annotations

import os
import socket
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from mocktrial.mocktools.spec import Frozen


class Finding(Frozen):
    name: str
    found: str  # version or state; empty when it is missing
    use: str
    fix: str = ""  # what to do when it is missing


def examine(base_url: str | None = None) -> list[Finding]:
    """Every finding, in a fixed order."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    findings = [Finding(name="python", found=python, use="everything (3.11 or newer)")]
    table = tomllib.loads((Path(__file__).parent / "doctor.toml").read_text(encoding="utf-8"))
    for entry in table["package"]:
        found = _version(entry["name"])
        findings.append(
            Finding(name=entry["name"], found=found, use=entry["use"], fix="" if found else entry["install"])
        )
    return [*findings, *_endpoint(base_url or os.environ.get("OPENAI_BASE_URL"))]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _endpoint(base_url: str | None) -> list[Finding]:
    key = "set" if os.environ.get("OPENAI_API_KEY") else ""
    use = "agents openai:MODEL at a public endpoint"
    findings = [Finding(name="OPENAI_API_KEY", found=key, use=use, fix="" if key else "export OPENAI_API_KEY=...")]
    if base_url:
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        reached = _reaches(parts.hostname or "", port)
        fix = "" if reached else "start the model server, or correct --base-url"
        state = "reachable" if reached else ""
        findings.append(Finding(name=f"{parts.hostname}:{port}", found=state, use="agents openai:MODEL", fix=fix))
    return findings


def _reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True
