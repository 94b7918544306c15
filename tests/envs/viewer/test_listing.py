"""Which episodes a page shows, what a turn changed, and how a curve is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.episode import Limits
from mocktrial.envs.tables import EpisodeRecord
from mocktrial.envs.viewer import shelf as shelves
from mocktrial.envs.viewer.curves import HEIGHT, WIDTH, drawings, read_metrics
from mocktrial.envs.viewer.listing import PER_PAGE, Filter, listing, paged, side_by_side
from mocktrial.envs.viewer.shelf import Shelf
from mocktrial.envs.viewer.unfold import unfold
from mocktrial.mocktools.errors import UsageError
from tests.support.desk import desk_image
from tests.support.played import desk_tasks, play_run

ROW = EpisodeRecord(
    id=0, run="r", task_id="t", task_hash="h", domain="d", family="f", difficulty=1, agent="a", trial=0, seed=0,
    outcome="scored", end="finished", reason="", reward=1.0, success=True, hidden=0, under_ask=0, over_ask=0, guess=0,
    turns=1, tokens=1, cost=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The desk's task in three seeds, by the expert and by the guesser."""
    root = tmp_path_factory.mktemp("shelf")
    for agent in (Expert(), Guesser()):
        play_run(root / "runs" / "deep" / agent.name, agent, desk_tasks(3), trials=2)
    return Shelf(root / "runs", root / "datasets", root / "checkpoints")


def test_runs_are_found_by_their_path_and_nothing_else_can_be_named(shelf: Shelf) -> None:
    assert shelf.runs() == ["deep/expert", "deep/guesser"]
    for name in ("../runs/deep/expert", "/etc", "deep", "deep/expert/", ""):
        with pytest.raises(UsageError, match="there is no"):
            shelf.run(name)


def test_a_run_is_read_again_when_its_ledger_has_changed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, tmp_path, tmp_path)
    play_run(tmp_path / "one", Expert(), desk_tasks(1))
    first = shelf.run("one")
    assert shelf.run("one") is first
    play_run(tmp_path / "one", Expert(), desk_tasks(3))
    assert [len(first.rows), len(shelf.run("one").rows)] == [1, 3]


def test_figures_are_kept_of_more_runs_than_rows_are(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "_KEPT", 1)
    fresh = Shelf(shelf.runs_under, shelf.datasets_under, shelf.journals_under)
    figures = [fresh.agents(name) for name in fresh.runs()]
    assert [[one.agent for one in own] for own in figures] == [["expert"], ["guesser"]]
    monkeypatch.setattr(shelves, "_view", None)
    assert [fresh.agents(name) for name in fresh.runs()] == figures


def test_a_comparison_is_kept_until_one_of_its_runs_has_changed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, tmp_path, tmp_path)
    for agent in (Expert(), Guesser()):
        play_run(tmp_path / agent.name, agent, desk_tasks(2))
    compared = shelf.compared("expert", "guesser")
    assert shelf.compared("expert", "guesser") is compared
    play_run(tmp_path / "guesser", Guesser(), desk_tasks(3))
    assert [len(one.pairings) for one in (compared, shelf.compared("expert", "guesser"))] == [2, 3]


def test_filters_let_through_what_they_say_and_pages_hold_the_rest(shelf: Shelf) -> None:
    rows = shelf.run("deep/guesser").rows
    assert listing(rows, Filter(verdict="failed")).count == 6
    assert listing(rows, Filter(verdict="passed")).count == 0
    assert [row.task_id for row, _ in listing(rows, Filter(text="DESK-1")).shown] == ["desk-1"] * 2
    many = [row._replace(id=n, turns=-n) for n in range(3) for row in rows * 20]
    last = listing(many, Filter(page=99, order="turns"))
    assert (last.at.pages, len(last.shown), last.count) == (4, 360 - 3 * PER_PAGE, 360)
    assert last.shown[-1][0].turns == 0


@given(st.integers(0, 5 * PER_PAGE))
def test_pages_hold_everything_once_and_beyond_the_last_is_the_last(count: int) -> None:
    pages = paged(count, 1).pages
    assert [n for page in range(1, pages + 1) for n in range(count)[paged(count, page).shown]] == list(range(count))
    assert (paged(count, 99), paged(count, -1).page) == (paged(count, pages), 1)


@given(st.integers(0, 20), st.integers(0, 25))
def test_neighbours_lead_through_all_of_the_filter_in_order(count: int, around: int) -> None:
    found = listing([ROW._replace(id=n) for n in range(count)], Filter(), around)
    inside = around < count
    assert found.before == (around - 1 if inside and around else None)
    assert found.after == (around + 1 if inside and around + 1 < count else None)


def test_a_query_names_only_what_was_asked_for_and_can_be_changed() -> None:
    asked = Filter(agent="a b", page=3)
    assert asked.query() == "agent=a+b&page=3"
    assert asked.query(page=1) == "agent=a+b"


def test_side_by_side_begins_with_what_came_out_unlike(shelf: Shelf) -> None:
    first, second = (shelf.run(name).rows for name in ("deep/expert", "deep/guesser"))
    pairings = side_by_side(
        first, [*second[2:], second[0]._replace(task_hash="other", task_id="other", outcome="no_result")]
    )
    assert [(one.task_id, one.first, one.second) for one in pairings] == [
        ("desk-0", 1.0, None), ("desk-1", 1.0, 0.0), ("desk-2", 1.0, 0.0), ("other", None, None),
    ]  # fmt: skip


async def test_the_changes_of_all_turns_add_up_to_the_writes(shelf: Shelf) -> None:
    task, trajectory = shelf.episode("deep/expert", shelf.run("deep/expert").rows[0].id)
    turns = await unfold(task, trajectory, desk_image(), Limits())
    assert [turn.number for turn in turns] == list(range(-1, len(turns) - 1))
    assert [message["role"] for turn in turns for message in turn.messages] == [m["role"] for m in trajectory.messages]
    assert trajectory.writes
    assert [change for turn in turns for change in turn.changes] == list(trajectory.writes)
    wrote = [turn.number for turn in turns if turn.changes]
    called = {event.turn for event in trajectory.events if event.kind == "call" and event.ok}
    assert set(wrote) <= called


async def test_without_its_world_an_episode_has_its_words_and_no_changes(shelf: Shelf) -> None:
    task, trajectory = shelf.episode("deep/expert", shelf.run("deep/expert").rows[0].id)
    turns = await unfold(task, trajectory, None, Limits())
    assert sum(len(turn.messages) for turn in turns) == len(trajectory.messages)
    assert not any(turn.changes for turn in turns)


numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))


@given(st.lists(numbers, max_size=900))
def test_a_curve_stays_within_its_drawing_and_ends_with_the_last_value(values: list[float]) -> None:
    rows = [{"step": float(step), "loss": value} for step, value in enumerate(values)]
    finite = [value for value in values if value == value]
    drawn = drawings(rows)
    assert len(drawn) == bool(finite)
    for one in drawn:
        points = [tuple(map(float, point.split(","))) for point in one.points.split()]
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
        assert (one.low, one.high, one.last) == (min(finite), max(finite), finite[-1])
        assert len(points) <= 900


def test_a_line_that_is_being_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.metrics.jsonl").write_text(json.dumps({"step": 1, "loss": 2.0, "note": "x"}) + '\n{"step": 2, "lo')
    assert read_metrics(tmp_path / "a.metrics.jsonl") == [{"step": 1.0, "loss": 2.0}]
    (tmp_path / "b.metrics.jsonl").write_bytes(b"\x80\x04no text\n[1]\n")
    assert read_metrics(tmp_path / "b.metrics.jsonl") == []
