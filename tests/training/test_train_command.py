"""`mocktrial train` as a person runs it: a dry run, a short run, play by the real model, a page of curves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command import Run, runner
from tests.training.test_train_run import conversation

from mocktrial.synth.production.generate import generate
from mocktrial.training.curves import write_curves
from mocktrial.training.journal import Journal, read_journal


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """A config beside two conversations, which goes to the folder of the test."""
    lines = [{**conversation(city), "label": city == "Oslo", "group": "one"} for city in ("Oslo", "Bern")]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def config(text: str) -> str:
        path = tmp_path / "config.toml"
        path.write_text(f'out = "{tmp_path}"\n' + text.replace("DATA", str(tmp_path / "d.jsonl")), encoding="utf-8")
        return str(path)

    return config


@pytest.mark.model
def test_a_dry_run_prints_the_config_and_the_cost_and_writes_nothing(
    command: Run, write: Callable[[str], str], tmp_path: Path
) -> None:
    config = write('name = "dry"\ndata = "DATA"\n[kto]\nbeta = 0.01\n')
    code, out, _ = command("train", "kto", config, "--dry-run", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["config"]["kto"]["beta"] == 0.01
    assert (told["rows"], told["steps"]) == (2, 1)
    assert told["parameters"] == pytest.approx(134.5e6, rel=0.01)
    assert {path.name for path in tmp_path.iterdir()} == {"config.toml", "d.jsonl"}
    code, out, _ = command("train", "kto", config, "--dry-run")
    assert "micro_batch_tokens = 2048" in out
    told = dict(line.split(": ") for line in out.splitlines() if ": " in line)
    assert told["rows"] == "2 trajectories"
    assert told["steps"] == "1 steps"
    assert re.fullmatch(r"[\d,]+ tokens", told["computed_per_step"])
    assert re.fullmatch(r"[\d,]+ MiB", told["memory"])
    assert re.fullmatch(r"[\d.]+ s or more", told["seconds_per_step"])


def test_the_keys_of_a_config_are_listed_without_one(command: Run) -> None:
    code, out, _ = command("train", "kto", "--keys")
    assert code == 0
    assert "learning_rate = 0.0002" in out
    assert "[kto]" in out


@pytest.mark.model
def test_a_run_leaves_checkpoint_metrics_and_curves(command: Run, write: Callable[[str], str], tmp_path: Path) -> None:
    generate(0, 6, ["clinic"], name="few").save(tmp_path / "few")
    text = (
        'name = "short"\ndata = "DATA"\nsteps = 2\nkeep_optimizer = false\n[lora]\ntargets = ["q_proj"]\n'
        f'[evaluation]\ndataset = "{tmp_path}/few"\ntasks = 1\nturns = 1\nmax_new_tokens = 4\n'
    )
    code, out, _ = command("train", "sft", write(text), "--json")
    told = json.loads(out)
    assert code == 0
    assert (tmp_path / "short" / "adapter" / "adapter_config.json").exists()
    lines = [(row["step"], "held_out_success" in row) for row in read_journal(Path(told["metrics"]))]
    assert lines == [(0, True), (1, False), (2, False), (2, True)]
    assert Path(told["curves"]).stat().st_size > 5_000
    code, _, err = command("train", "sft", write(text))
    assert code == 2
    assert "exists already" in err
    (tmp_path / "short" / "STABLE").unlink()
    code, _, err = command("train", "sft", write(text), "--resume")
    assert code == 0
    assert f"no whole checkpoint at {tmp_path}/short: starting anew" in err


@pytest.mark.model
def test_the_policy_plays_and_learns_on_the_command_line(
    command: Run, write: Callable[[str], str], tmp_path: Path
) -> None:
    generate(0, 6, ["clinic"], name="few").save(tmp_path / "few")
    text = (
        'name = "play"\nsteps = 1\nkeep_optimizer = false\nfrozen_layers = 28\n[rl]\npreset = "search_r1"\n'
        f'[rollouts]\ndataset = "{tmp_path}/few"\ntasks_per_step = 1\ngroup = 2\nturns = 2\nmax_new_tokens = 6\n'
        "[evaluation]\ntasks = 1\nturns = 1\nmax_new_tokens = 4\n"
    )
    code, out, _ = command("train", "rl", write(text), "--json")
    assert code == 0
    (before, step, after) = read_journal(Path(json.loads(out)["metrics"]))
    assert (before["step"], step["step"], after["step"]) == (0, 1, 1)
    assert step["episodes"] == 2
    assert {"held_out_success", "held_out_success_low"} <= set(after)
    code, out, _ = command("train", "rl", write(text.replace('"play"', '"later"')), "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["trained"] == 2 * 2 * 6


def test_curves_stand_in_one_file_without_a_script(tmp_path: Path) -> None:
    with Journal(tmp_path / "x.metrics.jsonl", 0) as journal:
        for step in range(4):
            journal.log(step, {"loss": 1.0 / (step + 1), "held_out_success": step / 4})
    path = write_curves(tmp_path / "x.metrics.jsonl", "<b>x</b>")
    assert path is not None
    page = path.read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml") == 2
    assert "<script" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    (tmp_path / "y.metrics.jsonl").write_text("")
    assert write_curves(tmp_path / "y.metrics.jsonl", "y") is None
