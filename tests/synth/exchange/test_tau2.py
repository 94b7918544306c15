"""Tasks in tau2's form: out and in again nothing is lost; what others wrote comes in as far as it goes, counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocktrial.envs.dataset import Dataset, digest, load_dataset
from mocktrial.envs.proof import Recipe
from mocktrial.envs.task import Finish, Persona, Task
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.world import World
from mocktrial.synth.exchange.tau2.back import task_of
from mocktrial.synth.exchange.tau2.folder import Imported, export_tau2, import_tau2, read_entries
from mocktrial.synth.exchange.tau2.out import Entry, entry_of
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.production.generate import generate
from tests.support.command import runner
from tests.support.desk import DATA, desk_image, desk_spec, desk_task
from tests.support.router import router_image, router_task

FOREIGN: list[Entry] = json.loads((DATA / "tau2_desk.json").read_text(encoding="utf-8"))


def there_and_back(dataset: Dataset, folder: Path) -> Imported:
    export_tau2(dataset, folder)
    entries = read_entries(folder / "tasks.json")
    assert entries
    return import_tau2(folder / "tasks.json", entries, dataset.name)


def desk(*tasks: Task) -> Dataset:
    return Dataset(Recipe(), {"desk": desk_spec()}, tasks)


def foreign(folder: Path, *entries: Entry, **changes: Any) -> Imported:
    """What comes in of these entries, in the desk's world."""
    (folder / "desk.json").write_text(desk_spec().model_dump_json())
    return import_tau2(folder / "tasks.json", [{**entry, **changes} for entry in entries], "f", folder / "desk.json")


def test_a_dataset_comes_back_byte_for_byte(tmp_path: Path) -> None:
    generate(7, 8, ("clinic", "network")).save(tmp_path / "tasks")
    back = there_and_back(load_dataset(tmp_path / "tasks"), tmp_path / "out")
    back.dataset.save(tmp_path / "back")
    assert digest(tmp_path / "back") == digest(tmp_path / "tasks")
    assert not back.left + back.refused


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, texts, st.sampled_from(["plain", "terse", "chatty"]), st.integers(0, 2), st.dictionaries(texts, texts))
def test_no_task_of_ours_loses_anything(
    tmp_path_factory: pytest.TempPathFactory,
    goal: str,
    name: str,
    manner: Any,
    privacy: int,
    provenance: dict[str, str],
) -> None:
    persona = Persona(name=name, manner=manner, privacy=privacy)
    task = desk_task().model_copy(update={"goal": goal, "persona": persona, "provenance": provenance})
    assert there_and_back(desk(task), tmp_path_factory.mktemp("t") / "out").dataset.tasks == (task,)


def test_what_stands_in_their_fields() -> None:
    entry = entry_of(desk_task(), desk_image())
    told, asked = entry["user_scenario"]["instructions"], entry["evaluation_criteria"]
    assert told["reason_for_call"] == "Please lend the tripod to Alan Mathison."
    assert told["known_info"].splitlines()[0] == "You know the length of the loan: 7 days."
    assert "the length of the loan only when you are asked" in told["task_instructions"]
    assert [action["name"] for action in asked["actions"]] == ["find_members", "lend"]
    assert asked["actions"][1]["arguments"] == {"member_id": "m2", "item": "tripod", "days": 7}
    assert asked["communicate_info"] == ["2026-05-18"]
    assert asked["reward_basis"] == ["DB", "COMMUNICATE"]


def test_what_the_user_does_is_an_action_of_the_user() -> None:
    entry = entry_of(router_task(1), router_image())
    actions = entry["evaluation_criteria"]["actions"]
    assert [action["requestor"] for action in actions].count("user") == 1
    assert {action["name"] for action in actions if action["requestor"] == "user"} <= set(entry["user_tools"])


def test_a_task_that_was_changed_outside_is_refused(tmp_path: Path) -> None:
    export_tau2(desk(desk_task()), tmp_path / "out")
    entries = read_entries(tmp_path / "out" / "tasks.json")
    assert entries
    entries[0]["evaluation_criteria"]["communicate_info"] = ["nothing"]
    with pytest.raises(SpecError, match="'desk-1' was changed"):
        import_tau2(tmp_path / "out" / "tasks.json", entries, "x")


def test_somebody_elses_tasks_come_in_proved_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "split_tasks.json").write_text('{"test": ["end of a loan"]}')
    got = foreign(tmp_path, *FOREIGN)
    assert [(task.id, task.split) for task in got.dataset.tasks] == [
        ("desk-lend-tripod", "train"),
        ("end-of-a-loan", "test"),
    ]
    assert all(proof.ok for proof in got.dataset.proofs)
    assert got.left == {
        "sentences of known_info": 1, "nl_assertions, diagnostic": 1, "initialization_actions": 1, "env_assertions": 1,
    }  # fmt: skip
    assert got.refused == {
        "nothing to check: doing nothing would pass": 1, "an action fails in this world: unknown_tool": 1,
    }  # fmt: skip


def test_what_others_wrote_becomes_facts_criteria_and_a_gold_plan(tmp_path: Path) -> None:
    lend, end = foreign(tmp_path, *FOREIGN).dataset.tasks
    days = lend.fact("number_of_days")
    assert (days.value, days.used_in, days.hidden) == (9, ("lend.days",), True)
    assert lend.persona.name == "Robin Hale"
    assert [one.kind for one in lend.rubric.criteria()] == ["writes", "tell", "ask", "writes"]
    assert [one.kind for one in end.rubric.criteria()] == ["writes", "call", "judge", "writes"]
    assert lend.gold[-1] == Finish(finish="Done. {2.due}")
    assert "Be brief." in lend.goal
    assert "9" not in lend.instruction


def test_made_up_ids_are_left_open(tmp_path: Path) -> None:
    (lend,) = foreign(tmp_path, FOREIGN[0]).dataset.tasks
    with World.open(desk_image(), 5) as world:
        assert world.call("lend", {"member_id": "m2", "item": "tripod", "days": 9}).ok
        (change,) = world.write_set()
    (pattern,) = lend.rubric.subgoals[0].required  # type: ignore[union-attr]
    assert change.key["id"] not in str(pattern)
    assert pattern.new["item"] == "tripod"


def test_their_tasks_go_out_as_they_came_and_come_back_the_same(tmp_path: Path) -> None:
    tasks = foreign(tmp_path, *FOREIGN).dataset.tasks
    assert [entry_of(task, desk_image()) for task in tasks] == [FOREIGN[0], FOREIGN[3]]
    assert there_and_back(desk(*tasks), tmp_path / "out").dataset.tasks == tasks


def test_a_user_s_action_becomes_a_deed() -> None:
    theirs = entry_of(router_task(1), router_image())
    task = task_of(theirs, router_image(), "restart", "train", Counter())
    (tool,) = {deed.tool for deed in task.deeds}
    assert tool in theirs["user_tools"]


def test_a_broken_entry_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"task 'no change': evaluation_criteria.actions.0.name"):
        foreign(tmp_path, FOREIGN[1], evaluation_criteria={"actions": [{"arguments": {}}]})
    with pytest.raises(Unplannable, match="doing nothing would pass"):
        task_of(FOREIGN[1], desk_image(), "x", "train", Counter())


def test_what_proves_nothing_does_not_come_in(tmp_path: Path) -> None:
    """A word that can be said without having done anything."""
    criteria = FOREIGN[0]["evaluation_criteria"] | {"communicate_info": ["Bye"], "reward_basis": ["COMMUNICATE"]}
    with pytest.raises(SpecError, match=r"no task came in: \{'proof: "):
        foreign(tmp_path, FOREIGN[0], evaluation_criteria=criteria)


def test_broken_splits_are_named(tmp_path: Path) -> None:
    (tmp_path / "split_tasks.json").write_text("{")
    with pytest.raises(SpecError, match=r"split_tasks\.json: not JSON"):
        foreign(tmp_path, FOREIGN[0])


def test_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    got = foreign(tmp_path, FOREIGN[0], FOREIGN[0])
    assert [task.id for task in got.dataset.tasks] == ["desk-lend-tripod", "desk-lend-tripod-2"]


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mocktrial = runner(monkeypatch, capsys)
    (tmp_path / "desk.json").write_text(desk_spec().model_dump_json())
    place, source = str(tmp_path / "in"), str(DATA / "tau2_desk.json")
    code, _, err = mocktrial("import", source, "--out", place)
    assert (code, "needs a world" in err) == (2, True)
    code, out, _ = mocktrial("import", source, "--world", str(tmp_path / "desk.json"), "--out", place, "--json")
    assert (code, json.loads(out)["tasks"], json.loads(out)["of"]) == (0, 2, 4)
    code, out, _ = mocktrial("export", place, "--to", "tau2", "--json")
    assert (code, json.loads(out)["tasks"]) == (0, 2)
    assert json.loads((tmp_path / "in-tau2" / "split_tasks.json").read_text())["base"] == [
        "[desk]lend tripod",
        "end of a loan",
    ]
    with pytest.raises(UsageError, match="exists already"):
        export_tau2(load_dataset(tmp_path / "in"), tmp_path / "in-tau2")
