"""Answers that do not hold go back to the model with the exact error, and what holds of them is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocktrial.synth.teacher.prompts import example
from tests.support.teacher import Model, goals_of, good, sent, spoiled, step_of, teach

REPAIRABLE: dict[str, tuple[str, object, str]] = {
    "broken JSON": ("world", '{"rules": "x", "tables": [', "world answer: Invalid JSON: EOF while parsing"),
    "no JSON": ("persona", "I would love to!", "persona answer: Invalid JSON: expected"),
    "unknown key": ("tools", spoiled("tools", lambda a: a["tools"][0].update(code="rm")), "tools answer: tools.0.code: unknown key"),
    "missing key": ("workflow", {"domain": "bikes", "description": "x"}, "workflow answer: duties: Field required"),
    "a fill of no kind": (
        "world", spoiled("world", lambda a: a["tables"][0]["columns"][0].update(fill={"colour": "red"})),
        "world answer: tables.0.columns.0.fill: must have one of the keys sequence, choices,",
    ),
    "too many rows": (
        "world", spoiled("world", lambda a: [a["tables"][0].update(rows=40), a["tables"][2].update(rows=40, distinct=[])]),
        "- world: 1646 rows, at most 1000; lower rows",
    ),
    "unknown table": (
        "world", spoiled("world", lambda a: a["tables"][2]["columns"][2].update(references="cars.id")),
        "table hires, column bike_id: 'cars.id' is no column of an earlier table",
    ),
    "rows that cannot be": (
        "world", spoiled("world", lambda a: a["tables"][1].update(rows=9)),
        "no new row after 200 draws (lower count, or give its unique or distinct columns more values)",
    ),
    "SQL that does not compile": (
        "tools", spoiled("tools", lambda a: a["tools"][1]["steps"][0].update(give="SELECT id FROM nowhere")),
        "- tool free_bikes: compiles: ",
    ),
    "a rule about no tool": (
        "constraints", spoiled("constraints", lambda a: a["constraints"][0].update(confirm=["sell"])),
        "constraint ask_first: 'sell' is no write; writes: hire_bike, call_off",
    ),
    "a rule broken at the start": (
        "constraints", spoiled("constraints", lambda a: a["constraints"][1].update(never="SELECT 1")),
        "constraint one_a_day: never returns 1 row(s) before anything is done",
    ),
    "a call of no tool": (
        "tasks", spoiled("tasks", lambda a: a["goals"][2]["plan"][0].update(call="cost")),
        "goal price: there is no tool 'cost'; tools: find_customer, free_bikes, price_of",
    ),
    "a goal that names no fact": (
        "tasks", spoiled("tasks", lambda a: a["goals"][2]["plan"][0].update(arguments={"bike": {"fact": "wheel"}})),
        "goal price: price_of refers to 'wheel', no fact",
    ),
    "a task that does not prove": (
        "tasks", spoiled("tasks", lambda a: a["goals"][2].update(subgoals=[{"id": "told", "kind": "state", "sql": "SELECT 1"}])),
        "goal price: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REPAIRABLE)
async def test_a_broken_answer_is_sent_back_with_the_error(case: str, tmp_path: Path) -> None:
    step, broken, error = REPAIRABLE[case]
    (unit,), report, requests = await teach(Model(**{step: [broken, good(step)]}), tmp_path)
    asked = [request for request in requests if step_of(request) == step]
    assert len(asked) == 2
    assert error in sent(asked[1]), sent(asked[1])
    roles = [item["role"] for item in asked[1].body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert asked[1].body["seed"] != asked[0].body["seed"]
    assert sorted(goals_of(unit)) == ["call_off", "hire", "price"]
    assert (report.requests, report.dropped, report.given_up) == (7, {}, {})


async def test_the_compilers_and_the_proofs_own_words_go_back(tmp_path: Path) -> None:
    tools, tasks = REPAIRABLE["SQL that does not compile"][1], REPAIRABLE["a task that does not prove"][1]
    _, _, requests = await teach(Model(tools=[tools, good("tools")], tasks=[tasks, good("tasks")]), tmp_path)
    back = [sent(request) for request in requests if len(request.body["messages"]) == 4]
    assert "tool free_bikes, step 1: no such table: nowhere" in back[0]
    assert "told holds before the first action (in 6 of 6 drafts)" in back[1]


async def test_what_was_accepted_is_not_asked_for_again(tmp_path: Path) -> None:
    broken = REPAIRABLE["a call of no tool"][1]
    rest = {"goals": [good("tasks")["goals"][2]]}
    (unit,), _, requests = await teach(Model(tasks=[broken, rest]), tmp_path)
    assert "Accepted already: hire, call_off. Answer again" in sent(requests[-1])
    assert goals_of(unit) == ["hire", "call_off", "price"]


async def test_the_example_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    _, _, requests = await teach(Model(world=[example("world"), good("world")]), tmp_path)
    assert "these are the example's tables" in sent(requests[3])
