"""What the daemon tells of itself (R74): `hinomi status`, the control socket, its own measurement and rules."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from poller import control
from poller.alerts.builtin import BUILT_IN
from poller.alerts.engine import Alerting
from poller.alerts.rules import split_on
from poller.alerts.store import Store
from poller.cli import app
from poller.cli_status import shown
from poller.config import load
from poller.control import NoDaemon
from poller.daemon import Daemon
from poller.device_samples import failed_sample
from poller.lab.server import Lab, LabOptions
from poller.memory import memory_fields
from poller.readings import FailedPoll, PollCost
from poller.sample import Sample
from poller.schema import SCHEMA

HERE = Path(__file__).parent.parent
SECOND = 10**9
NOW = 1_800_000_000 * SECOND
CONFIGURATION = """\
organisation: {{name: {{ja: 試験網, en: Test network}}}}
polling: {{interval: 1s, timeout: 200ms, tries: 2, port: {port}}}
storage: {{directory: state}}
mail: {{maildir: mails}}
wall: {{port: 0}}
sites: {{hall: {{}}}}
credentials: {{core: {{version: "2c", community: "file:core"}}}}
devices:
  sw-1: {{addresses: [127.16.74.1], role: switch, site: hall, credentials: core, ping: false}}
  gone: {{addresses: [127.16.74.2], role: switch, site: hall, credentials: core, ping: false}}
"""


async def hinomi(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller.cli", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=HERE,
        env=os.environ | {"COLUMNS": "160", "LANG": "C.UTF-8"},
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.timeout(120)
async def test_status_tells_what_the_running_daemon_does_and_what_each_device_costs(tmp_path: Path) -> None:
    """(R74)"""
    (tmp_path / "core").write_text("community\n")
    (tmp_path / "hinomi.yaml").write_text(CONFIGURATION.format(port=161), encoding="utf-8")
    async with Lab(load(tmp_path).estate, tmp_path, LabOptions(port=0)) as lab:
        lab.silence("gone")
        (tmp_path / "hinomi.yaml").write_text(CONFIGURATION.format(port=lab.ports[0]), encoding="utf-8")
        daemon = Daemon(load(tmp_path))
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(daemon.run(ready.set_result))
        await asyncio.wait([ready, running], return_when=asyncio.FIRST_COMPLETED)
        costs: dict[str, dict[str, float]] = {}
        while len(costs) < 2:  # until both have been polled
            code, output, errors = await hinomi("status", "-c", str(tmp_path), "--json")
            assert (0, "") == (code, errors)
            found = json.loads(output)
            costs = {each["id"]: each for each in found["devices"]}
        assert {"devices": 2, "circuits": 0, "tenants": 0, "services": 0} == found["watched"]
        assert costs["sw-1"]["packets"] >= 1
        assert (True, True) == (costs["gone"]["retries"] >= 1, costs["gone"]["timeouts"] >= 1)
        assert costs["gone"]["packets"] > costs["gone"]["retries"]
        expected = {"rounds", "loop", "snmp", "journal", "outbox", "alerts", "disk", "parquet", "heartbeat", "paths"}
        assert expected <= found["parts"].keys()
        assert found["parts"]["loop"]["memory_octets"] > 10 * 2**20
        code, output, _ = await hinomi("status", "-c", str(tmp_path), "--once", "--lang", "en")
        assert 0 == code
        assert "Test network" in output
        assert "journal" in output
        assert "gone" in output
        daemon.stop()
        await running


def test_the_table_names_what_is_not_well() -> None:
    found = {
        "organisation": {"ja": "県", "en": "Prefecture"},
        "whole": {"word": "serious", "answering": 3, "asked": 4},
        "watched": {"devices": 4},
        "wall": "http://127.0.0.1:8480/",
        "version": "1",
        "node": "tower",
        "begun_ns": NOW,
        "late_seconds": 0.0,
        "incidents": [
            {
                "id": "2027-0115-001",
                "severity": "serious",
                "title": {"ja": "回線断", "en": "line down"},
                "since_ns": NOW,
            }
            | {"acknowledged_by": "mori"}
        ],
        "parts": {"journal": {"disk_full": True, "reason": "no room", "queue_depth": 12_345}},
        "devices": [{"id": "fw-1", "seconds": 1.25, "packets": 10, "retries": 2, "timeouts": 3}],
    }
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - never read
    console.print(shown(found, "ja"))
    told = console.export_text()
    for words in ("回線断", "mori", "disk_full", "no room", "12,345", "fw-1", "1.250"):
        assert words in told
    assert re.search(r"tower, \d{4}-\d\d-\d\d \d\d:\d\dから; ", told)
    console.print(shown(found, "en"))
    assert re.search(r"tower, since \d{4}-\d\d-\d\d \d\d:\d\d; ", console.export_text())


async def test_only_root_and_the_daemons_own_user_may_ask(tmp_path: Path) -> None:
    """(R76)"""
    if os.geteuid() != 0:
        pytest.skip("another user's question can be asked by root only")

    async def nothing() -> dict[str, object]:
        return {}

    async with control.Control(tmp_path, dict, nothing):
        assert {} == await control.ask(tmp_path, "GET", "/status")
        script = (
            "import asyncio, os, sys; from pathlib import Path; from poller.control import ask\n"
            "os.setuid(65534)\n"
            f"asyncio.run(ask(Path({str(tmp_path)!r}), 'GET', '/status'))"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script), cwd=HERE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        _, errors = await process.communicate()
        assert b"only root and the daemon's own user may ask here" in errors
    with pytest.raises(NoDaemon, match="no daemon runs by the configuration"):
        await control.ask(tmp_path, "GET", "/status")


def test_without_a_daemon_status_says_so(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["status", "-c", str(tmp_path)])
    assert (1, f"no daemon runs by the configuration in {tmp_path}\n") == (told.exit_code, told.stderr)


def test_threads_keep_no_memory_of_their_own() -> None:
    """With one arena for all, what a thread took and gave back is the process's again (mallopt, malloc_stats)."""
    script = """if True:
        import ctypes, sys, threading
        from poller.memory import give_back_memory
        assert give_back_memory()
        held = [threading.Thread(target=lambda: [bytes(100_000) for _ in range(100)]) for _ in range(8)]
        [each.start() for each in held], [each.join() for each in held]
        ctypes.CDLL(None).malloc_stats()
    """
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr
    assert told.count("Arena ") == 1, told


def test_memory_is_what_the_kernel_says() -> None:
    fields = memory_fields()
    assert 2**20 < int(str(fields["memory_octets"])) < 2**36
    assert 0 < float(str(fields["memory_ratio"])) < 1


@pytest.mark.parametrize(
    ("rule", "part", "fields"),
    [
        ("self-late", "rounds", {"lag_seconds": 11.0}),
        ("self-busy", "loop", {"busy_ratio": 0.9}),
        ("self-stall", "loop", {"stall_seconds": 6.0}),
        ("self-memory", "loop", {"memory_ratio": 0.9}),
        ("self-disk", "disk", {"days_left": 3.0}),
        ("self-heartbeat", "heartbeat", {"trouble": True}),
        ("self-mail", "outbox", {"trouble": True}),
        ("self-store", "alerts", {"trouble": True}),
        ("configuration-refused", "configuration", {"refused": True}),
    ],
)
def test_every_self_alert_is_raised_by_what_the_daemon_tells_of_itself(
    tmp_path: Path, rule: str, part: str, fields: dict[str, float]
) -> None:
    """(R74)"""
    (tmp_path / "hinomi.yaml").write_text("organisation: {name: 試験}\n", encoding="utf-8")
    store = Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(load(tmp_path).estate, store)
    for second in range(0, 1900, 60):
        now_ns = NOW + second * SECOND
        alerting.observe([Sample("daemon", (("node", "tower"), ("part", part)), fields, now_ns)], now_ns)
        alerting.tick(now_ns)
    store.close()
    assert [rule] == [incident.root[0] for incident in alerting.open_incidents()]


def test_every_built_in_rule_looks_at_a_field_of_the_schema_and_has_a_runbook() -> None:
    known = {field.name for field in SCHEMA["daemon"].fields}
    for rule in BUILT_IN.values():
        measurement, field = split_on(rule)
        assert "daemon" == measurement
        assert field in known
        assert rule.runbook


def test_the_manual_says_what_to_do_about_every_rule_that_is_built_in() -> None:
    manual = (HERE / "docs" / "operation.md").read_text(encoding="utf-8")
    assert [] == [id_ for id_ in BUILT_IN if f"| `{id_}` |" not in manual]


def test_what_a_poll_cost_is_kept_with_the_device_whether_it_answered_or_not() -> None:
    """(R74)"""
    device = load(HERE / "config" / "examples" / "prefecture").estate.devices["fw-1"]
    failed = FailedPoll("fw-1", NOW, "no_answer", "nobody answered", answered=False, cost=PollCost(4.5, 3, 2, 3))
    fields = failed_sample(device, failed).fields
    told = tuple(fields[name] for name in ("poll_seconds", "poll_packets", "poll_retries", "poll_timeouts"))
    assert (4.5, 3, 2, 3) == told
    assert {"poll_seconds", "poll_packets", "poll_retries", "poll_timeouts"} <= {
        f.name for f in SCHEMA["device"].fields
    }
