"""What becomes of each echo of a target, the numbers of its minute, and the verdict."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.icmp_statistics import Delays, EchoStatistics, summarise
from probes.icmp_track import EchoDown, EchoTrack, EchoUp, Minute, Standing, Verdict

BURST = 5
SECOND = 10**9


@pytest.fixture
def track() -> EchoTrack:
    return EchoTrack(Verdict("fw-1", BURST), Minute(0))


@pytest.fixture
def verdict() -> Verdict:
    return Verdict("fw-1", BURST)


def send(track: EchoTrack, at_ns: int) -> int:
    sequence = track.sequence
    track.sent(at_ns)
    return sequence


def test_an_answer_in_time_gives_a_delay(track):
    track.answered(send(track, 1000), 6000)
    figures = track.minute.statistics("fw-1")
    assert (figures.sent, figures.received, figures.lost) == (1, 1, 0)
    assert figures.delays == Delays(5e-6, 5e-6, 5e-6, 5e-6, None)
    assert figures.round_trip_loss_ratio == 0.0


def test_a_delay_begins_when_the_kernel_says_that_the_echo_left(track):
    """Never before we asked for it, and of no echo that is not under way."""
    for late_ns, delay_ns in ((3_000, 7_000), (-5_000, 10_000)):
        track.sent(1_000_000)
        track.left(track.sequence - 1, 1_000_000 + late_ns)
        track.left(track.sequence + 5, 1)
        track.answered(track.sequence - 1, 1_010_000)
        assert track.minute.delays_ns[-1] == delay_ns


def test_an_answer_after_the_timeout_is_late_and_its_echo_stays_lost(track):
    sequence = send(track, 0)
    track.expired(sequence, 2 * SECOND)
    track.answered(sequence, 3 * SECOND)
    figures = track.minute.statistics("fw-1")
    assert (figures.received, figures.lost, figures.late, figures.duplicates) == (0, 1, 1, 0)
    assert figures.delays is None


def test_a_second_answer_is_a_duplicate(track):
    sequence = send(track, 0)
    track.answered(sequence, 5)
    track.answered(sequence, 9)
    figures = track.minute.statistics("fw-1")
    assert (figures.received, figures.duplicates, figures.late) == (1, 1, 0)


def test_a_second_late_answer_is_a_duplicate(track):
    sequence = send(track, 0)
    track.expired(sequence, 2 * SECOND)
    track.answered(sequence, 3 * SECOND)
    track.answered(sequence, 4 * SECOND)
    figures = track.minute.statistics("fw-1")
    assert (figures.late, figures.duplicates) == (1, 1)


def test_a_timeout_after_the_answer_changes_nothing(track):
    sequence = send(track, 0)
    track.answered(sequence, 5)
    assert track.expired(sequence, 2 * SECOND) is None
    assert track.minute.statistics("fw-1").lost == 0
    assert track.verdict.standing is Standing.UP


def test_an_answer_counts_for_the_minute_in_which_its_echo_was_sent(track):
    sequence = send(track, 0)
    ended = track.next_minute(60 * SECOND)
    track.answered(sequence, 5)
    assert (ended.statistics("fw-1").received, track.minute.statistics("fw-1").received) == (1, 0)


def test_an_echo_that_could_not_be_sent_is_no_loss_and_no_verdict(track):
    for _ in range(20):
        track.send_failed("Network is unreachable", 0)
    figures = track.minute.statistics("fw-1")
    assert (figures.sent, figures.send_failed, figures.lost) == (0, 20, 0)
    assert figures.round_trip_loss_ratio is None
    assert figures.send_error == "Network is unreachable"
    assert track.verdict.standing is Standing.UNKNOWN


def test_a_refusal_is_counted_apart_from_loss_and_is_an_echo_without_answer(track):
    track.refused(send(track, 0), 5)
    figures = track.minute.statistics("fw-1")
    assert (figures.sent, figures.refused, figures.lost, figures.round_trip_loss_ratio) == (1, 1, 0, 1.0)
    assert track.verdict.standing is Standing.DOUBTFUL


def test_the_sequence_goes_on_after_2_to_the_32(track):
    track.sequence = 2**32 - 1
    last, first = send(track, 0), send(track, 0)
    assert (last, first) == (2**32 - 1, 0)
    track.answered(last, 5)
    track.answered(first, 5)
    assert track.minute.statistics("fw-1").received == 2


@given(
    st.lists(st.sampled_from(["answer", "expire", "refuse", "late", "twice", "fail"]), max_size=80),
)
def test_every_echo_sent_is_received_refused_or_lost_whatever_happens(fates):
    track = EchoTrack(Verdict("fw-1", BURST), Minute(0))
    for now, fate in enumerate(fates):
        if fate == "fail":
            track.send_failed("No buffer space available", 0)
            continue
        sequence = send(track, now)
        if fate == "refuse":
            track.refused(sequence, now + 1)
        if fate in {"answer", "twice"}:
            track.answered(sequence, now + 1)
        track.expired(sequence, now + 2)
        if fate in {"late", "twice"}:
            track.answered(sequence, now + 3)
    figures = track.minute.statistics("fw-1")
    assert figures.sent == len(fates) - fates.count("fail")
    assert figures.received == fates.count("answer") + fates.count("twice")
    assert figures.lost == fates.count("expire") + fates.count("late")
    assert figures.refused == fates.count("refuse")
    assert (figures.late, figures.duplicates) == (fates.count("late"), fates.count("twice"))


@given(st.lists(st.integers(0, 10**10), min_size=2, max_size=200))
def test_the_summary_agrees_with_the_textbook(delays_ns):
    delays = summarise(delays_ns)
    assert delays is not None
    assert delays.min_seconds == min(delays_ns) / 1e9
    assert delays.max_seconds == max(delays_ns) / 1e9
    assert delays.median_seconds == pytest.approx(statistics.median(delays_ns) / 1e9)
    steps = [abs(after - before) for before, after in itertools.pairwise(delays_ns)]
    assert delays.variation_seconds == pytest.approx(statistics.fmean(steps) / 1e9)
    below = sum(value / 1e9 <= delays.percentile_95_seconds for value in delays_ns)
    strictly = sum(value / 1e9 < delays.percentile_95_seconds for value in delays_ns)
    assert below >= 0.95 * len(delays_ns) > strictly


def test_the_95th_percentile_is_by_ceiling_rank():
    delays = summarise(range(1, 41))
    assert delays is not None
    assert delays.percentile_95_seconds == 38e-9


def test_statistics_without_a_sent_echo_have_no_loss_ratio():
    figures = Minute(60 * SECOND).statistics("fw-1")
    assert figures == EchoStatistics("fw-1", 60 * SECOND, 0, 0, 0, 0, 0, 0, 0, None)
    assert figures.round_trip_loss_ratio is None


ANSWER, LOSS = "a", "l"

STANDINGS = [
    ("", Standing.UNKNOWN),
    ("a", Standing.UP),
    ("l", Standing.DOUBTFUL),
    ("al", Standing.DOUBTFUL),
    ("ala", Standing.UP),
    ("allllla", Standing.UP),
    ("alllll", Standing.DOUBTFUL),
    ("allllll", Standing.DOWN),
    ("llllll", Standing.DOWN),
    ("alllllll", Standing.DOWN),
    ("alllllla", Standing.RETURNING),
    ("allllllaa", Standing.RETURNING),
    ("alllllla" + "l", Standing.DOWN),
    ("allllllaal" + "aa", Standing.RETURNING),
    ("allllllaaa", Standing.UP),
]


@pytest.mark.parametrize(("outcomes", "standing"), STANDINGS)
def test_the_table_of_standings(verdict, outcomes, standing):
    for now, outcome in enumerate(outcomes):
        verdict.answered(now) if outcome == ANSWER else verdict.lost(now, now)
    assert verdict.standing is standing
    assert verdict.urgent is (standing in {Standing.DOUBTFUL, Standing.RETURNING})


def events(outcomes: str) -> list[EchoDown | EchoUp]:
    verdict = Verdict("fw-1", BURST)
    told = [
        verdict.answered(now) if outcome == ANSWER else verdict.lost(now, now + 2)
        for now, outcome in enumerate(outcomes)
    ]
    return [event for event in told if event is not None]


def test_a_target_that_dies_and_returns_is_told_once_each_with_the_true_beginnings():
    assert events("aaallllllllaaaa") == [
        EchoUp("fw-1", 0, 0),
        EchoDown("fw-1", since_ns=3, declared_ns=10, lost=6, refused=0),
        EchoUp("fw-1", since_ns=11, declared_ns=13),
    ]


def test_a_target_dead_from_the_start_is_told_down():
    assert events("llllll") == [EchoDown("fw-1", 0, 7, 6, 0)]


def test_a_doubt_before_the_first_answer_still_tells_that_it_is_up():
    assert events("lla") == [EchoUp("fw-1", 2, 2)]


def test_one_lost_echo_in_a_hundred_never_declares_anything():
    """(R37)"""
    assert events(("a" * 99 + "l") * 200) == [EchoUp("fw-1", 0, 0)]


@given(st.text("al", max_size=200))
def test_down_and_up_alternate_and_down_needs_a_whole_row_of_losses(outcomes):
    told = events(outcomes)
    kinds = [type(event) for event in told]
    assert all(before is not after for before, after in itertools.pairwise(kinds))
    longest = max((len(row) for row in outcomes.split("a")), default=0)
    assert (EchoDown in kinds) == (longest > BURST)


def test_refusals_of_the_row_are_counted_in_the_verdict(verdict):
    told = [verdict.lost(now, now, refused=now % 2 == 0) for now in range(BURST + 1)]
    assert told[-1] == EchoDown("fw-1", 0, BURST, lost=6, refused=3)
