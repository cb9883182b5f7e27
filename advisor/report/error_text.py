"""Error messages in the reader's language.

Messages are raised in English, where what went wrong is known. The ones a viewer of the dashboard
meets most are recognised here and said in the locale's words; others stay as they are.
"""

from __future__ import annotations

import re

from advisor.errors import AdvisorError
from advisor.report.locale import say
from advisor.schema.text import Text

_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (
            r"(?P<metric>TTFT|TPOT) is (?P<reach>[\d.]+) ms at best, limit (?P<limit>[\d.]+) ms",
            "told_limit",
        ),
        (
            r"(?P<model>.+) in (?P<format>\S+) doesn't fit on (?P<where>.+): each device needs "
            r"(?P<need>[\d.]+) GiB for weights and workspace plus (?P<one>[\d.]+) GiB for one "
            r"request of (?P<context>[\d,]+) tokens, and (?P<engine>.+) may use "
            r"(?P<usable>[\d.]+) GiB",
            "told_no_fit",
        ),
        (
            r"(?P<wanted>[\d,]+) tokens \(.*\) exceed the (?P<limit>[\d,]+)-token context of "
            r"(?P<model>.+)",
            "told_context",
        ),
        (
            r"tp (?P<tp>\d+) doesn't divide the \d+ heads of (?P<model>.+); "
            r"valid: \[(?P<valid>.+)\]",
            "told_tp",
        ),
        (
            r"--count (?P<count>\d+) isn't a multiple of the (?P<each>\d+) devices of one "
            r"replica.*",
            "told_count",
        ),
        (r"(?P<engine>.+) doesn't run on (?P<device>.+) \((?P<kind>.+)\)", "told_engine"),
        (r"(?P<engine>.+) doesn't run (?P<format>\S+); it runs (?P<valid>.+)", "told_format"),
        (
            r"(?P<device>.+) has no (?P<units>\S+) units for (?P<format>\S+); "
            r"it runs (?P<valid>.+)",
            "told_units",
        ),
        (r"give --concurrency or --rps, not both", "told_both"),
        (r"(?P<name>.+): not TOML.*", "told_not_toml"),
        (r"(?P<name>.+) is larger than (?P<mb>\d+) MB", "told_large"),
    )
)


def error_text(error: AdvisorError, lang: str) -> str:
    """Return what went wrong, in the reader's language where the message is known."""
    if lang == "en":
        return error.message
    told = []
    for part in error.message.split("; "):
        for pattern, key in _KNOWN:
            found = pattern.search(part) or pattern.fullmatch(error.message)
            if found:
                told.append(say(Text(key, tuple(found.groupdict().items())), lang))
                break
    joint = say("list_joint", lang)
    return joint.join(dict.fromkeys(told)) if told else error.message
