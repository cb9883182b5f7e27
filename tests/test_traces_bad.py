"""Bad traces: a clear error or a counted rejection, in bounded memory, never a traceback."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.errors import InvalidFileError, UsageError
from advisor.traffic import trace_file
from advisor.traffic.trace import Trace, TraceOptions
from advisor.traffic.traces import read_trace

HEADER = b"timestamp,input_tokens,output_tokens\n"
LINE = b'{"timestamp": 1, "input_length": 2, "output_length": 3}\n'
MEMORY_BYTES = 700 << 20
KEYS = [
    *("timestamp", "input_length", "output_length", "hash_ids", "chat_id", "resourceSpans"),
    *("scopeSpans", "spans", "attributes", "metadata", "metrics", "input_lens", "output_lens"),
    *("start_times", "startTime", "prompt_tokens", "completion_tokens", "queued_ts"),
    *("input_toks", "output_toks"),
]


def read(folder: Path, content: bytes, name: str = "t.csv", **options: object) -> Trace:
    path = folder / name
    path.write_bytes(content)
    return read_trace(path, options=TraceOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\n\n", "empty"),
        (HEADER, "no requests"),
        (b"[]", "no requests"),
        (b"a,b,c\n1,2,3\n", "line 1: no trace: needs a column for the arrival"),
        (b"1,2,3\n4,5,6\n", "line 1: no trace"),
        (HEADER + b"x,1,1\n", "no usable request; 1 rejected, first: line 2: time is neither"),
        (b'{"a": 1}\n{"a": 2}\n', "line 1: no trace format known by these keys: a"),
        (b"[1, 2]", "no trace format known"),
        (b'{"a": \n', "malformed JSON"),
        (b'[{"a": 1}', "malformed JSON"),
        (b"[" * 100_000, "malformed JSON|nested"),
        (b'{"a":' * 100_000 + b"\n" + b'{"a":1}', "line 2: no trace format known"),
        (b"\x00\x01\x02binary", "binary"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x28\xb5\x2f\xfd rest", "zstd"),
        ("timestamp,input,output\n".encode("utf-16"), "UTF-16"),
        ("时间,输入,输出\n1,2,3\n".encode("gb18030"), "line 1: not UTF-8 at byte"),
        (b"\x1f\x8b\x08\x00 broken", "damaged gzip"),
        (gzip.compress(HEADER + b"1,1,1\n" * 9999)[:-40], "damaged gzip"),
        (b"PK\x03\x04 broken", "damaged zip"),
        (b'{"input_lens": [1], "output_lens": [1]}', "no start_times"),
        (b'{"input_lens": [1], "output_lens": [], "start_times": [1.0]}', "differ in length"),
    ],
)
def test_refused(content, message, tmp_path):
    with pytest.raises(InvalidFileError, match=message) as caught:
        read(tmp_path, content)
    assert str(tmp_path) in str(caught.value)


def test_missing_and_strange_paths(tmp_path):
    with pytest.raises(InvalidFileError, match="no such file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(InvalidFileError, match=r"requests\.jsonl: no such file"):
        read_trace(tmp_path)
    (tmp_path / "requests.jsonl").mkdir()
    with pytest.raises(InvalidFileError, match="not a regular file"):
        read_trace(tmp_path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"nan,1,1", "time out of range: nan"),
        (b"inf,1,1", "time out of range: inf"),
        (b"-1,1,1", "negative time: -1"),
        (b"x,1,1", "time is neither number nor date: 'x'"),
        (b"1,nan,1", "tokens are not a whole number: 'nan'"),
        (b"1,1.5,1", "tokens are not a whole number: '1.5'"),
        (b"1,-3,1", "input below 1 token: -3"),
        (b"1,1,0", "output below 1 token: 0"),
        (b"1,1," + b"9" * 30, "output above 100,000,000 tokens: 30 digits"),
        (b"1,1," + b"9" * 5000, "tokens are not a whole number"),
        (b"1,1e400,1", "tokens are not a whole number: '1e400'"),
        (b"1,1", "too few columns: 2"),
        (b"1,\xff,1", "not UTF-8: byte 2"),
        (b'1,"' + b"x" * 200_000 + b'",1', "malformed CSV: field larger"),
    ],
)
def test_bad_rows_are_counted_with_their_line(row, reason, tmp_path):
    trace = read(tmp_path, HEADER + b"0,5,6\n" + row + b"\n\n2,7.0,8\n")
    assert trace.requests.input_tokens.tolist() == [5, 7]
    assert trace.rejected_count == 1
    assert trace.rejected[0].line == 3
    assert trace.rejected[0].reason.startswith(reason)
    assert trace.rejected_by_reason == {trace.rejected[0].reason.split(":")[0]: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"timestamp": 1, "input_length": 2}', "malformed entry: Object missing"),
        (b'{"timestamp": NaN, "input_length": 2, "output_length": 1}', "malformed entry"),
        (b'{"timestamp": 1, "input_length": "2", "output_length": 1}', "malformed entry"),
        (b'{"timestamp": "soon", "input_length": 2, "output_length": 1}', "malformed number"),
        (b'{"timestamp": 1e300, "input_length": 2, "output_length": 1}', "time out of range"),
        (b'{"timestamp": -5, "input_length": 2, "output_length": 1}', "negative time"),
        (b'{"timestamp": 1, "input_length": 0, "output_length": 1}', "input below 1"),
        (
            b'{"timestamp": 1, "input_length": ' + b"9" * 400 + b', "output_length": 1}',
            "input above",
        ),
        (
            b'{"timestamp": 1, "input_length": 9, "output_length": 1, "hash_ids": [-1]}',
            "hash_ids out of range",
        ),
        (
            b'{"timestamp": 1, "input_length": 9, "output_length": 1, "hash_ids": ['
            + b"9" * 25
            + b"]}",
            "hash_ids out of range",
        ),
        (b'{"timestamp": 1, "input_length": 2, "output_', "malformed entry"),
        (b'{"x":' * 5000, "nested too deeply|malformed entry"),
        (b"\xff\xfe", "malformed entry|not UTF-8"),
        (b"[1]", "malformed entry: Expected `object`"),
    ],
)
def test_bad_json_lines_are_counted_with_their_line(line, reason, tmp_path):
    trace = read(tmp_path, LINE + line + b"\n" + LINE)
    assert len(trace.requests) == 2
    assert [one.line for one in trace.rejected] == [2]
    assert any(trace.rejected[0].reason.startswith(part) for part in reason.split("|"))


def test_a_damaged_first_line_does_not_make_a_document(tmp_path):
    trace = read(tmp_path, b'{"timestamp": 1, "input_len\n' + LINE)
    assert [one.line for one in trace.rejected] == [1]
    assert len(trace.requests) == 1


def test_unsorted_rows_are_sorted_and_counted(tmp_path):
    trace = read(tmp_path, HEADER + b"30,3,1\n10,1,1\n20,2,1\n")
    assert trace.requests.input_tokens.tolist() == [1, 2, 3]
    assert trace.requests.arrival_s.tolist() == [0, 10, 20]
    assert trace.unsorted == 1


def test_duplicated_ids_are_left_out(tmp_path):
    text = b"id,timestamp,input,output\na,0,1,1\nb,1,2,1\na,2,3,1\na,3,4,1\n"
    trace = read(tmp_path, text)
    assert trace.requests.input_tokens.tolist() == [1, 2]
    assert trace.rejected_by_reason == {"duplicate id": 2}
    assert [one.line for one in trace.rejected] == [4, 5]


def test_kept_rejections_are_capped_and_all_are_counted(tmp_path):
    trace = read(tmp_path, HEADER + b"1,1,1\n" + b"x,1,1\n" * 5000)
    assert len(trace.rejected) == 1000
    assert trace.rejected_count == 5000


def test_quoted_line_breaks_keep_the_count(tmp_path):
    trace = read(tmp_path, b'note,timestamp,input,output\n"a\nb\nc",0,1,1\nq,1,0,1\n')
    assert trace.rejected[0].line == 5


def test_zips_of_several_files_and_office_files(tmp_path):
    for names, message in ((("a", "b"), "zip of 2 files"), (("[Content_Types].xml",), "Office")):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            for name in names:
                archive.writestr(name, HEADER)
        with pytest.raises(InvalidFileError, match=message):
            read_trace(tmp_path / "t.zip")


def test_bombs_stop_early(tmp_path):
    row = (b"1,1,1," + b"x" * 600 + b"\n") * 1000
    bomb = tmp_path / "bomb.csv.gz"
    with gzip.open(bomb, "wb") as file:
        file.write(HEADER)
        for _ in range(100):
            file.write(row)
    with pytest.raises(InvalidFileError, match="unpacks to more than"):
        read_trace(bomb)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.json", b"[" + b" " * (60 << 20) + b"]")
    with pytest.raises(InvalidFileError, match="more than"):
        read_trace(tmp_path / "bomb.zip")


def test_endless_lines_and_documents_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_file, "MAX_LINE_BYTES", 3 << 20)
    monkeypatch.setattr(trace_file, "MAX_DOCUMENT_BYTES", 3 << 20)
    with pytest.raises(InvalidFileError, match="line 2: longer than"):
        read(tmp_path, HEADER + b"1" * (6 << 20))
    with pytest.raises(InvalidFileError, match="one JSON document of more than"):
        read(tmp_path, b"[" + b" " * (4 << 20) + b"]")


def test_a_large_file_is_streamed(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"timestamp,note,input_tokens,output_tokens\n")
        block = b"".join(b"%d,%s,100,10\n" % (i, b"x" * 480) for i in range(1000))
        for _ in range(300):
            file.write(block)
    assert path.stat().st_size > 140 << 20
    code = (
        "import resource, sys; from advisor.traffic.traces import read_trace;"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "found = len(read_trace(sys.argv[1]).requests);"
        "print(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    found, grown_kib = map(int, run.stdout.split())
    assert found == 300_000
    assert grown_kib < 60 << 10


def test_an_endless_line_stays_within_a_memory_limit(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "line.csv"
    with path.open("wb") as file:
        file.write(HEADER)
        for _ in range(100):
            file.write(b"1" * (1 << 20))
    code = (
        "import sys; from advisor.errors import InvalidFileError;"
        "from advisor.traffic.traces import read_trace\n"
        "try: read_trace(sys.argv[1])\n"
        "except InvalidFileError as error: print(error)"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=limit,
        env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    assert "line 2: longer than" in run.stdout


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda tail: HEADER + b"1,1,1\n" + tail),
        st.binary(max_size=200).map(lambda tail: LINE + tail),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(KEYS),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_nothing_else_than_our_errors(tmp_path, content):
    try:
        trace = read(tmp_path, content)
    except (InvalidFileError, UsageError):
        return
    assert len(trace.requests) > 0
