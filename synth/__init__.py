"""Synthesis: worlds from domains kept as data, underspecified tasks with rubrics, and the proof of each.

Start at `generate`. `sources` opens whatever tasks a person names; `autoslurp` makes tasks of its rows.
"""
