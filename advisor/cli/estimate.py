"""``advisor estimate``."""

from __future__ import annotations

from typing import Annotated

import typer

from advisor.cli.output import Lang, one_format

WORKLOAD, HARDWARE, LIMITS, OUTPUT = "Workload", "Hardware", "Limits and prices", "Output"
MS_PER_S = 1e3


def _option(help_text: str, panel: str, *names: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(*names, help=help_text, rich_help_panel=panel)
    return info


def estimate(  # noqa: PLR0913 - one parameter an option is how typer reads a command
    model: Annotated[
        str, _option("Id, alias, size (4B), config.json or .gguf file.", WORKLOAD, "--model", "-m")
    ],
    hw: Annotated[str, _option("Device id, alias or TOML file.", HARDWARE, "--hw")],
    count: Annotated[int | None, _option("Devices in all.", HARDWARE, "--count")] = None,
    tp: Annotated[int | None, _option("Tensor parallel.", HARDWARE, "--tp")] = None,
    pp: Annotated[int | None, _option("Pipeline parallel.", HARDWARE, "--pp")] = None,
    ep: Annotated[int | None, _option("Expert parallel.", HARDWARE, "--ep")] = None,
    dp: Annotated[int | None, _option("Attention data parallel.", HARDWARE, "--dp")] = None,
    precision: Annotated[
        str | None, _option("Weight format: bf16, fp8, w4a16, q4_k_m ...", HARDWARE, "--precision")
    ] = None,
    kv_precision: Annotated[
        str | None, _option("KV-cache format: bf16, fp8 ...", HARDWARE, "--kv-precision")
    ] = None,
    engine: Annotated[
        str | None, _option("vllm, trtllm, sglang, llama.cpp ...", HARDWARE, "--engine")
    ] = None,
    memory_share: Annotated[
        float | None, _option("Engine's share of memory, 0 to 1.", HARDWARE, "--memory-share")
    ] = None,
    isl: Annotated[int, _option("Prompt tokens.", WORKLOAD, "--isl")] = 1000,
    osl: Annotated[int, _option("Output tokens.", WORKLOAD, "--osl")] = 300,
    concurrency: Annotated[
        int | None, _option("Requests in flight, all devices together.", WORKLOAD, "--concurrency")
    ] = None,
    rps: Annotated[
        float | None, _option("Poisson arrivals per second instead.", WORKLOAD, "--rps")
    ] = None,
    slo_ttft_ms: Annotated[
        float | None, _option("Limit on TTFT, ms.", LIMITS, "--slo-ttft-ms")
    ] = None,
    slo_tpot_ms: Annotated[
        float | None, _option("Limit on TPOT, ms.", LIMITS, "--slo-tpot-ms")
    ] = None,
    usd_per_hour: Annotated[
        float | None, _option("Rent of one device, $/h.", LIMITS, "--usd-per-hour")
    ] = None,
    site: Annotated[
        str | None, _option("Country of the electricity: chn, usa ...", LIMITS, "--site")
    ] = None,
    max_price_age: Annotated[
        int | None, _option("Refuse prices older than so many days.", LIMITS, "--max-price-age")
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(
            "--overlay",
            help="Measured overlay or a folder of them, from import-bench.",
            rich_help_panel=LIMITS,
            envvar="ADVISOR_OVERLAYS",
            show_envvar=True,
        ),
    ] = None,
    lang: Annotated[Lang, _option("Language of the text.", OUTPUT, "--lang")] = Lang.EN,
    as_json: Annotated[bool, _option("JSON, SI units.", OUTPUT, "--json")] = False,
    as_csv: Annotated[bool, _option("CSV, SI units.", OUTPUT, "--csv")] = False,
    explain: Annotated[
        bool, _option("Formulas with this run's numbers, and sources.", OUTPUT, "--explain")
    ] = False,
) -> None:
    """Estimate one model on one kind of device.

    advisor estimate --model 4B --hw h20

    advisor estimate --model deepseek-v3 --hw h200 --tp 8 --concurrency 64 --json
    """
    one_format(as_json, as_csv, explain)
    from advisor.estimator.request import EstimateRequest
    from advisor.estimator.run import estimate_point

    request = EstimateRequest(
        model=model,
        hw=hw,
        count=count,
        tp=tp,
        pp=pp,
        dp=dp,
        ep=ep,
        precision=precision,
        kv_precision=kv_precision,
        engine=engine,
        isl_tokens=isl,
        osl_tokens=osl,
        concurrency=concurrency,
        rps=rps,
        slo_ttft_s=None if slo_ttft_ms is None else slo_ttft_ms / MS_PER_S,
        slo_tpot_s=None if slo_tpot_ms is None else slo_tpot_ms / MS_PER_S,
        usd_per_hour=usd_per_hour,
        memory_share=memory_share,
        site=site,
        max_price_age_days=max_price_age,
        overlay=overlay or None,
    )
    result = estimate_point(request)
    if as_json or as_csv:
        from advisor.report.estimate_json import estimate_csv, estimate_json

        typer.echo(estimate_json(result, lang) if as_json else estimate_csv(result, lang))
    elif explain:
        from advisor.report.explain import explain_text

        typer.echo(explain_text(result, lang))
    else:
        from advisor.report.estimate_text import estimate_text

        typer.echo(estimate_text(result, lang))
