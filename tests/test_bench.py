"""Measuring a machine: on a clock of our own, so that no test depends on how busy this one is."""

from __future__ import annotations

import datetime as dt
import json
import sys
from types import SimpleNamespace

import pytest

from advisor.bench import busy, kernels, llama_bench, torch_device
from advisor.bench.found import Found
from advisor.bench.llama_bench import LlamaSpeed
from advisor.bench.machine import (
    Machine,
    last_level_cache_bytes,
    physical_cores,
    read_machine,
)
from advisor.bench.profile import cpu_device, gpu_device, write_profile
from advisor.bench.run import LONGEST_S, Options, World, array_bytes, measure
from advisor.bench.table import scaled, table
from advisor.bench.timing import Sample, Stopwatch
from advisor.catalogue.devices import efficiency_for, get_device, local_profile
from advisor.catalogue.engines import default_engine
from advisor.catalogue.read import read_record
from advisor.cli.main import main
from advisor.errors import InfeasibleError, InvalidFileError, MissingDataError, UnknownNameError
from advisor.estimator.request import EstimateRequest
from advisor.estimator.run import estimate_point
from advisor.schema.device import Device

DAY = dt.date(2026, 11, 23)
MACHINE = Machine(
    name="Test CPU",
    vendor="Test",
    architecture="x86-cpu",
    cores=2,
    threads=2,
    cpus=frozenset({0, 1}),
    cache_bytes=2**20,
    memory_bytes=2**27,
)
STEADY = Sample((10.0, 10.0, 10.0, 10.0, 10.0))
NOISY = Sample((10.0, 4.0, 16.0, 5.0, 14.0))


class FakeClock:
    """A clock that stands still until work moves it, or that steps at every reading."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now

    def work(self, seconds: float):
        def run() -> None:
            self.now += seconds

        return run


class FakeTorch:
    """As much of torch as the measurement uses; copies and products move a fake clock."""

    uint8, bfloat16 = "uint8", "bfloat16"
    BYTES_PER_S, OPERATIONS_PER_S, LAUNCH_S = 3e12, 8e14, 1e-5

    def __init__(self, clock: FakeClock, capability=(9, 0), available=True) -> None:
        self.clock = clock
        self.cuda = SimpleNamespace(
            is_available=lambda: available,
            synchronize=lambda: None,
            get_device_properties=lambda _: SimpleNamespace(
                name="Fake H100",
                major=capability[0],
                minor=capability[1],
                total_memory=80 * 2**30,
            ),
        )

    def ones(self, shape, dtype, device):
        size = shape if isinstance(shape, int) else shape[0]

        def copy_(_) -> None:
            self.clock.now += self.LAUNCH_S + 2.0 * size / self.BYTES_PER_S

        return SimpleNamespace(size=size, copy_=copy_)

    def matmul(self, a, b) -> None:
        assert a.size == b.size
        self.clock.now += self.LAUNCH_S + 2.0 * a.size**3 / self.OPERATIONS_PER_S


def watch(clock: FakeClock, **changes) -> Stopwatch:
    return Stopwatch(**({"repeats": 5, "least_s": 0.1, "stop_at_s": 1e9, "clock": clock} | changes))


def found(**changes) -> Found:
    base = {
        "machine": MACHINE,
        "date": DAY,
        "read": {1: Sample((9e9,) * 5), 2: Sample((20e9, 21e9, 19e9, 20e9, 20e9))},
        "best_threads": 2,
        "fp32": Sample((150e9,) * 5),
        "bf16": None,
        "unpack": Sample((1e8,) * 5),
        "round_trip_s": Sample((3e-5,) * 5),
        "blas": "some blas",
        "others": 0.1,
    }
    return Found(**(base | changes))


def world(clock: FakeClock, others: float = 0.0, torch=None, **changes) -> World:
    """A machine whose other processes use so many cores of the fake clock's time."""
    base = {
        "machine": lambda: MACHINE,
        "torch": lambda: torch,
        "clock": clock,
        "sleep": lambda s: clock.work(s)(),
        "own": lambda: 0.0,
        "system": lambda _: lambda: others * clock.now,
        "today": lambda: DAY,
    }
    return World(**(base | changes))


# Timing


@pytest.mark.parametrize("seconds", [1e-6, 3e-4, 0.02, 5.0])
def test_the_rate_is_what_the_clock_says(seconds):
    clock = FakeClock()
    sample = watch(clock).rates(clock.work(seconds), 7.0)
    assert len(sample.values) == 5
    assert sample.median == pytest.approx(7.0 / seconds, rel=1e-3)
    assert sample.spread == pytest.approx(0.0, abs=1e-3)


def test_each_value_takes_long_enough_but_not_much_longer():
    clock = FakeClock()
    start = clock.now
    watch(clock).times(clock.work(1e-3))
    assert 5 * 0.1 <= clock.now - start <= 5 * 0.2 + 0.4


def test_measuring_is_given_up_when_time_is_used_up():
    clock = FakeClock()
    with pytest.raises(InfeasibleError, match="too long") as caught:
        watch(clock, stop_at_s=clock.now + 3.0).times(clock.work(1.0))
    assert caught.value.limit == "busy"


def test_one_interruption_widens_the_extremes_only():
    sample = Sample((10.0, 10.1, 9.9, 10.0, 2.0, 10.1, 10.0))
    assert (sample.low, sample.median) == (2.0, 10.0)
    assert sample.spread < 0.03


# What is measured


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (12, [1, 2, 4, 8, 12])])
def test_the_sweep_ends_with_all_threads(most, counts):
    assert kernels.thread_counts(most) == counts


def test_reading_covers_the_whole_array_at_every_number_of_threads():
    clock = FakeClock(step_s=0.2)
    rates = kernels.read_rates(watch(clock), 2**16, [1, 2])
    assert set(rates) == {1, 2}
    assert rates[1].median == pytest.approx(2**16 / 0.2)


def test_the_fastest_product_counts():
    clock = FakeClock()
    speed = {256: 1e9, 512: 4e9, 1024: 3e9}

    def product(side: int):
        return clock.work(2.0 * side**3 / speed[side])

    assert kernels.grow(watch(clock), product, 1024).median == pytest.approx(4e9, rel=1e-3)


def test_products_never_outgrow_memory():
    clock = FakeClock()
    sides = []

    def product(side: int):
        sides.append(side)
        return clock.work(1e-3)

    kernels.grow(watch(clock), product, kernels.largest_side(2**26))
    assert max(sides) ** 2 * 4 * 3 <= 2**26 / 16


def test_the_numpy_kernels_run():
    clock = FakeClock(step_s=0.2)
    for sample in (
        kernels.unpack_rate(watch(clock)),
        kernels.round_trip_s(watch(clock), 2),
        kernels.grow(watch(clock), kernels.float32_product, 256),
    ):
        assert sample.median > 0


def test_unpacking_gives_the_weights_back(monkeypatch):
    """Nibbles 10 and 5 are the weights 2 and -3: a row of 4,096 sums to -2,048."""
    seen = []
    monkeypatch.setattr(Stopwatch, "rates", lambda _, work, amount: seen.append((work(), amount)))
    kernels.unpack_rate(watch(FakeClock()))
    result, amount = seen[0]
    assert amount == 256 * 4096
    assert (result == -2048.0).all()


# Who else is there


STAT = """\
cpu  200 0 100 1000 50 0 0 30 40 0
cpu0 100 0 50 500 25 0 0 10 20 0
cpu1 100 0 50 500 25 0 0 20 20 0
intr 12345
"""


@pytest.mark.parametrize(("cpus", "ticks"), [({0}, 160), ({1}, 170), ({0, 1}, 330), (set(), 0)])
def test_stolen_time_is_busy_and_guests_count_once(cpus, ticks):
    assert busy.busy_ticks(STAT, cpus) == ticks


def test_own_work_is_not_others():
    clock = FakeClock()
    meter = busy.Meter(lambda: 1.5 * clock.now, lambda: 1.2 * clock.now, clock)
    clock.now += 10.0
    assert meter.others() == pytest.approx(0.3)
    meter = busy.Meter(None, lambda: 0.0, clock)
    assert meter.others() is None


@pytest.mark.parametrize(
    ("others", "sample", "says"),
    [(0.9, STEADY, "other processes use 0.9 cores"), (None, NOISY, "memory varies by 90%")],
)
def test_a_busy_machine_is_refused(others, sample, says):
    problems = busy.problems(others, {"memory": sample})
    assert problems == [says]
    with pytest.raises(InfeasibleError, match="--force") as caught:
        busy.refuse(problems)
    assert caught.value.limit == "busy"


def test_a_quiet_machine_is_not_refused():
    busy.refuse(busy.problems(0.2, {"memory": STEADY}))


# The machine


def put(path, text) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def tree(tmp_path):
    """Four threads of two cores; a first-level cache each, two last-level caches."""
    for cpu in range(4):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}"
        pair = f"{cpu % 2},{cpu % 2 + 2}"
        put(folder / "topology/thread_siblings_list", pair)
        for index, (level, size) in enumerate((("1", "32K"), ("3", "8M"))):
            put(folder / f"cache/index{index}/level", level)
            put(folder / f"cache/index{index}/size", size)
            put(folder / f"cache/index{index}/shared_cpu_list", pair)
    put(tmp_path / "proc/cpuinfo", "vendor_id\t: GenuineIntel\nmodel name\t: Some Xeon\n")
    return tmp_path


def test_threads_of_a_core_and_sharers_of_a_cache_count_once(tree):
    cpus = frozenset(range(4))
    assert physical_cores(tree, cpus) == 2
    assert last_level_cache_bytes(tree, cpus) == 2 * 8 * 2**20
    assert last_level_cache_bytes(tree, frozenset({0, 2})) == 8 * 2**20


def test_a_container_gets_its_quota(tree, monkeypatch):
    monkeypatch.setattr("advisor.bench.machine._cpus", lambda: frozenset(range(4)))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert read_machine(tree).threads == 4
    put(tree / "sys/fs/cgroup/cpu.max", "150000 100000")
    put(tree / "sys/fs/cgroup/memory.max", "1048576")
    machine = read_machine(tree)
    assert (machine.threads, machine.cores, machine.memory_bytes) == (1, 1, 2**20)
    assert (machine.name, machine.vendor) == ("Some Xeon", "Intel")


def test_an_unknown_processor_is_named(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(MissingDataError, match="s390x"):
        read_machine()


def test_this_machine_can_be_described():
    machine = read_machine()
    assert machine.threads >= machine.cores >= 1
    assert 0 < array_bytes(machine) <= machine.memory_bytes / 8


# The whole


def test_a_forced_measurement_says_so_in_the_profile(tmp_path):
    clock = FakeClock(step_s=0.2)
    stages = []
    result = measure(Options(quick=True, force=True), stages.append, world(clock, others=1.0))
    assert stages[:2] == ["load of the machine", "memory"]
    assert result.problems
    write_profile(cpu_device(result), tmp_path / "forced.toml")
    assert (
        "FORCED although other processes use 1.0 cores"
        in get_device(str(tmp_path / "forced.toml")).notes
    )


def test_a_busy_machine_is_refused_before_it_is_measured():
    stages = []
    with pytest.raises(InfeasibleError, match="other processes use 1"):
        measure(Options(), stages.append, world(FakeClock(step_s=0.2), others=1.0))
    assert stages == ["load of the machine"]


def test_load_that_starts_later_is_noticed():
    clock = FakeClock(step_s=0.2)
    later = clock.now + 2.0
    loaded = world(clock, system=lambda _: lambda: max(clock.now - later, 0.0))
    with pytest.raises(InfeasibleError, match="other processes use"):
        measure(Options(quick=True), lambda _: None, loaded)


def test_a_measurement_ends_in_time_however_slow_the_machine_is():
    clock = FakeClock(step_s=9.0)
    start = clock.now
    with pytest.raises(InfeasibleError, match="too long"):
        measure(Options(), lambda _: None, world(clock))
    longest_with_llama = clock.now - start + llama_bench.TIME_LIMIT_S
    assert clock.now - start < LONGEST_S + 60
    assert LONGEST_S + llama_bench.TIME_LIMIT_S < 120 < longest_with_llama + 60


def test_llama_bench_is_asked_for_and_kept(tmp_path):
    speed = LlamaSpeed("tiny.gguf", STEADY, STEADY)
    asked = []

    def run(model, threads, repeats, gpu):
        asked.append((model.name, threads, repeats, gpu))
        return speed

    options = Options(quick=True, gguf=tmp_path / "tiny.gguf")
    result = measure(options, lambda _: None, world(FakeClock(step_s=0.2), llama=run))
    assert asked == [("tiny.gguf", 2, 5, False)]
    assert "decode, tiny.gguf: 10.0 tokens/s" in cpu_device(result).notes


def test_asking_for_a_gpu_that_is_not_there():
    with pytest.raises(InfeasibleError, match="no graphics processor"):
        measure(Options(unit="gpu"), lambda _: None, world(FakeClock()))


# torch


def test_a_gpu_is_measured_through_torch(tmp_path):
    clock = FakeClock()
    torch = FakeTorch(clock)
    result = measure(Options(), lambda _: None, world(clock, torch=torch))
    device = gpu_device(result)
    assert (device.device_class, device.architecture) == ("gpu", "hopper")
    assert device.memory.bytes_per_s.value == pytest.approx(torch.BYTES_PER_S, rel=0.01)
    assert device.peak.bf16_flops_per_s is not None
    assert device.peak.bf16_flops_per_s.value == pytest.approx(torch.OPERATIONS_PER_S, rel=0.01)
    path = tmp_path / "gpu.toml"
    write_profile(device, path)
    answer = estimate_point(EstimateRequest(model="4B", hw=str(path)))
    assert answer.decode.time_s.value > 0
    assert "Fake H100" in table(result)


def test_the_processor_of_a_machine_with_torch_gets_its_bf16_rate():
    clock = FakeClock(step_s=0.2)
    torch = FakeTorch(clock, available=False)
    result = measure(Options(quick=True), lambda _: None, world(clock, torch=torch))
    assert result.bf16 is not None
    assert cpu_device(result).peak.bf16_flops_per_s is not None


@pytest.mark.parametrize(
    ("gfx", "found"), [("gfx942:sramecc+", ("AMD", "cdna")), ("gfx1100", ("AMD", "rdna"))]
)
def test_amd_names_its_architecture(gfx, found):
    assert torch_device.architecture_of(SimpleNamespace(gcnArchName=gfx)) == found


def test_every_capability_has_constants():
    for capability in torch_device.CAPABILITIES:
        properties = SimpleNamespace(name="x", major=capability[0], minor=capability[1])
        _, architecture = torch_device.architecture_of(properties)
        device = get_device("h100").__class__
        assert device is Device
        base = gpu_device(found(gpu=_gpu(architecture)))
        assert efficiency_for(base, "vllm").efficiency


def _gpu(architecture: str) -> torch_device.Gpu:
    rate, launch = Sample((2e12,) * 5), Sample((1e-5,) * 5)
    return torch_device.Gpu("G", "NVIDIA", architecture, "HBM", 2**36, rate, rate, launch)


def test_an_unknown_gpu_is_named():
    properties = SimpleNamespace(name="Old GPU", major=3, minor=5)
    with pytest.raises(MissingDataError, match=r"Old GPU.*3\.5.*--unit cpu"):
        torch_device.architecture_of(properties)


# llama-bench


def rows(prefill, decode) -> str:
    return json.dumps(
        [
            {"n_prompt": 256, "n_gen": 0, "samples_ts": prefill},
            {"n_prompt": 0, "n_gen": 32, "samples_ts": decode},
        ]
    )


def test_llama_bench_output_is_read():
    speed = llama_bench.parse(rows([500.0, 510.0], [57.0, 58.0]), "m.gguf")
    assert (speed.prefill.median, speed.decode.median) == (505.0, 57.5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '[{"n_gen": 0}]', "[1]", rows(["x"], [1.0])])
def test_other_output_is_an_error_in_one_line(text):
    with pytest.raises(InvalidFileError, match="unexpected"):
        llama_bench.parse(text, "m.gguf")


def fake_program(folder, monkeypatch, body: str) -> None:
    program = folder / "llama-bench"
    program.write_text(f"#!{sys.executable}\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_llama_bench_is_run(tmp_path, monkeypatch):
    fake_program(tmp_path, monkeypatch, f"print({rows([9.0], [3.0])!r})")
    assert llama_bench.run_llama_bench(tmp_path / "m", 2, 5, gpu=False).decode.median == 3.0
    fake_program(tmp_path, monkeypatch, "import sys; sys.exit('cannot load')")
    with pytest.raises(InvalidFileError, match="cannot load"):
        llama_bench.run_llama_bench(tmp_path / "m", 2, 5, gpu=True)
    monkeypatch.setattr(llama_bench, "TIME_LIMIT_S", 0.1)
    fake_program(tmp_path, monkeypatch, "import time; time.sleep(5)")
    with pytest.raises(InvalidFileError, match="smaller model"):
        llama_bench.run_llama_bench(tmp_path / "m", 2, 5, gpu=False)


def test_without_llama_bench_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDataError, match="llama-bench on the path"):
        llama_bench.run_llama_bench(tmp_path / "m", 2, 5, gpu=False)


# Profile and command


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_the_profile_reads_back_the_same(tmp_path):
    device = cpu_device(found(problems=("so busy",)))
    path = tmp_path / "new/folder/local.toml"
    write_profile(device, path)
    assert read_record(path, Device) == device
    assert list(path.parent.iterdir()) == [path]
    fact = device.memory.bytes_per_s
    assert (fact.value, fact.low, fact.high, fact.grade) == (20e9, 19e9, 21e9, "derived")
    assert fact.note.startswith("measured by advisor bench 2026-11-23, median of 5 repeats")


@pytest.mark.parametrize(("cores", "kind"), [(2, "pc"), (16, "cpu-server")])
def test_many_cores_are_a_server(cores, kind):
    machine = Machine(**{**MACHINE.__dict__, "cores": cores})
    device = cpu_device(found(machine=machine))
    assert device.device_class == kind
    assert default_engine(device.device_class).id == "llama.cpp"


def test_local_is_the_measured_machine(home):
    machine = Machine(**{**MACHINE.__dict__, "memory_bytes": 2**35})
    write_profile(cpu_device(found(machine=machine)), local_profile())
    assert local_profile().is_relative_to(home)
    assert get_device(" Local").name == "Test CPU (local)"
    answer = estimate_point(EstimateRequest(model="4B", hw=str(local_profile())))
    assert answer.decode.time_s.evidence == "extrapolated"
    assert answer.decode.time_s.value > 4e9 / 2 / 21e9


def test_local_before_the_first_measurement(home):
    with pytest.raises(MissingDataError, match="run advisor bench"):
        get_device("local")
    with pytest.raises(UnknownNameError):
        get_device("locale-7")


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_a_relative_config_folder_is_ignored(monkeypatch, value):
    monkeypatch.setenv("XDG_CONFIG_HOME", value)
    monkeypatch.setenv("HOME", "/somewhere")
    assert str(local_profile()) == "/somewhere/.config/advisor/local.toml"


def test_a_folder_that_cannot_be_written(tmp_path):
    put(tmp_path / "file", "")
    with pytest.raises(InvalidFileError, match="--out"):
        write_profile(cpu_device(found()), tmp_path / "file/local.toml")


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["advisor", *arguments])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_command_writes_and_prints(home, command, monkeypatch):
    monkeypatch.setattr("advisor.bench.run.measure", lambda *_: found())
    code, out, err = command("bench")
    assert (code, err) == (0, "")
    assert "memory read, 2 threads" in out
    assert "20.0 GB/s" in out
    assert "0.10 cores used by others" in out
    assert local_profile().is_file()
    assert command("bench", "--out", str(home / "mine.toml"))[0] == 0
    assert get_device(str(home / "mine.toml")).id == "local"


def test_the_command_refuses_in_one_line(home, command, monkeypatch):
    def refuse(*_):
        busy.refuse(["other processes use 3.0 cores"])

    monkeypatch.setattr("advisor.bench.run.measure", refuse)
    code, out, err = command("bench")
    assert (code, out) == (3, "")
    assert err.splitlines()[0].startswith("error: too busy to measure")
    assert err.splitlines()[1] == "try: --force"
    assert not local_profile().exists()


def test_numbers_keep_three_digits():
    assert scaled(999.9e9, "B/s") == "1000 GB/s"
    assert scaled(1.2345e15, "FLOP/s") == "1.23 PFLOP/s"
    assert scaled(3e-9, "s") == "0.00 µs"
