"""Which checks a configuration calls for, and running them: all at once, each with its own time limit."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from poller.config import Configuration
from poller.diskroom import disk_room
from poller.doctor import judging, machine, peers, secretfiles
from poller.doctor.finding import Finding, Words, failed
from poller.estate import Estate
from poller.settings import InfluxDatabase, MqttBroker, Relay
from poller.wall.address import wall_url
from probes.errors import BadQuestion
from probes.icmp_socket import RECEIVE_BUFFER_OCTETS as ECHO_BUFFER_OCTETS
from probes.snmp.transport import RECEIVE_BUFFER_OCTETS as SNMP_BUFFER_OCTETS
from probes.target import is_address, split_target

CHECK_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """name: as in its findings. look: reads and judges."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]


async def examine(checks: Sequence[Check], seconds: float = CHECK_SECONDS) -> list[Finding]:
    """Every check at the same time; the findings in the order of the checks. One that hangs or breaks has failed."""
    found = await asyncio.gather(*(_examine(check, seconds) for check in checks))
    return [finding for findings in found for finding in findings]


async def _examine(check: Check, seconds: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return await check.look()
    except TimeoutError:
        ja, en = f"{seconds:.0f} 秒以内に終わりませんでした", f"did not end within {seconds:.0f} s"
    except Exception as error:  # noqa: BLE001 - one broken check must not hide what the others found
        ja = en = f"{type(error).__name__}: {error}"
    found = Words(f"確認 {check.name} ができません（{ja}）", f"the check {check.name} {en}")
    return [failed(check.name, found, Words("もう一度実行してください", "run it again"))]


def checks_of(configuration: Configuration) -> list[Check]:
    """What this configuration calls for, in the order in which it is told."""
    estate, state = configuration.estate, configuration.state_directory
    mail, storage = estate.mail, estate.storage
    checks = [
        Check("clock", _in_thread(lambda: [judging.judge_clock(machine.read_clock())])),
        Check("receive_buffer", _in_thread(lambda: [_buffer(estate)])),
        Check("icmp", _in_thread(lambda: [_echoes(estate)])),
        Check("notifications", _in_thread(lambda: [_notifying(configuration)])),
        Check("wall", lambda: _wall(configuration)),
        Check("secrets", _in_thread(lambda: _secrets(configuration))),
        Check("disk_speed", _in_thread(lambda: [judging.judge_disk(machine.try_disk(state))])),
        Check("disk_room", _in_thread(lambda: [_room(configuration)])),
        Check("dns", lambda: _names(names_of(estate))),
    ]
    if mail.relays:
        checks.append(Check("mail", lambda: _relays(mail.relays, configuration)))
    else:
        checks.append(Check("mail", _in_thread(lambda: [judging.judge_no_relay(mail.maildir)])))
    if (influx := storage.influx) is not None:
        checks.append(Check("storage.influx", lambda: _database(influx)))
    if (mqtt := storage.mqtt) is not None:
        checks.append(Check("storage.mqtt", lambda: _broker(mqtt, configuration)))
    return checks


def _in_thread(look: Callable[[], Sequence[Finding]]) -> Callable[[], Awaitable[Sequence[Finding]]]:
    return lambda: asyncio.to_thread(look)


def names_of(estate: Estate) -> list[str]:
    """Every host that the configuration gives by name, once."""
    hosts = [relay.host for relay in estate.mail.relays]
    if estate.storage.mqtt is not None:
        hosts.append(estate.storage.mqtt.host)
    urls = [webhook.url for webhook in estate.webhooks.values()]
    if estate.storage.influx is not None:
        urls.append(estate.storage.influx.url)
    for service in estate.services.values():
        if service.kind == "http":
            urls.append(service.proxy or service.target)  # a proxy resolves the target itself
        else:
            hosts.append(_host(service.target))
    hosts.extend(urlsplit(url).hostname or "" for url in urls)
    return sorted({host for host in hosts if host and not is_address(host)})


def _host(target: str) -> str:
    try:
        return split_target(target, 1)[0]
    except BadQuestion:
        return ""


def _buffer(estate: Estate) -> Finding:
    asked: Mapping[str, int] = {
        "SNMP": SNMP_BUFFER_OCTETS,
        "ICMP": ECHO_BUFFER_OCTETS,
        "notifications.receive_buffer": int(estate.notifications.receive_buffer),
    }
    return judging.judge_buffer(machine.read_buffer_limit(), asked)


def _echoes(estate: Estate) -> Finding:
    targets = [device.addresses[0] for device in estate.devices.values() if device.ping]
    for circuit in estate.circuits.values():
        targets.extend((*circuit.probe.near, *circuit.probe.far, *circuit.probe.beyond))
    families = {4: ("IPv4", socket.AF_INET), 6: ("IPv6", socket.AF_INET6)}
    wanted = [families[version] for version in sorted({target.version for target in targets})]
    return judging.judge_echoes({name: machine.try_echoes(family) for name, family in wanted})


def _notifying(configuration: Configuration) -> Finding:
    settings = configuration.estate.notifications
    listen = None if settings.listen is None else str(settings.listen)
    return judging.judge_notifying(machine.read_notifying(listen, settings.port, configuration.state_directory))


async def _wall(configuration: Configuration) -> Sequence[Finding]:
    wall = configuration.estate.wall
    url = wall_url(wall)
    trouble = "" if wall.port == 0 else await peers.ask_wall(url)
    runs = await asyncio.to_thread(machine.daemon_holds, configuration.state_directory)
    port = machine.try_port(socket.SOCK_STREAM, str(wall.listen), wall.port)
    if wall.port == 0:  # any free one
        runs = False
    return [judging.judge_wall(url, port, trouble, daemon_runs=runs)]


def _secrets(configuration: Configuration) -> list[Finding]:
    return secretfiles.judge_secrets(secretfiles.look_at(configuration.secrets, configuration.directory))


def _room(configuration: Configuration) -> Finding:
    state = configuration.state_directory
    room = disk_room(state)
    return judging.judge_room(str(state), room.free_octets, room.days_left)


async def _names(names: Sequence[str]) -> Sequence[Finding]:
    troubles = dict(zip(names, await asyncio.gather(*map(peers.resolve, names)), strict=True))
    lost = {name: trouble for name, trouble in troubles.items() if trouble is not None}
    return [judging.judge_names(names, lost)]


async def _relays(relays: Sequence[Relay], configuration: Configuration) -> Sequence[Finding]:
    troubles = await asyncio.gather(*(peers.greet_relay(relay, configuration.directory) for relay in relays))
    some = None in troubles
    return [
        judging.judge_relay(f"{relay.host}:{relay.port}", trouble, others_answer=some)
        for relay, trouble in zip(relays, troubles, strict=True)
    ]


async def _database(influx: InfluxDatabase) -> Sequence[Finding]:
    return [judging.judge_peer("storage.influx", influx.url, await peers.ask_database(influx))]


async def _broker(broker: MqttBroker, configuration: Configuration) -> Sequence[Finding]:
    trouble = await peers.greet_broker(broker, configuration.directory)
    return [judging.judge_peer("storage.mqtt", f"{broker.host}:{broker.port}", trouble)]
