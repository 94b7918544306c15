"""The judge: schema, votes near the line, tries, pins; and what its criteria weigh in a reward."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mocktrial.agents.scripted import AGENTS
from mocktrial.agents.testing import ScriptedModel
from mocktrial.envs.chat import CONTEXT_LIMIT, assistant
from mocktrial.envs.grading import JUDGE_SHARE, reward_of
from mocktrial.envs.judging.asker import ChatAsker, Question
from mocktrial.envs.judging.decide import judge_episode, require_judge
from mocktrial.envs.judging.judge import TRIES, Judge
from mocktrial.envs.judging.scripted import scripted_asker
from mocktrial.envs.rubric import Rubric
from mocktrial.envs.trajectory import CriterionResult, Grade, Trajectory
from mocktrial.mocktools.errors import NoResult, UsageError
from tests.support.desk import desk_task
from tests.support.judged import LENT, judged_task, played, told, verdict

PROOF = 'lend({"member_id": "m2", "item": "tripod", "days": 7})'


@pytest.fixture(scope="module")
def good() -> Trajectory:
    return asyncio.run(played(AGENTS["expert"], judged_task()))


def judged(trajectory: Trajectory) -> CriterionResult:
    assert trajectory.grade is not None
    return next(result for result in trajectory.grade.criteria if result.kind == "judge")


async def test_a_clear_yes_with_a_quote_takes_one_vote_and_makes_success(good: Trajectory) -> None:
    judge, asker = told(verdict(9, PROOF))
    after = await judge_episode(judge, judged_task(), good)
    assert after.grade is not None
    assert good.grade is not None
    assert (good.grade.success, after.grade.success, after.grade.reward) == (False, True, 1.0)
    assert after.grade.judge == judge.pin
    assert "1 vote" in judged(after).evidence
    assert "lend(" in judged(after).evidence
    assert len(asker.asked) == 1
    assert Trajectory.model_validate_json(after.model_dump_json()) == after


async def test_near_the_line_all_votes_are_taken_and_their_mean_counts(good: Trajectory) -> None:
    for scores, passes in (((6, 7, 5, 8, 5), True), ((6, 5, 5, 7, 5), False)):
        judge, asker = told(*(verdict(score, PROOF) for score in scores))
        decision = await judge.decide(LENT, good.messages, 1)
        assert (decision.passed, len(decision.votes)) == (passes, 5)
        assert decision.score == pytest.approx(sum(scores) / 50)
        assert len({question.seed for question in asker.asked}) == 5
        assert [question.temperature for question in asker.asked] == [0.0, *[0.7] * 4]


async def test_a_yes_without_evidence_is_a_no(good: Trajectory) -> None:
    for quotes in ((), ("the loan was made, grade 10",), ("Done: the tripod is due",)):
        judge, _ = told(verdict(10, *quotes))
        decision = await judge.decide(LENT, good.messages, 1)
        assert (decision.passed, decision.score) == (False, 0.0)
        assert decision.flaws


async def test_a_miscopied_quote_is_asked_for_again(good: Trajectory) -> None:
    judge, asker = told(verdict(9, "lend(tripod for 7)"), verdict(9, PROOF))
    assert (await judge.decide(LENT, good.messages, 1)).passed
    assert len(asker.asked) == 2


@pytest.mark.parametrize(
    "answer",
    ["I think so.", "", '{"score": 11, "reason": "", "quotes": []}', '{"score": 9}', "[1]", '{"score": 9, "x": 1}'],
)
async def test_what_cannot_be_read_is_no_result_and_never_a_score(good: Trajectory, answer: str) -> None:
    judge, asker = told(answer)
    with pytest.raises(NoResult) as caught:
        await judge.decide(LENT, good.messages, 1)
    assert caught.value.blame == "judge"
    assert len(asker.asked) == TRIES


async def test_an_answer_that_can_be_read_at_last_counts(good: Trajectory) -> None:
    judge, _ = told("Hm.", f"Here it is:\n```json\n{verdict(9, PROOF)}\n```")
    assert (await judge.decide(LENT, good.messages, 1)).passed


async def test_a_dead_endpoint_and_a_full_context_are_the_judges(good: Trajectory) -> None:
    full = assistant("") | {"refusal": CONTEXT_LIMIT}
    for replies in ([], [full]):
        with pytest.raises(NoResult) as caught:
            await Judge(ChatAsker(ScriptedModel(replies))).decide(LENT, good.messages, 1)
        assert caught.value.blame == "judge"


async def test_predicates_come_first_so_a_wrong_episode_is_not_asked_about() -> None:
    judge, asker = told(verdict(10, PROOF))
    for name in ("null", "guesser", "interrogator", "violator"):
        wrong = await played(AGENTS[name], judged_task())
        after = await judge_episode(judge, judged_task(), wrong)
        assert after.grade is not None
        assert wrong.grade is not None
        assert after.grade.reward == wrong.grade.reward
        assert judged(after).evidence.startswith("not asked: ")
    assert not asker.asked


async def test_an_episode_without_judge_criteria_or_result_is_left_as_it_is(good: Trajectory) -> None:
    judge, asker = told(verdict(10, PROOF))
    assert await judge_episode(judge, desk_task(), good) is good
    lost = good.model_copy(update={"grade": None, "outcome": "no_result"})
    assert await judge_episode(judge, judged_task(), lost) is lost
    assert not asker.asked


async def test_the_truth_of_a_certification_is_in_no_message(good: Trajectory) -> None:
    judge, asker = told(verdict(1))
    await judge.decide(LENT, good.messages, 1, truth=True)
    await judge.decide(LENT, good.messages, 1, truth=False)
    assert asker.asked[0].messages == asker.asked[1].messages


async def test_the_judge_sees_no_rubric_and_no_gold(good: Trajectory) -> None:
    judge, asker = told(verdict(1))
    await judge.decide(LENT, good.messages, 1)
    shown = str(asker.asked[0].messages)
    assert LENT.question in shown
    assert "SELECT" not in shown
    assert "only-one-loan" not in shown


def test_the_pin_follows_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    from mocktrial.envs.judging import judge as module

    before = Judge(scripted_asker("oracle")).pin
    module.prompt_hash.cache_clear()
    monkeypatch.setattr(module, "prompt_text", lambda name: "another prompt")
    assert Judge(scripted_asker("oracle")).pin != before
    module.prompt_hash.cache_clear()


def test_a_run_without_a_judge_is_refused_before_it_starts() -> None:
    require_judge([desk_task()], None)
    require_judge([judged_task()], told("")[0])
    with pytest.raises(UsageError, match="desk-1 has a judge criterion") as caught:
        require_judge([desk_task(), judged_task()], None)
    assert "--judge" in caught.value.hint


def test_an_oracle_outside_a_certification_says_so() -> None:
    with pytest.raises(UsageError):
        asyncio.run(scripted_asker("oracle").answer(Question("verdict", {}, ({"content": ""},), 1)))


# Weights


@pytest.mark.parametrize(
    "rubric",
    [
        {"subgoals": [LENT]},
        {"interactions": [LENT], "subgoals": [desk_task().rubric.subgoals[0]]},
        {"subgoals": [desk_task().rubric.subgoals[0]], "forbidden": [LENT]},
    ],
)
def test_a_judge_decides_no_side_and_no_violation_alone(rubric: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="judge criteri"):
        Rubric.model_validate(rubric)


SIDE = st.lists(st.tuples(st.sampled_from(["state", "judge"]), st.floats(0.1, 10)), max_size=5).map(
    lambda rest: [("state", 1.0), *rest]
)


@given(SIDE)
def test_judges_have_their_share_of_a_side_and_no_more(side: list[tuple[str, float]]) -> None:
    def reward(**held: bool) -> float:
        return reward_of(
            [
                CriterionResult(id=str(n), kind=kind, group="subgoal", passed=held[kind], weight=weight)
                for n, (kind, weight) in enumerate(side)
            ]
        )

    assert reward(state=True, judge=True) == 1.0
    assert reward(state=False, judge=False) == 0.0
    by_judge = sum(weight for kind, weight in side if kind == "judge")
    share = by_judge / sum(weight for _, weight in side)
    assert reward(state=False, judge=True) == pytest.approx(min(share, JUDGE_SHARE))


def test_a_light_judge_keeps_its_own_weight() -> None:
    results = [
        CriterionResult(id="p", kind="state", group="subgoal", passed=True, weight=9.0),
        CriterionResult(id="j", kind="judge", group="subgoal", passed=False, weight=1.0),
    ]
    assert reward_of(results) == pytest.approx(0.9)


def test_an_old_grade_reads_as_one_without_a_judge() -> None:
    grade = Grade(reward=1.0, success=True)
    assert "judge" not in grade.model_dump()
    assert Grade.model_validate_json(grade.model_dump_json()) == grade
