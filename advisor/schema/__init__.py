"""Frozen records with units in their names; they import nothing else of the package."""
