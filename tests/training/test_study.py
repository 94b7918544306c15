"""A study from its file to its figures: shared stages, done once, gone on with after a kill, refused where it must."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from rich.console import Console
from tests.support.command import Run, runner
from tests.support.studies import given, save_tiny, small_study
from tests.support.tiny import one_thread  # noqa: F401

from mocktrial.agents.base import Agent
from mocktrial.agents.scripted import Expert, Null
from mocktrial.envs.dataset import load_dataset
from mocktrial.envs.episode import Episode
from mocktrial.envs.report import read_run
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.training.checkpoint import read_state
from mocktrial.training.config import RlConfig
from mocktrial.training.study import show
from mocktrial.training.study.config import Study, load_study
from mocktrial.training.study.plan import Job, Size, jobs_of, last_play, last_weights, needs, size_of
from mocktrial.training.study.result import result_of
from mocktrial.training.study.run import run_study
from mocktrial.training.study.show import print_result as print_outcome
from mocktrial.training.study.work import Place, Spent, chosen

ONLINE = {
    "objective": "rl",
    "steps": 2,
    "save_every": 1,
    "rollouts": {"dataset": "here", "group": 2, "tasks_per_step": 2, "spare": 1, "turns": 2, "max_new_tokens": 4},
}
RECIPES = Path(__file__).parents[2] / "training" / "recipes"


class Killed(Exception):
    """Stands for kill -9: nothing of ours catches it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def done(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A study that was done without a break, and its folder."""
    study, folder = small_study(model), tmp_path_factory.mktemp("studies") / "small"
    run_study(study, folder)
    return study, folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def titles(study: Study, kind: str) -> list[str]:
    return [f"{job.seed} {'.'.join(job.chain)}" for job in jobs_of(study) if job.kind == kind]


def test_stages_that_arms_begin_with_are_done_once_a_seed() -> None:
    study = small_study()
    assert titles(study, "play") == ["0 expert", "0 expert.sft.practice", "1 expert", "1 expert.sft.practice"]
    assert len(titles(study, "train")) == 6
    assert len(titles(study, "held out")) == 8


def test_objectives_learn_from_the_same_recorded_episodes(done: tuple[Study, Path]) -> None:
    study, folder = done
    arms = [study.arms[name] for name in ("real", "reinforce")]
    sources = {Place(study, folder).stage(0, last_play(study, chain)) for chain in arms}
    assert sources == {folder / "seed-0" / "expert.sft.practice"}
    (source,) = sources
    with read_run(source) as ledger:
        assert len(ledger.episodes()) == 4
    costs = {(cost.kind, cost.name): cost.spent.episodes for cost in result_of(study, folder).costs}
    assert costs["play", "practice"] == costs["train", "real"] == costs["train", "reinforce"] == 8


def test_a_chain_goes_on_from_the_weights_before_it(done: tuple[Study, Path]) -> None:
    study, folder = done
    assert last_weights(study, study.arms["real"][:3]) == ("expert", "sft")
    assert last_weights(study, ("expert",)) == ()
    config = read_state(folder / "seed-1" / "expert.sft.practice.real" / "real").config
    assert config["model"] == str(folder / "seed-1" / "expert.sft" / "sft")
    assert config["seed"] == 1


def test_each_seed_has_its_own_worlds_and_none_is_held_out_and_played(done: tuple[Study, Path]) -> None:
    _, folder = done
    worlds = [
        {task.world_hash for task in load_dataset(folder / f"seed-{seed}" / "datasets" / name).tasks}
        for seed in (0, 1)
        for name in ("here", "there")
    ]
    assert len(set().union(*worlds)) == sum(map(len, worlds))


def test_figures_are_those_of_the_held_out_runs(done: tuple[Study, Path]) -> None:
    found = result_of(*done)
    assert [arm.name for arm in found.arms] == ["base", "sft", "real", "reinforce"]
    for arm in found.arms:
        assert arm.figures.tasks == 6
        assert arm.figures.no_result == 0
        assert arm.figures.success
        assert sum(arm.success_by_seed.values()) / 2 == pytest.approx(arm.figures.success.value)
    first, second = found.differences
    assert (first.first, first.second) == ("base", "sft")
    assert {"success", "over-ask"} <= set(first.over_tasks)
    assert second.success_over_seeds
    assert second.success_over_seeds.tasks == 2
    assert all(cost.spent.cpu_seconds > 0 for cost in found.costs)


@dataclass(frozen=True)
class Known:
    """Plays as another agent does, under the name of an arm."""

    name: str
    agent: Agent

    async def play(self, episode: Episode) -> None:
        await self.agent.play(episode)


def test_success_is_told_by_seed_and_paired_over_tasks_and_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def policy(self: Place, seed: int, chain: tuple[str, ...], name: str, *_: object) -> Agent:
        return Known(name, Expert() if chain and seed == 0 else Null())

    monkeypatch.setattr(Place, "_policy", policy)
    arms = {"base": [], "shown": ["expert"]}
    study = small_study(**{"arms": arms, "compare": [["base", "shown"]], "held_out.turns": 8})
    run_study(study, tmp_path)
    found = result_of(study, tmp_path)
    assert [arm.success_by_seed for arm in found.arms] == [{0: 0.0, 1: 0.0}, {0: 1.0, 1: 0.0}]
    (difference,) = found.differences
    assert difference.over_tasks["success"].value == 0.5
    assert difference.over_tasks["under-ask"].value == -0.5
    assert difference.success_over_seeds
    assert difference.success_over_seeds.value == 0.5


def test_success_is_told_by_domain_where_the_held_out_tasks_are_of_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Place, "_policy", lambda self, seed, chain, name, *_: Known(name, Expert()))
    there = {"domains": ["clinic", "depot"], "tasks": 6, "per_world": 3, "max_calls": 1, "voices": False, "draw": 1}
    changes = {"arms": {"base": []}, "compare": [], "seeds": [0], "held_out.turns": 8}
    study = small_study(**changes, **{"datasets.there": there})
    run_study(study, tmp_path)
    text = io.StringIO()
    print_outcome(result_of(study, tmp_path), Console(file=text, width=120))
    lines = [line.split() for line in text.getvalue().splitlines()]
    by_domain = {line[0]: line[1:4] for line in lines if line and line[0] in {"clinic", "depot"}}
    assert by_domain == {"clinic": ["base", "3", "100.0%"], "depot": ["base", "3", "100.0%"]}


def test_what_an_arm_has_learned_from_is_told_from_what_is_new_to_it(
    monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path
) -> None:
    plays = {"base": Null(), "sft": Expert()}
    monkeypatch.setattr(Place, "_policy", lambda self, seed, chain, name, *_: Known(name, plays[name]))
    there = {"domains": ["clinic", "depot", "network"], "tasks": 6, "per_world": 2, "max_calls": 1, "max_tools": 5}
    changes = {"arms": {"base": [], "sft": ["expert", "sft"]}, "compare": [], "seeds": [0], "held_out.turns": 8}
    study = small_study(model, **changes, **{"datasets.there": {**there, "draw": 1}})
    run_study(study, tmp_path)
    found = result_of(study, tmp_path)
    told = [[one and (one.value, one.tasks) for one in (arm.known, arm.new)] for arm in found.arms]
    assert told == [[None, (0.0, 6)], [(1.0, 2), (1.0, 4)]]
    worlds = load_dataset(tmp_path / "seed-0" / "datasets" / "there").worlds.values()
    assert max(len(world.tools()) for world in worlds) <= 5
    text = io.StringIO()
    print_outcome(found, Console(file=text, width=120))
    assert ["sft", "2", "100.0%"] in [line.split()[:3] for line in text.getvalue().splitlines()]
    monkeypatch.setattr(show, "_DOMAINS", 2)
    print_outcome(found, Console(file=text, width=120))
    assert "3 domains: mocktrial report STUDY/held-out/ARM --by domain has each" in text.getvalue()


def test_a_killed_study_does_no_job_twice_and_ends_the_same(done: tuple[Study, Path], tmp_path: Path) -> None:
    study = done[0].model_copy(update={"seeds": (0,)})
    seen: list[Job] = []

    def kill(job: Job, spent: Spent) -> None:
        seen.append(job)
        if len(seen) == 6:
            raise Killed

    with pytest.raises(Killed):
        run_study(study, tmp_path, after=kill)
    run_study(study, tmp_path, after=lambda job, spent: seen.append(job))
    assert seen == jobs_of(study)
    trained = "seed-0/expert.sft.practice.real/real/model.safetensors"
    assert (tmp_path / trained).read_bytes() == (done[1] / trained).read_bytes()


def test_jobs_side_by_side_end_as_one_after_the_other(done: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = done
    seen: list[Job] = []
    run_study(study, tmp_path, workers=2, after=lambda job, spent: seen.append(job))
    assert {job.mark for job in seen} == {job.mark for job in jobs_of(study)}
    behind: set[str] = set()
    for job in seen:
        assert needs(study, job) <= behind
        behind.add(job.mark)
    trained = "seed-1/expert.sft.practice.real/real/model.safetensors"
    assert (tmp_path / trained).read_bytes() == (folder / trained).read_bytes()
    assert result_of(study, tmp_path).arms == result_of(study, folder).arms


def test_what_fails_beside_others_is_said_and_what_is_done_stays(model: Path, tmp_path: Path) -> None:
    twin = given()["datasets"]["here"]
    study = small_study(model, **{"datasets.there": twin, "arms": {"sft": ["expert", "sft"]}, "compare": []})
    with pytest.raises(UsageError, match="stage expert has played a held-out world"):
        run_study(study, tmp_path, workers=2)
    assert (tmp_path / "seed-0" / "expert.sft.json").exists()


def test_a_process_that_is_killed_is_said_and_the_study_goes_on(done: tuple[Study, Path], tmp_path: Path) -> None:
    study = done[0].model_copy(update={"seeds": (0,)})

    def kill(job: Job, spent: Spent) -> None:
        for process in active_children():
            process.kill()

    with pytest.raises(NoResult, match="a process of the study was killed"):
        run_study(study, tmp_path, workers=2, after=kill)
    run_study(study, tmp_path, workers=2)
    trained = "seed-0/expert.sft.practice.real/real/model.safetensors"
    assert (tmp_path / trained).read_bytes() == (done[1] / trained).read_bytes()


@pytest.mark.parametrize("study", [small_study(), load_study(RECIPES / "underspecified-play.toml")])
def test_a_job_needs_its_dataset_and_the_stage_before_it(study: Study) -> None:
    jobs = jobs_of(study)
    for place, job in enumerate(jobs):
        assert needs(study, job) <= {one.mark for one in jobs[:place]}
    (last,) = (job for job in jobs if job.seed == 1 and job.kind == "held out" and job.name == "reinforce")
    chain = ".".join(study.arms["reinforce"])
    dataset = study.held_out.dataset
    assert needs(study, last) == {f"seed-1/{chain}.json", f"seed-1/datasets/{dataset}.json"}


def test_a_job_that_was_killed_in_its_midst_is_gone_on_with(done: tuple[Study, Path], tmp_path: Path) -> None:
    study, place = done[0], Place(done[0], tmp_path)
    for job in jobs_of(study)[:4]:  # both datasets, base, the expert's play
        place.do(job)
    (tmp_path / "seed-0" / "expert.sft" / "sft").mkdir(parents=True)  # a torn checkpoint: no STABLE
    run_study(study.model_copy(update={"seeds": (0,)}), tmp_path)
    trained = "seed-0/expert.sft/sft/model.safetensors"
    assert (tmp_path / trained).read_bytes() == (done[1] / trained).read_bytes()


def test_a_stage_that_plays_what_it_learns_from_goes_on_from_the_weights_before_it(
    done: tuple[Study, Path], model: Path, tmp_path: Path
) -> None:
    arms = {"sft": ["expert", "sft"], "online": ["expert", "sft", "online"]}
    study = small_study(model, **{"train.online": ONLINE, "arms": arms, "compare": [["sft", "online"]], "seeds": [0]})
    run_study(study, tmp_path)
    place, chain = Place(study, tmp_path), study.arms["online"]
    state = read_state(place.stage(0, chain) / "online")
    assert state.config["model"] == str(tmp_path / "seed-0" / "expert.sft" / "sft")
    assert state.config["rollouts"]["dataset"] == str(tmp_path / "seed-0" / "datasets" / "here")
    assert len(state.losses) == 2
    found = result_of(study, tmp_path)
    assert [arm.name for arm in found.arms] == ["sft", "online"]
    (cost,) = (cost.spent for cost in found.costs if cost.name == "online" and cost.kind == "train")
    assert 8 <= cost.episodes <= 12  # a spare group a step at most
    assert cost.tokens > 0
    assert cost.steps == 2


def test_worlds_that_were_trained_on_by_play_cannot_be_held_out(model: Path, tmp_path: Path) -> None:
    twin = given()["datasets"]["here"]
    arms = {"train.online": ONLINE, "arms": {"online": ["online"]}, "compare": []}
    study = small_study(model, **{"datasets.there": twin, **arms})
    with pytest.raises(UsageError, match="seed 0: held out online: stage online has played a held-out world"):
        run_study(study, tmp_path)


def test_a_changed_stage_is_refused_where_it_was_done(done: tuple[Study, Path], model: Path) -> None:
    changed = small_study(model, **{"train.sft": {"objective": "sft", "learning_rate": 1.0}})
    with pytest.raises(UsageError, match=r"seed 0: train sft was done with other settings \(.*learning_rate"):
        run_study(changed, done[1])


def test_a_key_that_has_come_since_does_not_undo_what_is_done(done: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = done[0], tmp_path / "older"
    shutil.copytree(done[1], folder)
    for job in jobs_of(study):
        path = folder / job.mark
        mark = json.loads(path.read_text("utf-8"))
        older = mark["settings"] if job.kind != "dataset" or job.name != "here" else {}  # whose per_world is given
        for table in (older, older.get("played", {}), *older.get("stages", ())):
            for key in ("per_world", "gap", "split", "kto", "weight_decay"):
                table.pop(key, None)
        path.write_text(json.dumps(mark), "utf-8")
    again: list[Job] = []
    run_study(study, folder, after=lambda job, spent: again.append(job))
    assert again == []
    job = next(job for job in jobs_of(study) if job.kind == "train")
    path = folder / job.mark
    path.write_text(path.read_text("utf-8").replace('"objective"', '"gone": 1, "objective"'), "utf-8")
    with pytest.raises(UsageError, match=r"train sft was done with other settings \(gone: 1 -> absent"):
        run_study(study, folder)


def test_a_seed_that_was_left_out_afterwards_is_not_counted_unsaid(done: tuple[Study, Path]) -> None:
    with pytest.raises(UsageError, match="arm base has played tasks of a seed that the study does not name"):
        result_of(done[0].model_copy(update={"seeds": (0,)}), done[1])


def test_worlds_that_a_chain_has_played_cannot_be_held_out(model: Path, tmp_path: Path) -> None:
    twin = given()["datasets"]["here"]
    study = small_study(model, **{"datasets.there": twin, "arms": {"sft": ["expert", "sft"]}, "compare": []})
    with pytest.raises(UsageError, match="seed 0: held out sft: stage expert has played a held-out world"):
        run_study(study, tmp_path)


def test_a_control_set_has_the_worlds_of_its_twin_and_hides_nothing(model: Path, tmp_path: Path) -> None:
    twin = given()["datasets"]["here"]
    study = small_study(model, **{"datasets.told": {**twin, "gap": False}, "play.practice.dataset": "told"})
    place = Place(study, tmp_path)
    for job in jobs_of(study)[:3]:
        place.do(job)
    here, told = (load_dataset(place.dataset(0, name)) for name in ("here", "told"))
    common = here.worlds.keys() & told.worlds.keys()  # one of them may need a world more for as many tasks
    assert common
    assert all(here.worlds[name] == told.worlds[name] for name in common)
    assert any(fact.hidden for task in here.tasks for fact in task.facts)
    assert not any(fact.hidden for task in told.tasks for fact in task.facts)


def test_tasks_are_drawn_by_the_seed(done: tuple[Study, Path]) -> None:
    study, folder = done
    dataset = load_dataset(folder / "seed-0" / "datasets" / "here")
    stage = study.play["expert"]
    assert chosen(dataset, stage, 0) == chosen(dataset, stage, 0) != chosen(dataset, stage, 1)
    with pytest.raises(UsageError, match="8 tasks in split '', not 9"):
        chosen(dataset, stage.model_copy(update={"tasks": 9}), 0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"nams": 1}, "nams: unknown key"),
        ({"seeds": ["1"]}, "seeds.0: Input should be a valid integer"),
        ({"datasets.here.taks": 1}, "datasets.here.taks: unknown key"),
        ({"train.sft.epoch": 1}, "train.sft.epoch: unknown key"),
        ({"train.sft.seed": 1}, "train.sft.seed follows from the arm's chain"),
        ({"train.sft.evaluation": {"dataset": "x"}}, "train.sft.evaluation: [held_out] says what is played"),
        ({"train.online": {**ONLINE, "rollouts": {"dataset": "x"}}}, "train.online.rollouts.dataset: there is no 'x'"),
        ({"train.online": {**ONLINE, "objective": "sft"}}, '[rollouts] is for objective "rl"'),
        ({"train.online": {**ONLINE, "data": "x"}}, "train.online.data follows from the arm's chain"),
        (
            {"train.online": {**ONLINE, "rollouts": {"dataset": "there"}}, "arms.odd": ["online"]},
            "arms.odd: online plays there, which is held out",
        ),
        ({"train.online": ONLINE, "arms.odd": ["online", "sft"]}, "arms.odd: sft has nothing to learn from"),
        ({"play.sft": {"dataset": "here"}}, "stage 'sft' is in"),
        ({"play.expert.dataset": "nowhere"}, "play.expert.dataset: there is no 'nowhere'; there are here, there"),
        ({"play.expert.agent": "exprt"}, "play.expert.agent: there is no 'exprt'"),
        ({"play.expert.dataset": "there"}, "expert plays there, which is held out"),
        ({"held_out.dataset": "nowhere"}, "held_out.dataset: there is no 'nowhere'"),
        ({"arms.odd": ["sft"]}, "arms.odd: sft has nothing to learn from"),
        ({"arms.odd": ["expert", "sfd"]}, "arms.odd: there is no 'sfd'"),
        ({"arms.odd": ["expert", "sft"]}, "has the same stages as"),
        ({"compare": [["base", "gone"]]}, "compare: there is no 'gone'"),
        ({"seeds": []}, "seeds: "),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_made(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        small_study(**changed)
    assert said in str(refused.value)


def test_the_size_of_a_job_is_a_bound() -> None:
    study = small_study(**{"train.online": ONLINE, "arms.online": ["online"]})
    sizes = {(job.kind, job.name): size_of(study, job) for job in jobs_of(study)}
    assert (sizes["play", "expert"].episodes, sizes["play", "practice"].episodes) == (4, 4)
    assert (sizes["train", "sft"].rows, sizes["train", "sft"].steps) == (4, 2)
    assert sizes["train", "online"] == Size(episodes=12, rows=8, steps=2)
    assert sizes["held out", "base"].episodes == 3


def test_the_command_tells_the_plan_does_it_and_reports(command: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    text = given(model=str(model), seeds=[0], arms={"base": [], "sft": ["expert", "sft"]}, compare=[["base", "sft"]])
    path.write_text(tomlkit.dumps(text), encoding="utf-8")
    code, out, _ = command("study", str(path), "--out", str(tmp_path), "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["in all"] == {"jobs": 6, "episodes": 10, "rows": 4, "steps": 2}
    assert not (tmp_path / "small").exists()
    code, out, _ = command("study", str(path), "--out", str(tmp_path), "--json")
    assert code == 0
    assert [arm["name"] for arm in json.loads(out)["arms"]] == ["base", "sft"]
    assert "sft" in (tmp_path / "small" / "report.html").read_text(encoding="utf-8")
    code, again, _ = command("study", str(path), "--out", str(tmp_path))
    assert code == 0
    assert "sft - base" in again
    assert "CPU-minutes" in again


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("name = ", encoding="utf-8")
    for name in ("x.toml", "y.toml"):
        with pytest.raises(UsageError, match=name):
            load_study(tmp_path / name)


def test_the_recipe_is_a_study_in_which_objectives_have_equal_rollouts() -> None:
    study = load_study(RECIPES / "underspecified.toml")
    played = {last_play(study, study.arms[name]) for name in ("grpo", "real", "reinforce")}
    assert played == {("expert", "sft", "practice")}
    assert len(study.seeds) >= 3
    same = study.datasets["hiding"].model_copy(update={"gap": False})
    assert study.datasets["telling"] == same


def test_the_recipe_of_play_differs_in_its_objectives_alone() -> None:
    study = load_study(RECIPES / "underspecified-play.toml")
    stages = [study.train[study.arms[name][-1]] for name in ("grpo", "real", "reinforce")]
    assert len({one.rl.model_dump_json() for one in stages}) == 3
    plain = [one.model_copy(update={"name": "", "rl": RlConfig()}) for one in stages]
    assert plain[0] == plain[1] == plain[2]
    assert plain[0].rollouts
    assert plain[0].rollouts.spare == 0  # else some objective would play more
    assert len(study.seeds) >= 3
