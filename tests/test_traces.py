"""Trace formats: each read from a few lines of its own kind."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.errors import InvalidFileError, UnknownNameError
from advisor.traffic.trace import Trace, TraceOptions
from advisor.traffic.traces import FORMATS, read_trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951690,396,109\r\n"
    "2023-11-16 18:16:00.0000000,1,1"
)
# ruff: noqa: E501 -- lines of the files as they are
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-12 00:00:00.001163+00:00,2162,5
2024-05-12 00:00:01+00:00,2399,6
2024-05-12 02:00:02.5+02:00,76,15
2024-05-11T23:00:03-01:00,3,4
"""
LMM = """TIMESTAMP,NumImages,ContextTokens,GeneratedTokens
2024-10-15T12:00:00.269Z,1,1000,10
2024-10-15T12:00:02.269Z,0,500,20
"""
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,1087,0,1087,API log
118,GPT-4,417,276,693,API log
"""
BURST_3 = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
0,a,2.5,GPT-4,10,20,30,Conversation log
9,a,1,GPT-4,40,5,45,Conversation log
11,,1,GPT-4,7,6,13,API log
"""
SPLITWISE = """request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size
0,2,0,1,1,4096,32
1,2,0,3,1,2048,8
"""
CHINESE = "请求时间,输入token数,输出token数\n2026/11/2 8:05:00,120,30\n2026/11/2 8:05:03,80,10\n"


def lines(*entries: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in entries)


MOONCAKE = lines(
    {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]},
    {"timestamp": 1500, "input_length": 600, "output_length": 6, "hash_ids": [0, 3]},
)
BAILIAN = lines(
    *(
        {"chat_id": c, "parent_chat_id": p, "timestamp": t, "input_length": 32, "output_length": 4}
        | {"type": "text", "turn": 1, "hash_ids": [c, 9]}
        for c, p, t in ((7, -1, 0.0), (8, -1, 1.0), (9, 7, 20.5), (10, 9, 40.5), (11, 999, 41.0))
    )
)
RAGPULSE = lines(
    {"timestamp": "27", "input_length": 3861, "output_length": 127, "session_id": "u"}
    | {"hash_ids": {"sys_prompt": [1]}},
    {"timestamp": "30", "input_length": 38, "output_length": 12, "session_id": "u"}
    | {"hash_ids": {"sys_prompt": [1]}},
)
NS = 1_777_142_838_338_653_123


def aiperf(start: int, phase: str = "profiling", **more: object) -> dict[str, object]:
    return {
        "metadata": {"request_start_ns": NS + start, "benchmark_phase": phase}
        | {"x_request_id": str(start), "conversation_id": "c1", "worker_id": "w"},
        "metrics": {
            "input_sequence_length": {"value": 50, "unit": "tokens"},
            "output_sequence_length": {"value": 11, "unit": "tokens"},
            "time_to_first_token": {"value": 100.0, "unit": "ms"},
            "request_latency": {"value": 1100.0, "unit": "ms"},
            "inter_chunk_latency": {"value": [1.0, 2.0], "unit": "ms"},
        },
        "error": None,
    } | more


AIPERF = lines(
    aiperf(0),
    aiperf(250_000_001),
    aiperf(1, "warmup"),
    aiperf(2, error={"code": 500}),
)
VLLM = json.dumps(
    {
        "date": "20261101-000000",
        "input_lens": [5, 6, 7],
        "output_lens": [3, 2, 0],
        "start_times": [100.5, 101.5, 102.0],
        "ttfts": [0.5, 0.25, 0.0],
        "itls": [[0.1, 0.2], [0.3], []],
        "generated_texts": ["a", "b", ""],
        "errors": ["", "", "timeout"],
    },
    indent=1,
)
ENGINE = lines(
    {"request_id": "a", "input_toks": 9, "output_toks": 11, "arrival_time": 1e9, "queued_ts": 50.0}
    | {"scheduled_ts": 50.1, "first_token_ts": 51.0, "last_token_ts": 53.0},
    {"request_id": "b", "input_toks": 8, "output_toks": 1, "queued_ts": 52.0}
    | {"first_token_ts": 52.5, "last_token_ts": 52.5},
)
LITELLM = [
    {"id": "a", "startTime": 1.7e9, "endTime": 1.7e9 + 4, "completionStartTime": 1.7e9 + 1}
    | {"prompt_tokens": 10, "completion_tokens": 4, "status": "success", "session_id": "s"},
    {"id": "b", "startTime": 1.7e9 + 2, "endTime": 1.7e9 + 3, "completionStartTime": 1.7e9 + 3}
    | {"prompt_tokens": 10, "completion_tokens": 4, "status": "success"},
    {"id": "c", "startTime": 1.7e9 + 3, "prompt_tokens": 10, "completion_tokens": 0}
    | {"status": "failure"},
    {"id": "d", "startTime": 1.7e9 + 3, "prompt_tokens": 10, "completion_tokens": 9}
    | {"cache_hit": True},
]
LITELLM_CSV = """request_id,call_type,startTime,endTime,completionStartTime,prompt_tokens,completion_tokens,metadata,status
r1,acompletion,2026-11-01 10:00:00.5+00:00,2026-11-01 10:00:02.5+00:00,2026-11-01 10:00:01+00:00,9,7,"{""a"": ""x, y
z""}",success
r2,acompletion,2026-11-01 10:00:03+00:00,2026-11-01 10:00:04+00:00,2026-11-01 10:00:04+00:00,5,4,{},success
r3,acompletion,2026-11-01 10:00:03+00:00,,,5,0,{},failure
"""


def span(start: int, end: int, **attributes: object) -> dict[str, object]:
    kinds = {int: "intValue", float: "doubleValue", str: "stringValue"}
    return {
        "spanId": f"s{start}",
        "startTimeUnixNano": str(NS + start),
        "endTimeUnixNano": str(NS + end),
        "attributes": [
            {
                "key": k.replace("__", "."),
                "value": {kinds[type(v)]: str(v) if isinstance(v, int) else v},
            }
            for k, v in attributes.items()
        ],
    }


OTEL = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        span(0, 2_000_000_000, gen_ai__usage__input_tokens=12)
                        | {
                            "attributes": [
                                *span(0, 1, gen_ai__usage__input_tokens=12)["attributes"],  # type: ignore[misc]
                                *span(0, 1, gen_ai__usage__output_tokens=5)["attributes"],  # type: ignore[misc]
                                *span(
                                    0,
                                    1,
                                    gen_ai__operation__name="chat",
                                    gen_ai__response__time_to_first_chunk=0.25,
                                )["attributes"],  # type: ignore[misc]
                            ]
                        },
                        span(
                            500_000_000,
                            700_000_000,
                            gen_ai__usage__prompt_tokens=3,
                            gen_ai__usage__completion_tokens=4,
                            gen_ai__latency__e2e=0.15,
                        ),
                        span(1, 2, gen_ai__operation__name="invoke_agent"),
                        span(1, 2, http__method="GET"),
                    ]
                }
            ]
        }
    ]
}


def write(folder: Path, text: str, name: str = "trace") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def read(folder: Path, text: str, format: str | None = None, **options: object) -> Trace:
    return read_trace(write(folder, text), format, options=TraceOptions(**options))  # type: ignore[arg-type]


CASES = {
    "azure": (AZURE, [0, 4.314579, 13.31941], [374, 396, 1], [44, 109, 1]),
    "azure-2024": (
        AZURE_2024,
        [0, 0.998837, 2.498837, 2.998837],
        [2162, 2399, 76, 3],
        [5, 6, 15, 4],
    ),
    "azure-lmm-2025": (LMM, [0, 2], [1000, 500], [10, 20]),
    "burstgpt": (BURST, [0, 113], [472, 417], [18, 276]),
    "burstgpt-3": (BURST_3, [0, 9, 11], [10, 40, 7], [20, 5, 6]),
    "splitwise": (SPLITWISE, [0, 2], [4096, 2048], [32, 8]),
    "vidur": ("arrived_at,num_prefill_tokens,num_decode_tokens\n1.5,2,3\n", [0], [2], [3]),
    "csv": (CHINESE, [0, 3], [120, 80], [30, 10]),
    "mooncake": (MOONCAKE, [0, 1.5], [1100, 600], [5, 6]),
    "bailian": (BAILIAN, [0, 1, 20.5, 40.5, 41], [32] * 5, [4] * 5),
    "ragpulse": (RAGPULSE, [0, 3], [3861, 38], [127, 12]),
    "aiperf": (AIPERF, [0, 0.250000001], [50, 50], [11, 11]),
    "vllm-bench": (VLLM, [0, 1], [5, 6], [3, 2]),
    "vllm-log": (ENGINE, [0, 2], [9, 8], [11, 1]),
    "litellm": (json.dumps(LITELLM), [0, 2], [10, 10], [4, 4]),
    "litellm-csv": (LITELLM_CSV, [0, 2.5], [9, 5], [7, 4]),
    "otel": (json.dumps(OTEL), [0, 0.5], [12, 3], [5, 4]),
    "jsonl": (
        lines({"ts_ms": 5, "isl": 2, "osl": 3}, {"ts_ms": 10, "isl": 4, "osl": 5}),
        [0, 0.005],
        [2, 4],
        [3, 5],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reads(name, tmp_path):
    text, times, inputs, outputs = CASES[name]
    trace = read(tmp_path, text)
    assert trace.format == ("azure" if name == "azure-2024" else name)
    assert trace.format in FORMATS
    assert trace.requests.arrival_s == pytest.approx(np.array(times), abs=1e-9)
    assert trace.requests.input_tokens.tolist() == inputs
    assert trace.requests.output_tokens.tolist() == outputs
    assert read(tmp_path, text, trace.format).requests.input_tokens.tolist() == inputs


def test_every_format_is_tried():
    assert set(FORMATS) - {"servegen"} == set(CASES) - {"azure-2024"}


def test_measured_times(tmp_path):
    aiperf_ = read(tmp_path, AIPERF)
    assert aiperf_.ttft_s == pytest.approx([0.1, 0.1])
    assert aiperf_.tpot_s == pytest.approx([0.1, 0.1])
    vllm = read(tmp_path, VLLM)
    assert vllm.e2e_s == pytest.approx([0.8, 0.55])
    assert vllm.tpot_s == pytest.approx([0.15, 0.3])
    engine = read(tmp_path, ENGINE)
    assert engine.ttft_s == pytest.approx([1.0, 0.5])
    assert engine.tpot_s[0] == pytest.approx(0.2)
    assert np.isnan(engine.tpot_s[1])
    for text in (json.dumps(LITELLM), LITELLM_CSV):
        litellm = read(tmp_path, text)
        assert litellm.ttft_s[0] == pytest.approx(1.0 if text[0] == "[" else 0.5)
        assert np.isnan(litellm.ttft_s[1])
    otel = read(tmp_path, json.dumps(OTEL))
    assert otel.ttft_s[0] == 0.25
    assert otel.e2e_s == pytest.approx([2.0, 0.15])
    assert read(tmp_path, BURST_3).e2e_s == pytest.approx([2.5, 1, 1])
    assert not len(read(tmp_path, AZURE).tpot_s)


def test_why_rows_are_left_out(tmp_path):
    assert read(tmp_path, BURST).rejected[0].line == 3
    assert read(tmp_path, BURST).rejected[0].reason == "failed request: 0 response tokens"
    assert read(tmp_path, AIPERF).rejected_by_reason == {"warm-up request": 1, "failed request": 1}
    assert read(tmp_path, LITELLM_CSV).rejected[0].line == 5
    found = read(tmp_path, json.dumps(LITELLM)).rejected_by_reason
    assert found == {"failed request": 1, "answered from the proxy's cache": 1}
    otel = read(tmp_path, json.dumps(OTEL)).rejected_by_reason
    assert otel == {"span of another operation": 1, "span without token counts": 1}


def test_blocks_keep_their_size_and_order(tmp_path):
    requests = read(tmp_path, "".join(reversed(MOONCAKE.splitlines(keepends=True)))).requests
    assert requests.block_tokens == 512
    assert requests.block_offsets.tolist() == [0, 3, 5]
    assert requests.block_ids.tolist() == [0, 1, 2, 0, 3]
    assert read(tmp_path, BAILIAN).requests.block_tokens == 16
    assert read(tmp_path, MOONCAKE, block_tokens=64).requests.block_tokens == 64


def test_sessions(tmp_path):
    requests = read(tmp_path, BAILIAN).requests
    assert requests.session[0] == requests.session[2] == requests.session[3]
    assert len(set(requests.session.tolist())) == 3
    assert not len(requests.parent)
    chained = read(tmp_path, BAILIAN, chain_sessions=True).requests
    assert chained.parent.tolist() == [-1, -1, 0, 2, -1]
    assert chained.think_s.tolist() == [0, 0, 20.5, 20.0, 0]
    burst = read(tmp_path, BURST_3, chain_sessions=True).requests
    assert burst.parent.tolist() == [-1, 0, -1]
    assert burst.think_s.tolist() == [0, 6.5, 0]
    assert burst.session[2] == -1


def test_packed_files_and_folders(tmp_path):
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(AZURE.encode()))
    assert len(read_trace(packed).requests) == 3
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("azure.csv", "\ufeff" + AZURE)
    assert len(read_trace(tmp_path / "t.zip").requests) == 3
    write(tmp_path, ENGINE, "requests.jsonl")
    assert read_trace(tmp_path).format == "vllm-log"


def test_format_is_checked(tmp_path):
    with pytest.raises(UnknownNameError, match=r"valid: .*mooncake"):
        read(tmp_path, AZURE, "moncake")
    with pytest.raises(InvalidFileError, match="format azure found, not vidur"):
        read(tmp_path, AZURE, "vidur")
    with pytest.raises(InvalidFileError, match="JSON, but format azure is CSV"):
        read(tmp_path, MOONCAKE, "azure")


TOKENS = [b"null", b"-1", b"1e999", b"NaN", b'"', b"[]", b"{}", b"9" * 30, b",", b"\n", b"\r"]
TOKENS += [b"\xff", b"\x00", b"2023-02-30 10:10:10", b"9" * 5000, b"9223372036854775808"]


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(sorted(CASES)),
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(TOKENS)),
        min_size=1,
        max_size=3,
    ),
)
def test_damage_is_counted_or_refused(tmp_path, name, damage):
    content = CASES[name][0].encode()
    for where, cut, token in damage:
        place = int(where * len(content))
        content = content[:place] + token + content[place + cut :]
    path = tmp_path / "damaged"
    path.write_bytes(content)
    try:
        trace = read_trace(path, options=TraceOptions(chain_sessions=True))
    except InvalidFileError:
        return
    assert len(trace.requests) > 0
