"""Recommenders: whatever they show works in the world at hand, and the world stays as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.agents.recommender import Suggestion, situation_of
from mocktrial.agents.recommender.grounding import all_chats, chat_bank, ground, works
from mocktrial.agents.recommender.retrieval import RetrievalRecommender
from mocktrial.agents.recommender.specs import make_recommender
from mocktrial.agents.recommender.written import WrittenRecommender, answer_of, line_of, prompt, read_lines
from mocktrial.agents.testing import ScriptedModel
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.systoolkit import catalog, device_image
from mocktrial.mocktools.systoolkit.documents import device_retriever
from mocktrial.mocktools.world import World

STATES = ((), ("lock_phone",), ("set_flight_mode",), ("lock_phone", "set_flight_mode"))
_ARGUMENTS = {"set_flight_mode": {"enabled": True}}


@pytest.fixture
def world() -> Iterator[World]:
    with World.open(device_image(), 0) as made:
        yield made


@pytest.mark.parametrize("calls", STATES, ids=" ".join)
@pytest.mark.parametrize("query", ["Wake me at 06:30.", "Send Mina the photo", "What did I spend?", "xyzzy"])
def test_the_floor_shows_only_what_works_now_and_leaves_the_world_alone(
    world: World, calls: tuple[str, ...], query: str
) -> None:
    for name in calls:
        assert world.call(name, _ARGUMENTS.get(name, {})).ok
    before = world.digest()
    situation = situation_of(world, query, retriever=device_retriever())
    found = RetrievalRecommender().suggest(situation, world, 8, seed=1)
    assert len(found.suggestions) == 8
    assert world.digest() == before
    assert all(works(one, world) for one in found.suggestions)
    locked = {name for name, tool in catalog().tools.items() if "unlocked" in tool.needs}
    assert not calls or "lock_phone" not in calls or not {one.tool for one in found.suggestions} & locked


def test_what_works_and_is_not_shown_is_executable_too(world: World) -> None:
    situation = situation_of(world, "Wake me at 06:30.", retriever=device_retriever())
    found = RetrievalRecommender().suggest(situation, world, 4, seed=1)
    assert len(found.suggestions) == 4 < found.executable <= found.written


def test_equal_seeds_give_equal_suggestions(world: World) -> None:
    situation = situation_of(world, "Play something calm", retriever=device_retriever())
    recommender = RetrievalRecommender()
    first, again, other = (recommender.suggest(situation, world, 6, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_grounded_query_says_all_that_its_call_needs(world: World) -> None:
    """In words, not ids: what a person reads is what is carried out."""
    rng, grounded = random.Random(4), 0
    for tool in catalog().tools.values():
        made = ground(tool, world, rng)
        grounded += made is not None
        for name, value in made.arguments.items() if made else ():
            read = tool.takes[name]
            if (
                made
                and isinstance(value, str | int)
                and not isinstance(value, bool)
                and not read.row_of
                and read.type in ("text", "integer")
            ):
                assert str(value) in made.query, made
        assert made is None or "{" not in made.query
    assert grounded > 500


def test_a_tool_whose_condition_fails_is_not_tried(world: World) -> None:
    assert ground(catalog().tools["list_passwords"], world, random.Random(1), failing=("unlocked",)) is None


def test_chat_has_questions_for_every_domain_that_has_tools() -> None:
    assert set(chat_bank()) == {name for name, domain in catalog().domains.items() if domain.tools}
    assert len(set(all_chats())) == len(all_chats())


async def test_what_a_model_writes_is_checked_against_the_world(world: World) -> None:
    text = '1. Wake me at 06:30. => create_alarm {"time": "06:30"}\n- How long is a nap?\nFly => fly_away {}\nX => create_alarm {"time": "soon"}\nY => create_alarm {broken'
    situation = situation_of(world, "hello", retriever=device_retriever())
    found = await WrittenRecommender(ScriptedModel([text])).recommend(situation, world, 5, seed=0)
    assert [line_of(one) for one in found.suggestions] == [
        'Wake me at 06:30. => create_alarm {"time": "06:30"}',
        "How long is a nap?",
    ]
    assert (found.written, found.executable) == (5, 2)


async def test_a_model_that_repeats_itself_shows_a_query_once(world: World) -> None:
    situation = situation_of(world, "hello", retriever=device_retriever())
    found = await WrittenRecommender(ScriptedModel(["One?\nTwo?\none?"])).recommend(situation, world, 4, seed=0)
    assert [one.query for one in found.suggestions] == ["One?", "Two?"]


@given(
    st.lists(
        st.builds(
            Suggestion,
            query=st.from_regex(r"[A-Z][a-z ?]{3,20}[a-z]", fullmatch=True),
            tool=st.sampled_from(["", "create_alarm"]),
        ),
        max_size=4,
    )
)
def test_an_answer_reads_back(suggestions: list[Suggestion]) -> None:
    assert read_lines(answer_of(suggestions)["content"]) == suggestions


def test_the_prompt_shows_the_state_and_the_tools(world: World) -> None:
    world.call("lock_phone", {})
    situation = situation_of(world, "Wake me", "When?", history=["Hi"], retriever=device_retriever())
    text = prompt(situation, 3)[1]["content"]
    assert "The phone is locked." in text
    assert "create_alarm(" in text
    assert "Asked before: Hi" in text


def test_what_cannot_work_now_is_retrieved_last(world: World) -> None:
    def place() -> int:
        return situation_of(world, "call Mina", retriever=device_retriever(), tools=700).tools.index("call_contact")

    before = place()
    assert world.call("set_flight_mode", {"enabled": True}).ok
    assert place() > before


def test_an_unknown_recommender_is_refused() -> None:
    with pytest.raises(UsageError, match="no recommender 'magic'"):
        make_recommender("magic", k=3)
