"""The workload section: what it accepts, and how it refuses."""

from __future__ import annotations

import pytest

from advisor.catalogue.read import decode
from advisor.errors import InvalidFileError
from advisor.schema.workload import SECONDS_PER_MONTH, Workload

ONE_CLASS = '[[class]]\nname = "a"\npreset = "chat"\n'
FULL = """
requests_per_s = 5.0
arrivals = "poisson"
cv = 1.0
diurnal = "azure-2024-conv"
growth_per_year = 0.2
think_s = 0.0
duration_s = 3600
[[class]]
name = "faq"
task = "chinese-knowledge"
language = "zh"
share = 0.7
preset = "chat"
privacy = "on-premises"
slo = { ttft_s = 2.0, tpot_s = 0.08, e2e_s = 20.0, percentile = 95 }
[[class]]
name = "own"
share = 0.3
isl_tokens = 800
osl_tokens = 200
isl_cv = 0.5
shared_prefix_tokens = 512
turns = 1.6
gap_s = 60
priority = 1
deadline_s = 30.0
"""


def read(text: str) -> Workload:
    return decode(text, Workload, "s.toml")


def test_reads_a_full_section():
    workload = read(FULL)
    assert workload.mean_per_s == 5.0
    assert [one.name for one in workload.classes] == ["faq", "own"]
    assert workload.classes[0].slo is not None
    assert workload.classes[0].slo.tpot_s == 0.08


def test_requests_per_month():
    workload = read("requests_per_month = 13e6\n" + ONE_CLASS)
    assert workload.mean_per_s == pytest.approx(13e6 * 12 / (365.25 * 86400))
    assert workload.mean_per_s * SECONDS_PER_MONTH == pytest.approx(13e6)


@pytest.mark.parametrize(
    "text",
    [
        'trace = "f.jsonl"\n',
        'trace = "f.jsonl"\narrivals = "trace"\nrate_scale = 2.0\n' + ONE_CLASS,
        "clients = 64\nthink_s = 1.5\nrequests = 100\n" + ONE_CLASS,
        'arrivals = "all-at-once"\nrequests = 100\n' + ONE_CLASS,
        'requests_per_s = 1\narrivals = "ramp"\nramp_from = 0.5\n' + ONE_CLASS,
        'requests_per_s = 1\nclient_mix = "servegen-m-large"\n' + ONE_CLASS,
        f"requests_per_s = 1\ndiurnal = {[1.0] * 24}\ndiurnal_weekend = {[0] * 24}\n" + ONE_CLASS,
    ],
)
def test_accepts_every_kind_of_load(text):
    assert isinstance(read(text), Workload)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE_CLASS, "exactly one of .*; found none"),
        ("requests_per_s = 1\nclients = 3\n" + ONE_CLASS, "found requests_per_s and clients"),
        ('trace = "f"\narrivals = "all-at-once"\n', 'found trace and arrivals = "all-at-once"'),
        ("requests_per_s = 0\n" + ONE_CLASS, "line 1: requests_per_s"),
        ("requests_per_s = inf\n" + ONE_CLASS, "requests_per_s must be finite"),
        ("requests_per_s = nan\n" + ONE_CLASS, "requests_per_s"),
        ("requests_per_s = 1\n", "at least one"),
        ("requests_per_s = 1\nduration_s = 1\nrequests = 2\n" + ONE_CLASS, "exclude each other"),
        ("requests_per_s = 1\nthink_s = 1.0\n" + ONE_CLASS, "think_s needs clients"),
        ("requests_per_s = 1\nrate_scale = 2.0\n" + ONE_CLASS, "rate_scale needs trace"),
        ('requests_per_s = 1\narrivals = "trace"\n' + ONE_CLASS, "needs trace ="),
        ('trace = "f"\narrivals = "poisson"\n', "its times are used"),
        ('clients = 2\narrivals = "poisson"\n' + ONE_CLASS, "closed loop makes its own"),
        ("requests_per_s = 1\ncv = 2.0\n" + ONE_CLASS, 'cv needs arrivals = "gamma"'),
        ('requests_per_s = 1\narrivals = "gamma"\n' + ONE_CLASS, "needs cv"),
        ("requests_per_s = 1\nramp_from = 1.0\n" + ONE_CLASS, "ramp_from needs"),
        ('clients = 2\nclient_mix = "x"\n' + ONE_CLASS, "client_mix needs"),
        ("requests_per_s = 1\ndiurnal = [1, 2]\n" + ONE_CLASS, "diurnal has 2 numbers"),
        (f"requests_per_s = 1\ndiurnal = {[0] * 24}\n" + ONE_CLASS, "an hour above 0"),
        (f"requests_per_s = 1\ndiurnal_weekend = {[1] * 24}\n" + ONE_CLASS, "needs diurnal as"),
        ("clients = 1\ngrowth_per_year = 0.5\n" + ONE_CLASS, "need requests_per_s"),
        ('requests_per_s = 1\narrivals = "bursty"\n' + ONE_CLASS, "line 2: arrivals"),
        ("requests_per_s = 1\nbogus = 2\n" + ONE_CLASS, "line 2: bogus"),
        ("requests_per_s = 1\n" + ONE_CLASS + "share = 0.5\n", "add up to 0.5"),
        ("requests_per_s = 1\n" + ONE_CLASS + "isl_tokens = 3\n", "add osl_tokens"),
        (
            "requests_per_s = 1\n" + ONE_CLASS + "isl_tokens = 3\nosl_tokens = 3\n",
            "exclude each other",
        ),
        ("requests_per_s = 1\n" + ONE_CLASS + "osl_cv = 1.0\n", "isl_cv and osl_cv need"),
        ('requests_per_s = 1\n[[class]]\nname = "a"\n', "needs preset, or"),
        (
            'requests_per_s = 1\n[[class]]\nname = "a"\n'
            "isl_tokens = 9\nosl_tokens = 9\nturns = 2\n",
            "needs gap_s",
        ),
        ("requests_per_s = 1\n" + ONE_CLASS + "slo = { percentile = 95 }\n", "states no limit"),
        (
            "requests_per_s = 1\n" + ONE_CLASS + "slo = { ttft_s = 1, percentile = 100 }\n",
            "slo.percentile",
        ),
        ("requests_per_s = 1\n" + ONE_CLASS + 'privacy = "secret"\n', "privacy"),
        (
            'requests_per_s = 1\n[[class]]\nname = "a"\npreset = "chat"\nshare = 0.5\n'
            '[[class]]\nname = "a"\npreset = "chat"\nshare = 0.5\n',
            "used twice",
        ),
    ],
)
def test_refuses_and_names_the_field(text, message):
    with pytest.raises(InvalidFileError, match=message):
        read(text)
