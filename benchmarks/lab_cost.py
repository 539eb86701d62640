"""What the lab costs: CPU of `hinomi lab` with 300 devices, as a share of a core where each is polled once a minute.

    python benchmarks/lab_cost.py [rounds]

The estate is config/examples/prefecture with switches of 24 ports added up to 300 devices. A poll asks ten objects of
every interface (octets, packets, errors, discards both ways, status, discontinuity) and sysUpTime, 48 to a GET, once in
v2c and once with the credentials of the estate (v3 authPriv, SHA-256 and AES-128, for all but a few). The asker is this
process, the lab another one; its CPU seconds are read from /proc.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from poller.config import load
from poller.estate import Device, Estate
from poller.lab.access import make_access
from poller.lab.ports import make_ports
from poller.lab.world import engine_id_of
from probes.snmp.message import (
    FLAG_REPORTABLE,
    V2C,
    CommunityMessage,
    Pdu,
    PduKind,
    ScopedPdu,
    UsmParameters,
    V3Message,
    decode_message,
    encode_message,
    encode_scoped_pdu,
)
from probes.snmp.usm import Envelope, UsmUser, localize_keys, seal
from probes.snmp.values import VarBind

DEVICES = 300
COLUMNS = [(1, 3, 6, 1, 2, 1, 31, 1, 1, 1, column) for column in (6, 7, 10, 11, 19)]
COLUMNS += [(1, 3, 6, 1, 2, 1, 2, 2, 1, column) for column in (8, 13, 14, 19, 20)]
UPTIME = VarBind((1, 3, 6, 1, 2, 1, 1, 3, 0))
PREFECTURE = Path(__file__).resolve().parent.parent / "config" / "examples" / "prefecture"
IN_FLIGHT = 32


def make_estate(directory: Path) -> Estate:
    """The prefecture with more switches, written to the directory."""
    shutil.copytree(PREFECTURE, directory)
    missing = DEVICES - len(load(directory).estate.devices)
    lines = ["devices:"]
    for number in range(missing):
        lines.append(f"  more-{number}: {{name: More {number}, addresses: [127.17.{number // 200}.{number % 200 + 1}],")
        lines.append("    role: switch, site: dc, profile: alaxala_ax, credentials: core}")
    (directory / "devices" / "more.yaml").write_text("\n".join(lines) + "\n")
    return load(directory).estate


def questions(estate: Estate, device: Device) -> list[list[VarBind]]:
    """The varbinds of each GET of one poll."""
    indexes = range(1, len(make_ports(estate, device)) + 1)
    names = [VarBind((*column, index)) for index in indexes for column in COLUMNS]
    return [[UPTIME, *names[at : at + 47]] for at in range(0, len(names), 47)]


class Asker:
    """Sends requests, some at a time, and waits for as many answers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.settimeout(5)
        self.port = port

    def ask(self, requests: list[tuple[str, bytes]]) -> int:
        """Octets received in answer to all of them; a report or an error in place of values would be short."""
        octets = 0
        for at in range(0, len(requests), IN_FLIGHT):
            some = requests[at : at + IN_FLIGHT]
            for address, request in some:
                self.socket.sendto(request, (address, self.port))
            for _ in some:
                octets += len(self.socket.recv(65535))
        return octets

    def engine(self, address: str) -> UsmParameters:
        """Boots and time of an agent, by discovery."""
        scoped = encode_scoped_pdu(ScopedPdu(b"", b"", Pdu(PduKind.GET, 1, [])))
        self.socket.sendto(
            encode_message(V3Message(1, 65507, FLAG_REPORTABLE, UsmParameters(), scoped)), (address, self.port)
        )
        message = decode_message(self.socket.recv(65535))
        assert isinstance(message, V3Message)
        return message.security


def requests_v2c(estate: Estate) -> list[tuple[str, bytes]]:
    """Every GET of a round, by community."""
    return [
        (str(device.addresses[0]), encode_message(CommunityMessage(V2C, b"public", Pdu(PduKind.GET, 7, names))))
        for device in estate.devices.values()
        for names in questions(estate, device)
    ]


def requests_as_configured(estate: Estate, directory: Path, asker: Asker) -> list[tuple[str, bytes]]:
    """Every GET of a round, with the credentials of the estate."""
    found = []
    for device in estate.devices.values():
        address = str(device.addresses[0])
        access = make_access(estate.credentials.get(device.credentials or ""), directory)
        user = next(iter(access.users.values()), None)
        for salt, names in enumerate(questions(estate, device)):
            pdu = Pdu(PduKind.GET, 7, names)
            if user is None:
                found.append((address, encode_message(CommunityMessage(V2C, next(iter(access.communities)), pdu))))
            else:
                found.append((address, sealed(device.id, user, asker.engine(address), pdu, salt)))
    return found


def sealed(device: str, user: UsmUser, engine: UsmParameters, pdu: Pdu, salt: int) -> bytes:
    """A v3 request that is good for 150 s."""
    engine_id = engine_id_of(device)
    envelope = Envelope(1, engine_id, engine.engine_boots, engine.engine_time, user.security_name.encode())
    return seal(envelope, ScopedPdu(engine_id, b"", pdu), localize_keys(user, engine_id), salt)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "estate"
        estate = make_estate(directory)
        command = [
            sys.executable,
            "-m",
            "poller.cli",
            "lab",
            "-c",
            str(directory),
            "--port",
            "0",
            "--community",
            "public",
        ]
        lab = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert lab.stdout is not None
        try:
            ready = lab.stdout.readline()
            print(ready.strip(), f"after {cpu_seconds(lab.pid):.2f} CPU s")
            asker = Asker(int(ready.rpartition(" ")[2]))
            kinds = {"v2c": requests_v2c(estate), "as configured": requests_as_configured(estate, directory, asker)}
            for kind, requests in kinds.items():
                assert asker.ask(requests) > 600 * len(requests), "reports or errors came instead of values"
                before, began = cpu_seconds(lab.pid), time.monotonic()
                octets = sum(asker.ask(requests) for _ in range(rounds))
                a_round = (cpu_seconds(lab.pid) - before) / rounds
                values = len(requests) * 48
                print(
                    f"{kind}: {len(requests)} GETs ({values} values, {octets / rounds / 1e6:.2f} MB) a round, "
                    f"{a_round:.2f} CPU s a round = {a_round / 60:.1%} of a core, "
                    f"{a_round / values * 1e6:.1f} us a value; round took {(time.monotonic() - began) / rounds:.2f} s"
                )
            memory = next(line for line in Path(f"/proc/{lab.pid}/status").read_text().splitlines() if "VmRSS" in line)
            print(memory)
        finally:
            lab.terminate()
            lab.wait()


if __name__ == "__main__":
    main()
