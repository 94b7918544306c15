"""The Auto-SLURP team on the desk world: a scripted model plays every role."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.support.desk import desk_image, desk_task

from mocktrial.agents.slurp_team import SlurpTeam
from mocktrial.agents.testing import ScriptedModel
from mocktrial.envs.chat import Completion, Message, ToolSchema, Usage, assistant, tool_call
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.autoslurp.dataset import Dataset, GoldCall, Row
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.synth.autoslurp import tasks_of

ORDER = ["intent", "time", "location", "url", "request", "response"]
SLOTS = {"name": "Alan"}
ANSWERS: dict[str, Any] = {
    "intent": json.dumps({"intent": "find_members", "slots": {"name": "alan"}}),
    "time": json.dumps({"slots": {"name": "alan"}}),
    "location": "```json\n" + json.dumps({"slots": SLOTS}) + "\n```",
    "url": json.dumps({"url": "/find_members?name=Alan"}),
    "request": assistant(None, tool_call("r", "find_members", json.dumps(SLOTS))),
    "response": assistant(None, tool_call("f", "finish", '{"message": "Found Alan Mathison."}')),
}


class Cast:
    """Plays all roles: each answers as told; the supervisor walks through `order`."""

    def __init__(self, order: Sequence[str] = ORDER, **answers: Any) -> None:
        self.answers = ANSWERS | answers
        self.order: Iterator[str] = iter(order)
        self.boards: list[tuple[str, dict[str, Any]]] = []
        self.tools: dict[str, list[str]] = {}

    def __call__(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> Any:
        system, board = messages
        role = system["content"].split("You are the ")[1].split(maxsplit=1)[0].lower()
        self.boards.append((role, json.loads(board["content"])))
        self.tools[role] = [tool["function"]["name"] for tool in tools]
        if role == "supervisor" and "supervisor" not in self.answers:
            return json.dumps({"next": next(self.order)})
        answer = self.answers[role]
        if isinstance(answer, list):
            answer = answer.pop(0)
        answer = assistant(answer) if isinstance(answer, str) else answer
        return Completion(message=answer, usage=Usage(prompt_tokens=10, completion_tokens=1))

    def board(self, number: int) -> dict[str, Any]:
        """What the supervisor saw on its `number`-th turn."""
        return [board for role, board in self.boards if role == "supervisor"][number]


async def play(cast: Cast, max_turns: int = 30, limits: Limits | None = None) -> Trajectory:
    team = SlurpTeam(ScriptedModel(cast), max_turns=max_turns)
    async with Episode(desk_task(), desk_image(), agent=team.name, limits=limits) as episode:
        await team.play(episode)
        return episode.trajectory()


async def test_an_easy_command() -> None:
    cast = Cast()
    trajectory = await play(cast)
    assert trajectory.agent == "team:scripted"
    assert trajectory.end == "finished"
    assert [role for role, _ in cast.boards if role != "supervisor"] == ORDER
    assert [(e.name, e.arguments) for e in trajectory.events if e.kind == "call"] == [("find_members", SLOTS)]
    assert [entry["role"] for entry in trajectory.messages] == [
        "system", "user", "assistant", "tool", "assistant", "tool",
    ]  # fmt: skip


async def test_workers_share_the_board() -> None:
    cast = Cast()
    await play(cast)
    boards = dict(cast.boards)
    assert boards["intent"]["query"] == desk_task().instruction
    assert boards["time"]["slots"] == {"name": "alan"}
    assert boards["url"]["slots"] == SLOTS
    assert boards["request"]["url"] == "/find_members?name=Alan"
    assert "Mathison" in boards["response"]["response"]


async def test_only_two_workers_hold_tools() -> None:
    cast = Cast()
    await play(cast)
    assert {role: tools for role, tools in cast.tools.items() if tools} == {
        "request": ["find_members"],
        "response": ["finish"],
    }


async def test_the_cost_of_all_roles_is_recorded() -> None:
    assert (await play(Cast())).usage.prompt_tokens == 10 * len(ORDER)


MALFORMED = [
    ("intent", "I think it is find_members"),
    ("intent", '{"intent": "find_members"}'),
    ("time", '{"slots": ["name"]}'),
    ("location", ""),
    ("url", '{"url": 3}'),
    ("request", "sent!"),
    ("request", assistant(None, tool_call("r", "end_loan", "{}"))),
    ("response", "Found him."),
    ("response", assistant(None) | {"tool_calls": [None, {"function": 3}]}),
]


@pytest.mark.parametrize(("role", "answer"), MALFORMED)
async def test_a_malformed_answer_goes_back_to_the_supervisor(role: str, answer: Any) -> None:
    at = ORDER.index(role)
    cast = Cast(order=[*ORDER[: at + 1], *ORDER[at:]], **{role: [answer, ANSWERS[role]]})
    trajectory = await play(cast)
    before, after = cast.board(at), cast.board(at + 1)
    assert after.pop("note").startswith(f"{role}: not usable")
    before.pop("note", None)
    assert after == before
    assert trajectory.end == "finished"
    assert len([event for event in trajectory.events if event.kind == "call"]) == 1


async def test_a_url_without_a_service_is_not_requested() -> None:
    cast = Cast(order=["request", "url", "request", "response"], url='{"url": "/no_such?x=1"}')
    trajectory = await play(cast)
    assert "names no service" in cast.board(1)["note"]
    assert "names no service: 'no_such'" in cast.board(3)["note"]
    assert not [event for event in trajectory.events if event.kind == "call"]


async def test_a_refused_request_is_seen_by_the_supervisor() -> None:
    broken = assistant(None, tool_call("r", "find_members", '{"name": '))
    cast = Cast(order=["url", "request", "request", "response"], request=[broken, ANSWERS["request"]])
    trajectory = await play(cast)
    assert "bad_json" in cast.board(2)["response"]
    assert [event.ok for event in trajectory.events if event.kind == "call"] == [False, True]


@pytest.mark.parametrize("answer", ["what?", '{"next": "boss"}', '{"next": "intent"}', '{"next": "request"}'])
async def test_the_turn_limit_ends_a_team_that_goes_in_circles(answer: str) -> None:
    cast = Cast(supervisor=answer)
    trajectory = await play(cast, max_turns=9)
    assert trajectory.end == "turn_limit"
    assert len(cast.boards) in (9, 10)  # a worker's turn may follow the supervisor's last
    assert trajectory.usage.prompt_tokens == 10 * len(cast.boards)


async def test_the_episode_may_end_first() -> None:
    trajectory = await play(Cast(), limits=Limits(turns=1))
    assert trajectory.end == "turn_limit"
    assert trajectory.messages[-1]["role"] == "tool"


@pytest.mark.parametrize(("hour", "passes"), [("07:00", True), ("08:00", False)])
async def test_a_command_of_auto_slurp_in_the_real_services(hour: str, passes: bool) -> None:
    """Spoken slots, resolved by the workers, are graded like any agent's."""
    spoken = {"date": "tomorrow", "time": "seven am"}
    exact = {"date": "2026-05-12", "time": hour}
    query = "wake me up at seven am tomorrow"
    row = Row("1", query, (GoldCall("alarm_set", tuple(spoken.items())),), "set", "alarm", "")
    cast = Cast(
        order=["intent", "time", "url", "request", "response"],
        intent=json.dumps({"intent": "alarm_set", "slots": spoken}),
        time=json.dumps({"slots": exact}),
        url=json.dumps({"url": f"/alarm_set?date=2026-05-12&time={hour}"}),
        request=assistant(None, tool_call("r", "alarm_set", json.dumps(exact))),
        response=assistant(None, tool_call("f", "finish", '{"message": "The alarm is set."}')),
    )
    (task,) = tasks_of(Dataset("", (row,)))
    team = SlurpTeam(ScriptedModel(cast))
    async with Episode(task, autoslurp_image(), agent=team.name) as episode:
        await team.play(episode)
        grade = episode.trajectory().grade
    assert grade is not None
    assert grade.success == passes
    assert cast.board(0)["query"] == query
