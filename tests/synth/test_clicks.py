"""The click simulator: what it says of people is what people then do, and the log alone never tells the truth."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.agents.recommender.grounding import works
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.clicks.behaviour import People, Shown
from mocktrial.synth.clicks.files import RUN, LoggedSet, Truth, logged, read_sets, write_log
from mocktrial.synth.clicks.logs import Town, base_policy, draw, simulate, town
from mocktrial.synth.clicks.measures import statistics_of, user_rates
from mocktrial.synth.clicks.settings import Settings, dump_settings, load_settings
from mocktrial.synth.clicks.taste import relatedness

SMALL = load_settings(None, ["users=80", "sessions=25", "visits=6"])


@pytest.fixture(scope="module")
def place() -> Town:
    return town(SMALL, 5)


@pytest.fixture(scope="module")
def log(place: Town) -> list[Shown]:
    return list(simulate(place, base_policy(SMALL.shown)))


def _with(place: Town, *changes: str) -> Town:
    """The same sessions and visits, other people; made anew where that changes them too."""
    changed = load_settings(None, ["users=80", "sessions=25", "visits=6", *changes])
    if changed.preference != SMALL.preference or changed.tools != SMALL.tools:
        return town(changed, 5)
    return replace(place, settings=changed, people=People(changed, place.seed, place.taste))


def _ctr(place: Town) -> float:
    return statistics_of(list(simulate(place, base_policy(4)))).set_ctr


def test_the_pool_works_in_the_sessions_own_world(place: Town) -> None:
    for session in place.sessions:
        for scene in session:
            with scene.device.open() as world:
                assert all(works(one, world) for one in scene.pool), scene.query
            assert len({one.query for one in scene.pool}) > SMALL.pool // 2


def test_pools_hold_tools_and_chat(place: Town) -> None:
    shares = [
        sum(bool(one.tool) for one in scene.pool) / len(scene.pool) for session in place.sessions for scene in session
    ]
    assert sum(shares) / len(shares) == pytest.approx(SMALL.chat_share, abs=0.1)


def test_equal_seeds_give_equal_logs(place: Town, log: list[Shown]) -> None:
    again = list(simulate(town(SMALL, 5), base_policy(4)))
    assert [logged(0, one).model_dump_json() for one in again] == [logged(0, one).model_dump_json() for one in log]
    assert [one.clicked for one in simulate(town(SMALL, 6), base_policy(4))] != [one.clicked for one in log]


def test_nobody_clicks_who_is_never_ready_and_never_slips(place: Town) -> None:
    calm = _with(place, "readiness.level=-20", "readiness.spread=0", "attention.accident=0")
    assert _ctr(calm) == 0
    assert _ctr(_with(place, "readiness.level=-20", "readiness.spread=0", "attention.accident=1")) == 1


@pytest.mark.parametrize(
    "change",
    [
        "readiness.level=-3",
        "attention.position=[0.2,0.2,0.2,0.2]",
        "preference.bias=-4",
        "tools.affinity=0.1",
        "readiness.fatigue=-3",
    ],
)
def test_each_brake_lowers_the_click_rate(place: Town, change: str) -> None:
    assert _ctr(_with(place, change)) < _ctr(place) - 0.02


def test_clicks_follow_wanting_times_readiness(place: Town) -> None:
    """With every place looked at and all clicks independent, the click rate of a showing is p q, and the log's mean is theirs."""
    plain = _with(
        place, "attention.position=[1,1,1,1]", "attention.returns=1", "attention.accident=0", "tools.spread=0"
    )
    made = list(simulate(plain, base_policy(4)))
    expected = [one.ready * wanted for one in made for wanted in one.preferences]
    clicks = [clicked for one in made for clicked in one.clicked]
    assert sum(clicks) / len(clicks) == pytest.approx(sum(expected) / len(expected), abs=0.02)


def test_a_click_leads_elsewhere_unless_the_person_returns(place: Town) -> None:
    never = simulate(_with(place, "attention.returns=0", "attention.accident=0"), base_policy(4))
    assert max(sum(one.clicked) for one in never) == 1


def test_the_same_suggestion_meets_the_same_wish(place: Town) -> None:
    """Common random numbers: with nothing else in the way, it does not matter beside what or where it stands."""
    plain = _with(place, "attention.position=[1,1,1,1]", "attention.returns=1", "attention.accident=0")
    for visit, scene in list(plain.sets())[:40]:
        four = scene.pool[:4]
        one, other = plain.people.react(visit, scene, four), plain.people.react(visit, scene, four[::-1])
        assert one.clicked == other.clicked[::-1]


def test_earlier_places_are_clicked_more(log: list[Shown]) -> None:
    first, *_, last = statistics_of(log).by_position
    assert first > 1.5 * last


@pytest.mark.soak
def test_the_default_has_the_papers_two_statistics() -> None:
    found = [statistics_of(list(simulate(town(load_settings(), seed), base_policy(4)))) for seed in (100, 101)]
    assert sum(one.set_ctr for one in found) / 2 == pytest.approx(0.31, abs=0.02)
    assert sum(one.user_upper_quartile for one in found) / 2 == pytest.approx(0.07, abs=0.01)


def test_a_log_is_written_whole_and_the_truth_apart(tmp_path: Path, log: list[Shown]) -> None:
    write_log(tmp_path / "a", log, SMALL, 5)
    sets = list(read_sets(tmp_path / "a"))
    assert sets == [logged(number, one) for number, one in enumerate(log)]
    assert user_rates(sets) == user_rates(log)
    assert not {"preferences", "ready", "fits"} & set(LoggedSet.model_fields)
    truths = [Truth.model_validate_json(line) for line in (tmp_path / "a/truth.jsonl").read_text().splitlines()]
    assert [one.preferences for one in truths] == [one.preferences for one in log]
    with Ledger.read(tmp_path / "a/ledger.sqlite", run=RUN) as ledger:
        rows = ledger.exposures()
    assert [clicked for _, clicked in rows] == [clicked for one in log for clicked in one.clicked]
    assert [row["suggestion"] for row, _ in rows] == [item.query for one in log for item in one.suggestions]
    assert load_settings(tmp_path / "a/settings.toml") == SMALL
    write_log(tmp_path / "b", log, SMALL, 5)
    assert (tmp_path / "a/sets.jsonl").read_bytes() == (tmp_path / "b/sets.jsonl").read_bytes()


def test_a_broken_log_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no log at"):
        list(read_sets(tmp_path))
    (tmp_path / "sets.jsonl").write_text('{"number": 1}\n')
    with pytest.raises(UsageError, match=r"sets.jsonl:1: visit"):
        list(read_sets(tmp_path))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"clicked": [True]}, "sets.jsonl:3: .*clicked has 1 entries for"),
        ({"clicked": ["yes"]}, "sets.jsonl:3: clicked.0: Input should be a valid boolean"),
        ({"suggestions": [], "clicked": []}, "sets.jsonl:3: suggestions: .* at least 1 item"),
        ({"number": 0}, "sets.jsonl:3: number 0 stands there twice"),
    ],
)
def test_a_set_that_cannot_be_meant_is_refused(
    tmp_path: Path, log: list[Shown], changes: dict[str, object], says: str
) -> None:
    sets = [logged(number, one).model_dump(mode="json") for number, one in enumerate(log[:2])]
    lines = [json.dumps(sets[0]), "", json.dumps(sets[1] | changes)]
    (tmp_path / "sets.jsonl").write_text("\n".join(lines), "utf-8")
    with pytest.raises(UsageError, match=says):
        list(read_sets(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("readiness.mood=1", "readiness.mood: unknown key"),
        ("turns=[0.5]", "add up to 0.5"),
        ("shown=5", "has 4 places"),
        ("users=0", "users"),
        ("users", "changes nothing"),
        ("users=many", "no TOML"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_settings(None, [change])


def test_settings_read_back(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(dump_settings(SMALL))
    assert load_settings(tmp_path / "s.toml") == SMALL
    assert isinstance(SMALL, Settings)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(-5, 5), min_size=4, max_size=12))
def test_a_draw_has_no_candidate_twice(seed: int, logits: list[float]) -> None:
    pool = list(range(len(logits)))
    got = draw(pool, logits, 4, random.Random(seed))  # type: ignore[type-var, arg-type]
    assert len(set(got)) == 4


def test_relatedness_is_highest_for_the_same_tool(place: Town) -> None:
    scene = next(scene for session in place.sessions for scene in session if scene.query.tool)
    values = [relatedness(scene.query, one) for one in scene.pool]
    assert all(0 <= value <= 1 for value in values)
    assert relatedness(scene.query, scene.query) >= max(values)


def test_an_empty_log_has_no_statistics() -> None:
    with pytest.raises(ValueError, match="empty"):
        statistics_of([])


def test_the_guides_set_is_one(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "recommend.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "sets.jsonl").write_text(example, "utf-8")
    (one,) = read_sets(tmp_path)
    assert one.suggestions[0].tool == "set_alarm"
