"""Fit whole device families and write ``hwprofiles/efficiency/<family>.toml``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from advisor.calibration import expert_models, mixer_models, mixer_tables
from advisor.calibration import kernel_fits as fits
from advisor.calibration import kernel_models as models
from advisor.calibration.efficiency_toml import write_family
from advisor.calibration.kernel_families import ENGINES, FAMILIES, Family, datasheet
from advisor.calibration.kernel_tables import KernelTables, optional_module
from advisor.catalogue.devices import get_device
from advisor.errors import MissingDataError, UnknownNameError
from advisor.schema.efficiency import (
    Collective,
    DecodeAttention,
    Efficiency,
    Elementwise,
    Gemm,
    LatentAttention,
    PrefillAttention,
    Recurrent,
)
from advisor.schema.fact import Source

T = TypeVar("T")

SOURCE = Source(
    id="kernel-tables",
    title="aiconfigurator-core 0.12.0 (PyPI, Apache-2.0) kernel tables",
    url="pkg:pypi/aiconfigurator-core@0.12.0",
    accessed=dt.date(2026, 11, 23),
)
_FEWEST_ROWS = 100
_MOST_ERROR, _MOST_VARIANT_ERROR = 0.2, 0.15
"""Median error on left-out shapes beyond which an optional record, or factor, isn't written."""

_MOST_RECURRENT_ERROR = 0.35
"""Recurrent layers: without the record, prefill is several times too fast."""


class FamilyFit:
    """Fits every kernel kind of one family; ``report`` collects the errors left.

    Parameters
    ----------
    tables
        Kernel tables.
    sheets
        Datasheet of each device id.
    family
        Which devices and engines to use.
    """

    def __init__(
        self, tables: KernelTables, sheets: Mapping[str, models.Datasheet], family: Family
    ) -> None:
        self.tables = tables
        self.sheets = {device: sheets[device] for device in family.devices}
        self.family = family
        self.report: list[str] = []
        self._engine_used: dict[str, str] = {}

    def efficiency(self, fitted: dt.date) -> Efficiency:
        """Return the family's constants.

        Raises
        ------
        MissingDataError
            If no engine has a table of a kernel every family needs.
        """
        gemm = self._by_format("gemm", self.tables.gemm, models.gemm_sample, models.gemm_kernels)
        gemm = self._launched(gemm)
        experts = self._by_format(
            "experts",
            self.tables.experts,
            expert_models.experts_sample,
            lambda _: expert_models.experts_kernels(),
        )
        return Efficiency(
            schema=1,
            id=self.family.id,
            fitted=fitted,
            evidence="calibrated",
            because="fitted to kernel microbenchmarks of the devices named",
            source=(SOURCE,),
            measured_devices=self.family.devices,
            gemm=gemm,
            experts=experts,
            decode_attention=self._decode_attention(),
            prefill_attention=self._prefill_attention(),
            latent_attention=self._latent_attention(),
            latent_prefill=self._optional(
                "latent prefill",
                partial(mixer_tables.latent_prefill, self.tables),
                mixer_models.latent_prefill_sample,
                models.prefill_kernels(),
            ),
            recurrent=self._recurrent(),
            elementwise=self._elementwise(),
            collective=self._collective(),
            engine_collective=self._engine_collectives(),
            notes=self._notes(),
        )

    def _decode_attention(self) -> DecodeAttention:
        read, sample = self.tables.decode_attention, models.decode_sample
        usual = self._one("decode attention", read, sample, models.decode_kernels())
        eight = partial(sample, cache_bytes=1.0)
        kernels = mixer_models.fp8_cache_kernels(usual)
        return self._variant("decode attention", "8-bit cache", read, eight, kernels) or usual

    def _prefill_attention(self) -> PrefillAttention:
        read, sample = self.tables.prefill_attention, models.prefill_sample
        usual = self._one("prefill attention", read, sample, models.prefill_kernels())
        small = partial(sample, head_dim=64.0)
        kernels = mixer_models.small_head_kernels(usual)
        return self._variant("prefill attention", "heads of 64", read, small, kernels) or usual

    def _latent_attention(self) -> LatentAttention | None:
        read = partial(mixer_tables.latent_decode, self.tables)
        sample = mixer_models.latent_sample
        usual = self._optional("latent decode", read, sample, mixer_models.latent_kernels())
        if usual is None:
            return None
        eight = partial(sample, cache_bytes=1.0)
        kernels = mixer_models.fp8_latent_kernels(usual)
        return self._variant("latent decode", "8-bit cache", read, eight, kernels) or usual

    def _recurrent(self) -> Recurrent | None:
        decode = self._optional(
            "recurrent decode",
            partial(mixer_tables.recurrent_decode, self.tables),
            mixer_models.recurrent_decode_sample,
            mixer_models.recurrent_decode_kernels(),
            _MOST_RECURRENT_ERROR,
        )
        if decode is None:
            return None
        return self._optional(
            "recurrent prefill",
            partial(mixer_tables.recurrent_prefill, self.tables),
            mixer_models.recurrent_prefill_sample,
            mixer_models.recurrent_prefill_kernels(decode),
            _MOST_RECURRENT_ERROR,
        )

    def _engines(self, kind: str) -> Sequence[str]:
        named = self.family.engine_of.get(kind)
        return ENGINES if named is None else (named,)

    def _by_format(
        self,
        kind: str,
        read: Callable[[str, str], dict[str, Any]],
        sample: Callable[[Any, str, models.Datasheet], fits.Sample],
        kernels: Callable[[str], Sequence[fits.Kernel[T]]],
    ) -> dict[str, T]:
        found: dict[str, T] = {}
        for engine in ENGINES:
            rows = {device: read(device, engine) for device in self.sheets}
            for name in models.WEIGHT_BYTES:
                if name in found or engine not in self._engines(f"{kind}/{name}"):
                    continue
                parts = [
                    sample(rows[device][name], name, sheet)
                    for device, sheet in self.sheets.items()
                    if name in rows[device] and models.PEAK_OF[name] in sheet.flops_per_s
                ]
                if sum(part.seconds.size for part in parts) >= _FEWEST_ROWS:
                    found[name] = self._fit(f"{kind} {name} ({engine})", kernels(name), parts)
        return {name: found[name] for name in models.WEIGHT_BYTES if name in found}

    def _launched(self, gemm: dict[str, Gemm]) -> dict[str, Gemm]:
        """Return the constants with the launch of another format, or of another engine's table."""
        found = dict(gemm)
        for key, engine in self.family.launch_of.items():
            name = key.removeprefix("gemm/")
            other = gemm.get(engine)
            if other is None:
                parts = [
                    models.gemm_sample(rows[name], name, sheet)
                    for device, sheet in self.sheets.items()
                    if name in (rows := self.tables.gemm(device, engine))
                ]
                label = f"gemm {name}, launch alone ({engine})"
                other = self._fit(label, models.gemm_kernels(name), parts)
            found[name] = msgspec.structs.replace(found[name], launch_s=other.launch_s)
        return found

    def _one(
        self,
        kind: str,
        read: Callable[[str, str], Any],
        sample: Callable[[Any, models.Datasheet], fits.Sample],
        kernels: Sequence[fits.Kernel[T]],
    ) -> T:
        for engine, parts in self._samples(kind, read, sample):
            self._engine_used[kind] = engine
            return self._fit(f"{kind} ({engine})", kernels, parts)
        msg = f"no table of {kind} for {self.family.id}"
        raise MissingDataError(msg)

    def _samples(
        self,
        kind: str,
        read: Callable[[str, str], Any],
        sample: Callable[[Any, models.Datasheet], fits.Sample],
    ) -> Iterator[tuple[str, list[fits.Sample]]]:
        for engine in self._engines(kind):
            usable = self.family.devices_of.get(kind, tuple(self.sheets))
            rows = {device: read(device, engine) for device in usable}
            parts = [
                sample(rows[device], self.sheets[device])
                for device in usable
                if rows[device] is not None
            ]
            if parts:
                yield engine, parts

    def _optional(
        self,
        kind: str,
        read: Callable[[str, str], Any],
        sample: Callable[[Any, models.Datasheet], fits.Sample],
        kernels: Sequence[fits.Kernel[T]],
        most_error: float = _MOST_ERROR,
    ) -> T | None:
        """Fit the first engine's tables that the model describes, if any."""
        for engine, parts in self._samples(kind, read, sample):
            found = self._try(f"{kind} ({engine})", kernels, parts, most_error)
            if found is not None:
                self._engine_used[kind] = engine
                return found
        return None

    def _variant(
        self,
        kind: str,
        condition: str,
        read: Callable[[str, str], Any],
        sample: Callable[[Any, models.Datasheet], fits.Sample],
        kernels: Sequence[fits.Kernel[T]],
    ) -> T | None:
        """Fit the same kernel under another condition, on the tables of the same engine."""
        for engine, parts in self._samples(kind, read, sample):
            if engine == self._engine_used[kind]:
                return self._try(
                    f"{kind}, {condition} ({engine})", kernels, parts, _MOST_VARIANT_ERROR
                )
        return None

    def _try(
        self,
        name: str,
        kernels: Sequence[fits.Kernel[T]],
        parts: Sequence[fits.Sample],
        most_error: float,
    ) -> T | None:
        if sum(part.seconds.size for part in parts) < _FEWEST_ROWS:
            return None
        result = fits.fit_kernel(kernels, fits.join(parts))
        used = result.held_out <= most_error
        self.report.append(_line(name, result) + ("" if used else "; not used"))
        return result.constants if used else None

    def _elementwise(self) -> Elementwise:
        try:
            found = self._one(
                "elementwise launch",
                self.tables.quantise,
                models.elementwise_sample,
                models.elementwise_kernels(),
            )
        except MissingDataError:
            return models.ELEMENTWISE
        return msgspec.structs.replace(models.ELEMENTWISE, launch_s=found.launch_s)

    def _collective(self) -> Collective | None:
        if all(sheet.link_bytes_per_s is None for sheet in self.sheets.values()):
            return None
        return self._one(
            "all-reduce",
            self.tables.all_reduce,
            models.collective_sample,
            models.collective_kernels(),
        )

    def _engine_collectives(self) -> dict[str, Collective]:
        """Return the all-reduces of engines whose tables don't speak for the family."""
        used = self._engine_used.get("all-reduce")
        found = {}
        for engine in ENGINES if used else ():
            rows = {device: self.tables.all_reduce(device, engine) for device in self.sheets}
            parts = [
                models.collective_sample(table, self.sheets[device])
                for device, table in rows.items()
                if table is not None
            ]
            if engine == used or not parts:
                continue
            result = fits.fit_kernel(models.collective_kernels(), fits.join(parts))
            if result.held_out <= _MOST_ERROR:
                self.report.append(_line(f"all-reduce ({engine})", result))
                found[engine] = result.constants
        return found

    def _fit(self, name: str, kernels: Sequence[fits.Kernel[T]], parts: Sequence[fits.Sample]) -> T:
        result = fits.fit_kernel(kernels, fits.join(parts))
        self.report.append(_line(name, result))
        return result.constants

    def _notes(self) -> str:
        return "\n".join(
            [
                "Shares of the dense datasheet peak: bf16 for bf16, w4a16, w8a16 and mxfp4; fp8",
                "for fp8, fp8_block and mxfp4_fp8; fp4 for fp4 (nvfp4); int8 for int8.",
                "Elementwise: launches per layer and memory share are prototype values; the launch",
                "is fitted to fp8 quantisation kernels where tables have them, else 2.2 us.",
                "Products move weights and 2 bytes per activation, experts the touched weights.",
                "Attention: 16-bit cache and heads of 128; 8-bit caches and heads of 64 by one",
                "factor each. Recurrent: gated delta rule and its convolution.",
                *([self.family.notes] if self.family.notes else []),
                "Median errors, engine whose tables were used in brackets:",
                *self.report,
            ]
        )


def _line(name: str, result: fits.Fit[Any]) -> str:
    inside, outside = f"{result.in_sample:.1%}", f"{result.held_out:.1%}"
    return f"{name}: {inside} in sample, {outside} on left-out shapes, {result.rows} rows"


def chosen_families(name: str | None) -> tuple[Family, ...]:
    """Return the family of a name, or all of them.

    Raises
    ------
    UnknownNameError
        If there are no tables of that family.
    """
    found = tuple(family for family in FAMILIES if name in {None, family.id})
    if not found:
        known = [family.id for family in FAMILIES]
        msg = f"no kernel tables of a family {name!r}; there are {', '.join(known)}"
        raise UnknownNameError(msg, suggestions=known)
    return found


def refit(
    tables: KernelTables,
    folder: Path,
    fitted: dt.date,
    name: str | None = None,
) -> Iterator[tuple[Path, list[str]]]:
    """Fit families one by one, writing each when it is done.

    Parameters
    ----------
    tables
        Kernel tables.
    folder
        Where the files go.
    fitted
        Date they carry.
    name
        Only this family.

    Yields
    ------
    tuple
        The file written, and what each fit left.
    """
    families = chosen_families(name)
    optional_module("tomli_w")
    for family in families:
        sheets = {device: datasheet(get_device(device)) for device in family.devices}
        fit = FamilyFit(tables, sheets, family)
        yield write_family(fit.efficiency(fitted), folder), fit.report
