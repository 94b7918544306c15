"""Datasets out of units: made by workers, taken in order, written so that a kill loses nothing."""
