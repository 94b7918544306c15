"""How a persona speaks: a planned instruction in, the same request in that person's words out.

`speech` shapes, `masks` keeps values whole, `keyboard` types; the words stand in the TOML files beside them.
"""
