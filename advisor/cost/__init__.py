"""Money per hour and per token: renting, owning, electricity."""
