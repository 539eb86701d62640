"""The socket: its buffer, its losses, systemd's hand-over, our own engine over restarts."""

import asyncio
import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import traps.receiver
from poller.trap_sources import start_engine
from probes.snmp.message import CommunityMessage, Pdu, PduKind, encode_message
from probes.snmp.values import Tag, VarBind
from traps.catalogue import Catalogue
from traps.funnel import Drop
from traps.intake import Intake
from traps.notification import SYS_UPTIME, TRAP_OID
from traps.receiver import Buffer, Receiver, inherited_sockets, open_socket
from traps.security import Security
from traps.sources import Identity, Sources


def trap(number: int) -> bytes:
    frame = [
        VarBind(SYS_UPTIME, 10**8, Tag.TIME_TICKS),
        VarBind(TRAP_OID, (1, 3, 6, 1, 4, 1, 9999, 0, number), Tag.OBJECT_IDENTIFIER),
    ]
    return encode_message(CommunityMessage(1, b"public", Pdu(PduKind.TRAP_V2, number, frame)))


def make_intake() -> Intake:
    sources = Sources({ip_address("127.0.0.1"): "here"}, shared=Identity(frozenset([b"public"])))
    return Intake(sources, Catalogue(), Security(b"\x80\0\0\0\5abcd", 1, 0.0))


async def test_what_the_kernel_drops_is_counted() -> None:
    """R42: SO_RXQ_OVFL; received and dropped together are what was sent."""
    intake = make_intake()
    receiver = Receiver(open_socket("127.0.0.1", 0), intake, lambda *_: None, buffer_octets=8_192)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(400):  # the loop does not turn meanwhile: the buffer overflows
            sender.sendto(trap(number), receiver.address)
        received = -1
        while received != intake.funnel.received:
            received = intake.funnel.received
            receiver._drain()
        sender.sendto(trap(400), receiver.address)
        receiver._drain()
    assert 0 < intake.funnel.dropped[Drop.KERNEL]
    assert 401 == intake.funnel.received + intake.funnel.dropped[Drop.KERNEL]
    receiver.close()


async def test_a_burst_of_ten_thousand_waits_in_the_buffer_without_loss() -> None:
    """R43: nobody reads while they come."""
    intake = make_intake()
    seen = []
    receiver = Receiver(
        open_socket("127.0.0.1", 0), intake, lambda accepted, *_: seen.extend(accepted), buffer_octets=16 << 20
    )
    if receiver.buffer.granted < 10_000 * 900:
        receiver.close()
        return  # an unprivileged test run gets what the kernel allows; the warning is tested below
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(10_000):
            sender.sendto(trap(number), receiver.address)
    while intake.funnel.received < 10_000:  # noqa: ASYNC110 - the loop must turn, and a counter wakes nobody
        await asyncio.sleep(0)
    assert 0 == intake.funnel.dropped[Drop.KERNEL]
    assert sorted(one.time_ns for one in seen) == [one.time_ns for one in seen]
    assert len({one.time_ns for one in seen}) == len(seen)
    receiver.close()


async def test_while_much_waits_the_socket_is_read_on_and_others_get_their_turn() -> None:
    """R43: making use of a notification takes far longer than reading it, so the buffer is emptied first."""
    intake = make_intake()
    turns: list[int] = []
    receiver = Receiver(open_socket("127.0.0.1", 0), intake, lambda accepted, *_: turns.append(len(accepted)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(700):
            sender.sendto(trap(number), receiver.address)
        receiver._drain()
        assert (256, 444) == (intake.funnel.received, receiver.waiting)
        sender.sendto(trap(700), receiver.address)
        receiver._drain()
        assert (512, 189) == (intake.funnel.received, receiver.waiting)
    others = 0
    while receiver.waiting:
        await asyncio.sleep(0)
        others += 1
    assert others >= 1
    assert [256, 256, 189] == turns
    receiver.close()


async def test_what_waits_is_bounded_and_the_kernel_counts_the_rest(monkeypatch) -> None:
    """R42, R43: beyond the bound nothing is read, so that a flood takes no memory and every loss is told."""
    monkeypatch.setattr(traps.receiver, "WAITING_MOST", 300)
    monkeypatch.setattr(traps.receiver, "AT_ONCE", 10)
    intake = make_intake()
    receiver = Receiver(open_socket("127.0.0.1", 0), intake, lambda *_: None, buffer_octets=65_536)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(1_000):
            sender.sendto(trap(number), receiver.address)
            if number == 500:
                receiver._drain()
                assert receiver.waiting <= 300
        while receiver.waiting:  # noqa: ASYNC110 - the loop must turn
            await asyncio.sleep(0)
        sender.sendto(trap(1_000), receiver.address)
        await asyncio.sleep(0)
        receiver._drain()
    assert 0 < intake.funnel.dropped[Drop.KERNEL]
    assert 1_001 == intake.funnel.received + intake.funnel.dropped[Drop.KERNEL]
    receiver.close()


async def test_what_was_read_is_taken_when_receiving_ends() -> None:
    intake = make_intake()
    receiver = Receiver(open_socket("127.0.0.1", 0), intake, lambda *_: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(600):
            sender.sendto(trap(number), receiver.address)
    receiver._drain()
    receiver.close()
    assert 600 == intake.funnel.accepted


def test_a_small_buffer_is_told_with_the_setting_to_raise() -> None:
    """R42."""
    assert Buffer(1000, 1000, 4_194_304).warning is None
    warning = Buffer(8_388_608, 4_194_304, 4_194_304).warning
    assert warning is not None
    assert "net.core.rmem_max to 8388608" in warning


def test_udp_sockets_of_systemd_are_taken_and_others_left(tmp_path: Path) -> None:
    """R42: LISTEN_FDS (sd_listen_fds(3)) hands over IPv4 and IPv6, and perhaps a TCP socket that is not for us."""
    script = (
        "import os; from traps.receiver import inherited_sockets; os.environ['LISTEN_PID'] = str(os.getpid()); "
        "print([one.getsockname()[1] for one in inherited_sockets()])"
    )
    udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    udp.bind(("127.0.0.1", 0))

    def hand_over() -> None:
        os.dup2(udp.fileno(), 3)
        os.dup2(tcp.fileno(), 4)

    environment = {**os.environ, "LISTEN_FDS": "2", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", script], preexec_fn=hand_over, close_fds=False, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"[{udp.getsockname()[1]}]" == done.stdout.strip()
    udp.close()
    tcp.close()


def test_sockets_for_another_process_are_not_ours() -> None:
    assert [] == inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, pid=2)
    assert [] == inherited_sockets({})


def test_our_engine_keeps_its_id_and_counts_its_starts(tmp_path: Path) -> None:
    """RFC 3414, 2.2: a start that was not counted would accept old informs."""
    first, second = (start_engine(tmp_path / "engine.json", None) for _ in range(2))
    assert (first[0], 1, 2) == (second[0], first[1], second[1])
    assert bytes.fromhex("8000000001aabbcc") == start_engine(tmp_path / "engine.json", "0x8000000001aabbcc")[0]
    (tmp_path / "engine.json").write_text("{broken")
    assert 1 == start_engine(tmp_path / "engine.json", None)[1]


def test_a_message_from_before_a_restart_is_refused_after_it() -> None:
    """R44: clocks of senders survive; what was timely an hour ago is a replay now."""
    security = Security(b"\x80\0\0\0\5abcd", 1, 0.0)
    security.restore([(b"\x80\0\0\0\5peer", 3, 5_000)], 100.0)
    engine = security._engines[b"\x80\0\0\0\5peer"]
    assert not engine.clock.check(3, 4_000, 100.0)
    assert not engine.clock.check(2, 9_000, 100.0)
    assert engine.clock.check(3, 5_001, 100.0)
    assert [(b"\x80\0\0\0\5peer", 3, 5_001)] == security.save(100.0)
