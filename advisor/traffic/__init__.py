"""Arrivals and lengths: traces, generators, presets."""
