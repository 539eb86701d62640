"""Looking for paths when many fail at once: bounded, throttled, and never in the way."""

import asyncio
from ipaddress import ip_address
from pathlib import Path

import pytest

from poller.config import load
from poller.estate import Estate, ProbePoints
from poller.paths import ASK_AGAIN_SECONDS, WAITING, WORKERS, PathFinder, path_question
from probes.errors import LocalError
from probes.path import Path as Trace
from probes.path import PathQuestion, Said, Way, path_of, read_answer

EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"
QUESTION = PathQuestion(ip_address("192.0.2.9"), udp_port=53, tcp_port=25)


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load(EXAMPLE).estate


class Tracer:
    """Stands for the process: holds every question until told to go on."""

    def __init__(self) -> None:
        self.at_once = self.most = 0
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, question: PathQuestion) -> Trace:
        self.asked.append(str(question.address))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.go.wait()
        self.at_once -= 1
        return path_of(question, [])


async def settle(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is the tasks of the finder that move
            await asyncio.sleep(0)


async def test_many_that_fail_at_once_are_asked_few_at_a_time_and_the_rest_is_dropped_and_counted(estate) -> None:
    tracer, found = Tracer(), []
    finder = PathFinder(estate, tuple, lambda subject, _path: found.append(subject), trace=tracer)
    subjects = [f"device/{device}" for device in estate.devices]
    task = asyncio.create_task(finder.run())
    taken = [subject for subject in subjects if finder.ask(subject)]
    assert subjects[:WAITING] == taken
    assert len(subjects) - WAITING == finder.dropped
    tracer.go.set()
    await settle(lambda: len(found) == WAITING)
    task.cancel()
    assert WORKERS >= tracer.most
    assert taken == found


async def test_a_subject_is_asked_again_only_after_a_while(estate) -> None:
    now = 1000.0
    finder = PathFinder(estate, tuple, lambda *_: None, clock=lambda: now)
    assert finder.ask("circuit/int-1")
    assert not finder.ask("circuit/int-1")
    now += ASK_AGAIN_SECONDS
    assert finder.ask("circuit/int-1")


async def test_a_path_that_cannot_be_asked_is_told_and_the_next_one_is_asked(estate, caplog) -> None:
    found = []

    async def trace(question: PathQuestion) -> Trace:
        if str(question.address) == "127.16.201.11":
            raise LocalError("not allowed")
        return path_of(question, [])

    lost = ["circuit/int-1", "circuit/int-2"]

    def take_lost() -> list[str]:
        taken, lost[:] = lost[:], []
        return taken

    finder = PathFinder(estate, take_lost, lambda subject, _path: found.append(subject), trace=trace)
    task = asyncio.create_task(finder.run())
    await settle(lambda: found)
    task.cancel()
    assert ["circuit/int-2"] == found
    assert "no_path" in caplog.text


def test_of_a_circuit_the_furthest_point_is_asked_and_of_a_device_the_port_of_its_service(estate) -> None:
    """(R41)"""
    assert ip_address("127.16.201.11") == path_question(estate, "circuit/int-1").address
    probe = ProbePoints(near="192.0.2.1", far=["2001:db8::2", "192.0.2.2"])
    line = estate.circuits["int-1"].model_copy(update={"probe": probe})
    both = estate.model_copy(update={"circuits": {"int-1": line}})
    assert ip_address("2001:db8::2") == path_question(both, "circuit/int-1").address
    served = {
        device: path_question(estate, f"device/{device}")
        for service in estate.services.values()
        for device in service.devices
    }
    assert 10053 in {question.udp_port for question in served.values()}
    assert 10025 in {question.tcp_port for question in served.values()}
    assert path_question(estate, "tenant/tsu/internet") is None
    assert path_question(estate, "device/nobody") is None


def answer(way: Way, ttl: int, said: Said, address: str = "192.0.2.1") -> dict[str, object]:
    return {"way": str(way), "ttl": ttl, "address": address, "said": str(said), "seconds": 0.01}


def test_hops_behind_the_one_that_ends_a_way_are_left_out_and_late_answers_do_not_replace_the_first() -> None:
    path = path_of(
        QUESTION,
        [
            answer(Way.UDP, 3, Said.REACHED),
            answer(Way.UDP, 1, Said.PASSED, "192.0.2.7"),
            answer(Way.UDP, 1, Said.PASSED, "192.0.2.8"),
            answer(Way.UDP, 4, Said.REACHED),
            answer(Way.TCP, 2, Said.PASSED),
        ],
    )
    icmp, udp, tcp = path.ways
    assert (None, False) == (icmp.last, icmp.reached)
    assert [(1, "192.0.2.7"), (3, "192.0.2.1")] == [(hop.ttl, hop.address) for hop in udp.hops]
    assert (True, False) == (udp.reached, tcp.reached)
    assert (53, 25) == (udp.port, tcp.port)


@pytest.mark.parametrize(
    ("said", "complaints", "sentence"),
    [
        (b'{"error": "not allowed"}', b"", "not allowed"),
        (b"", b"Traceback\nImportError: no scapy", "ImportError: no scapy"),
        (b"[]", b"", "it said nothing"),
        (b'{"answers": [{"way": "udp"}]}', b"", "it said nothing"),
    ],
)
def test_a_process_that_breaks_is_one_sentence(said: bytes, complaints: bytes, sentence: str) -> None:
    with pytest.raises(LocalError, match=sentence) as raised:
        read_answer(QUESTION, said, complaints)
    assert "\n" not in str(raised.value)
