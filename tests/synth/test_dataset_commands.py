"""`synth`, `validate`, `curriculum`, `report --dataset` and `export` as a person meets them, mostly with wrong input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mocktrial.envs.dataset import load_dataset
from mocktrial.synth.production.units import MOST_DISTRACTORS
from tests.support.command import Run, runner, with_small_dataset


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    run = with_small_dataset(monkeypatch, capsys, tmp_path)
    capsys.readouterr()
    return run


def refusal(cli: Run, *arguments: str) -> str:
    """The one line with which a command is refused."""
    code, out, err = cli(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    return err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--domains", ","], "--domains ',' names none.*--list-domains"),
        (["--domains", ""], "--domains '' names none"),
        (["--distractors", str(MOST_DISTRACTORS + 1)], f"distractors are more than.*{MOST_DISTRACTORS} at most"),
        (["--base-url", "http://127.0.0.1:9/v1"], "--base-url does nothing here"),
        (["--max-tokens", "9"], "--max-tokens does nothing here"),
    ],
)
def test_an_option_that_cannot_be_met_is_refused_before_anything_is_made(
    empty: Run, tmp_path: Path, arguments: list[str], says: str
) -> None:
    assert re.search(says, refusal(empty, "synth", "x", *arguments))
    assert list(tmp_path.iterdir()) == []


def test_preview_as_json_is_the_tasks_by_family(empty: Run) -> None:
    code, out, _ = empty("synth", "--preview", "1", "--domains", "clinic", "--json")
    found = json.loads(out)
    assert (code, list(found)) == (0, sorted(found))
    assert all(len(tasks) == 1 and tasks[0]["family"] == family for family, tasks in found.items())


def test_counts_by_name_are_words(empty: Run) -> None:
    out = empty("synth", "small", "--tasks", "6", "--domains", "clinic", "--seed", "3")[1]
    families = re.search(r"families: (.*)", out)
    assert families
    assert re.fullmatch(r"\w+ \d+(, \w+ \d+)*", families[1])


def test_two_figures_of_one_name_count_one_thing(cli: Run) -> None:
    made = json.loads(cli("validate", "datasets/small", "--json")[1])
    (row,) = json.loads(cli("report", "--dataset", "datasets/small", "--json")[1])
    assert row["tool_signatures"] > 0
    both = {key for key in set(made) & set(row) if not isinstance(made[key], dict)}
    assert {key: made[key] for key in both} == {key: row[key] for key in both}


def test_tasks_that_two_datasets_share_are_counted_named_and_found(cli: Run) -> None:
    for name, seed, more in (("plain", "3", ("--plain",)), ("other", "4", ())):
        cli("synth", name, "--tasks", "6", "--domains", "clinic", "--seed", seed, *more)
    own = ("report", "--dataset", "datasets/plain", "--baseline")
    out = cli(*own, "datasets/small")[1]
    assert re.search(r"twins in baseline +[1-6] +-", out)
    assert 1 <= len(re.findall(r"plain \S+ is a twin of small \S+", out)) <= 3
    assert re.search(r"twins in baseline +0 +-", cli(*own, "datasets/other")[1])
    code, out, _ = cli("validate", "datasets/plain", "--against", "datasets/small", "--json")
    assert code == 1
    assert re.fullmatch(r"task \S+: twin of \S+ in datasets/small", json.loads(out)["findings"][0])
    assert cli("validate", "datasets/plain", "--against", "datasets/other")[0] == 0


def test_a_curriculum_that_keeps_nothing_is_refused_with_a_band_that_does(cli: Run) -> None:
    for agent in ("expert", "guesser"):
        cli("run", "datasets/small", "--agent", agent)
    own = ("curriculum", "datasets/small", "--runs", "runs/small-guesser", "--out", "datasets/kept")
    told = refusal(cli, *own)
    hint = re.search(r"6 have 0; --low (\S+) --high (\S+) keeps 6", told)
    assert hint, told
    assert not Path("datasets/kept").exists()
    assert cli(*own, "--low", hint[1], "--high", hint[2])[0] == 0
    assert len(load_dataset(Path("datasets/kept")).tasks) == 6
    wrong = refusal(cli, *own[:-1], "datasets/other", "--low", "0.9", "--high", "0.2")
    assert "low 0.9 and high 0.2 are no band" in wrong


def test_what_is_no_dataset_is_called_what_it_is(cli: Run, tmp_path: Path) -> None:
    cli("run", "datasets/small", "--agent", "null")
    for verb in (["validate"], ["report", "--dataset"], ["run", "--agent", "null"]):
        assert "runs/small-null is a run, no dataset" in refusal(cli, *verb, "runs/small-null")
        assert "datasets is no dataset: it has" in (told := refusal(cli, *verb, "datasets"))
        assert "there are small in it" in told
    assert "tasks.jsonl is a file, no dataset" in refusal(cli, "validate", "datasets/small/tasks.jsonl")
    assert "there is no dataset at datasets/smal;" in refusal(cli, "validate", "datasets/smal")


def test_an_unknown_form_is_answered_with_all_there_are(cli: Run) -> None:
    cli("run", "datasets/small", "--agent", "expert")
    assert re.search("no form 'foo'.*trl-sft.*tau2", refusal(cli, "export", "runs/small-expert", "--to", "foo"))


@pytest.mark.parametrize("option", ["--turns", "--jsonl", "--parquet"])
def test_tasks_for_tau2_take_no_option_of_episodes(empty: Run, option: str) -> None:
    assert re.search(f"{option}.* does nothing here", refusal(empty, "export", "set", "--to", "tau2", option))


def test_a_card_is_markdown_and_has_no_entities(cli: Run) -> None:
    assert not re.search(r"&#?\w+;", Path("datasets/small/README.md").read_text("utf-8"))
    task = load_dataset(Path("datasets/small")).tasks[0]
    assert f'"{task.instruction}"' in Path("datasets/small/README.md").read_text("utf-8")


def test_a_place_that_cannot_be_written_is_no_lack_of_space(cli: Run) -> None:
    Path("taken").write_text("", encoding="utf-8")
    for place in (
        ("synth", "--out", "taken/set", "--tasks", "2", "--domains", "clinic"),
        ("report", "--dataset", "datasets/small", "--html", "taken/page.html"),
    ):
        code, _, err = cli(*place)
        assert code == 2
        assert re.search(r"cannot write taken/\S+: (Not a directory|File exists); choose another place", err)
