"""Which mix of options serves a workload at least cost within its limits."""
