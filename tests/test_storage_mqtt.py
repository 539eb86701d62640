"""The way home over a real broker (mosquitto): every record, in order, whatever happens to the broker."""

import asyncio
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aiomqtt
import pytest

from poller.free_ports import free_port
from poller.sample import Sample
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.encoding import block_samples, encode
from poller.storage.errors import StoreUnavailable, UnreadableRecord
from poller.storage.journal import Journal, JournalLimits
from poller.storage.mqtt import MqttSettings, MqttSink, decode_message, encode_message

_CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
"""


class _Broker:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(_CONFIG.format(port=self.port, folder=folder) + "user root\n")
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._running = subprocess.Popen(["mosquitto", "-c", str(self._config)], stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._running.poll() is None
            else:
                return

    def stop(self) -> None:
        if self._running is not None:
            self._running.terminate()
            self._running.wait()
            self._running = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[_Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    made = _Broker(folder)
    yield made
    made.stop()


def _samples(first: int, count: int) -> list[Sample]:
    return [Sample("device", (("device", "sw-1"),), {"sessions": n}, n) for n in range(first, first + count)]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        # the state is plain numbers on purpose
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _subscribe(port: int) -> None:
    """Make the broker know the session at home, so that it keeps what is sent while nobody listens."""
    async with aiomqtt.Client("127.0.0.1", port, identifier="home", clean_session=False) as client:
        await client.subscribe("hinomi/+/records", qos=1)


async def _fetch(port: int, count: int) -> tuple[list[int], list[int]]:
    """Numbers and values of the first count samples, records that come again left out."""
    numbers: list[int] = []
    values: list[int] = []
    async with asyncio.timeout(60), aiomqtt.Client("127.0.0.1", port, identifier="home", clean_session=False) as client:
        async for message in client.messages:
            assert "hinomi/node-1/records" == str(message.topic)
            assert isinstance(message.payload, bytes)
            number, blocks = decode_message(message.payload)
            if number not in numbers:
                numbers.append(number)
                values.extend(int(s.fields["sessions"]) for block in blocks for s in block_samples(block))
            if len(values) >= count:
                break
    return numbers, values


async def test_records_come_home_in_order_though_the_broker_is_restarted(tmp_path: Path, broker: _Broker) -> None:
    sink, state = MqttSink(MqttSettings("127.0.0.1", "node-1", broker.port, timeout_seconds=1)), DeliveryState()
    limits = JournalLimits(record_samples=10, commit_seconds=0.02)
    await asyncio.to_thread(broker.start)
    await _subscribe(broker.port)
    await asyncio.to_thread(broker.stop)
    async with Journal(tmp_path / "journal.sqlite", ["mqtt"], limits) as journal:
        delivery = DeliverySettings(
            max_samples=50, max_seconds=0.01, first_retry_seconds=0.02, longest_retry_seconds=0.1
        )
        task = asyncio.create_task(run_reader(journal.reader("mqtt"), sink, delivery, state))
        journal.append(_samples(0, 1_000))
        await _until(lambda: state.failed_total > 0)
        await asyncio.to_thread(broker.start)
        await _until(lambda: state.done_total >= 200)
        await asyncio.to_thread(broker.stop)
        journal.append(_samples(1_000, 1_000))
        await asyncio.to_thread(broker.start)
        await _until(lambda: state.done_total >= 2_000)
        task.cancel()
        await sink.close()
    numbers, values = await _fetch(broker.port, 2_000)
    assert sorted(numbers) == numbers
    assert list(range(2_000)) == values


async def test_what_comes_home_is_what_was_measured(tmp_path: Path, broker: _Broker) -> None:
    """Every kind of value, to the last bit: counters to 2^64-1, fractions, truth, Japanese text (R34)."""
    sent = [
        Sample("device", (("device", "fw-1"), ("role", "firewall")), {"up": True, "cpu_ratio": 0.1 + 0.2}, 1),
        Sample("device", (("device", "fw-1"), ("role", "firewall")), {"reason": '応答なし\n"', "sessions": 0}, 2),
        Sample("interface", (("device", "fw-1"), ("interface", "Gi1/0/1")), {"in_octets_total": 2**64 - 1}, 3),
    ]
    await asyncio.to_thread(broker.start)
    await _subscribe(broker.port)
    sink, state = MqttSink(MqttSettings("127.0.0.1", "node-1", broker.port, timeout_seconds=5)), DeliveryState()
    async with Journal(tmp_path / "journal.sqlite", ["mqtt"], JournalLimits(commit_seconds=0.02)) as journal:
        task = asyncio.create_task(run_reader(journal.reader("mqtt"), sink, DeliverySettings(max_seconds=0.01), state))
        journal.append(sent)
        await _until(lambda: state.done_total == len(sent))
        task.cancel()
        await sink.close()
    got: list[Sample] = []
    async with aiomqtt.Client("127.0.0.1", broker.port, identifier="home", clean_session=False) as client:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            got += [sample for block in decode_message(message.payload)[1] for sample in block_samples(block)]
            if len(got) >= len(sent):
                break
    assert sent == sorted(got, key=lambda sample: sample.time_ns)


async def test_a_broker_that_is_not_there_is_told(unused_tcp_port: int) -> None:
    sink = MqttSink(MqttSettings("127.0.0.1", "node-1", unused_tcp_port, timeout_seconds=5))
    with pytest.raises(StoreUnavailable, match="unreachable"):
        await sink.write([])


@pytest.mark.parametrize("payload", [b"", b"HM", b"XX\x01" + bytes(8), b"HM\x02" + bytes(8), b"HM\x01" + bytes(8)])
def test_a_message_that_is_no_record_is_refused(payload: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        decode_message(payload)


def test_a_message_carries_the_record_and_its_number() -> None:
    number, blocks = decode_message(encode_message(2**63, encode(_samples(0, 3))))
    assert (2**63, _samples(0, 3)) == (number, [sample for block in blocks for sample in block_samples(block)])
