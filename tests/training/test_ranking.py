"""Ranking held-out clicks: figures against every order there is, the model's own log-probabilities, the command."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.command import Run, runner
from tests.support.studies import save_tiny
from tests.support.tiny import one_thread  # noqa: F401

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import load
from mocktrial.agents.recommender.base import Situation, Suggestion
from mocktrial.agents.recommender.written import answer_of, prompt
from mocktrial.synth.clicks.files import LoggedSet
from mocktrial.training.suggesting.ranking import as_shown, by_model, decided, most_used, order_of, ranking
from mocktrial.training.suggesting.rows import parted


def a_set(number: int, clicked: tuple[bool, ...], user: int = 0, tools: tuple[str, ...] = ()) -> LoggedSet:
    named = [*tools, *[""] * (len(clicked) - len(tools))]
    shown = tuple(Suggestion(query=f"Do {number} {place}.", tool=tool) for place, tool in enumerate(named))
    asked = Suggestion(query="Lights off.", tool="set_lamp")
    return LoggedSet(
        number=number, visit=0, user=user, session=number, turn=0, query=asked,
        situation=Situation(query="Lights off."), suggestions=shown, clicked=clicked,
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6))
def test_ties_share_what_their_orders_would_give(items: list[tuple[int, bool]]) -> None:
    scores, clicked = [float(score) for score, _ in items], [hit for _, hit in items]
    if not any(clicked) or all(clicked):
        return
    found, orders = order_of(scores, clicked), []
    for order in itertools.permutations(range(len(items))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            hits = [clicked[place] for place in order]
            pairs = [hits[a] for a, b in itertools.combinations(range(len(hits)), 2) if hits[a] != hits[b]]
            orders.append((sum(pairs) / len(pairs), 1 / (hits.index(True) + 1), float(hits[0])))
    means = [sum(column) / len(orders) for column in zip(*orders, strict=True)]
    assert (found.auc, found.reciprocal_rank, found.first) == pytest.approx(means)


def test_a_user_counts_once_however_busy() -> None:
    sets = [a_set(number, (True, False), user=1) for number in range(9)] + [a_set(9, (False, True), user=2)]
    found = ranking(sets, as_shown(sets), as_shown(sets))
    assert (found.sets, found.auc.value, found.auc.tasks, found.first.value) == (10, 0.5, 2, 0.5)
    assert found.reciprocal_rank.value == 0.75
    assert found.difference is not None
    assert found.difference.value == 0.0


def test_the_last_sets_in_time_are_held_out_and_only_decided_ones_count() -> None:
    log = [a_set(number, (number % 2 == 0, False)) for number in range(10)]
    before, after = parted(log, 0.3)
    assert [one.number for one in after] == [7, 8, 9]
    assert [one.number for one in decided(after)] == [8]
    assert len(before) == 7
    assert parted(log, 0.0) == (log, [])
    assert decided([a_set(0, (True, True))]) == []


def test_most_used_reads_the_earlier_part_only() -> None:
    log = [a_set(0, (False, False)), a_set(1, (True, False, False), tools=("set_tv", "set_lamp"))]
    (scores,) = most_used(log[1:], log[:1])
    assert scores[1] > scores[0] > scores[2]  # asked for before, never asked for, no tool


def test_a_score_is_the_log_probability_of_the_line(tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny")
    loaded = load(str(tmp_path / "tiny"))
    one = a_set(3, (True, False, False), tools=("set_lamp",))
    (scores,) = by_model(loaded, [one])
    for shown, score in zip(one.suggestions, scores, strict=True):
        row = Renderer(loaded.tokenizer).render([*prompt(one.situation, 1), answer_of([shown])], ())
        with torch.no_grad():
            logps = loaded.model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
        expected = sum(float(logps[at - 1, row.ids[at]]) for at, own in enumerate(row.mask) if own)
        assert score == pytest.approx(expected, abs=1e-3)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def test_a_log_of_ones_own_ranks_models(cli: Run, tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny")
    log = [a_set(number, (number % 3 == 0, False, number % 3 == 1), user=number % 4) for number in range(24)]
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "sets.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in log), "utf-8")
    code, out, _ = cli("recommend", "rank", "log", "tiny", "--held-out", "0.5", "--json")
    found = json.loads(out)
    assert (code, list(found)) == (0, ["as shown", "most used tool", "tiny"])
    assert {one["sets"] for one in found.values()} == {8}
    code, out, _ = cli("recommend", "rank", "log", "tiny", "--held-out", "0.5", "--reference", "tiny", "--json")
    assert json.loads(out)["tiny"]["auc"]["value"] == 0.5  # a model against itself knows nothing
    rows = ("recommend", "rows", "log", "rows.jsonl", "--method", "kto", "--json")
    assert (json.loads(cli(*rows)[1])["rows"], json.loads(cli(*rows, "--held-out", "0.5")[1])["rows"]) == (72, 36)
    code, _, err = cli("recommend", "rank", "log", "--held-out", "0")
    assert (code, "larger --held-out" in err) == (2, True)
