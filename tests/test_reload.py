"""Reload (R72): what changed restarts, and everything else goes on as if nothing had happened."""

import asyncio
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
import pytest

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.contracts import contracts_of
from poller.daemon import Daemon
from poller.estate import Estate
from poller.lab.server import Lab, LabOptions
from poller.pipeline import Pipeline
from poller.readings import DeviceReading, FailedPoll, InterfaceLayout
from poller.sample import Sample
from poller.storage.history import open_history
from poller.wall.live import LiveState

HERE = Path(__file__).parent.parent
EXAMPLE = HERE / "config" / "examples" / "prefecture"
SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_800_000_000 * SECOND // MINUTE * MINUTE


# ---- The pure parts: twins with the same input, of which one follows another estate all the time.


@dataclass
class Twin:
    """A pipeline with its real neighbours, and all that it wrote."""

    estate: Estate
    alerting: Alerting
    live: LiveState
    pipeline: Pipeline
    written: list[Sample]

    def follow(self, estate: Estate, now_ns: int) -> None:
        self.estate = estate
        self.alerting.follow(estate)
        self.live.follow(estate)
        self.pipeline.follow(estate, now_ns)


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[list[Twin]]:
    estate = load(EXAMPLE).estate
    stores = [Store(tmp_path / f"{name}.sqlite") for name in ("calm", "restless")]
    made = []
    for store in stores:
        written: list[Sample] = []
        alerting, live = Alerting(estate, store), LiveState(estate)
        made.append(Twin(estate, alerting, live, Pipeline(estate, written.extend, alerting, live), written))
    yield made
    for store in stores:
        store.close()


def reading(estate: Estate, device: str, due_ns: int) -> DeviceReading:
    """Every interface that a contract names, its octets by a rate of its own, a little late or early."""
    accounts = contracts_of(estate).accounts()
    names = sorted({each.interface for account in accounts for each in account.members if each.device == device})
    at_ns = due_ns + random.Random(f"{device}{due_ns}").randrange(SECOND)
    octets = [(at_ns - START) // 1000 * random.Random(f"{device}{name}").randrange(1, 100) for name in names]
    rows = len(names)
    return DeviceReading(
        device=device,
        due_ns=due_ns,
        layout=InterfaceLayout(tuple(names), tuple(range(rows)), (10**12,) * rows, (True,) * rows),
        received_ns=[at_ns] * rows,
        uptime_ticks=[10**8 + (at_ns - START) // 10**7] * rows,
        counters=[value for total in octets for value in (total, total // 3, 0, 0, 0, 0, 0, 0)],
        oper_status=[1] * rows,
        discontinuity_ticks=[None] * rows,
    )


def updated(estate: Estate, section: str, key: str, **changes: object) -> Estate:
    entries = dict(getattr(estate, section))
    entries[key] = entries[key].model_copy(update=changes)
    return estate.model_copy(update={section: entries})


def with_new_device(estate: Estate, number: int) -> Estate:
    new = estate.devices["sw-mgmt-1"].model_copy(update={"id": f"new-{number}"})
    return estate.model_copy(update={"devices": {**estate.devices, new.id: new}})


def with_another_cap(estate: Estate, number: int) -> Estate:
    cap = estate.tenants["tsu"].caps[0].model_copy(update={"sustained_rate": 10**9 + number})
    return updated(estate, "tenants", "tsu", caps=(cap, *estate.tenants["tsu"].caps[1:]))


def with_another_name(estate: Estate, number: int) -> Estate:
    name = estate.tenants["tsu"].name.model_copy(update={"en": f"Tsu {number}"})
    return updated(estate, "tenants", "tsu", name=name)


def with_another_rule(estate: Estate, number: int) -> Estate:
    key = next(key for key, rule in estate.rules.items() if rule.on == "device.cpu_ratio")
    return updated(estate, "rules", key, above=0.5 + number / 1000)


def with_another_contract(estate: Estate, number: int) -> Estate:
    return updated(estate, "circuits", "int-1", ceiling_rate=2_000_000_000 + number)


CHANGES: Sequence[Callable[[Estate, int], Estate]] = (
    with_new_device,
    with_another_cap,
    with_another_name,
    with_another_rule,
    with_another_contract,
)


def untouched(samples: Sequence[Sample]) -> list[Sample]:
    """Without what is about the one tenant and the one circuit that change."""
    changed = {"tsu", "int-1"}
    return [each for each in samples if changed.isdisjoint(word for _, value in each.tags for word in value.split("/"))]


def test_twins_write_the_same_though_one_of_them_follows_another_estate_every_few_seconds(twins: list[Twin]) -> None:
    """Baselines, slots, months, states, roll-ups and alerts of whatever did not change (R72)."""
    calm, restless = twins
    choose = random.Random(72)
    contracts = contracts_of(calm.estate)
    devices = sorted({each.device for account in contracts.accounts() for each in account.members})
    silent = contracts.circuits["bo-1"].member.device
    for second in range(480):
        now_ns = START + second * SECOND
        for number, device in enumerate(devices):
            if (second - number) % 60 == 0:
                answer: DeviceReading | FailedPoll = reading(calm.estate, device, now_ns)
                if device == silent and second > 200:
                    answer = FailedPoll(device, now_ns, "no_answer", "nobody answered", answered=False)
                for twin in twins:
                    twin.pipeline.accept(answer, now_ns)
        if second % 11 == 0:
            restless.follow(choose.choice(CHANGES)(restless.estate, second), now_ns)
        for twin in twins:
            twin.pipeline.tick(now_ns)
    assert untouched(calm.written) == untouched(restless.written)
    assert {each.measurement for each in untouched(calm.written)} >= {"interface", "circuit", "tenant", "alert"}
    months = [
        {key: each for key, each in twin.pipeline.save()["tenants"]["usage"].items() if "tsu" not in key.split("/")}
        for twin in twins
    ]
    assert months[0] == months[1]
    assert [each.id for each in calm.alerting.open_incidents()] == [
        each.id for each in restless.alerting.open_incidents()
    ]


def test_an_alert_about_what_left_the_estate_ends_and_its_incident_closes(twins: list[Twin]) -> None:
    twin = twins[0]
    gone = "sw-mgmt-1"
    for second in range(240):
        now_ns = START + second * SECOND
        if second % 60 == 0:
            twin.pipeline.accept(FailedPoll(gone, now_ns, "no_answer", "nobody answered", answered=False), now_ns)
        twin.pipeline.tick(now_ns)
    assert [f"device/{gone}"] == [each.root[1] for each in twin.alerting.open_incidents()]
    devices = {key: each for key, each in twin.estate.devices.items() if key != gone}
    twin.follow(twin.estate.model_copy(update={"devices": devices}), START + 240 * SECOND)
    twin.pipeline.tick(START + 241 * SECOND)
    assert [] == twin.alerting.open_incidents()
    assert None is twin.live.entry("devices", gone)


def test_walls_that_are_open_are_told_everything_anew_with_what_is_known(twins: list[Twin]) -> None:
    twin = twins[0]
    twin.pipeline.accept(reading(twin.estate, "fw-1", START), START)
    known = twin.live.snapshot(START)
    twin.follow(with_another_name(with_new_device(twin.estate, 1), 5), START + SECOND)
    told = twin.live.snapshot(START + SECOND, since=known["version"])
    assert "organisation" in told
    entries = {each["id"]: each for each in told["devices"]}
    assert (True, START) == (entries["fw-1"]["up"], entries["fw-1"]["time_ns"])
    assert 0 == entries["new-1"]["time_ns"]
    assert "Tsu 5" in [each["name"]["en"] for each in told["tenants"]]
