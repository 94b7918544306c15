"""A person at the terminal: what is typed becomes calls, words, answers; nothing typed breaks the episode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.desk import desk_image, desk_task

from mocktrial.agents.person import PersonAgent, PersonUser, Terminal, arguments_of
from mocktrial.agents.scripted import Expert
from mocktrial.envs.episode import Episode
from mocktrial.envs.trajectory import Trajectory

LEND = {
    "parameters": {
        "properties": {"item": {"type": "string"}, "days": {"type": "integer"}, "tags": {"type": "array"}},
        "required": ["item"],
    }
}
ONLY = {"parameters": {"properties": {"name": {"type": "string"}}}}


class Typist:
    """A terminal whose lines are given; what was written is kept."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines, self.written = iter(lines), ""

    def read(self, prompt: str) -> str:
        try:
            return next(self.lines)
        except StopIteration:
            raise EOFError from None

    def write(self, text: str) -> None:
        self.written += text + "\n"


async def as_agent(*lines: str) -> tuple[Trajectory, str]:
    typist = Typist(lines)
    player = PersonAgent(Terminal(typist.read, typist.write))
    async with Episode(desk_task(), desk_image(), agent=player.name) as episode:
        await player.play(episode)
        return episode.trajectory(), typist.written


async def as_user(*lines: str) -> tuple[Trajectory, str]:
    typist = Typist(lines)
    user = PersonUser(Terminal(typist.read, typist.write))
    async with Episode(desk_task(), desk_image(), agent="expert", user=user) as episode:
        await Expert().play(episode)
        return episode.trajectory(), typist.written


async def test_a_person_can_do_the_task() -> None:
    trajectory, _ = await as_agent(
        "find_members Alan",
        "For how many days is the loan?",
        "Shall I lend the tripod to Alan Mathison for 7 days?",
        "lend member_id=m2 item=tripod days=7",
        "finish It is due back on 18 May.",
    )
    assert trajectory.grade is not None
    assert (trajectory.end, trajectory.grade.success) == ("finished", True)


async def test_what_cannot_be_understood_is_explained_and_costs_nothing() -> None:
    trajectory, written = await as_agent("", "/what", "find_member Alan", 'lend {"item": ', "lend tripod now", "/help")
    assert [message["role"] for message in trajectory.messages] == ["system", "user"]
    assert written.count("Call a tool, or type words for the user") == 3
    assert "Type lend member_id=..." in written
    assert "'tripod' is not key=value" in written
    assert "End with a last message to the user." in written
    assert trajectory.end == "finished"


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("item=7 days=7", LEND, {"item": "7", "days": 7}),
        ("item='two words' tags='[\"a\"]'", LEND, {"item": "two words", "tags": ["a"]}),
        ('{"item": "x", "days": null}', LEND, {"item": "x", "days": None}),
        ("days=soon", LEND, {"days": "soon"}),  # the world refuses it, not the terminal
        ("two words = fine", ONLY, {"name": "two words = fine"}),
        ("name=x", ONLY, {"name": "x"}),
        ("", LEND, {}),
    ],
)
def test_arguments(text: str, tool: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert arguments_of(text, tool) == arguments


@given(st.text(max_size=40))
def test_any_line_is_arguments_or_a_reason(text: str) -> None:
    for tool in (LEND, ONLY):
        with contextlib.suppress(ValueError):
            assert isinstance(arguments_of(text, tool), dict)


async def test_a_person_can_be_the_user() -> None:
    trajectory, written = await as_user("It is for 7 days.", "yes, go ahead")
    assert trajectory.grade is not None
    assert trajectory.grade.success
    assert "the length of the loan: 7 days" in written
    assert "the item: the tripod (already said)" in written
    assert "assistant: For how many days is the loan?" in written


async def test_a_user_that_says_no_has_not_said_yes() -> None:
    trajectory, _ = await as_user("Guess.", "no, never")
    assert [event.kind for event in trajectory.events if event.kind in ("release", "confirm")] == []
    assert trajectory.grade is not None
    assert not trajectory.grade.success


@pytest.mark.parametrize("lines", [(), ("/leave",)])
async def test_a_user_may_leave(lines: tuple[str, ...]) -> None:
    trajectory, _ = await as_user(*lines)
    assert trajectory.end == "user_left"
