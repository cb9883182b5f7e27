"""The dashboard: pages over the same results as the command."""
