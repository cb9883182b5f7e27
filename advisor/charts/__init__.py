"""Results as figures: pure functions, each with an alternative text and a table."""
