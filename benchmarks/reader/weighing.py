"""The weights of the evidence, by logistic regression; thresholds by the precision that is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from mocktrial.envs.users import interpret
from mocktrial.envs.users.interpret import read_jointly, searched
from mocktrial.envs.users.questions import Question
from mocktrial.envs.users.reading.acts import parse
from mocktrial.envs.users.reading.facts import profile_of, put
from mocktrial.envs.users.reading.match import Evidence, compare
from mocktrial.envs.users.reading.weights import Weights, beside, by_words, probabilities
from reader.data import settings
from reader.models import Reader

PENALTY, ROUNDS = 2.0, 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """A row as words see it, and what the joint reader says of it."""

    asked: NDArray[np.bool_]  # (facts,)
    evidence: list[list[Evidence]]  # (segments, facts)
    joint: list[list[float]]  # (1 + pieces, facts)


def read(rows: Iterable[Question], joint: interpret.Reader | None = None) -> list[Read]:
    found = []
    for row in rows:
        facts = tuple(fact.fact() for fact in row.facts)
        text, segments = searched(row.message, parse(row.message), facts)
        profiles = [profile_of(fact) for fact in facts]
        logits = read_jointly(joint, text, facts) if joint and segments else []
        asked = np.array([fact.id in row.asked for fact in facts])
        found.append(Read(asked, [compare(segment, profiles) for segment in segments], logits))
    return found


def weigh_words(reads: Sequence[Read]) -> Weights:
    """Of the features of `match.compare`; of each fact the segment counts that speaks most for it."""
    names = _names(one for read in reads for row in read.evidence for one in row)
    bags, sign = [], []
    for read in reads:
        for place, asked in enumerate(read.asked if read.evidence else ()):
            bags.append(np.array([[row[place].get(name, 0.0) for name in names] for row in read.evidence]))
            sign.append(1.0 if asked else -1.0)
    weights = np.zeros(len(names))
    weights[names.index("evidence")] = 1.0
    for _ in range(ROUNDS):
        weights = _regress(np.array([bag[np.argmax(bag @ weights)] for bag in bags]), np.array(sign), weights)
    return Weights(dict(zip(names, map(float, weights), strict=True)))


def weigh_both(reads: Sequence[Read], words: Weights) -> Weights:
    """Of what words and the joint reader say, from rows that the joint reader was not trained on."""
    found = [read for read in reads if read.evidence]
    rows = [row for read in found for row in beside(by_words(read.evidence, len(read.asked), words), read.joint)]
    names = _names(rows)
    sign = np.array([1.0 if asked else -1.0 for read in found for asked in read.asked])
    weights = _regress(np.array([[row[name] for name in names] for row in rows]), sign, np.zeros(len(names)))
    return Weights(dict(zip(names, map(float, weights), strict=True)))


def _names(rows: Iterable[dict[str, float]]) -> list[str]:
    """Features by name, the bias first, which is not penalised."""
    names = sorted({name for row in rows for name in row})
    return ["bias", *(name for name in names if name != "bias")]


def _regress(rows: Floats, sign: Floats, start: Floats) -> Floats:
    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (rows @ weights)
        free = weights * (np.arange(len(weights)) > 0)
        slope = -rows.T @ (sign / (1 + np.exp(np.clip(margin, -50, 50))))
        return np.logaddexp(0, -margin).sum() + PENALTY / 2 * free @ free, slope + PENALTY * free

    return minimize(loss, start, jac=True, method="L-BFGS-B").x


def figures(reads: Sequence[Read], words: Weights, weights: Weights) -> tuple[float, float]:
    """Precision and recall over asked ids."""
    total = np.zeros(3)
    for read in reads:
        said = by_words(read.evidence, len(read.asked), words)
        likely = probabilities(said, read.joint, weights) if read.evidence else []
        found = [place for place, chance in enumerate(likely) if chance >= weights.threshold]
        total += (sum(bool(read.asked[place]) for place in found), len(found), read.asked.sum())
    return total[0] / max(total[1], 1), total[0] / max(total[2], 1)


@torch.no_grad()
def alone(reader: Reader, rows: Sequence[Question]) -> tuple[float, float]:
    """What a reader's logits over that of "none" can do: recall at precision 0.95, and the best F."""
    margins: list[float] = []
    asked: list[bool] = []
    for setting in settings(rows):
        messages = [text for text, _ in setting.messages]
        logits = reader([([put(fact) for fact in setting.facts], messages)])[0]
        margins += (logits[:, :-1] - logits[:, -1:]).flatten().tolist()
        asked += [place in meant for _, meant in setting.messages for place in range(len(setting.facts))]
    right = np.array(asked)[np.argsort(margins)[::-1]]
    hits = right.cumsum()
    precision, recall = hits / np.arange(1, len(right) + 1), hits / hits[-1]
    both = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return float(recall[precision >= 0.95].max(initial=0.0)), float(both.max())
