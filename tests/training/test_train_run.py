"""Config and trajectory files as a person writes them, and the whole run on the real model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from mocktrial.mocktools.errors import UsageError
from mocktrial.training.checkpoint import checkpoint_folder
from mocktrial.training.config import TrainConfig, Verb, dump_config, keys_of, load_config, parse_config
from mocktrial.training.records import Record, read_records
from mocktrial.training.run import train


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_config_goes_to_toml_and_back(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, 'name = "a"\ndata = "d.jsonl"\n[kto]\nbeta = 0.01\n'), "kto")
    assert (config.objective, config.kto.beta) == ("kto", 0.01)
    assert load_config(write(tmp_path, dump_config(config)), "kto") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\ndata = "d"\nlearning_rat = 1.0', "learning_rat: unknown key"),
        ('name = "a"\ndata = "d"\n[kto]\ngamma = 1.0', "kto.gamma: unknown key"),
        ('name = "a"\ndata = "d"\nepochs = "2"', "epochs: .*valid integer"),
        ('name = "a"\ndata = "d"\nkeep_optimizer = "no"', "keep_optimizer: .*valid boolean"),
        ('name = "a"\ndata = "d"\nseed = 2026-01-01', "seed: .*valid integer"),
        ('nam = "a"', "nam: unknown key"),
        ('name = "a"', "data is missing"),
        ('name = "../a"\ndata = "d"', "name: "),
        ('name = "a"\ndata = "d"\nobjective = "sft"', "objective is 'sft'"),
        ("name =", "cannot read"),
    ],
)
def test_bad_config_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config(write(tmp_path, text), "kto")


def test_a_refused_key_says_where_the_keys_are_listed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(write(tmp_path, 'name = "a"\nlr = 1'), "kto")
    assert caught.value.hint == "mocktrial train kto --keys lists the keys"


@pytest.mark.parametrize("verb", get_args(Verb))
def test_every_key_is_listed_with_what_it_means(verb: Verb) -> None:
    lines = [line for line in keys_of(verb) if line]
    assert all(re.fullmatch(r"(\[[\w.]+\]|\w+ = \S.*?) +# \S.*\.", line) for line in lines), lines
    named = {line.split(" ")[0] for line in lines}
    assert named >= {"name", "learning_rate", "[lora]", f"[{verb}]", "[evaluation]"}
    assert not named & {"objective", *({"[kto]"} if verb != "kto" else {"[rollouts]", "[sft]"})}


def test_a_listed_key_has_its_default_and_its_choices() -> None:
    (line,) = [line for line in keys_of("rl") if line.startswith("schedule")]
    assert line.split(None, 3)[2] == '"cosine"'
    assert line.endswith('One of "constant", "linear", "cosine".')


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config file at .*absent\.toml"):
        load_config(tmp_path / "absent.toml", "sft")


@pytest.mark.parametrize(
    ("line", "message"), [('{"messages": [], "wieght": 1}', ":2: wieght: unknown key"), ("{", ":2: line: ")]
)
def test_bad_trajectory_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"messages": []}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_records(path, "sft")


def test_data_that_is_no_data_says_what_may_stand_there(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone", "No such file"), (tmp_path, "holds no run")):
        with pytest.raises(UsageError, match=reason) as caught:
            read_records(path, "sft")
        assert caught.value.hint == "data is the folder of a run, runs/NAME, or a JSONL file of records"


def test_checkpoint_stays_under_its_root() -> None:
    config = parse_config({"objective": "sft", "name": "a", "data": "d"}, "test")
    with pytest.raises(UsageError):
        checkpoint_folder(config.model_copy(update={"name": "../../etc"}))


def test_held_out_tasks_are_refused_where_nobody_can_play_them() -> None:
    given = {"objective": "sft", "name": "a", "data": "d", "evaluation": {"dataset": "e"}}
    with pytest.raises(UsageError, match="held-out"):
        train(parse_config(given, "test"))


def conversation(city: str) -> dict[str, Any]:
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"city": city})},
    }
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    return {
        "messages": [
            {"role": "system", "content": "You help."},
            {"role": "user", "content": f"What is the weather in {city}?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": '{"sky": "clear"}'},
            {"role": "assistant", "content": f"It is clear in {city}."},
        ],
        "tools": [tool],
    }


@pytest.mark.model
def test_three_steps_on_the_real_model_lower_the_loss(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(conversation(city)) + "\n" for city in ("Oslo", "Bern")), encoding="utf-8")
    config = TrainConfig(
        objective="sft",
        name="tiny",
        data=str(path),
        out=str(tmp_path),
        steps=3,
        learning_rate=2e-4,
        schedule="constant",
        keep_optimizer=False,
    )
    result = train(config)
    assert result.losses[-1] < 0.7 * result.losses[0]
    assert (tmp_path / "tiny" / "STABLE").exists()
    with pytest.raises(UsageError, match="exists already"):
        train(config, records=[Record.model_validate(conversation("Oslo"))])
