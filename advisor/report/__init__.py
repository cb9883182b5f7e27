"""Rendering: results become text, JSON and CSV; units become human here."""
