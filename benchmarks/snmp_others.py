"""Pollers that are programs of their own, for benchmarks.snmp: Debian's cacti-spine and prometheus-snmp-exporter.

Each is measured where it is installed, and otherwise named with what is missing. Both ask the OIDs that the others ask,
49 in a GET. spine needs a database: a MariaDB is started in a temporary folder and taken away afterwards; it is not
counted, and spine writes nothing into it (--readonly). CPU seconds are user + system of the program alone.
"""

import asyncio
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.snmp_pollers import COUNTERS, IF_X_ENTRY, INTERFACES, SYS_UPTIME, address, groups
from poller.free_ports import free_port

VARBINDS: Final = 49
AT_ONCE: Final = 20
_SCHEMA: Final = Path("/usr/share/doc/cacti/cacti.sql")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class NotInstalled(Exception):  # noqa: N818 it says what is missing
    """A program that this measurement needs is not here."""


def find(program: str) -> str:
    """Path of a program, also in the folders of system programs; raises NotInstalled."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        raise NotInstalled(f"{program} is not installed")
    return found


def oids() -> list[str]:
    """All that a device is asked for, as text."""
    return [SYS_UPTIME, *(".".join(map(str, oid)) for group in groups() for oid in group)]


# ---- prometheus-snmp-exporter


def measure_exporter(port: int, devices: int, rounds: int, prefix: Sequence[str]) -> list[float]:
    """CPU seconds of each round of scrapes; one round before them is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "snmp.yml"
        configuration.write_text(_exporter_configuration(), encoding="utf-8")
        place = f"127.0.0.1:{free_port()}"
        command = [*prefix, find("prometheus-snmp-exporter"), f"--config.file={configuration}"]
        command += [f"--web.listen-address={place}", "--log.level=error"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
            try:
                asyncio.run(_scrape(place, port, 1))
                costs = []
                for _ in range(rounds + 1):
                    before = _cpu_seconds(child.pid)
                    asyncio.run(_scrape(place, port, devices))
                    costs.append(_cpu_seconds(child.pid) - before)
            finally:
                child.kill()
    return costs[1:]


def _exporter_configuration() -> str:
    columns = [".".join(map(str, (*IF_X_ENTRY, 6 + column))) for column in range(COUNTERS)]
    lines = ["bench:", "  get:", *(f"    - {oid}" for oid in oids()), "  metrics:"]
    lines += ["    - {name: sysUpTime, oid: 1.3.6.1.2.1.1.3, type: gauge, help: x}"]
    for number, column in enumerate(columns):
        index = "indexes: [{labelname: ifIndex, type: gauge}]"
        lines += [f"    - {{name: column{number}, oid: {column}, type: counter, help: x, {index}}}"]
    lines += ["  version: 2", f"  max_repetitions: {VARBINDS}", "  timeout: 30s", "  auth: {community: public}"]
    return "\n".join(lines) + "\n"


async def _scrape(place: str, port: int, devices: int) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession() as client:

        async def one(device: int) -> None:
            async with slots:
                query = {"target": f"{address(device)}:{port}", "module": "bench"}
                text = await _page(client, f"http://{place}/snmp", query)
                found = sum(line.startswith("column") for line in text.splitlines())
                assert found == INTERFACES * COUNTERS, (found, text[:300])

        await asyncio.gather(*(one(device) for device in range(devices)))


async def _page(client: aiohttp.ClientSession, url: str, query: dict[str, str]) -> str:
    give_up = time.monotonic() + 10
    while True:
        try:
            async with client.get(url, params=query) as response:
                return await response.text()
        except aiohttp.ClientConnectorError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.05)


# ---- cacti-spine


def measure_spine(port: int, devices: int, rounds: int, prefix: Sequence[str]) -> list[float]:
    """CPU seconds of each run over all devices, the start of the program and its questions to the database included."""
    spine = find("spine")
    if not _SCHEMA.exists():
        raise NotInstalled("cacti's cacti.sql is not installed")
    with tempfile.TemporaryDirectory() as folder, _database(Path(folder)) as socket_path:
        _run_sql(socket_path, _SCHEMA.read_text(encoding="utf-8", errors="replace"))
        _run_sql(socket_path, _estate(port, devices))
        configuration = Path(folder) / "spine.conf"
        configuration.write_text(
            "DB_Host localhost\nDB_Database cacti\nDB_User root\nDB_Pass \nDB_UseSSL 0\n", encoding="utf-8"
        )
        command = [*prefix, spine, "--readonly", "--stdout", f"--conf={configuration}"]
        environment = {**os.environ, "MYSQL_UNIX_PORT": str(socket_path)}
        told = _run(command, environment, verbosity=5)
        values = len(re.findall(r"oid: [\d.]+, value: \d+", told))
        assert values == devices * len(oids()), f"{values} values; {told[-500:]}"
        return [_cost(command, environment) for _ in range(rounds)]


def _run(command: Sequence[str], environment: Mapping[str, str], verbosity: int) -> str:
    told = [*command, f"--verbosity={verbosity}"]
    return subprocess.run(told, check=True, capture_output=True, text=True, env=environment).stdout


def _cost(command: Sequence[str], environment: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(command, environment, verbosity=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _estate(port: int, devices: int) -> str:
    """SQL for the devices and all they are asked for; settings as an operator who wants speed would have them."""
    lines = ["delete from host; delete from poller_item;", "insert into settings (name, value) values"]
    settings = {"max_get_size": VARBINDS, "availability_method": 0, "poller_interval": 60, "log_verbosity": 1}
    lines.append(",".join(f"('{name}', '{value}')" for name, value in settings.items()))
    lines.append("on duplicate key update value = values(value);")
    lines.append(f"update poller set threads = {AT_ONCE}, processes = 1;")
    for device in range(devices):
        lines.append(
            "insert into host (id, description, hostname, snmp_community, snmp_version, snmp_port, snmp_timeout,"
            " snmp_sysDescr, snmp_sysObjectID, snmp_sysContact, snmp_sysName, snmp_sysLocation,"
            f" availability_method, max_oids, device_threads, status) values ({device + 1}, 'd', '{address(device)}',"
            f" 'public', 2, {port}, 5000, '', '', '', '', '', 0, {VARBINDS}, 1, 3);"
        )
        rows = ",".join(
            f"({device * 1000 + number + 1}, {device + 1}, 0, '{address(device)}', 'public', 2, {port}, 5000, 'v', 'x',"
            f" 1, 60, 0, '{oid}')"
            for number, oid in enumerate(oids())
        )
        lines.append(
            "insert into poller_item (local_data_id, host_id, action, hostname, snmp_community, snmp_version,"
            f" snmp_port, snmp_timeout, rrd_name, rrd_path, rrd_num, rrd_step, rrd_next_step, arg1) values {rows};"
        )
    return "\n".join(lines)


@contextmanager
def _database(folder: Path) -> Iterator[Path]:
    server, install = find("mariadbd"), find("mariadb-install-db")
    base, data, place = Path(server).parent.parent, folder / "data", folder / "socket"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    told = [f"--basedir={base}", f"--datadir={data}", "--user=root"]
    subprocess.run(
        [install, "--no-defaults", *told, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        **quiet,
    )
    command = [server, "--no-defaults", *told, f"--socket={place}", "--skip-networking", f"--pid-file={folder}/pid"]
    with subprocess.Popen(command, **quiet) as child:
        try:
            give_up = time.monotonic() + 30
            while subprocess.run(_client(place, "select 1"), check=False, **quiet).returncode:
                assert time.monotonic() < give_up, "MariaDB does not start"
            _run_sql(place, "create database cacti", database="mysql")
            yield place
        finally:
            child.send_signal(signal.SIGTERM)


def _client(place: Path, *statement: str) -> list[str]:
    return [find("mariadb"), "--no-defaults", "--user=root", f"--socket={place}", *(f"-e{text}" for text in statement)]


def _run_sql(place: Path, text: str, database: str = "cacti") -> None:
    subprocess.run([*_client(place), database], input=text, text=True, check=True, stdout=subprocess.DEVNULL)


# ---- both


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
