"""What an option of an answer is made of: a model somewhere, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.schema.fact import Evidence


@dataclass(frozen=True)
class Part:
    """One model somewhere: what an option is made of.

    ``hw_id`` and what follows are empty for an API; ``provider`` is empty for hardware.
    """

    model_id: str
    model_name: str
    hw_id: str = ""
    hw_name: str = ""
    engine_id: str = ""
    engine_name: str = ""
    precision: str = ""
    layout: str = ""
    devices_per_replica: int = 0
    provider: str = ""


@dataclass(frozen=True)
class PartTokens:
    """Mean tokens of a request of a class in one model's own vocabulary.

    Parameters
    ----------
    osl_tokens
        Of the visible answer.
    reasoning_tokens
        Reasoned unseen before it.
    vocabulary, answer
        How the tokens of a text, and the length of the answers, are known; ``exact``: stated.
    """

    model_name: str
    class_name: str
    isl_tokens: float
    osl_tokens: float
    reasoning_tokens: float
    vocabulary: Evidence
    answer: Evidence
