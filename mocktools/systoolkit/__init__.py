"""SysToolKit: the system tools of a phone with watch, car and home attached, as one stateful world.

The catalogue is data: `domains/*.toml`, a file a domain, in the notation of `notation` and `entries`;
`templates.toml` has forms that many tools share, `conditions.toml` what must hold before a tool works.
`catalog()` reads it, `device_world()` makes the world of all of it or of some domains.
"""

from __future__ import annotations

from mocktrial.mocktools.systoolkit.catalog import Catalog, CatalogTool, catalog, device_image, device_world

__all__ = ["Catalog", "CatalogTool", "catalog", "device_image", "device_world"]
