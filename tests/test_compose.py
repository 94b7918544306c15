"""docker-compose.yml and the Dockerfile: safe by default, commands that exist, and steps that lead to a working command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mocktrial.cli import app
from tests.test_docs import ROOT, problem

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one.get("image", "").startswith("mocktrial")}
HARMLESS = {"HOME", "POSTGRES_USER", "POSTGRES_DB"}
PROFILES = sorted({profile for one in SERVICES.values() for profile in one.get("profiles", ())})


@pytest.mark.parametrize("name", [name for name, one in OURS.items() if "command" in one])
def test_each_service_runs_a_command_that_exists(name: str) -> None:
    command = shlex.join(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in OURS[name]["command"])
    assert problem(command, typer.main.get_command(app)) == ""


def test_services_are_read_only_without_privileges_and_listen_on_loopback() -> None:
    assert {"autoslurp", "worlds", "viewer", "gateway", "worker", "trainer", "ray-head", "ray-worker"} == set(OURS)
    for name, one in OURS.items():
        assert (one["read_only"], one["cap_drop"], one["security_opt"]) == (
            True,
            ["ALL"],
            ["no-new-privileges:true"],
        ), name
    for name, one in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ())), name
        assert "healthcheck" in one or "ports" not in one, name


def test_no_secret_stands_in_the_file() -> None:
    """Each comes from the caller's environment: asked for (`:?`), or empty where it is not given (`:-`)."""
    for name, one in SERVICES.items():
        for key, value in one.get("environment", {}).items():
            assert key in HARMLESS or re.fullmatch(r"\$\{\w+:(\?.*|-)\}", value), (name, key)
    for name, one in OURS.items():
        for key in ("MOCKTRIAL_TOKEN", "MOCKTRIAL_CONTROL_TOKEN"):
            assert one["environment"][key].startswith(f"${{{key}:?"), name


def test_whoever_keeps_runs_can_keep_them_in_the_shared_ledger() -> None:
    for name in ("worker", "gateway", "viewer"):
        assert {"MOCKTRIAL_LEDGER", "PGPASSWORD"} < set(SERVICES[name]["environment"]), name
    assert SERVICES["postgres"].items() >= {"user": "postgres", "read_only": True, "cap_drop": ["ALL"]}.items()


@pytest.mark.compose
@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_compose_takes_the_file(profile: str) -> None:
    secrets = {"MOCKTRIAL_TOKEN": "a", "MOCKTRIAL_CONTROL_TOKEN": "b"}
    chosen = ["--profile", profile] if profile else []
    call = ["docker-compose", *chosen, "config"]
    done = subprocess.run(call, cwd=ROOT, env={**os.environ, **secrets}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refused = subprocess.run(call, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert (refused.returncode, "set MOCKTRIAL_TOKEN" in refused.stderr) == (1, True)


@pytest.mark.soak
def test_the_steps_of_the_dockerfile_lead_to_a_working_command(tmp_path: Path) -> None:
    """Without Docker: what it copies is all there is, and what it installs is installed into an empty environment."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                place = tmp_path / "app" / (source if target == "./" else target)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                place.parent.mkdir(parents=True, exist_ok=True)
                copy(ROOT / source, place, **({"symlinks": True} if copy is shutil.copytree else {}))
    steps = next(line for line in lines if line.startswith("RUN pip")).removeprefix("RUN ").split(" && ")
    install = " && ".join(step for step in steps if step.startswith("pip "))
    extras = next(line for line in lines if line.startswith("ARG EXTRAS=")).removeprefix("ARG EXTRAS=")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    environment = {**os.environ, "PATH": f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}", "EXTRAS": extras}
    subprocess.run(install, shell=True, cwd=tmp_path / "app", env=environment, check=True, capture_output=True)
    done = subprocess.run([tmp_path / "venv" / "bin" / "mocktrial", "serve", "--help"], capture_output=True, text=True)
    assert (done.returncode, "autoslurp" in done.stdout) == (0, True)
