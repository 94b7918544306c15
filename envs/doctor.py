"""`mocktrial doctor`: what is installed and reachable, what is missing or wrong, and what to do about it.

Packages are read from their metadata: nothing heavy is imported. Folders are tried by writing to them, ports by opening
them. Connections are made to the endpoint and the ledger that the environment or the caller names, and nowhere else.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from mocktrial.mocktools.errors import MissingExtra, UsageError
from mocktrial.mocktools.spec import Frozen

FOLDERS = {"runs": "run, gateway, demo", "datasets": "synth", "checkpoints": "train"}
PORTS = {8000: "serve model", 8080: "serve", 8090: "gateway", 8099: "view"}
GPUS = Path("/proc/driver/nvidia/gpus")  # a folder each, from the driver
_OLDEST = 12  # of PostgreSQL's major versions, the oldest that the ledger's statements are known to work on


class Finding(Frozen):
    name: str
    found: str  # version or state; empty when it is missing
    use: str
    fix: str = ""  # what to do when it is missing or wrong
    wrong: bool = False  # not only missing: something that was asked for does not work


def examine(base_url: str | None = None, ledger: str | None = None) -> list[Finding]:
    """Every finding, in a fixed order."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    findings = [Finding(name="python", found=python, use="everything (3.11 or newer)")]
    table = tomllib.loads((Path(__file__).parent / "doctor.toml").read_text(encoding="utf-8"))
    for entry in table["package"]:
        found = _version(entry["name"])
        findings.append(
            Finding(name=entry["name"], found=found, use=entry["use"], fix="" if found else entry["install"])
        )
    findings.append(_gpu())
    findings += [_folder(Path(name), use) for name, use in FOLDERS.items()]
    findings += _ports(PORTS)
    return [
        *findings,
        *_endpoint(base_url or os.environ.get("OPENAI_BASE_URL")),
        *([_ledger(ledger)] if ledger else []),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _gpu() -> Finding:
    """What the driver names; whether torch was built for it shows in torch's version."""
    lines = [line for file in sorted(GPUS.glob("*/information")) for line in file.read_text("utf-8").splitlines()]
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    blind = bool(models) and _version("torch").endswith("+cpu")
    fix = "this torch is built for processors only: install its build for CUDA" if blind else ""
    return Finding(name="GPU", found=", ".join(models) or "none", use="train, agent local, serve model", fix=fix)


def _folder(folder: Path, use: str) -> Finding:
    """Tried where it will be: in the folder, or in the nearest one that is there."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
    except OSError as error:
        fix = f"make {there} writable for you, or name another folder with --out"
        return Finding(name=f"{folder}/", found=error.strerror or str(error), use=use, fix=fix, wrong=True)
    return Finding(name=f"{folder}/", found="writable", use=use)


def _ports(ports: dict[int, str]) -> Iterable[Finding]:
    for port, use in ports.items():
        with socket.socket() as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind(("127.0.0.1", port))
            except OSError as error:
                found, fix = error.strerror or str(error), "end the process that holds it, or choose another --port"
            else:
                found, fix = "free", ""
        yield Finding(name=f"port {port}", found=found, use=use, fix=fix)


def _endpoint(base_url: str | None) -> list[Finding]:
    key = "set" if os.environ.get("OPENAI_API_KEY") else ""
    use = "agents openai:MODEL at a public endpoint"
    findings = [Finding(name="OPENAI_API_KEY", found=key, use=use, fix="" if key else "export OPENAI_API_KEY=...")]
    if base_url:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--base-url {base_url} is no address", hint="such as http://127.0.0.1:8000/v1")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        reached = _reaches(parts.hostname, port)
        fix = "" if reached else "start the model server, or correct --base-url"
        state, use = "reachable" if reached else "", "agents openai:MODEL"
        findings.append(Finding(name=f"{parts.hostname}:{port}", found=state, use=use, fix=fix, wrong=not reached))
    return findings


def _reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True


def _ledger(place: str) -> Finding:
    """Whether a ledger can be reached and written, and how far its tables are."""
    from mocktrial.envs.inspection import look_at

    use = "run --ledger"
    try:
        seen = look_at(place)
    except MissingExtra as error:
        return Finding(name="ledger", found=str(error), use=use, fix=error.hint, wrong=True)
    except UsageError as error:
        fix = "start the server, or correct the address; the password comes from PGPASSWORD or ~/.pgpass"
        return Finding(name="ledger", found=str(error), use=use, fix=fix, wrong=True)
    name = seen.place
    if seen.server and seen.server[0] < _OLDEST:
        fix = f"use PostgreSQL {_OLDEST} or newer"
        return Finding(name=name, found=f"PostgreSQL {seen.server[0]}.{seen.server[1]}", use=use, fix=fix, wrong=True)
    if not seen.may_write:
        fix = "GRANT CREATE, USAGE ON SCHEMA public TO the user of the address"
        return Finding(name=name, found="no right to make tables", use=use, fix=fix, wrong=True)
    return Finding(name=name, found=seen.summary, use=use)
