"""`mocktrial doctor --toolkit`: figures of a toolkit, and a clear error for one that is not there."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from mocktrial.commands import doctor as module
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.systoolkit import inspect
from mocktrial.synth.systoolkit import proving

_run = CliRunner()


def test_what_systoolkit_holds() -> None:
    done = _run.invoke(module.app, ["--toolkit", "systoolkit", "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["executable"] == found["tools"] >= 708
    assert found["toggles_share"] <= 0.34
    assert found["domains"] == len(found["tools_by_domain"]) >= 25
    assert found["reads"] + found["writes"] == found["tools"] == sum(found["tools_by_domain"].values())


def test_a_tool_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "executable", lambda tool, image: None if tool.spec.name == "create_alarm" else {})
    done = _run.invoke(module.app, ["--toolkit", "systoolkit", "--json"])
    assert json.loads(done.stdout)["failing"] == ["create_alarm"]
    assert done.exit_code == 1


def test_tools_without_a_task_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "executable", lambda tool, image: {})
    shown = [proving.Shown("create_alarm", None, 2, ("a reason",))]
    monkeypatch.setattr(proving, "prove_tools", lambda names, seed: iter(shown))
    done = _run.invoke(module.app, ["--toolkit", "systoolkit", "--prove", "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["proved"], found["unproved"]) == (1, 0, ["create_alarm: a reason"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--toolkit", "toaster"], "no toolkit 'toaster'"), (["--prove"], "--prove needs a toolkit")],
)
def test_what_cannot_be_looked_at_is_refused(arguments: list[str], message: str) -> None:
    error = _run.invoke(module.app, arguments).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
