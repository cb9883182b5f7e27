"""Wrong input: the right exit code, one line that names what is right, never a traceback."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from advisor.catalogue.devices import get_device
from advisor.catalogue.models import get_model
from advisor.catalogue.paths import data_dir
from advisor.cli.main import main

BASE = ("estimate", "--model", "4B", "--hw", "h20")
USAGE, INFEASIBLE, DATA, STALE = 2, 3, 4, 5
PROFILE = (data_dir("hwprofiles") / "h20-96.toml").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process, through the error mapping of ``main``."""

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["advisor", *arguments])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, captured.out, captured.err)

    return call


def check_refused(outcome: Outcome, code: int, says: str) -> None:
    """Assert an exit code and one line on stderr; changes to try may follow on a second."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    first, *rest = outcome.err.splitlines()
    assert first.startswith("error: ")
    assert re.search(says, first), first
    assert len(rest) <= 1
    assert all(line.startswith("try: --") for line in rest)
    assert "Traceback" not in outcome.err


REFUSED = [
    # usage
    (("--concurrency", "4", "--rps", "1"), USAGE, "--concurrency or --rps"),
    (("--csv", "--explain"), USAGE, "one of --json, --csv and --explain"),
    (("--tp", "3"), USAGE, r"32 heads of Qwen3 4B; valid: \[1, 2, 4"),
    (("--ep", "2", "--tp", "2"), USAGE, "mixture-of-experts.*--count"),
    (("--pp", "37"), USAGE, "36 layers"),
    (("--tp", "2", "--ep", "3"), USAGE, "ep 3 doesn't divide"),
    (("--tp", "2", "--count", "3"), USAGE, "--count 3 isn't a multiple of the 2"),
    (("--memory-share", "1.5"), USAGE, r"\(0, 1\]"),
    (("--max-price-age", "-1"), USAGE, "0 days or more"),
    # infeasible
    (("--isl", "200000"), INFEASIBLE, "131,072-token context"),
    (("--memory-share", "0.01"), INFEASIBLE, "needs .* GiB .* may use 1.0 GiB"),
    (("--slo-ttft-ms", "1"), INFEASIBLE, "TTFT is .* at best, limit 1 ms"),
    (("--slo-tpot-ms", "0.1"), INFEASIBLE, "TPOT is .* at best, limit 0.1 ms"),
    (("--precision", "q4_k_m"), INFEASIBLE, "doesn't run q4_k_m; it runs fp8, bf16"),
    (("--precision", "mxfp4"), INFEASIBLE, "expert weights"),
    (("--precision", "nvfp4"), INFEASIBLE, "no fp4 units .* it runs fp8, bf16"),
    (("--model", "deepseek-v3", "--tp", "1"), INFEASIBLE, "doesn't fit on 1 x"),
    (("--hw", "iphone-15-pro", "--engine", "vllm"), INFEASIBLE, "doesn't run on"),
    # data
    (("--model", "qwen3-4"), DATA, "Did you mean qwen3-4b"),
    (("--model", "lama-3.1-8b"), DATA, "Did you mean llama-3.1-8b"),
    (("--model", "7.5B"), DATA, "size '7.5B'; nearest: 7B, 8B"),
    (("--model", "gpt-4o"), DATA, "served by OpenAI only"),
    (("--model", ""), DATA, "advisor catalogue models"),
    (("--hw", "h21"), DATA, "Did you mean .*h20"),
    (("--hw", "A1000000"), DATA, "Did you mean .*a100"),
    (("--hw", ""), DATA, "advisor catalogue hardware"),
    (("--hw", "  "), DATA, "advisor catalogue hardware"),
    (("--engine", "vlm"), DATA, "Did you mean vllm"),
    (("--engine", "nonesuch"), DATA, "vllm"),
    (("--engine", ""), DATA, "vllm"),
    (("--precision", "fp9"), DATA, "known: bf16.*fp8"),
    (("--precision", ""), DATA, "known: bf16.*fp8"),
    (("--kv-precision", "fp9"), DATA, "known: bf16.*fp8"),
    (("--kv-precision", ""), DATA, "known: bf16.*fp8"),
    (("--site", "chinna"), DATA, "china"),
    (("--site", "nonesuch"), DATA, "site"),
    (("--hw", "missing-file.toml"), DATA, "missing-file.toml: .*No such file"),
    (("--model", "missing-file.json"), DATA, "missing-file.json: no such file"),
    (("--model", "missing-file.gguf"), DATA, "missing-file.gguf: no such file"),
    # stale
    (("--hw", "a100", "--max-price-age", "0"), STALE, "days old .* --max-price-age 0; give"),
]


@pytest.mark.parametrize(("options", "code", "says"), REFUSED, ids=lambda v: str(v)[:40])
def test_refused_requests(run, options, code, says):
    check_refused(run(*BASE, *options), code, says)


@pytest.mark.parametrize(("options", "code", "says"), REFUSED[::3], ids=lambda v: str(v)[:40])
def test_refusals_as_json_go_to_stdout(run, options, code, says):
    if "--json" in options:
        pytest.skip("asks for two forms")
    outcome = run(*BASE, *options, "--json")
    assert outcome.code == code
    assert outcome.err == ""
    error = json.loads(outcome.out)["error"]
    assert set(error) == {"code", "message", "limit", "suggestions"}
    assert re.search(says, error["message"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("estimate",), "Missing option '--model'"),
        (("estimate", "--model", "4B"), "Missing option '--hw'"),
        (("nonesuch",), "No such command 'nonesuch'"),
        (("estimate", "--modle", "4B"), "--model"),
        ((*BASE, "--lang", "de"), "'en', 'zh'"),
        ((*BASE, "extra"), "extra"),
        (("catalogue", "nonesuch"), "No such command"),
    ],
)
def test_usage_errors_name_what_is_wrong(run, arguments, says):
    outcome = run(*arguments)
    assert outcome.code == USAGE
    assert says in outcome.err
    assert "Traceback" not in outcome.err


WHOLE = ("count", "tp", "pp", "dp", "ep", "isl", "osl", "concurrency")
REAL = ("rps", "slo-ttft-ms", "slo-tpot-ms", "usd-per-hour", "memory-share")
HUGE = "1" + "0" * 30


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1", "1.5", "x", "", HUGE])
def test_whole_numbers_out_of_range(run, name, value):
    outcome = run(*BASE, f"--{name}={value}")
    assert outcome.code == USAGE
    assert name in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-0.0", "-1", "1e400", "x", ""])
def test_real_numbers_out_of_range(run, name, value):
    outcome = run(*BASE, f"--{name}={value}")
    assert outcome.code == USAGE
    assert name.removesuffix("-ms") in outcome.err.replace("memory share", "memory-share")
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("name", [*WHOLE, *REAL, "max-price-age"])
@pytest.mark.parametrize("value", ["1e300", "1e-300", "1000000", "99999999", "5e-324", "1"])
@pytest.mark.parametrize("form", ["--lang=zh", "--json"])
def test_extreme_numbers_never_crash(run, name, value, form):
    """Any outcome but a bug (1); what is answered is valid JSON or at most 24 lines."""
    outcome = run(*BASE, f"--{name}={value}", form)
    assert outcome.code in (0, USAGE, INFEASIBLE, DATA, STALE)
    if outcome.code == 0 and form == "--json":
        json.loads(outcome.out)
    if outcome.code == 0 and form != "--json":
        assert len(outcome.out.splitlines()) <= 24


SUGGESTING = [
    ("--isl", "200000"),
    ("--isl", "130000", "--osl", "5000"),
    ("--osl", "200000"),
    ("--osl", "131072"),
    ("--slo-ttft-ms", "1"),
    ("--slo-ttft-ms", "30"),
    ("--slo-tpot-ms", "0.1"),
    ("--slo-tpot-ms", "2"),
    ("--slo-ttft-ms", "1", "--slo-tpot-ms", "0.1"),
    ("--model", "8B", "--hw", "a100", "--slo-ttft-ms", "3", "--slo-tpot-ms", "1.2"),
    ("--model", "32B", "--hw", "l4", "--slo-tpot-ms", "5"),
    ("--model", "deepseek-v3", "--tp", "1"),
    ("--model", "deepseek-v3", "--count", "4"),
    ("--model", "deepseek-v3", "--count", "2", "--tp", "2"),
    ("--model", "deepseek-v3", "--dp", "2", "--ep", "2", "--tp", "1"),
    ("--model", "deepseek-v3", "--dp", "2"),
    ("--model", "70B", "--hw", "t4", "--tp", "1"),
    ("--model", "70B", "--hw", "a100", "--pp", "1"),
    ("--model", "32B", "--hw", "l4", "--tp", "1"),
]


@pytest.mark.parametrize("options", SUGGESTING, ids=" ".join)
def test_every_suggested_change_works(run, options):
    outcome = run(*BASE, *options, "--json")
    assert outcome.code == INFEASIBLE
    error = json.loads(outcome.out)["error"]
    assert error["limit"] in ("context", "memory", "slo", "format")
    changes = [s for s in error["suggestions"] if s.startswith("--")]
    for change in changes:
        applied = run(*BASE, *options, *shlex.split(change))
        assert applied.code == 0, (change, applied.err)


def test_suggestions_are_printed_for_people(run):
    outcome = run(*BASE, "--model", "deepseek-v3", "--tp", "1")
    line = outcome.err.splitlines()[1]
    assert line.startswith("try: --count 8 --tp 8")


def profile(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def changed(old: str, new: str) -> str:
    assert PROFILE.count(old) >= 1, old
    return PROFILE.replace(old, new, 1)


BANDWIDTH = "bytes_per_s = { value = 4e12"
BROKEN_PROFILES = {
    "not-toml": (changed("schema = 1", "schema = = 1"), "not valid TOML: .*line 1"),
    "unknown-key": (changed("vendor = ", "vender = "), "line 6: vender"),
    "negative": (changed(BANDWIDTH, "bytes_per_s = { value = -4e12"), "memory.bytes_per_s.value"),
    "zero": (changed(BANDWIDTH, "bytes_per_s = { value = 0"), "memory.bytes_per_s.value"),
    "nan": (changed(BANDWIDTH, "bytes_per_s = { value = nan"), "memory.bytes_per_s"),
    "infinite": (changed(BANDWIDTH, "bytes_per_s = { value = inf"), "memory.bytes_per_s"),
    "text": (changed(BANDWIDTH, 'bytes_per_s = { value = "4e12"'), "Expected `float`, got `str`"),
    "missing": (changed('vendor = "NVIDIA"\n', ""), "missing required field `vendor`"),
    "no-source": (changed('4e12, source = "epoch"', "4e12"), "missing required field `source`"),
    "other-source": (changed('4e12, source = "epoch"', '4e12, source = "x"'), "one of: epoch"),
    "sparse": (changed("fp8_flops_per_s = { value = 296e12", "fp8_flops_per_s = { value = 592e12"),
               "sparse figure"),
    "wrong-class": (changed('class = "gpu"', 'class = "toaster"'), "device_class.*toaster"),
    "architecture": (changed('"hopper"', '"nonesuch"'), "no efficiency constants .*nonesuch"),
    "bad-range": (changed("low = 400", "low = 450"), "low <= value <= high"),
    "future-schema": (changed("schema = 1", "schema = 2"), "schema"),
    "empty": ("", "missing required field `schema`"),
    "not-utf8": (PROFILE.encode() + b"\nnotes = '\xff'\n", "not UTF-8 at byte"),
    "utf16": (PROFILE.encode("utf-16"), "not UTF-8 at byte 0"),
    "nul": ("\0", "not valid TOML"),
    "huge": ("#" * 4_000_001, "larger than 4,000,000 bytes"),
    "deep": ("a = " + "[" * 100_000, "TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_PROFILES)
def test_broken_profiles(run, tmp_path, case):
    content, says = BROKEN_PROFILES[case]
    path = profile(tmp_path, content)
    outcome = run(*BASE, "--hw", path)
    check_refused(outcome, DATA, says)
    assert case == "architecture" or "mine.toml" in outcome.err


def test_a_folder_is_no_profile(run, tmp_path):
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    check_refused(run(*BASE, "--hw", str(folder)), DATA, "folder.toml: can't be read")


def test_a_copied_profile_gives_the_catalogue_answer(run, tmp_path):
    assert run(*BASE, "--hw", profile(tmp_path, PROFILE)).out == run(*BASE).out


def test_a_changed_profile_is_read_again(run, tmp_path):
    before = run(*BASE, "--hw", profile(tmp_path, PROFILE)).out
    after = run(*BASE, "--hw", profile(tmp_path, PROFILE.replace("value = 4e12", "value = 2e12")))
    assert after.code == 0
    assert after.out != before


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b'"x"', b"{}", b'{"model_type": "nonesuch"}', b"\xff\xfe",
     b'{"model_type": "llama"}', b'{"model_type": "llama", "hidden_size": "4096"}',
     b'{"model_type": "llama", "hidden_size": -1}', b'{"model_type": 7}', b"[" * 100_000,
     b'{"a":' * 100_000],
    ids=lambda c: c[:30].decode("latin-1"),
)  # fmt: skip
def test_broken_configs(run, tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    for name in (str(path), str(tmp_path)):
        check_refused(run("estimate", "--model", name, "--hw", "h20"), DATA, "config.json")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 100, b"nonsense"])
def test_broken_gguf_files(run, tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    check_refused(run("estimate", "--model", str(path), "--hw", "h20"), DATA, "model.gguf")


@pytest.mark.parametrize(
    ("name", "device"),
    [("H20", "h20-96"), ("h20_96gb", "h20-96"), ("H20 96GB", "h20-96"), (" h20 ", "h20-96"),
     ("RTX_4090", "rtx-4090"), ("rtx 4090", "rtx-4090"), ("H100_SXM", "h100-sxm"),
     ("iPhone 15 Pro", "apple-a17-pro")],
)  # fmt: skip
def test_device_names_are_forgiving_in_form(name, device):
    assert get_device(name).id == device


@pytest.mark.parametrize(
    ("name", "model"),
    [("4b", "qwen3-4b"), ("4B ", "qwen3-4b"), ("QWEN3_4B", "qwen3-4b"), ("Qwen3 4B", "qwen3-4b"),
     ("Qwen/Qwen3-4B", "qwen3-4b"), ("Llama 3.1 8B", "llama-3.1-8b"),
     ("DeepSeek_V3", "deepseek-v3")],
)  # fmt: skip
def test_model_names_are_forgiving_in_form(name, model):
    assert get_model(name).id == model


@pytest.mark.parametrize("name", ["q8_0", "Q8-0", "FP8", "q4_0"])
def test_cache_formats_are_forgiving_in_form(run, name):
    assert run(*BASE, "--kv-precision", name).code == 0


@pytest.mark.parametrize(
    ("models", "hw", "code", "says"),
    [("", "h20", USAGE, "--models needs"), (",,", "h20", USAGE, "--models needs"),
     ("4B", " ", USAGE, "--hw needs"), ("4B,qwen3-4", "h20", DATA, "qwen3-4b"),
     ("4B", "h20,h21", DATA, "h20")],
)  # fmt: skip
def test_compare_refuses_names_it_does_not_know(run, models, hw, code, says):
    check_refused(run("compare", "--models", models, "--hw", hw), code, says)


def test_compare_shows_why_a_cell_is_empty(run):
    outcome = run("compare", "--models", "4B,405B,gpt-4o", "--hw", "h20,t4", "--csv")
    assert outcome.code == 0
    rows = outcome.out.splitlines()
    assert len(rows) == 1 + 3 * 2
    assert sum("served by OpenAI only" in row for row in rows) == 2
    assert any("4B,h20,1," in row for row in rows)


@pytest.mark.parametrize("kind", ["models", "hardware", "prices", "quality", "engines", "formats"])
def test_catalogue_refuses_unknown_entries(run, kind):
    check_refused(run("catalogue", kind, "nonesuch-zzz"), DATA, "nonesuch-zzz")


def process(*arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own whose output must be encodable UTF-8."""
    code = "from advisor.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, *flags, "-c", code, *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )


def test_a_real_process_answers_the_same_with_assertions_off(run):
    plain = run(*BASE)
    optimised = process(*BASE, flags=("-O",))
    assert (optimised.returncode, optimised.stderr) == (0, "")
    assert optimised.stdout == plain.out


def test_a_real_process_refuses_the_same_with_assertions_off(run):
    options = (*BASE, "--slo-ttft-ms", "1")
    plain = run(*options)
    optimised = process(*options, flags=("-O",))
    assert (optimised.returncode, optimised.stderr) == (INFEASIBLE, plain.err)


def test_a_real_process_survives_undecodable_names():
    outcome = process("estimate", "--model", "4B", "--hw", "\udcff.toml", "--json")
    assert outcome.returncode == DATA
    assert "Traceback" not in outcome.stderr
    assert json.loads(outcome.stdout)["error"]["code"] == "invalid-file"
