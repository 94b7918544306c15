"""Proofs of tasks with judge criteria, the episodes for certifying judges, and the verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mocktrial.agents.judges import EndpointAsker, make_judge
from mocktrial.agents.openai_client import OpenAIModel
from mocktrial.cli import app
from mocktrial.envs.judging.autoslurp import Row, TwoGates, certify_slurp
from mocktrial.envs.rubric import Rubric, TellCriterion
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.values import dumps
from mocktrial.synth.judged import judged_cases, played_by_agents
from mocktrial.synth.production.generate import generate
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.sources import Source, open_source
from tests.support.desk import desk_image, desk_task
from tests.support.endpoint import Endpoint, Raw, Request, say
from tests.support.judged import LENT, judged_task

# Proofs


def test_a_judge_criterion_neither_helps_nor_hurts_a_proof() -> None:
    plain, judged = prove(desk_task(), desk_image()), prove(judged_task(), desk_image())
    assert judged.failures == plain.failures == ()
    assert (judged.counts, judged.mutants) == (plain.counts, plain.mutants)
    assert judged.task_hash == judged_task().content_hash() != plain.task_hash


def test_a_task_that_hinges_on_a_judge_does_not_ship() -> None:
    """Without its predicate the write may be left out, and only the judge would see it."""
    rubric = desk_task().rubric
    told = next(criterion for criterion in rubric.subgoals if isinstance(criterion, TellCriterion))
    weak = Rubric(subgoals=(told, LENT), interactions=rubric.interactions, forbidden=rubric.forbidden)
    failures = prove(desk_task().model_copy(update={"rubric": weak}), desk_image()).failures
    assert any("passes" in failure for failure in failures)


# Episodes and twins


def test_twins_ask_what_the_predicates_know_and_both_answers_come() -> None:
    cases = judged_cases(desk_task(), desk_image())
    assert {case.criterion.id for case in cases} == {"lent", "due"}
    for name in ("lent", "due"):
        assert {case.truth for case in cases if case.criterion.id == name} == {True, False}
    due = next(case.criterion for case in cases if case.criterion.id == "due")
    assert due.sources == ("say",)
    assert "2026-05-18" in due.question
    expert = [case for case in cases if case.trajectory.agent == "expert"]
    assert all(case.truth and case.others for case in expert)
    assert any(case.others for case in cases if not case.truth)  # wrong in the judged criterion alone


def test_the_same_seed_draws_the_same_mutants() -> None:
    one, two, other = (judged_cases(desk_task(), desk_image(), seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert [case.trajectory.agent for case in one] != [case.trajectory.agent for case in other]


# The verb


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "small"
    generate(3, 6).save(folder)
    return folder


def certify(judge: str, dataset: Path | str, *options: str) -> tuple[int, str]:
    few = ["--flips", "5", "--wrong", "5", "--repeats", "2"]
    result = CliRunner().invoke(app, ["certify-judge", judge, str(dataset), *few, *options])
    if isinstance(result.exception, UsageError):
        raise result.exception
    return result.exit_code, result.stdout


def test_json_has_every_figure(dataset: Path) -> None:
    code, out = certify("scripted:oracle", dataset, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["kappa"]["value"] == 1.0
    assert found["attacks"]["tried"] == 200
    assert [top["eta"] for top in found["top"]] == [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]


def test_a_judge_over_the_line_exits_with_one(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = certify("scripted:gullible", dataset)
    assert code == 0
    monkeypatch.setattr("mocktrial.envs.judging.certify.CREDITED", -0.01)
    assert certify("scripted:gullible", dataset)[0] == 1
    assert "and predicates first" in out


def test_episodes_of_a_run_are_judged_too(dataset: Path, tmp_path: Path) -> None:
    plain = json.loads(certify("scripted:oracle", dataset, "--json")[1])
    run = ["run", str(dataset), "--agent", "expert", "--out", str(tmp_path), "--name", "r", "--json"]
    assert CliRunner().invoke(app, run).exit_code == 0
    found = json.loads(certify("scripted:oracle", dataset, "--json", "--runs", str(tmp_path / "r"))[1])
    assert found["cases"] > plain["cases"]


def test_a_run_of_other_tasks_and_no_run_are_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        certify("scripted:oracle", dataset, "--runs", str(tmp_path))


# Auto-SLURP's two gates


def rows(source: Source) -> list[Row]:
    worlds = [(task, source.images[task.world]) for task in source.tasks]
    return [Row(task, played, image.now) for task, image in worlds for played in played_by_agents(task, image)]


@pytest.mark.shared
def test_two_gates_beside_the_predicates(autoslurp_dir: Path) -> None:
    source = f"autoslurp:{autoslurp_dir / 'test.csv'}"
    oracle = json.loads(certify("scripted:oracle", source, "--limit", "10", "--json")[1])
    assert (oracle["agreement"]["value"], oracle["kappa"]["value"], oracle["no_result"]) == (1.0, 1.0, 0)
    assert oracle["both"] + oracle["neither"] == oracle["episodes"] == 50
    noisy = json.loads(certify("scripted:noisy", source, "--limit", "10", "--json")[1])
    assert noisy["agreement"]["value"] < 1
    assert noisy["disagreements"]
    code, out = certify("scripted:noisy", source, "--limit", "10")
    assert code == 0
    assert "success by the two gates" in out


@pytest.mark.shared
async def test_unreadable_rows_are_counted_and_not_dropped(autoslurp_dir: Path) -> None:
    source = open_source(f"autoslurp:{autoslurp_dir / 'test.csv'}", limit=3)
    found = await certify_slurp(TwoGates(make_judge("scripted:broken").asker), rows(source))
    assert (found.episodes, found.no_result, found.agreement, found.both) == (15, 15, None, 0)


@pytest.mark.shared
async def test_the_gates_over_the_wire(autoslurp_dir: Path) -> None:
    """A model that passes all slots and no transcript: both prompts arrive, and no row passes."""

    def answer(request: Request) -> Raw:
        prompt = request.body["messages"][1]["content"]
        return say(dumps({"reason": "r", "passes": "The right slots" in prompt}))

    source = open_source(f"autoslurp:{autoslurp_dir / 'test.csv'}", limit=2)
    async with Endpoint(answer) as endpoint:
        asker = EndpointAsker(OpenAIModel("m", endpoint.url))
        found = await certify_slurp(TwoGates(asker), rows(source))
    prompts = [request.body["messages"][1]["content"] for request in endpoint.requests]
    assert len(prompts) == 2 * found.episodes == 20
    slots = next(prompt for prompt in prompts if "The right slots" in prompt)
    assert 'calendar_set {"date": "2026-05-12"' in slots
    assert "am or pm is missing" in slots
    assert (found.both, found.judge_only, found.predicates_only) == (
        0,
        0,
        sum(row.predicates[1] for row in rows(source)),
    )
