"""Units and references to secrets: what an operator may write, what it becomes, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.config import load
from poller.secrets import SecretReference, SecretUnavailable
from poller.units import format_rate, format_volume, parse_duration, parse_rate, parse_ratio, parse_volume


@pytest.mark.parametrize(
    ("text", "expected"), [("300M", 300_000_000), ("4G", 4_000_000_000), ("1.5G", 1_500_000_000), ("64kbps", 64_000)]
)
def test_rates_are_decimal_bits_per_second(text: str, expected: int) -> None:
    assert expected == parse_rate(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("500GB", 500 * 10**9), ("20TB", 20 * 10**12), ("1.28TB", 1280 * 10**9)]
)
def test_volumes_are_decimal_octets(text: str, expected: int) -> None:
    assert expected == parse_volume(text)


@pytest.mark.parametrize(("text", "expected"), [("60s", 60.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("2w", 1_209_600.0)])
def test_durations_are_seconds(text: str, expected: float) -> None:
    assert expected == parse_duration(text)


@pytest.mark.parametrize(("written", "expected"), [("80%", 0.8), (0.8, 0.8), ("0.8", 0.8), (1, 1.0), ("99.9%", 0.999)])
def test_ratios_are_parts_of_one(written: object, expected: float) -> None:
    assert pytest.approx(expected) == parse_ratio(written)


@pytest.mark.parametrize("parse", [parse_rate, parse_volume, parse_duration, parse_ratio])
@pytest.mark.parametrize("written", [None, True, "", "fast", "-1", "1 X", [], {}, "4Gx", "４Ｇ"])
def test_what_has_no_unit_is_refused_with_an_example(parse: object, written: object) -> None:
    with pytest.raises(ValueError, match=r"is not a .*: write"):
        parse(written)


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from(["k", "M", "G", "T"]))
def test_a_whole_rate_loses_nothing(number: int, prefix: str) -> None:
    assert number * 1000 ** ("kMGT".index(prefix) + 1) == parse_rate(f"{number}{prefix}")


def test_people_read_three_digits() -> None:
    assert ("1.42 Gbps", "212 Mbps", "640 kbps") == (format_rate(1_420_000_000), format_rate(212e6), format_rate(640e3))
    assert ("1.28 TB", "640 GB", "12 B") == (
        format_volume(1_280 * 10**9),
        format_volume(640 * 10**9),
        format_volume(12),
    )


def test_a_secret_is_read_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "community").write_text("hunter2\n", encoding="utf-8")
    assert "hunter2" == SecretReference.parse("file:community").read(tmp_path).reveal()


def test_a_secret_is_read_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "community").write_text("hunter2", encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "hunter2" == SecretReference.parse("credential:community").read(Path("/nowhere")).reveal()


@pytest.mark.parametrize("text", ["", "\n", " \r\n\n"])
def test_an_empty_secret_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device would be asked with nothing, and its silence would look like the network's."""
    (tmp_path / "community").write_text(text, encoding="utf-8")
    monkeypatch.setenv("HINOMI_TEST_EMPTY", text)
    for reference in ("file:community", "env:HINOMI_TEST_EMPTY"):
        with pytest.raises(SecretUnavailable, match=f"^{reference} is empty$"):
            SecretReference.parse(reference).read(tmp_path)


def test_a_secret_is_the_only_line_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "community").write_bytes(b"\r\nhunter 2\r\n\r\n")
    assert "hunter 2" == SecretReference.parse("file:community").read(tmp_path).reveal()


def test_a_secret_of_two_lines_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "community").write_text("old\nhunter2\n", encoding="utf-8")
    with pytest.raises(SecretUnavailable) as refusal:
        SecretReference.parse("file:community").read(tmp_path)
    assert "file:community has 2 lines that are not empty; a secret is one line" == str(refusal.value)


@pytest.mark.parametrize("reference", ["file:absent", "env:HINOMI_TEST_ABSENT", "credential:absent"])
def test_a_reference_that_leads_nowhere_is_named(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretUnavailable, match=reference):
        SecretReference.parse(reference).read(tmp_path)


def test_a_value_written_for_a_reference_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="by reference only") as refusal:
        SecretReference.parse("hunter2")
    assert "hunter2" not in str(refusal.value)


def test_numbers_are_text_where_text_is_asked_for(tmp_path: Path) -> None:
    """A contract number or an interface 1.10 is not rounded, and version: 3 needs no quotes."""
    (tmp_path / "hinomi.yaml").write_text(
        "organisation: {name: Our network}\nsites: {hall: {address: 4711}}\n"
        "credentials: {core: {version: 3, security_name: 12}}\n"
        "devices: {sw: {addresses: [192.0.2.1], role: switch, site: hall, packets_per_second: 0.5}}\n"
        "circuits: {c: {kind: access, ceiling_rate: 1G, measured_by: {device: sw, interface: 1.10}}}\n",
        encoding="utf-8",
    )
    estate = load(tmp_path, ()).estate
    assert ("4711", "3", "12") == (
        estate.sites["hall"].address,
        estate.credentials["core"].version,
        estate.credentials["core"].security_name,
    )
    assert ("1.10", 0.5) == (estate.circuits["c"].measured_by.interface, estate.devices["sw"].packets_per_second)
