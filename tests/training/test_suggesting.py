"""The small policy: its log-probabilities, its rows, and that training moves it where the clicks point."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.agents.recommender.base import Suggestion
from mocktrial.agents.recommender.written import read_lines
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.synth.clicks.behaviour import Shown
from mocktrial.synth.clicks.files import logged
from mocktrial.synth.clicks.logs import Town, base_policy, simulate, town
from mocktrial.synth.clicks.settings import load_settings
from mocktrial.training.records import read_records
from mocktrial.training.suggesting.ablation import ablation, balanced, interval, shower_of, train_arm
from mocktrial.training.suggesting.features import SceneTable, table_of
from mocktrial.training.suggesting.fit import TRAINING, fit
from mocktrial.training.suggesting.policy import CandidatePolicy, sampled, sequence_logprob
from mocktrial.training.suggesting.records import records_of_log, write_records
from mocktrial.training.suggesting.rows import METHODS, UNITS, Unit, calibrated, rows_of, usage_percentiles, weighted

SMALL = load_settings(None, ["users=80", "sessions=25", "visits=6"])


@pytest.fixture(scope="module")
def place() -> Town:
    return town(SMALL, 7)


@pytest.fixture(scope="module")
def log(place: Town) -> list[Shown]:
    return list(simulate(place, base_policy(SMALL.shown)))


@pytest.fixture(scope="module")
def table(place: Town, log: list[Shown]) -> SceneTable:
    return table_of(list(itertools.chain(*place.sessions)), usage_percentiles(log))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4))
def test_sequences_share_one_unit_of_probability(values: list[float]) -> None:
    logits = torch.tensor([values], dtype=torch.float64)
    orders = torch.tensor(list(itertools.permutations(range(4), 2)))
    whole = sequence_logprob(logits.expand(12, 4), orders, torch.zeros(12), torch.full((12,), 2)).exp()
    assert float(whole.sum()) == pytest.approx(1)
    steps = [
        sequence_logprob(logits.expand(12, 4), orders, torch.full((12,), at), torch.full((12,), at + 1))
        for at in (0, 1)
    ]
    assert torch.allclose(sum(steps), whole.log())  # type: ignore[arg-type]


def test_sampled_sequences_have_the_policys_probabilities() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0, -torch.inf]]).expand(20_000, 4)
    drawn = sampled(logits, 2, torch.Generator().manual_seed(1))
    order = torch.tensor([[1, 0]])
    share = float((drawn == order).all(dim=1).double().mean())
    expected = float(sequence_logprob(logits[:1], order, torch.tensor([0]), torch.tensor([2])).exp())
    assert share == pytest.approx(expected, abs=4 * (expected / 20_000) ** 0.5)
    assert not bool((drawn == 3).any())


def test_an_untrained_policy_shows_what_the_base_policy_shows(place: Town, log: list[Shown], table: SceneTable) -> None:
    policy = CandidatePolicy(table.seen.shape[2])
    again = list(simulate(place, shower_of(policy, table, 4)))
    same = sum(one.suggestions == other.suggestions for one, other in zip(again, log, strict=True))
    assert same > 0.99 * len(log)  # float32 may turn two that are all but equal


@pytest.mark.parametrize("unit", UNITS)
def test_rows_carry_label_history_and_tool(log: list[Shown], unit: Unit) -> None:
    rows = rows_of(log, unit)
    assert len(rows) == len(log) * (1 if unit == "set" else 4)
    seen: dict[int, list[bool]] = {}
    for one, group in itertools.groupby(rows, key=lambda row: id(row.shown)):
        whole = list(group)
        shown = whole[0].shown
        before = seen.setdefault(shown.user, [])
        assert id(shown) == one
        for row in whole:
            clicked = [place for place in row.places if shown.clicked[place]]
            assert row.sample.clicked == (any(shown.clicked) if unit == "shared" else bool(clicked))
            assert row.sample.rate == (sum(before) / len(before) if before else None)
            assert (row.sample.percentile is None) == (
                not any(shown.suggestions[p].tool for p in clicked or row.places)
            )
        before += shown.clicked


def test_in_a_log_unclicked_tools_weigh_nothing_and_rare_clickers_more(log: list[Shown]) -> None:
    calibration = calibrated(METHODS["full"], log)
    rows = weighted(rows_of(log, "suggestion"), calibration)
    tools = [row.weight for row in rows if row.shown.suggestions[row.places[0]].tool and not row.sample.clicked]
    rare = [
        row.weight
        for row in rows
        if row.sample.clicked and row.sample.rate is not None and row.sample.rate < calibration.mu
    ]
    assert tools and set(tools) == {0.0}  # noqa: PT018
    assert rare and min(rare) > 1.0  # noqa: PT018


def test_usage_percentiles_cover_all_tools(log: list[Shown]) -> None:
    found = usage_percentiles(log)
    assert set(found) == set(catalog().tools)
    asked = {one.query.tool for one in log if one.query.tool}
    assert min(found[name] for name in asked) > max(value for name, value in found.items() if name not in asked)


@pytest.mark.parametrize("objective", ["kto", "sft"])
def test_training_moves_towards_what_is_clicked(
    place: Town, log: list[Shown], table: SceneTable, objective: str
) -> None:
    """All clicks put on chat: a trained policy shows more chat, and the same one twice."""
    told = [
        type(one)(
            one.visit,
            one.user,
            one.scene,
            one.suggestions,
            tuple(not item.tool for item in one.suggestions),
            one.preferences,
            one.ready,
        )
        for one in log
    ]
    rows = rows_of(told, "suggestion")
    policy, again = (fit(rows, table, objective) for _ in range(2))  # type: ignore[arg-type]
    assert torch.equal(policy.weight, again.weight)

    def chat(made: CandidatePolicy) -> float:
        shown = [item for one in simulate(place, shower_of(made, table, 4)) for item in one.suggestions]
        return sum(not item.tool for item in shown) / len(shown)

    assert chat(policy) > chat(CandidatePolicy(table.seen.shape[2])) + 0.1


def test_rows_of_weight_zero_count_as_removed(log: list[Shown], table: SceneTable) -> None:
    rows = weighted(rows_of(log[:200], "suggestion"), METHODS["full"])
    kept = [row for row in rows if row.weight > 0]
    assert len(kept) < len(rows)
    assert torch.equal(fit(rows, table, "kto").weight, fit(kept, table, "kto").weight)
    assert not fit([], table, "kto").weight.any()


def test_labels_are_balanced(log: list[Shown]) -> None:
    rows = rows_of(log, "set")
    clicked = sum(row.sample.clicked for row in rows)
    assert balanced(rows, TRAINING.kto).desirable_weight * clicked == pytest.approx(len(rows) - clicked)


def test_the_effective_share_of_each_method(log: list[Shown], table: SceneTable) -> None:
    rows = rows_of(log[:100], "suggestion")
    shares = {
        name: train_arm(name, rows, log, table, TRAINING)[1]
        for name in ("base", "kto", "kto+user", "kto+static", "full")
    }
    assert shares["base"] == shares["kto"] == 1.0
    assert shares["kto+static"] < 0.7 < 0.9 < shares["kto+user"] < 1


def test_an_ablation_pairs_its_arms_by_seed() -> None:
    few = SMALL.model_copy(update={"users": 40, "visits": 4.0, "sessions": 15})
    found = ablation(few, [1, 2], arms=("base", "kto", "full"))
    base, kto, full = found.arms
    assert (base.lift.value, base.lift.low, base.relevance.value, kto.over_kto.value) == (0, 0, 0, 0)
    assert full.paper == 0.3226
    assert full.lift.low is not None
    assert full.lift.low <= full.lift.value
    assert 0.2 < found.negatives_with_tools < 0.9


def test_an_interval_of_one_seed_has_no_bounds() -> None:
    assert interval([0.5]).low is None
    wide = interval([0.0, 1.0])
    assert (wide.value, wide.low) == (0.5, pytest.approx(0.5 - 12.706 * 0.5, abs=1e-3))


@pytest.mark.parametrize("method", ["sft", "full"])
def test_records_for_a_language_model_read_back(tmp_path: Path, log: list[Shown], method: str) -> None:
    sets = [logged(number, one) for number, one in enumerate(log[:60])]
    records = records_of_log(sets, method, "set")
    assert write_records(tmp_path / "rows.jsonl", records) == len(records)
    back = read_records(tmp_path / "rows.jsonl", "kto")
    assert back == records
    last = back[0].messages[-1]
    assert last["role"] == "assistant"
    assert tuple(read_lines(last["content"])) in [one.suggestions for one in sets]
    assert all(record.weight > 0 and (record.label is None) == (method == "sft") for record in back)
    assert "preference" not in json.dumps(records[0].model_dump())


def test_a_log_may_have_tools_of_its_own(log: list[Shown]) -> None:
    own = Suggestion(query="Turn on the lamp", tool="set_lamp", arguments={"on": True})
    sets = [logged(number, one) for number, one in enumerate(log[:60])]
    sets = [one.model_copy(update={"query": own, "suggestions": (own, *one.suggestions[1:])}) for one in sets]
    uses = usage_percentiles(sets)
    assert uses["set_lamp"] == max(uses.values()) == 1.0
    assert records_of_log(sets, "full", "shared")


def test_a_log_that_lacks_what_a_method_needs_says_so(log: list[Shown]) -> None:
    nobody = [
        one.model_copy(update={"clicked": (False,) * len(one.clicked)})
        for one in (logged(number, shown) for number, shown in enumerate(log[:20]))
    ]
    with pytest.raises(UsageError, match="method full: the log needs users who differ"):
        records_of_log(nobody, "full", "shared")
    with pytest.raises(UsageError, match="the log has no sets"):
        records_of_log([], "kto", "shared")
