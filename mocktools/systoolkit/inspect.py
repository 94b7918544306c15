"""What the catalogue holds, in figures: how many tools, of what sort, and how many of them run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.systoolkit.catalog import catalog, device_image
from mocktrial.mocktools.systoolkit.examples import executable


class CatalogFigures(Frozen):
    tools: int
    executable: int  # succeed on a fresh world with example arguments
    failing: tuple[str, ...]  # the others, by name
    reads: int
    writes: int
    toggles: int  # plain ones: a switch, or the opening of a page
    toggles_share: float
    domains: int  # that have tools
    conditions: int
    ways_of_asking: int
    tools_by_domain: dict[str, int]


def inspect_catalog(advance: Callable[[int, str], None] = lambda done, note: None) -> CatalogFigures:
    """Count, and call every tool. advance: told how many tools were called."""
    known, image = catalog(), device_image()
    failing = []
    for number, (name, tool) in enumerate(known.tools.items(), 1):
        if executable(tool, image) is None:
            failing.append(name)
        advance(number, "")
    effects = Counter(tool.spec.effect for tool in known.tools.values())
    toggles = sum(tool.plain for tool in known.tools.values())
    by_domain = {name: len(domain.tools) for name, domain in known.domains.items() if domain.tools}
    return CatalogFigures(
        tools=len(known.tools), executable=len(known.tools) - len(failing), failing=tuple(failing),
        reads=effects["read"], writes=effects["write"],
        toggles=toggles, toggles_share=round(toggles / len(known.tools), 4),
        domains=len(by_domain), conditions=len(known.conditions),
        ways_of_asking=sum(len(tool.asks) for tool in known.tools.values()), tools_by_domain=by_domain,
    )  # fmt: skip
