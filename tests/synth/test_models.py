"""Models at work for a dataset, through the real command: what is kept, what is paid once, what a budget leaves."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mocktrial.cli import main
from tests.support.endpoint import Endpoint, Raw, Request, message, refuse, say
from tests.support.modules import forget
from tests.support.teacher import Model

Command = Callable[..., Any]


@pytest.fixture
def synth(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run `mocktrial synth ARGS` in an empty folder, beside the endpoint's loop: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mocktrial", "synth", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    async def beside(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(run, *arguments)

    return beside


def taught(endpoint: Endpoint, *more: str) -> list[str]:
    return [
        "--tasks", "8", "--per-world", "4", "--json", "--teacher", "openai:m", "--base-url", endpoint.url,
        "--teacher-concurrency", "1", *more,
    ]  # fmt: skip


def recipe(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(f"datasets/{name}/dataset.toml").read_text("utf-8"))


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


async def test_a_teachers_dataset_says_what_it_cost_and_keeps_its_answers_beside_it(synth: Command) -> None:
    async with Endpoint(Model()) as endpoint:
        code, out, err = await synth("bikes", *taught(endpoint, "--workers", "2"))
        asked = len(endpoint.requests)
        assert code == 0
        assert "made in one process" in err
        cost = recipe("bikes")["costs"]["teacher"]
        paid = lines("datasets/bikes.teacher.jsonl")
        assert cost["requests"] == asked == len(paid)
        tokens = sum(line["prompt_tokens"] + line["completion_tokens"] for line in paid)
        assert cost["prompt_tokens"] + cost["completion_tokens"] == tokens
        assert cost["tokens_per_task"] == pytest.approx(tokens / 8, abs=0.1)
        assert f"took {tokens} tokens in {asked} requests" in Path("datasets/bikes/README.md").read_text("utf-8")
        assert not Path("datasets/bikes.part").exists()
        # The kept answers make the same bytes again, for nothing.
        Path("datasets/again.part").mkdir()
        shutil.copy("datasets/bikes.teacher.jsonl", "datasets/again.part/teacher.jsonl")
        again = json.loads((await synth("again", *taught(endpoint)))[1])
        assert len(endpoint.requests) == asked
        assert again["digest"] == json.loads(out)["digest"]
        assert again["tasks"] == 8


async def test_a_spent_budget_leaves_what_is_proved_and_more_of_it_goes_on(synth: Command) -> None:
    async with Endpoint(Model()) as endpoint:
        code, _, err = await synth("bikes", *taught(endpoint, "--max-tokens", "1"))
        assert (code, len(endpoint.requests)) == (2, 1)
        assert "the budget of 1 tokens is spent; allow more with --max-tokens" in err
        assert Path("datasets/bikes.part/teacher.jsonl").exists()
        one_world = 6
        code, out, err = await synth("bikes", *taught(endpoint, "--max-tokens", "6000"))
        assert code == 0
        assert len(endpoint.requests) <= 2 * one_world
        assert len({line["key"] for line in lines("datasets/bikes.teacher.jsonl")}) == len(endpoint.requests)
        made = json.loads(out)
        assert 0 < made["tasks"] < 8
        assert f"{made['tasks']} of 8 tasks" in err
        assert recipe("bikes")["stopped"] == "the budget of 6000 tokens is spent"
        assert "8 tasks were asked for; the budget" in Path("datasets/bikes/README.md").read_text("utf-8")


async def test_a_teacher_whose_answers_become_no_worlds_is_named_with_its_answers(synth: Command) -> None:
    async with Endpoint(Model(workflow=["?"])) as endpoint:
        code, _, err = await synth("bikes", *taught(endpoint, "--teacher-retries", "0"))
    assert code == 2
    assert "gave only 0 different tasks of 8 (dropped: 20 x " in err
    assert "answers do not become new worlds: read datasets/bikes.part/teacher.jsonl" in err
    assert Path("datasets/bikes.part/teacher.jsonl").exists()


async def test_a_dead_endpoint_stops_the_run_and_the_same_command_goes_on(synth: Command) -> None:
    answers = Model()
    async with Endpoint(answers) as endpoint:
        whole = json.loads((await synth("whole", *taught(endpoint)))[1])
        asked = len(endpoint.requests)
        failing = Endpoint(lambda request: refuse(401) if len(failing.requests) > 6 else answers(request))
        async with failing:
            code, _, err = await synth("bikes", *taught(failing))
        assert code == 2
        assert "mend that, then run the same command again" in err
        assert len(lines("datasets/bikes.part/dataset/tasks.jsonl")) == 4
        done = json.loads((await synth("bikes", *taught(endpoint)))[1])
        assert done["digest"] == whole["digest"]
        assert len(endpoint.requests) == asked + asked - 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["x", "--teacher", "openai:m"], "OPENAI_API_KEY"),
        (["x", "--teacher", "openai:"], "openai:"),
        (["x", "--teacher", "openai:m", "--domains", "vet"], "leave --domains out"),
        (["x", "--rewrite", "m"], "openai:MODEL"),
        (["--preview", "1", "--teacher", "openai:m"], "needs a name"),
    ],
)
async def test_wrong_usage_leaves_nothing_behind(
    synth: Command, tmp_path: Path, arguments: list[str], says: str
) -> None:
    code, _, err = await synth(*arguments)
    assert code == 2
    assert re.search(says, err)
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--teacher", "--rewrite"])
async def test_a_missing_client_is_named(synth: Command, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    forget(monkeypatch, "mocktrial.agents.endpoint", "mocktrial.agents.openai_client", "mocktrial.synth.teacher.source")
    code, _, err = await synth("x", option, "openai:m")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "pip install 'mocktrial[agents]'" in err


def polite(request: Request) -> Raw:
    """The planned words with a courtesy; those that ask for a number in other words, which is not taken."""
    planned = re.search(r"<request>\n(.*)\n</request>", request.body["messages"][1]["content"], re.DOTALL)
    assert planned
    text = planned[1]
    return say(f"Please see to this for me, thank you. {text}" if len(text) % 3 else "Nice weather today.")


async def test_a_rewritten_dataset_is_proved_in_its_new_words(synth: Command, tmp_path: Path) -> None:
    arguments = ["--tasks", "12", "--per-world", "6", "--domains", "depot,vet", "--json"]
    await synth("planned", *arguments)
    async with Endpoint(polite) as endpoint:
        more = [*arguments, "--rewrite", "openai:m", "--base-url", endpoint.url]
        code, out, _ = await synth("spoken", *more)
        asked = len(endpoint.requests)
        Path("datasets/again.part").mkdir()
        shutil.copy("datasets/spoken.rewrite.jsonl", "datasets/again.part/rewrite.jsonl")
        again = json.loads((await synth("again", *more))[1])
        assert len(endpoint.requests) == asked
    assert code == 0
    assert again["digest"] == json.loads(out)["digest"]
    planned, spoken = (lines(f"datasets/{name}/tasks.jsonl") for name in ("planned", "spoken"))
    assert [task["id"] for task in planned] == [task["id"] for task in spoken]
    new = [(a["instruction"], b["instruction"]) for a, b in zip(planned, spoken, strict=True) if a != b]
    assert all(b == f"Please see to this for me, thank you. {a}" for a, b in new)
    counts = recipe("spoken")["reworded"]
    assert 0 < counts["reworded"] == len(new) < sum(counts.values()) == 12
    assert recipe("spoken")["rewrite"] == "openai:m"
    assert recipe("spoken")["costs"]["rewrite"]["requests"] == asked
    proofs = {proof["task"]: proof["task_hash"] for proof in lines("datasets/spoken/proof.jsonl")}
    before = {proof["task"]: proof["task_hash"] for proof in lines("datasets/planned/proof.jsonl")}
    assert sum(proofs[name] != before[name] for name in proofs) == len(new)


async def test_a_rewriters_budget_is_kept(synth: Command) -> None:
    async with Endpoint(lambda request: message(
        {"content": polite(request).body and "Please hurry up with it."}, prompt_tokens=50, completion_tokens=50
    )) as endpoint:  # fmt: skip
        code, _, err = await synth(
            "x", "--tasks", "12", "--per-world", "3", "--domains", "depot", "--rewrite", "openai:m",
            "--base-url", endpoint.url, "--max-tokens", "900", "--teacher-concurrency", "1",
        )  # fmt: skip
    assert code == 0
    assert len(endpoint.requests) == 9
    assert "3 of 12 tasks" in err
    assert "for rewriting is spent" in recipe("x")["stopped"]


async def test_a_rewriter_that_nobody_answers_stops_and_one_that_falls_silent_is_told_of(synth: Command) -> None:
    arguments = ["x", "--tasks", "6", "--per-world", "6", "--domains", "depot", "--rewrite", "openai:m"]
    async with Endpoint(lambda request: refuse(401)) as endpoint:
        code, out, err = await synth(*arguments, "--base-url", endpoint.url)
    assert (code, out) == (2, "")
    assert re.search("answered none of 6 requests, no task was written: .*401.*; see to the endpoint", err)
    assert not Path("datasets/x").exists()
    weak = Endpoint(lambda request: refuse(401) if len(weak.requests) > 3 else polite(request))
    async with weak:
        code, _, err = await synth(*arguments, "--base-url", weak.url)
    assert code == 0
    silent = recipe("x")["reworded"]["no answer"]
    assert f"{silent} tasks keep their planned words: the model did not answer" in err
