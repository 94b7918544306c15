"""Rewording by a model: what is taken, what is sent back once, and what a resumed run pays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mocktrial.agents.openai_client import OpenAIModel
from mocktrial.agents.retry import Retry
from mocktrial.agents.testing import ScriptedModel
from mocktrial.envs.task import Fact, Persona, Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.rewrite import Rewriter, objection
from mocktrial.synth.teacher.ledger import TokenLedger
from tests.support.endpoint import Endpoint, Raw, Request, refuse, say
from tests.support.ledger import make_task

PATIENT = Fact(id="patient", label="the patient", value="Ada", spoken="Ada", hidden=False)
DAY = Fact(id="day", label="the day", value="2026-05-14", spoken="Thursday", alternatives=("Friday",))
FIELD = Fact(id="field", label="the field", value="skin", spoken="skin", alternatives=("heart",))
GOOD = "Could you get Ada in to see a doctor at 10:30?"


def task(number: int = 0) -> Task:
    return make_task(
        number,
        instruction="Book Ada with a doctor at 10:30.",
        facts=(PATIENT, DAY, FIELD),
        persona=Persona(occupation="usher", manner="terse"),
    )


async def reword(
    answer: Callable[[Request], Raw] | list[Raw], tmp_path: Path, *tasks: Task, concurrency: int = 8
) -> tuple[list[Task], Rewriter, Endpoint, TokenLedger]:
    async with Endpoint(answer) as endpoint:
        model = OpenAIModel("m", endpoint.url, retry=Retry(attempts=1))
        ledger = TokenLedger(tmp_path / "tokens.jsonl")
        rewriter = Rewriter(model, ledger, concurrency=concurrency)
        done = await rewriter.rewrite_all(tasks or (task(),))
        await model.aclose()
        ledger.close()
    return done, rewriter, endpoint, ledger


async def test_a_good_answer_is_taken_and_paid_for_once(tmp_path: Path) -> None:
    (done,), rewriter, endpoint, ledger = await reword([say(f'"{GOOD}"')], tmp_path)
    assert done.instruction == GOOD
    assert done.facts == task().facts
    assert rewriter.counts == {"reworded": 1}
    assert ledger.tokens == 10
    sent = endpoint.requests[0].body["messages"]
    assert "an usher" in sent[1]["content"]
    assert "exactly as it is written: Ada" in sent[1]["content"]
    assert "Thursday" not in str(sent)  # the model cannot leak what it was not told
    (again,), _, endpoint, ledger = await reword([say("never asked")], tmp_path)
    assert again == done
    assert endpoint.requests == []
    assert ledger.tokens == 10


async def test_a_bad_answer_is_sent_back_once_with_its_reason(tmp_path: Path) -> None:
    (done,), _, endpoint, _ = await reword([say("Could you book a doctor at 10:30?"), say(GOOD)], tmp_path)
    assert done.instruction == GOOD
    again = endpoint.requests[1].body["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert "a value of the request is missing" in again[-1]["content"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Please book a doctor at 10:30 for my friend.", "a value of the request is missing"),
        ("Book Ada with a doctor on Thursday at 10:30.", "it tells something that the request does not tell"),
        ("Book Ada with a doctor on 2026-05-14 at 10:30.", "it tells something that the request does not tell"),
        ("Book Ada with the heart doctor at 10:30.", "it tells something that the request does not tell"),
        (
            "Book Ada with a doctor at 10:30 and 11:30.",
            "it has a number, a day or a time that the request does not have",
        ),
        ("Book Ada with two doctors at 10:30.", "it has a number, a day or a time that the request does not have"),
        ("Book Ada with Dr Bob at 10:30.", "it has a name that the request does not have"),
        ("Mallory wants Ada to see a doctor at 10:30, please.", "it has a name that the request does not have"),
        ("Ada saw a doctor at 10:30.", "it asks for nothing"),
        ("Here is the reworded request: Book Ada with a doctor at 10:30.", "it speaks about the request"),
        ("Book Ada, please. " * 40, "it is too short or too long"),
        ("", "it is too short or too long"),
    ],
)
async def test_a_hopeless_answer_leaves_the_planned_words(answer: str, reason: str, tmp_path: Path) -> None:
    (done,), rewriter, endpoint, _ = await reword([say(answer)], tmp_path)
    assert done == task()
    assert rewriter.counts == {reason: 1}
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Hi, I'd like Ada to see a doctor at 10:30. Thanks!",
        "Ada needs a doctor at 10:30.",
        "Hello! Ada would like to come in at 10:30. Unfortunately I don't know how to book a doctor, so please do it.",
        "book ada with a doctor at 10:30",
    ],
)
def test_natural_rewordings_pass(text: str) -> None:
    assert objection(task(), text) == ""


async def test_concurrent_and_in_order(tmp_path: Path) -> None:
    tasks = [task(number) for number in range(12)]
    slow = say(GOOD)
    done, rewriter, endpoint, ledger = await reword(
        lambda request: Raw(slow.body, delay=0.02), tmp_path, *tasks, concurrency=4
    )
    assert [one.id for one in done] == [one.id for one in tasks]
    assert rewriter.counts == {"reworded": 12}
    assert 2 <= endpoint.peak <= 4
    assert ledger.tokens == 120


async def test_a_failing_endpoint_costs_the_rewording_only_until_it_is_dead(tmp_path: Path) -> None:
    (done,), rewriter, _, _ = await reword([refuse(500)], tmp_path)
    assert done == task()
    assert rewriter.counts == {"no answer": 1}
    with pytest.raises(UsageError, match="20 requests in a row failed"):
        await reword([refuse(500)], tmp_path, *(task(number) for number in range(30)))


async def test_any_chat_model_serves(tmp_path: Path) -> None:
    def answer(messages: Any, tools: Any) -> str:
        return GOOD

    with_ledger = TokenLedger(tmp_path / "tokens.jsonl")
    (done,) = await Rewriter(ScriptedModel(answer), with_ledger).rewrite_all([task()])
    assert done.instruction == GOOD
