"""Another order of the gold plan: data flow, questions and the yes before a write stay as they must."""

from __future__ import annotations

from typing import Any

from mocktrial.agents.scripted import truth
from mocktrial.envs.task import Ask, Call, Confirm, Finish, FromFact, FromStep, GoldStep, Value
from mocktrial.synth.proof.paraphrase import reordered
from mocktrial.synth.proof.variants import Scene
from tests.support.desk import desk_task

ASK = Ask(ask=("days",), text="For how many days?")
YES = Confirm(confirm="Shall I lend the tripod?")
LAST = Finish(finish="Done.")


def read(**arguments: Any) -> Call:
    return Call(call="find_members", arguments=arguments)


def write(**arguments: Any) -> Call:
    return Call(call="lend", arguments=arguments)


def order_of(*gold: GoldStep) -> list[int] | None:
    task = desk_task().model_copy(update={"gold": gold})
    order = reordered(Scene(task, truth(task), writers=frozenset({"lend"})))
    return None if order is None else [number for number, _ in order]


def test_reads_come_first_and_the_question_right_before_its_use() -> None:
    days = FromFact(fact="days")
    assert order_of(ASK, YES, write(days=days), read(), LAST) == [3, 0, 1, 2, 4]
    assert order_of(read(), ASK, write(), write(days=days), LAST) == [0, 2, 1, 3, 4]


def test_a_read_that_needs_a_write_waits_for_it_and_writes_keep_their_order() -> None:
    needs = FromStep(step=1, path="id")
    assert order_of(ASK, write(days=FromFact(fact="days")), write(), read(member=needs), LAST) == [0, 1, 3, 2, 4]


def test_a_question_whose_answer_chooses_a_row_comes_before_the_first_write() -> None:
    assert order_of(ASK, read(), write(), LAST) == [1, 0, 2, 3]


def test_a_plan_that_allows_one_order_has_no_other() -> None:
    assert order_of(ASK, write(days=FromFact(fact="days")), LAST) is None
    assert order_of(read(name=Value(value="a")), LAST) is None
