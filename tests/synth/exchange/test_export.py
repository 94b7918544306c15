"""Exports: what is in a row, what may be trained on, and that a way there and back loses nothing (FAULTS 24)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.chat import Message, assistant, tool_call
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.exchange.columns import write_parquet
from mocktrial.synth.exchange.export import export, read_export
from mocktrial.synth.exchange.formats import FORMATS, Format
from mocktrial.synth.exchange.sample import Sample, by_turn, pairs, samples
from tests.support.command import runner
from tests.support.played import desk_tasks, play_run

DOC = Path(__file__).parents[3] / "docs" / "exchange.md"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four tasks by the expert, and the same by the guesser, who fails."""
    root, tasks = tmp_path_factory.mktemp("runs"), desk_tasks(4)
    return [play_run(root / agent.name, agent, tasks) for agent in (Expert(), Guesser())]


@pytest.fixture(scope="module")
def played(runs: list[Path]) -> list[Trajectory]:
    found: list[Trajectory] = []
    for run in runs:
        with Ledger.read(run / "ledger.sqlite") as ledger:
            found += ledger.trajectories()
    return found


def entering(form: Format, one: Sample) -> tuple[Message, ...]:
    """All that was said, up to the agent's last message where the form ends there."""
    last = max(at for at, message in enumerate(one.messages) if message["role"] == "assistant")
    return one.messages[: last + 1] if form.kept == "successes" else one.messages


@pytest.mark.parametrize("parquet", [True, False])
@pytest.mark.parametrize("name", FORMATS)
def test_an_export_read_back_is_the_conversations_that_went_in(
    name: str, parquet: bool, played: list[Trajectory], tmp_path: Path
) -> None:
    form = FORMATS[name]
    counts = export(played, name, tmp_path / "out", jsonl=not parquet)
    back = [form.back(row) for row in read_export(tmp_path / "out", name)]
    assert len(back) == counts["rows"] > 0
    went_in = [(list(entering(form, one)), list(one.tools)) for one in samples(played)]
    assert all(conversation in went_in for conversation in back)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_runs_give_the_same_bytes(name: str, played: list[Trajectory], tmp_path: Path) -> None:
    for folder in ("first", "second"):
        export(played, name, tmp_path / folder)
    first = sorted(path for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert len(first) > 1
    for path in first:
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()


def test_labels_are_the_rubric_s_and_sft_takes_successes_only(played: list[Trajectory], tmp_path: Path) -> None:
    export(played, "trl-kto", tmp_path / "kto")
    export(played, "trl-sft", tmp_path / "sft")
    labels = {row["id"]: row["label"] for row in read_export(tmp_path / "kto", "trl-kto")}
    assert sorted(labels.values()) == [False] * 4 + [True] * 4
    right = {name for name, label in labels.items() if label}
    assert {row["id"] for row in read_export(tmp_path / "sft", "trl-sft")} == right


def test_only_what_the_agent_said_is_trainable(played: list[Trajectory], tmp_path: Path) -> None:
    export(played, "trl-kto", tmp_path / "kto")
    export(played, "openai", tmp_path / "openai")
    for row in read_export(tmp_path / "kto", "trl-kto"):
        assert row["prompt"][-1]["role"] == "user"
        assert row["trainable"] == [message["role"] == "assistant" for message in row["completion"]]
        assert {True, False} == set(row["trainable"])
    for row in read_export(tmp_path / "openai", "openai"):
        assert all(("weight" in message) == (message["role"] == "assistant") for message in row["messages"])


@pytest.mark.parametrize("name", ["openai", "sharegpt", "trl-sft"])
def test_what_is_imitated_ends_with_the_agent(name: str, played: list[Trajectory], tmp_path: Path) -> None:
    """OpenAI refuses an example that ends with anything else, such as what `finish` gave."""
    assert all(one.messages[-1]["role"] == "tool" for one in samples(played) if one.success)
    export(played, name, tmp_path / "out")
    rows = list(read_export(tmp_path / "out", name))
    assert rows
    for row in rows:
        assert FORMATS[name].back(row)[0][-1]["role"] == "assistant"
        assert len(row.get("trainable", ())) == len(row.get("completion", ()))


@pytest.mark.parametrize("name", FORMATS)
def test_doc_and_card_name_the_keys_that_a_row_has(name: str, played: list[Trajectory], tmp_path: Path) -> None:
    form = FORMATS[name]
    export(played, name, tmp_path / "out")
    row = next(read_export(tmp_path / "out", name))
    assert list(row) == list(form.columns)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    keys = [key for key in row["lines"][0] if key != "type"] if form.files else list(row)
    (doc,) = (line for line in DOC.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` |"))
    assert re.findall(r"`(\w+)`", doc.rpartition("|")[0].rpartition("|")[2]) == keys
    assert all(key in card for key in keys)
    assert ("`trainable`" in card) == ("trainable" in row)


def test_by_turn_each_answer_is_one_message_and_an_episode_still_counts_once(played: list[Trajectory]) -> None:
    for sample in samples(played):
        turns = by_turn(sample)
        assert [one.completion for one in turns] == [(m,) for m in sample.messages if m["role"] == "assistant"]
        assert sum(one.weight for one in turns) == pytest.approx(sample.weight)
        assert all((*one.prompt, *one.completion) == sample.messages[: len(one.messages)] for one in turns)


def test_pairs_are_of_one_task_and_one_prompt(played: list[Trajectory]) -> None:
    elsewhere = [
        replace(one, messages=(*one.prompt, *one.messages), start=one.start * 2) for one in samples(played[:4])
    ]
    made = list(pairs([*elsewhere, *samples(played)]))
    assert len(made) == 4
    for chosen, rejected in made:
        assert (chosen.task, chosen.prompt) == (rejected.task, rejected.prompt)
        assert chosen.success > rejected.success


def test_what_has_no_grade_or_is_masked_does_not_leave(played: list[Trajectory]) -> None:
    lost = [one.model_copy(update={"outcome": "no_result", "grade": None}) for one in played[:2]]
    masked = [one.model_copy(update={"outcome": "masked"}) for one in played[2:4]]
    assert not list(samples([*lost, *masked]))


def test_nothing_to_write_leaves_no_folder(played: list[Trajectory], tmp_path: Path) -> None:
    failed = [one for one in played if one.grade and not one.grade.success]
    with pytest.raises(UsageError, match="successes only"):
        export(failed, "trl-sft", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_export_does_not_write_over_another(played: list[Trajectory], tmp_path: Path) -> None:
    export(played, "openai", tmp_path / "out")
    with pytest.raises(UsageError, match="exists already"):
        export(played, "openai", tmp_path / "out")


def test_from_the_command_line(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mocktrial = runner(monkeypatch, capsys)
    code, out, _ = mocktrial("export", *map(str, runs), "--to", "trl-dpo", "--out", str(tmp_path / "dpo"), "--json")
    assert (code, json.loads(out)["rows"]) == (0, 4)
    assert "4 rows" in (tmp_path / "dpo" / "README.md").read_text()
    code, _, err = mocktrial("export", str(runs[0]), "--to", "trl-ppo", "--out", str(tmp_path / "ppo"))
    assert code == 2
    assert "no form 'trl-ppo'" in err


texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
arguments = texts | st.dictionaries(texts, values, max_size=3).map(json.dumps)
calls = st.lists(st.builds(tool_call, texts, texts, arguments), min_size=1, max_size=3)
turns = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, texts),
    st.builds(lambda text, name: {"role": "tool", "content": text, "tool_call_id": name}, texts, texts),
    st.builds(assistant, texts),
    st.builds(lambda text, made: assistant(text, *made), st.none() | texts, calls),
)
tools = st.lists(st.dictionaries(texts, values, max_size=3), max_size=2)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(turns, max_size=5), texts, tools, st.booleans())
def test_no_form_loses_anything_of_any_conversation(
    talk: list[Message], system: str, offered: list[Message], success: bool
) -> None:
    messages = ({"role": "system", "content": system}, assistant("Yes?"), *talk)
    one = Sample("a", "t", "x", messages, tuple(offered), 1, success, 1.0)
    other = Sample("b", "t", "x", messages[:2], tuple(offered), 1, not success, 0.0)
    for form in FORMATS.values():
        rows = json.loads(json.dumps(list(form.rows([one, other]))))
        right = [one, other] if len(rows) == 2 else [one if success else other]
        assert [form.back(row) for row in rows] == [(list(entering(form, s)), offered) for s in right]


@pytest.mark.parametrize("name", ["trl-sft", "trl-kto", "trl-dpo"])
def test_the_library_datasets_reads_every_tool_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 rows whose tools have unlike schemas: read as inferred columns they would get each other's keys."""
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)  # it would tell its maker of each load
    offered = [
        [{"function": {"name": f"t{n % 4}", "parameters": {f"p{n % 4}": {"type": "string"}}}}] for n in range(500)
    ]
    made = [
        Sample(
            f"{n}-{right}", str(n), "x", ({"role": "user", "content": "?"}, assistant("!")), tuple(tools), 1, right, 1.0
        )
        for n, tools in enumerate(offered)
        for right in (True, False)
    ]
    rows = list(FORMATS[name].rows(made))
    with (tmp_path / "train.parquet").open("wb") as file:
        write_parquet(file, FORMATS[name].columns, rows)
    read = datasets.load_dataset("parquet", data_dir=str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) >= 500
    assert list(read) == rows


def test_a_second_export_of_one_name_is_not_taken_for_the_first(
    played: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` keeps what it has read by the name that the card gives it."""
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    for count in (2, 4):
        folder = tmp_path / str(count) / "trl-kto"
        export(played[:count], "trl-kto", folder)
        read = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        assert len(read) == count
