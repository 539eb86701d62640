"""The lab's services, asked by the product's own probes: all of both examples serve, and break as they are told."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from poller.config import load
from poller.estate import Estate
from poller.free_ports import free_port
from poller.lab.scenario_file import load_scenario
from poller.lab.server import Lab, LabOptions
from poller.lab.services import LabServices, where_served
from poller.questions import question_of
from probes.result import ProbeResult, ServiceState
from probes.services import probe_service

EXAMPLES = Path(__file__).parent.parent / "config" / "examples"


def on_free_ports(estate: Estate, ca_file: Path) -> Estate:
    """The same services, on ports that nobody has, trusting the lab's authority in that file."""
    ports: dict[str, int] = {}

    def moved(text: str | None) -> str | None:
        return text and re.sub(r":(\d+)", lambda port: f":{ports.setdefault(port[1], free_port())}", text)

    services = {
        key: service.model_copy(
            update={
                "target": moved(service.target),
                "proxy": moved(service.proxy),
                "ca_file": service.ca_file and str(ca_file),
            }
        )
        for key, service in estate.services.items()
    }
    return estate.model_copy(update={"services": services})


@asynccontextmanager
async def serving(name: str, folder: Path) -> AsyncIterator[tuple[Estate, LabServices]]:
    ca_file = folder / "ca.pem"
    estate = on_free_ports(load(EXAMPLES / name).estate, ca_file)
    services = LabServices(estate)
    ca_file.write_bytes(services.certificate)
    assert [] == await services.start()
    try:
        yield estate, services
    finally:
        services.close()


async def ask(estate: Estate, service: str) -> ProbeResult:
    entry = estate.services[service].model_copy(update={"timeout": 0.5 if service == "slow" else 5.0})
    return await probe_service(entry.kind, question_of(entry, Path()))


@pytest.mark.parametrize("name", ["prefecture", "cityhall"])
async def test_every_service_of_the_examples_is_served_and_up(tmp_path, name):
    async with serving(name, tmp_path) as (estate, services):
        assert set(estate.services) == set(services.serving)
        results = {key: await ask(estate, key) for key in estate.services}
    assert {} == {key: found.sentence("en") for key, found in results.items() if found.state is not ServiceState.UP}


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("dns-internal-1", "dns_other_record"),
        ("dns-external-closed", "dns_exists"),
        ("web-through-proxy", "http_status"),
        ("web-filter", "http_not_blocked"),
        ("web-publishing", "http_status"),
        ("mail-relay-1", "smtp_declines"),
        ("time-1", "ntp_unsynchronised"),
    ],
)
async def test_a_service_that_is_wrong_is_down_alone_and_mended_again(tmp_path, service, reason):
    async with serving("prefecture", tmp_path) as (estate, services):
        await services.fail(service, "wrong")
        wrong = await ask(estate, service)
        others = [(await ask(estate, key)).state for key in ("dns-internal-2", "mail-relay-2", "time-2", "log-intake")]
        await services.restore(service)
        mended = await ask(estate, service)
    assert (ServiceState.DOWN, reason) == (wrong.state, wrong.reason)
    assert {ServiceState.UP} == {*others, mended.state}


@pytest.mark.parametrize("service", ["dns-internal-1", "web-publishing", "mail-relay-1", "time-1", "log-intake"])
async def test_a_service_that_is_not_there_refuses_and_comes_back(tmp_path, service):
    async with serving("prefecture", tmp_path) as (estate, services):
        await services.fail(service, "refused")
        gone = await ask(estate, service)
        await services.restore(service)
        back = await ask(estate, service)
    assert (ServiceState.DOWN, "refused", ServiceState.UP) == (gone.state, gone.reason, back.state)


@pytest.mark.parametrize("service", ["dns-internal-1", "web-publishing", "mail-relay-1", "time-1"])
async def test_a_service_that_keeps_silent_is_down_at_the_deadline(tmp_path, service):
    async with serving("prefecture", tmp_path) as (estate, services):
        await services.fail(service, "silent")
        entry = estate.services[service].model_copy(update={"timeout": 0.3})
        silent = await probe_service(entry.kind, question_of(entry, Path()))
    assert (ServiceState.DOWN, "no_answer") == (silent.state, silent.reason)


async def test_a_place_that_somebody_else_has_is_told_and_the_rest_is_served(tmp_path):
    estate = on_free_ports(load(EXAMPLES / "prefecture").estate, tmp_path / "ca.pem")
    with socket.socket() as taken:
        taken.bind(where_served(estate.services["log-intake"]))
        taken.listen()
        services = LabServices(estate)
        (problem,) = await services.start()
    assert problem.startswith("log-intake: 127.16.6.21 port ")
    assert "log-intake" not in services.serving
    assert "time-1" in services.serving
    services.close()


async def test_the_scenario_breaks_a_service_and_mends_it(tmp_path):
    estate = on_free_ports(load(EXAMPLES / "prefecture").estate, tmp_path / "ca.pem")
    text = "events:\n  - {do: break_service, service: time-1, how: wrong, at: 1s, for: 100s}\n"
    (tmp_path / "scenario.yaml").write_text(text, encoding="utf-8")
    scenario = load_scenario(tmp_path / "scenario.yaml", estate)
    found: list[tuple[str, str]] = []
    told: list[str] = []
    async with Lab(estate, EXAMPLES / "prefecture", LabOptions(port=0, services=True)) as lab:
        for step in scenario.events[0].steps():
            result = await ask(estate, "time-1")
            found.append((result.state.value, result.reason))
            told.append(step.text)
            step.act(lab)
            await lab.settled()
        result = await ask(estate, "time-1")
        found.append((result.state.value, result.reason))
    assert [("up", "ntp_answers"), ("down", "ntp_unsynchronised"), ("up", "ntp_answers")] == found
    assert ["service time-1 answers wrong", "service time-1 serves again"] == told
