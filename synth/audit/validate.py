"""`validate(folder) -> Audit`: is a dataset still what its card says? From disk, a world at a time, in parallel.

Worlds keep their contract, tasks prove themselves with the counts that stand beside them, nothing hidden can
be read, nothing repeats, no wish stands in both splits, no sentence is said all the time. Findings
are sentences that name world or task; none is a clean dataset. Raises `SpecError` for a file that cannot be
read at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import get_args

from mocktrial.envs.figures import figures
from mocktrial.envs.proof import Proof
from mocktrial.envs.streaming import Folder
from mocktrial.envs.task import Task
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.synth.audit.audit import Audit, shapes_of
from mocktrial.synth.audit.dedup import Duplicates, Kind, Sample, sample_of
from mocktrial.synth.audit.leaks import leaks, static_texts
from mocktrial.synth.audit.meaning import Meanings, block_of, installed
from mocktrial.synth.audit.sentences import FEWEST, MOST, Sentences, patterns_of
from mocktrial.synth.production.workers import map_in_order
from mocktrial.synth.proof.prove import prove

_CHECK_ROUNDS = 20  # calls of each tool on generated arguments


@dataclass(frozen=True)
class Entry:
    """What must be compared over the whole dataset."""

    sample: Sample
    block: str  # of `meaning`
    patterns: tuple[str, ...]  # of `sentences`
    wish: str
    split: str


@dataclass
class WorldAudit:
    """What one worker found of one world."""

    counts: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class _Auditor:
    """Picklable: audits world `number` of a folder."""

    folder: Folder

    def __call__(self, number: int) -> WorldAudit:
        tasks = self.folder.worlds[number]
        pairs = self.folder.read(tasks)
        found = WorldAudit()
        try:
            spec = self.folder.spec(tasks.world)
            image = compile_world(spec)
        except SpecError as error:
            found.findings.append(f"world {tasks.world}: {error}")
            found.counts["tasks"] = len(pairs)
            return found
        found.counts["worlds"] = 1
        found.shapes = shapes_of(spec)
        found.findings += [
            f"world {spec.name}: {problem.rule}: {problem.tool} {problem.detail}"
            for problem in check_world(spec, rounds=_CHECK_ROUNDS).problems
        ]
        texts, structure = static_texts(spec), found.shapes["world"][0]
        for (task, stored), patterns in zip(pairs, patterns_of(task for task, _ in pairs), strict=True):
            if task.world_hash != image.hash:
                found.findings.append(f"task {task.id}: was made for another version of world {task.world}")
            found.findings += [f"task {task.id}: {line}" for line in _audit(task, stored, image, found.counts)]
            told = leaks(task, texts)
            found.counts["leaks"] += len(told)
            found.findings += [f"task {task.id}: {line}" for line in told]
            block = block_of(task, spec, structure)
            found.entries.append(Entry(sample_of(task), block, patterns, task.goal, task.split))
        return found


def _audit(task: Task, stored: Proof | None, image: WorldImage, counts: Counter[str]) -> list[str]:
    """Prove the task again; the proof beside it must say the same."""
    proof = prove(task, image)
    counts.update(figures(task, proof))
    findings = list(proof.failures)
    if stored is None:
        findings.append("has no proof in proof.jsonl")
    elif stored.task_hash != task.content_hash():
        findings.append("is not the task that proof.jsonl proves")
    elif (stored.counts, stored.mutants) != (proof.counts, proof.mutants):
        findings.append("its proof counts otherwise than proof.jsonl")
    return findings


def validate(folder: Folder, *, workers: int = 1, progress: Callable[[int], None] = lambda done: None) -> Audit:
    """Check every world, prove every task again, look for leaks, duplicates and wishes in both splits."""
    audit = Audit()
    whole = _Whole(audit)
    done = 0
    with closing(map_in_order(_Auditor(folder), len(folder.worlds), workers)) as worlds:
        for tasks, found in zip(folder.worlds, worlds, strict=True):
            audit.add(found.counts, found.shapes)
            audit.findings += found.findings
            for entry in found.entries:
                whole.add(tasks.world, entry)
            done += len(tasks.tasks)
            progress(done)
    whole.end()
    if folder.unowned:
        audit.findings.append(f"proof.jsonl proves {folder.unowned} task(s) that are not in tasks.jsonl")
    return audit


class _Whole:
    """What only shows when all worlds are seen."""

    def __init__(self, audit: Audit) -> None:
        self.audit = audit
        self.duplicates = Duplicates()
        self.meanings = Meanings()
        self.sentences = Sentences()
        self.homes: dict[tuple[str, str], str] = {}
        self.splits: dict[str, str] = {}

    def add(self, world: str, entry: Entry) -> None:
        name = entry.sample.id
        repeats = self.duplicates.take(entry.sample)
        self.splits[name] = entry.split
        self.sentences.add(entry.patterns)
        if repeats:
            self._repeats(name, *repeats)
        else:
            self.meanings.add(entry.block, name, entry.sample.text)
        if self.homes.setdefault((world, entry.wish), entry.split) != entry.split:
            self.audit.findings.append(f"task {name}: its wish stands in both splits")

    def end(self) -> None:
        """What is looked for last: by meaning, among what nothing else found; and the commonest sentence."""
        methods = [*get_args(Kind)]
        if installed():
            for pair in self.meanings.pairs():
                self._repeats(pair.later, f"embedding ({pair.likeness:.2f})", pair.earlier)
            methods.append("embedding of a part" if self.meanings.full else "embedding")
        pattern, share = next(iter(self.sentences.commonest()), ("", 0.0))
        if share > MOST and self.sentences.tasks >= FEWEST:
            self.audit.findings.append(f"{share:.1%} of the tasks say {pattern!r}: more than {MOST:.0%}")
        self.audit.more = {"near_duplicates_by": methods, "commonest_sentence": {"pattern": pattern, "share": share}}

    def _repeats(self, name: str, kind: str, twin: str) -> None:
        self.audit.counts["near_duplicates"] += 1
        across = " across splits" if self.splits[twin] != self.splits[name] else ""
        self.audit.findings.append(f"task {name}: {kind} duplicate of {twin}{across}")
