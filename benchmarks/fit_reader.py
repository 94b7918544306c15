"""Fits the reader of questions: word vectors, the head of the sentence model, and the weights of the evidence.

    python benchmarks/fit_reader.py --kept sentences.npz --write

Rows: tests/data/questions_fit.jsonl and one half of tests/data/questions_apart.jsonl, by domain. Both matchers are
trained once for each fold of domains, without it, and what they say of that fold is what the weights are fitted on; so
the weights know how matchers do on domains that they never saw. Figures by fold are printed, and those on the other
half of questions_apart.jsonl. Sentence vectors are kept in a file: computing them takes longest (some ten minutes).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from reader.data import FOLDS, ROWS, Entry, Row, Sentences, read_phrasebook, read_rows
from reader.export import write_head, write_weights, write_words
from reader.matcher import Head, Matcher, Words
from reader.training import train
from reader.words import vocabulary
from scipy.optimize import minimize

from mocktrial.envs.users.reading.facts import profile_of, texts_of
from mocktrial.envs.users.reading.likeness import Source
from mocktrial.envs.users.reading.match import Evidence, compare
from mocktrial.envs.users.reading.segments import around
from mocktrial.envs.users.reading.weights import Weights, chosen

APART = ROWS.parent / "questions_apart.jsonl"
PENALTY, ROUNDS = 2.0, 3
LIMITS = {"lexical": 0.66, "dense": 0.56}
PLURAL, SURE, MAYBE = 0.3, 0.945, 0.15


@dataclass
class Read:
    """A row with what the matchers and the words say of each segment."""

    row: Row
    sources: dict[str, list[Source]] = field(default_factory=dict)  # by matcher, a segment each
    evidence: list[list[Evidence]] = field(default_factory=list)  # (segments, facts)


def half(row: Row) -> bool:
    return int(row.fold) % 2 == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, required=True, help="file in which sentence vectors are kept")
    parser.add_argument("--write", action="store_true", help="replace the files of envs/users/reading")
    given = parser.parse_args()
    apart = read_rows(APART)
    rows, held = read_rows() + [row for row in apart if half(row)], [row for row in apart if not half(row)]
    book, sentences = read_phrasebook(), Sentences(given.kept)
    sentences.add(_texts([*rows, *held], book))
    reads, tests = [Read(row) for row in rows], [Read(row) for row in held]
    known = vocabulary(sentences)
    words = _fit(lambda: Words(*known, sentences), "words", reads, tests, book, sentences)
    head = _fit(lambda: Head(sentences), "sentences", reads, tests, book, sentences)
    found = {}
    for reader, names in (("lexical", ["words"]), ("dense", ["words", "sentences"])):
        for read in (*reads, *tests):
            read.evidence = list(_compared(read, names))
        found[reader] = _weigh(reader, reads, tests)
    if given.write:
        write_words(words)
        write_head(head)
        write_weights(found)


def _texts(rows: Sequence[Row], book: Sequence[Entry]) -> Iterator[str]:
    for row in rows:
        for fact in row.facts:
            yield from texts_of(fact)
        for segment in row.segments:
            yield from (f"{segment.text}?", f"{around(segment)}?")
    for entry in book:
        yield from (*texts_of(entry.fact), *(f"{question}?" for question in entry.questions))


def _fit(make, name: str, reads: list[Read], tests: list[Read], book: list[Entry], sentences: Sentences) -> Matcher:
    """The matcher of all rows; each row is read by one that was trained without its fold."""
    torch.manual_seed(0)
    for fold in range(FOLDS):
        matcher = make()
        train(matcher, [read.row for read in reads if read.row.fold != fold], book, sentences)
        _say(matcher, name, [read for read in reads if read.row.fold == fold])
        print(f"{name}: fold {fold}", flush=True)
    matcher = make()
    train(matcher, [read.row for read in reads], book, sentences)
    _say(matcher, name, tests)
    return matcher


def _say(matcher: Matcher, name: str, reads: Sequence[Read]) -> None:
    with torch.no_grad():
        none = matcher.none.item()
        for read in reads:
            found = read.row.segments
            texts = [segment.text for segment in found] + [around(segment) for segment in found]
            logits = matcher(texts, read.row.facts).tolist() if found else []
            pairs = zip(logits[: len(found)], logits[len(found) :], strict=True)
            read.sources[name] = [Source(name, alone, whole, none) for alone, whole in pairs]


def _compared(read: Read, names: Sequence[str]) -> Iterator[list[Evidence]]:
    profiles = [profile_of(fact) for fact in read.row.facts]
    for place, segment in enumerate(read.row.segments):
        yield compare(segment, profiles, [read.sources[name][place] for name in names])


def _weigh(reader: str, reads: Sequence[Read], tests: Sequence[Read]) -> tuple[dict[str, float], list[str], np.ndarray]:
    names = sorted({name for read in reads for row in read.evidence for one in row for name in one.features})
    names = ["bias", *(name for name in names if name != "bias")]
    limit = LIMITS[reader]
    limits = {"threshold": limit, "sure": SURE, "maybe": MAYBE, "plural": PLURAL}
    tally = np.zeros(3)
    for fold in range(FOLDS):
        weights = _regress([read for read in reads if read.row.fold != fold], names)
        tally += _tally([read for read in reads if read.row.fold == fold], names, weights, limit)
    print(f"{reader}: by folds of domains, precision {tally[0] / tally[1]:.3f}, recall {tally[0] / tally[2]:.3f}")
    weights = _regress(reads, names)
    tally = _tally(tests, names, weights, limit)
    print(f"{reader}: other half of questions_apart, {tally[0] / tally[1]:.3f}, {tally[0] / tally[2]:.3f}", flush=True)
    return limits, names, weights


def _regress(reads: Sequence[Read], names: Sequence[str]) -> np.ndarray:
    """(features,) weights; of each fact the segment counts that speaks most for it."""
    bags, right = [], []
    for read in reads:
        for place, asked in enumerate(read.row.asked if read.evidence else ()):
            bags.append(np.array([[row[place].features.get(name, 0.0) for name in names] for row in read.evidence]))
            right.append(1.0 if asked else -1.0)
    sign = np.array(right)
    weights = np.zeros(len(names))
    weights[names.index("evidence")] = 1.0
    for _ in range(ROUNDS):
        rows = np.array([bag[np.argmax(bag @ weights)] for bag in bags])
        weights = minimize(_loss, weights, args=(rows, sign), jac=True, method="L-BFGS-B").x
    return weights


def _loss(weights: np.ndarray, rows: np.ndarray, sign: np.ndarray) -> tuple[float, np.ndarray]:
    margin = sign * (rows @ weights)
    free = weights * (np.arange(len(weights)) > 0)
    slope = -rows.T @ (sign / (1 + np.exp(np.clip(margin, -50, 50))))
    return np.logaddexp(0, -margin).sum() + PENALTY / 2 * free @ free, slope + PENALTY * free


def _tally(reads: Sequence[Read], names: Sequence[str], values: np.ndarray, limit: float) -> np.ndarray:
    """Ids rightly read, read, asked for."""
    weights = Weights(limit, PLURAL, SURE, MAYBE, dict(zip(names, map(float, values), strict=True)))
    total = np.zeros(3)
    for read in reads:
        profiles = [profile_of(fact) for fact in read.row.facts]
        pairs = zip(read.row.segments, read.evidence, strict=True)
        got = {place for segment, evidence in pairs for place in chosen(segment, evidence, profiles, weights)}
        total += (sum(bool(read.row.asked[place]) for place in got), len(got), read.row.asked.sum())
    return total


if __name__ == "__main__":
    main()
