"""Options on users' own devices: what they serve, and what they take of the user."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.catalogue import prices
from advisor.catalogue.training import phone_file
from advisor.cost.amount import Amount, exactly, of_fact
from advisor.cost.on_device import battery_share, battery_usd
from advisor.errors import AdvisorError, MissingDataError, UnknownNameError
from advisor.estimator.bills import phones_that_hold
from advisor.estimator.placement import memory_plan
from advisor.estimator.request import EstimateRequest
from advisor.estimator.setup import Setup, resolve, step_model
from advisor.optimizer.candidates import profile_of, sequences_of
from advisor.optimizer.capacity import Asked, busy_s, mean_context, unloaded
from advisor.optimizer.demand import ClassDemand
from advisor.optimizer.models import size_of
from advisor.optimizer.options import Option, half_widths, part_on
from advisor.optimizer.parts import UserSide
from advisor.optimizer.problem import Floats
from advisor.optimizer.ranges import estimate_of
from advisor.optimizer.remote import RemoteList, fits, known_for, scores_of, within
from advisor.optimizer.scores import ScoreBook
from advisor.optimizer.tokens import TokenUse, token_use
from advisor.perf.intervals import Estimate
from advisor.perf.layout import Layout
from advisor.perf.parameters import total_parameters
from advisor.schema.question import OnDevice
from advisor.schema.scenario import Scenario
from advisor.schema.text import Text


@dataclass(frozen=True, eq=False)
class _Local:
    """A model on users' devices, and one mean request of each class there."""

    row: OnDevice
    setup: Setup
    tokens: TokenUse
    sequences: Floats
    latency: tuple[Floats, Floats, Floats]
    busy_s: Floats
    memory_bytes: float


def _measured(
    scenario: Scenario, row: OnDevice, asked: Asked, book: ScoreBook, classes: Sequence[ClassDemand]
) -> _Local:
    setup = resolve(
        EstimateRequest(model=row.model, hw=row.hw, engine=row.engine, precision=row.precision)
    )
    layout = Layout()
    facts = scores_of(scenario, classes, book, setup.model.id)
    tokens = token_use(scenario, setup.model.id, facts)
    own = tokens.applied(asked)
    model, profile = step_model(setup, layout), profile_of(setup)
    plan = memory_plan(setup, layout, math.ceil(float(mean_context(own).max())))
    return _Local(
        row,
        setup,
        tokens,
        sequences_of(setup, layout, own, 1),
        unloaded(model, profile, own),
        busy_s(model, profile, own),
        plan.weights_bytes + plan.workspace_bytes + plan.kv_bytes_per_sequence,
    )


def on_device_option(
    scenario: Scenario,
    row: OnDevice,
    classes: Sequence[ClassDemand],
    asked: Asked,
    book: ScoreBook,
) -> Option:
    """Return the option of users' own devices.

    Raises
    ------
    AdvisorError
        If the model doesn't run there, or nobody knows how many users can run it.
    """
    found = _measured(scenario, row, asked, book, classes)
    setup, tokens = found.setup, found.tokens
    facts = scores_of(scenario, classes, book, setup.model.id)
    values = np.array([np.nan if f is None else f.value for f in facts])
    if setup.weights.bits_per_weight < 8.0 and setup.weights.id != setup.model.native_format:
        values = np.clip(values - scenario.quality.four_bit_loss_points / 100.0, 0.0, 1.0)
    allowed = within(asked, *found.latency) & (found.sequences >= 1)
    allowed &= known_for(scenario, classes, facts) & tokens.known
    allowed &= fits(setup.model.id, tokens, classes)
    user = user_side(scenario, found, classes)
    ttft, tpot, e2e = found.latency
    assert setup.model.shape is not None
    return Option(
        name=f"{setup.model.name} on {setup.device.name} ({setup.weights.id})",
        kind="device",
        size=size_of(float(total_parameters(setup.model.shape))),
        model_ids=(setup.model.id,),
        parts=(part_on(setup, Layout(), setup.model.id, setup.model.name),),
        uses=(),
        allowed=allowed,
        usd_per_request=np.zeros(len(classes)),
        quality=values,
        half80=half_widths(facts),
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=e2e,
        evidence=setup.evidence,
        charges=(charge_key(row),),
        most_share=user.support_share.value,
        quality_source=next((f.source for f in facts if f), ""),
        tokens=(tokens,),
        user=user,
        on_devices=(setup,),
    )


def charge_key(row: OnDevice) -> str:
    """Return the name of an app's standing cost."""
    return f"app:{row.model}@{row.hw}"


def user_side(scenario: Scenario, found: _Local, classes: Sequence[ClassDemand]) -> UserSide:
    """Return what a model on users' devices takes of them.

    Energy is the device's power times the seconds it works; a device busy now and then is taken
    to keep its full speed. Electricity is the site's, which is an industrial price.

    Raises
    ------
    MissingDataError
        If the support share is not stated and can't be counted, or is nil.
    """
    row, device = found.row, found.setup.device
    watts, battery = _watts(found), device.power.battery_j
    joules = charge = daily = usd = None
    if watts is not None:
        mean_s = float(np.average(found.busy_s, weights=[c.share for c in classes]))
        joules = watts.times(mean_s)
        price = prices.get_site(scenario.money.site).usd_per_kwh
        if price is not None:
            usd = battery_usd(joules, of_fact(price), of_fact(phone_file().charging_share))
        if battery is not None:
            charge = battery_share(joules, of_fact(battery))
            daily = charge.times(row.requests_per_user_day) if row.requests_per_user_day else None
    holds = _holding(found)
    because = Text.of("because_phone_power", device=device.name)
    return UserSide(
        joules_per_request=_known(joules, because),
        charge_share_per_request=_known(charge, because),
        charge_share_per_day=_known(daily, because),
        usd_per_request=_known(usd, because),
        download_bytes=found.setup.bytes.total,
        memory_bytes=found.memory_bytes,
        support_share=_support(row, holds, device.name),
        phones_that_hold=_known(holds, Text.of("because_phones", market=row.market)),
    )


def _known(amount: Amount | None, because: Text) -> Estimate | None:
    return None if amount is None else estimate_of(amount, "estimated", because)


def _watts(found: _Local) -> Amount | None:
    """Power of the device while it works; None for what is no phone and isn't stated."""
    if found.row.active_w is not None:
        return exactly(found.row.active_w)
    if found.setup.device.device_class != "phone":
        return None
    return of_fact(phone_file().active_w)


def _holding(found: _Local) -> Amount | None:
    if found.setup.device.device_class != "phone":
        return None
    return phones_that_hold(found.memory_bytes, found.row.market)


def _support(row: OnDevice, holds: Amount | None, device: str) -> Estimate:
    """Return the share of requests an app can serve, as stated or by memory."""
    if row.support_share is not None:
        stated = Text.of("because_support_stated")
        return estimate_of(exactly(row.support_share), "exact", stated)
    if holds is None:
        msg = f"{device}: state support_share; only phones in use are counted by memory"
        raise MissingDataError(msg)
    if holds.value <= 0:
        msg = f"no phone in use holds {row.model}; state support_share if yours do"
        raise MissingDataError(msg)
    return estimate_of(holds, "estimated", Text.of("because_phones", market=row.market))


def on_devices_of(
    scenario: Scenario, classes: Sequence[ClassDemand], asked: Asked, book: ScoreBook
) -> RemoteList:
    """Return the options of all users' devices a scenario names, and why others can't serve."""
    found, excluded = [], {}
    for row in scenario.use.on_device:
        key = f"{row.model} @ {row.hw}"
        try:
            option = on_device_option(scenario, row, classes, asked, book)
        except UnknownNameError:
            raise
        except AdvisorError as error:
            excluded[key] = Text.of("out_device", name=key, reason=error.message)
            continue
        if option.allowed.any():
            found.append(option)
        else:
            excluded[key] = Text.of("out_device_limits", name=option.name)
    return RemoteList(tuple(found), excluded, None)
