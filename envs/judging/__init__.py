"""Judges: language models that decide `judge` criteria, fenced in, and measured before they are believed."""
