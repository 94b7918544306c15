"""`generate(seed, count) -> Dataset`: a small dataset of the shipped domains in memory.

The same units as `mocktrial synth` writes (`produce`), for the demo, benchmarks and tests. Raises `UsageError`
for an unknown domain or when the domains cannot give that many tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mocktrial.envs.dataset import Dataset
from mocktrial.synth.blueprint import Domains
from mocktrial.synth.production.produce import Job, collect


def generate(
    seed: int,
    count: int,
    domains: Sequence[str] | None = None,
    *,
    name: str = "tasks",
    worlds_per_domain: int = 6,
    max_calls: int | None = None,
    gap: bool = True,
    progress: Callable[[int], None] = lambda made: None,
) -> Dataset:
    """`count` proved tasks of at most `max_calls` gold calls each, even over domains and difficulties.

    worlds_per_domain: so many share the tasks; more are made where these repeat themselves.
    progress: is told the number made so far, for a bar.
    """
    source = Domains(domains)
    per_world = -(-count // (len(source.names) * worlds_per_domain))
    job = Job(source, seed, per_world, gap=gap, max_calls=max_calls)
    return collect(job, count, name=name, domains=source.names, progress=progress)
