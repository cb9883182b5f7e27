"""Quality of a model, a pair, a router or a cascade: scores, joint correctness, routing."""
