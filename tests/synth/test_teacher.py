"""The model teacher against a scripted endpoint on loopback: good, repairable, hopeless and hostile answers."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from mocktrial.envs.task import Persona
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.image import compile_world
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.production.units import make_unit
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.teacher import steps
from mocktrial.synth.teacher.draft import Draft
from mocktrial.synth.teacher.errors import BudgetSpent, GivenUp, Stopped
from mocktrial.synth.teacher.ledger import Entry, TokenLedger
from mocktrial.synth.teacher.prompts import example, prompt_of
from mocktrial.synth.teacher.source import LEDGER, make_teacher
from tests.support.endpoint import Endpoint, Raw, Request, message, refuse
from tests.support.teacher import STEPS, Model, goals_of, good, person, sent, spoiled, step_of, teach, teacher_at


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


# Good answers


async def test_good_answers_become_blueprints_whose_tasks_prove(tmp_path: Path) -> None:
    made, report, requests = await teach(Model(), tmp_path, 2)
    assert [step_of(request) for request in requests] == [*STEPS, *STEPS]
    first, second = made
    assert isinstance(first, Blueprint)
    assert isinstance(second, Blueprint)
    assert (first.name, second.name) == ("m0-bikes", "m1-bikes")
    assert first.goals.personas[0].occupation == "postwoman"
    assert "Never hire out one bike twice on a day." in first.world.rules
    assert {item.id for goal in first.goals.goals for item in goal.forbidden} == {"one_a_day"}
    world = make_world(first, 4, 9)
    assert check_world(world).ok
    image = compile_world(world)
    for goal in first.goals.goals:
        proofs = [
            prove(make_task(goal, image, domain=first.name, personas=first.goals.personas, seed=seed), image)
            for seed in range(3)
        ]
        assert any(proof.ok for proof in proofs), (goal.id, proofs)
    assert next(goal for goal in first.goals.goals if goal.id == "call_off").plan[-1].confirm == "Shall I call off now?"
    assert (report.blueprints, report.requests, report.given_up, report.stopped) == (2, 12, {}, "")


async def test_loops_conditions_and_choices_are_taken(tmp_path: Path) -> None:
    (unit,), report, requests = await teach(Model(tasks=[good("more_tasks")]), tmp_path, retries=0)
    assert isinstance(unit, Blueprint), requests
    assert {goal.id: (goal.family, goal.tags) for goal in unit.goals.goals} == {
        "clear": ("policy", ("loop",)),
        "cheapest": ("tool_use", ("condition", "choice")),
    }
    assert report.dropped == {}


async def test_tokens_are_in_the_ledger_a_request_a_line(tmp_path: Path) -> None:
    _, report, _ = await teach(Model(world=["no", good("world")]), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LEDGER).read_text().splitlines()]
    assert [(line["unit"], line["step"], line["attempt"], line["model"]) for line in lines[:4]] == [
        (0, "persona", 0, "m"), (0, "workflow", 0, "m"), (0, "world", 0, "m"), (0, "world", 1, "m"),
    ]  # fmt: skip
    assert sum(line["prompt_tokens"] + line["completion_tokens"] for line in lines) == sum(
        report.tokens_by_step.values()
    )
    assert report.tokens_per_task(10) == (report.prompt_tokens + report.completion_tokens) / 10 > 0
    assert not any(line["estimated"] for line in lines)


async def test_an_endpoint_that_counts_nothing_is_estimated(tmp_path: Path) -> None:
    await teach(lambda request: message({"content": json.dumps(good(step_of(request)))}), tmp_path)
    entry = Entry.model_validate_json((tmp_path / LEDGER).read_text().splitlines()[0])
    assert entry.estimated
    assert entry.completion_tokens == len(entry.content) // 4
    assert entry.prompt_tokens > 100


async def test_an_answer_in_a_fence_is_read(tmp_path: Path) -> None:
    fenced = f"Here you are:\n```json\n{json.dumps(good('persona'))}\n```"
    _, report, _ = await teach(Model(persona=[fenced]), tmp_path)
    assert report.requests == 6


def test_the_worked_example_passes_every_check() -> None:
    draft = Draft(0, 3, Persona())
    for step in steps.STEPS:
        assert prompt_of(step.name, draft, 2)
        assert step.check(draft, step.form.model_validate(example(step.name))) == []
    assert sorted(draft.goals) == ["book", "cancel"]


# Hopeless answers


async def test_a_hopeless_unit_is_given_up_and_the_run_goes_on(tmp_path: Path) -> None:
    class Hermit(Model):
        def __call__(self, request: Request) -> Raw:
            self.scripted = (
                {"persona": [good("persona") | {"occupation": "hermit"}]} if "hermit" in sent(request) else {}
            )
            if step_of(request) == "world" and any("hermit" in item["content"] for item in request.body["messages"]):
                self.scripted["world"] = ["I cannot."]
            return super().__call__(request)

    made, report, requests = await teach(Hermit(), tmp_path, 3, retries=2)
    assert isinstance(made[1], GivenUp)
    assert str(made[1]) == "teacher, world: broken JSON"
    assert goals_of(made[0]) == goals_of(made[2])
    assert report.given_up == {"teacher, world: broken JSON": 1}
    assert len(requests) == 6 + (2 + 3) + 6


async def test_the_unit_maker_takes_a_teacher_like_any_source(tmp_path: Path) -> None:
    async with Endpoint(Model(world=[good("world"), "I cannot."])) as endpoint:
        with teacher_at(endpoint, tmp_path, retries=0) as teacher:
            await teacher.prepare(range(2))
            await teacher.aclose()
            first, second = (make_unit(teacher, number, 5, 6) for number in range(2))
    assert len(first.pairs) == 6
    assert all(proof.ok for _, proof in first.pairs)
    assert (second.image, second.dropped) == (None, {"world: teacher, world: broken JSON": 1})


async def test_a_unit_goes_on_without_what_could_not_be_mended(tmp_path: Path) -> None:
    broken = spoiled("tools", lambda a: a["tools"][1]["steps"][0].update(give="SELECT id FROM nowhere"))
    tasks = {"goals": good("tasks")["goals"][1:]}
    (unit,), report, _ = await teach(Model(tools=[broken], tasks=[tasks]), tmp_path, retries=1)
    assert isinstance(unit, Blueprint)
    assert "free_bikes" not in [tool.name for tool in unit.world.tools()]
    assert report.dropped == {"teacher, tools: tool": 1}


async def test_tools_that_only_read_are_not_enough(tmp_path: Path) -> None:
    reads = {"tools": good("tools")["tools"][:4]}
    (unit,), _, requests = await teach(Model(tools=[reads]), tmp_path, retries=1)
    assert isinstance(unit, GivenUp)
    assert "at least one write and one read are needed" in sent(requests[-1])


# Endpoints


async def test_a_refused_output_format_is_remembered(tmp_path: Path) -> None:
    def answer(request: Request) -> Raw:
        return (
            refuse(400, "response_format is not supported") if "response_format" in request.body else Model()(request)
        )

    made, report, requests = await teach(answer, tmp_path, 2)
    formats = [request.body.get("response_format", {}).get("type") for request in requests]
    assert formats[:4] == ["json_schema", "json_schema", "json_object", None]
    assert formats[4:] == [None] * 11
    assert report.output_format == "text"
    assert goals_of(made[1])


async def test_strict_where_the_schema_allows_it(tmp_path: Path) -> None:
    _, _, requests = await teach(Model(), tmp_path)
    strict = {step_of(request): request.body["response_format"]["json_schema"]["strict"] for request in requests}
    assert strict == dict.fromkeys(STEPS, False) | {"persona": True, "workflow": True}


async def test_a_refused_strict_schema_is_sent_unstrict(tmp_path: Path) -> None:
    def answer(request: Request) -> Raw:
        strict = request.body["response_format"]["json_schema"]["strict"]
        return refuse(400, "maxLength is not permitted") if strict else Model()(request)

    _, report, requests = await teach(answer, tmp_path)
    assert (len(requests), report.requests, report.output_format) == (7, 6, "json_schema")


async def test_a_model_that_never_gets_there_ends_the_run(tmp_path: Path) -> None:
    made, report, requests = await teach(Model(workflow=["?"]), tmp_path, 30, retries=0)
    assert isinstance(made[20], Stopped)
    assert len(requests) == 40
    assert report.stopped == "20 units in a row came to nothing, the last: teacher, workflow: broken JSON"


async def test_a_persona_that_the_model_cannot_write_stays_as_seeded(tmp_path: Path) -> None:
    (unit,), report, requests = await teach(Model(persona=["?"]), tmp_path, retries=0)
    assert isinstance(unit, Blueprint)
    assert unit.goals.personas == (person(0),)
    assert person(0).name in sent(requests[1])
    assert report.dropped == {"teacher, persona: broken JSON": 1}


@pytest.mark.parametrize("reply", [refuse(401, "bad key"), refuse(500, "down"), Raw(fault="close")])
async def test_a_dead_endpoint_ends_the_run_and_drops_no_unit(reply: Raw, tmp_path: Path) -> None:
    made, report, _ = await teach(lambda _: reply, tmp_path, 3)
    assert [type(unit) for unit in made] == [Stopped] * 3
    assert report.given_up == {}
    assert report.stopped.startswith("http://127.0.0.1:")
    again, report, _ = await teach(Model(), tmp_path, 3)
    assert all(isinstance(unit, Blueprint) for unit in again)


async def test_a_request_that_is_refused_or_too_long_costs_its_unit_only(tmp_path: Path) -> None:
    long = Raw(json.dumps({"error": {"code": "context_length_exceeded", "message": "too long"}}).encode(), 400)
    never = [refuse(400, "no")] * 4
    made, report, _ = await teach(Model(world=[long, *never, good("world")]), tmp_path, 3)
    assert [str(unit) for unit in made[:2]] == [
        "teacher, world: too long for the model",
        "teacher: the endpoint refused a request",
    ]
    assert isinstance(made[2], Blueprint)
    assert report.stopped == ""


async def test_a_passing_fault_costs_nothing(tmp_path: Path) -> None:
    _, report, requests = await teach(Model(world=[refuse(503), good("world")]), tmp_path)
    assert len(requests) == 7
    assert (report.requests, report.given_up) == (6, {})


def test_what_is_no_teacher(tmp_path: Path) -> None:
    for spec in ("openai:", "local", "anthropic:x"):
        with pytest.raises(UsageError, match="there is no teacher"):
            make_teacher(spec, base_url=None, seed=1, folder=tmp_path)
    with pytest.raises(UsageError, match="needs a key"):
        make_teacher("openai:m", base_url=None, seed=1, folder=tmp_path)


# Budget, resume, concurrency


async def test_the_budget_ends_the_run_cleanly_and_more_of_it_goes_on(tmp_path: Path) -> None:
    whole, full, _ = await teach(Model(), tmp_path / "whole", 3)
    budget = (full.prompt_tokens + full.completion_tokens) // 2
    made, report, requests = await teach(Model(), tmp_path / "part", 3, max_tokens=budget)
    assert [type(unit) for unit in made] == [Blueprint, BudgetSpent, BudgetSpent]
    assert report.stopped == str(made[1]) == f"the budget of {budget} tokens is spent"
    assert report.given_up == {}
    assert 6 < len(requests) < 18
    again, report, more = await teach(Model(), tmp_path / "part", 3)
    assert again == whole
    assert len(requests) + len(more) == 18 == report.requests
    assert report.tokens_by_step == full.tokens_by_step


async def test_a_killed_run_goes_on_without_paying_twice(tmp_path: Path) -> None:
    whole, full, _ = await teach(Model(), tmp_path / "whole", 3)
    async with Endpoint(Model(delay=0.01)) as endpoint:
        teacher = teacher_at(endpoint, tmp_path / "part")
        running = asyncio.create_task(teacher.prepare(range(3)))
        while len(endpoint.requests) < 9:
            await asyncio.sleep(0.002)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await teacher.aclose()
        teacher.close()
    ledger = tmp_path / "part" / LEDGER
    paid = ledger.read_bytes()
    kept = paid.count(b"\n")
    assert 8 <= kept <= 9
    ledger.write_bytes(paid + b'{"key": "torn')
    again, report, more = await teach(Model(), tmp_path / "part", 3)
    assert again == whole
    assert len(more) == 18 - kept
    assert report == full
    assert ledger.read_bytes().startswith(paid)
    assert [json.loads(line)["unit"] for line in ledger.read_text().splitlines()] == [0] * 6 + [1] * 6 + [2] * 6


async def test_units_run_together_and_come_out_the_same(tmp_path: Path) -> None:
    alone, _, _ = await teach(Model(), tmp_path / "alone", 6)
    async with Endpoint(Model(delay=0.05)) as endpoint:
        with teacher_at(endpoint, tmp_path / "together", concurrency=3) as teacher:
            await teacher.prepare(range(6))
            await teacher.aclose()
            assert [teacher.blueprint(number) for number in range(6)] == alone
    assert endpoint.peak == 3


def test_blueprint_prepares_a_window_by_itself(tmp_path: Path) -> None:
    """As the unit maker calls it: no event loop of its own. The endpoint runs in another thread."""

    async def serve(started: list[Endpoint], stop: asyncio.Event) -> None:
        async with Endpoint(Model(delay=0.02)) as endpoint:
            started.append(endpoint)
            await stop.wait()

    loop, started = asyncio.new_event_loop(), list[Endpoint]()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(started, stop),))
    thread.start()
    while not started:
        pass
    try:
        with teacher_at(started[0], tmp_path, concurrency=2) as teacher:
            names = [teacher.blueprint(number).name for number in range(4)]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
    assert names == [f"m{number}-bikes" for number in range(4)]
    assert started[0].peak == 2


# The ledger


def test_one_process_writes_a_ledger(tmp_path: Path) -> None:
    ledger = TokenLedger(tmp_path / LEDGER)
    with pytest.raises(UsageError, match="another process is writing"):
        TokenLedger(tmp_path / LEDGER)
    ledger.close()
    TokenLedger(tmp_path / LEDGER).close()


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text("{}\n")
    with pytest.raises(SpecError, match=r"teacher\.jsonl, line 1: key: Field required"):
        TokenLedger(tmp_path / LEDGER)
