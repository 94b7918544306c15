"""The reader that is a language model: its layers, what it keeps, what the one that ships says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mocktrial.agents.users import make_user
from mocktrial.envs.users.dense import Mixed
from mocktrial.envs.users.interpret import Reader, interpret
from mocktrial.envs.users.questions import evaluate_questions, read_questions
from mocktrial.envs.users.reading.language import BEFORE, FACT, MESSAGE, Language, Shape
from mocktrial.envs.users.reading.shipped import load_shipped
from mocktrial.envs.users.scripted import LexicalInterpreter
from tests.support.asked import ASKED, FACTS

_WORDS, _WIDTH = 130, 32


def _ids(text: str) -> list[int]:
    return [min(ord(letter), _WORDS - 1) for letter in text]


def _small() -> tuple[Language, object]:
    """Two layers of a random Llama of three, and the Llama."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=_WORDS, hidden_size=_WIDTH, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.2,
    )  # fmt: skip
    llama = transformers.LlamaModel(config).eval()
    weights = {name: weight.numpy() for name, weight in llama.state_dict().items()}
    layers = [
        {name.removeprefix(start): weight for name, weight in weights.items() if name.startswith(start)}
        for start in ("layers.0.", "layers.1.")
    ]
    one = np.eye(_WIDTH, dtype=np.float32)
    head = {"asking": one, "saying": one, "norm": np.ones(_WIDTH, np.float32), "none": np.zeros(_WIDTH, np.float32),
            "none_b": np.float32(0), "scale": np.float32(1)}  # fmt: skip
    shape = Shape(heads=4, keys=2, theta=config.rope_parameters["rope_theta"], eps=config.rms_norm_eps)
    table = weights["embed_tokens.weight"]
    return Language(layers, shape, lambda text: table[_ids(text)], head), llama


def test_layers_are_those_of_the_reference() -> None:
    torch = pytest.importorskip("torch")
    language, llama = _small()
    parts = [BEFORE, *(FACT.format(fact) for fact in FACTS), MESSAGE.format("How many of you?")]
    with torch.no_grad():
        seen = llama(torch.tensor([_ids("".join(parts))]), output_hidden_states=True).hidden_states[2][0]  # type: ignore[operator]
    seen = seen / seen.pow(2).mean(-1, keepdim=True).add(1e-6).sqrt()
    ends = np.cumsum([len(part) for part in parts]) - 1
    wanted = (seen[ends[1:-1]] @ seen[ends[-1]] / math.sqrt(_WIDTH)).tolist()
    assert language.scores("How many of you?", FACTS) == pytest.approx(wanted, abs=2e-3)


def test_a_message_is_read_as_if_it_were_the_first() -> None:
    language, _ = _small()
    language.scores("When do you leave?", FACTS)
    behind = language.scores("How many of you?", FACTS)
    assert behind == _small()[0].scores("How many of you?", FACTS)
    assert behind != language.scores("How many of you?", FACTS[::-1])[::-1]
    assert language.scores("How many of you?", ()) == []


def _dense() -> Reader:
    user = make_user("scripted+dense")
    assert user.name == "scripted+dense"
    assert isinstance(user.interpreter, LexicalInterpreter)
    assert user.interpreter.reader is not None
    return user.interpreter.reader


def test_a_mixed_logit_lies_between_the_two() -> None:
    language, shipped = _small()[0], load_shipped()
    message = "How many of you are there?"
    one, other = language.scores(message, FACTS), shipped.scores(message, FACTS)
    for mixed, *ends in zip(Mixed(language, shipped).scores(message, FACTS), one, other, strict=True):
        assert min(ends) < mixed < max(ends)
        assert abs(mixed - ends[0]) < abs(mixed - ends[1])


@pytest.mark.model
@pytest.mark.parametrize(("message", "first"), ASKED)
def test_the_fact_that_is_asked_for_is_the_likeliest(message: str, first: int) -> None:
    scores = _dense().scores(message, FACTS)
    assert scores.index(max(scores)) == first
    assert scores[first] > 0


@pytest.mark.model
def test_questions_of_other_hands_are_read_no_worse_than_before() -> None:
    """A floor, on every fourth row of a file."""
    rows = read_questions(Path(__file__).parents[1] / "data" / "questions_sealed.jsonl")[::4]
    reader = _dense()
    figures = evaluate_questions(rows, lambda message, facts: interpret(message, facts, reader))
    assert figures.precision >= 0.9
    assert figures.recall >= 0.9


@pytest.mark.model
def test_what_asks_for_nothing_is_below_nothing() -> None:
    assert max(_dense().scores("The ship has two restaurants and a small cinema.", FACTS)) < 0
