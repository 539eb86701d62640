"""What pages are told beside the readings: things found by a word, links, reasons, caps; and colours for everybody."""

import json
import math
import re
import subprocess
from itertools import combinations
from pathlib import Path

import playwright
import pytest

from poller.circuit_state import Evidence, ProbeEvidence, judge_circuit, reason_ja
from poller.config import load
from poller.estate import Estate
from poller.sample import Sample
from poller.wall.entries import cap_level
from poller.wall.live import LiveState
from poller.wall.related import related
from poller.wall.search import MOST, found

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "poller" / "wall" / "static"
NOON_NS = 1_795_230_000 * 10**9
INCIDENT = {
    "id": "2026-1121-001",
    "title": {"ja": "内部DNS 利用不可", "en": "Internal DNS not usable"},
    "severity": "minor",
}


@pytest.mark.parametrize(
    ("asked", "usual", "lang"),
    [
        (None, "ja", "ja"),
        (None, "en", "en"),
        ("en", "ja", "en"),
        ("ja", "en", "ja"),
        ("fr", "en", "en"),
        ("", "", "ja"),
        ("__proto__", "fr", "ja"),
    ],
)
def test_a_page_speaks_as_it_is_asked_to_else_as_the_organisation(asked: str | None, usual: str, lang: str) -> None:
    """By the node that playwright brings: no browser."""
    node = Path(playwright.__file__).parent / "driver" / "node"
    asks = f"console.log(spoken({json.dumps(asked)}, {json.dumps(usual)}))"
    script = f"{(STATIC / 'words.js').read_text(encoding='utf-8')}\n{asks}"
    said = subprocess.run(
        [node, "--input-type=module"], input=script, capture_output=True, text=True, check=True, timeout=30
    )
    assert lang == said.stdout.strip()


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load(ROOT / "config" / "examples" / "prefecture").estate


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("fw-1", ("device", "fw-1")),
        ("ＦＷ－１", ("device", "fw-1")),
        ("ﾌｧｲｱｳｫｰﾙ 2号機", ("device", "fw-2")),
        ("N123-4567-01", ("circuit", "int-1")),
        ("127.16.1.11", ("device", "fw-1")),
        ("internal dns", ("incident", "2026-1121-001")),
        ("2026-1121", ("incident", "2026-1121-001")),
        ("津市", ("device", "ar-tsu")),
        ("TSU", ("tenant", "tsu")),
        ("closed_network", ("circuit", "cloud-a")),
    ],
)
def test_a_thing_is_found_by_what_people_call_it(estate: Estate, text: str, first: tuple[str, str]) -> None:
    hits = found(estate, [INCIDENT], text)
    assert first == (hits[0]["kind"], hits[0]["id"])


def test_every_word_must_be_in_it_and_nothing_finds_nothing(estate: Estate) -> None:
    assert [] == found(estate, [INCIDENT], "fw-1 cloud-a")
    assert [] == found(estate, [INCIDENT], " ")
    assert MOST == len(found(estate, [INCIDENT], "1"))


def test_what_is_called_so_comes_before_what_hangs_on_it(estate: Estate) -> None:
    kinds = [hit["kind"] for hit in found(estate, [], "fw-1")]
    assert ("device", {"tenant"}) == (kinds[0], set(kinds[1:]))


def test_pages_lead_to_what_hangs_together(estate: Estate) -> None:
    things = {
        "circuit": "int-1",
        "device": "int-rt-1",
        "line_group": "outside",
        "tenant": "tsu",
        "service": "time-1",
    }
    links = {kind: {(each["kind"], each["id"]) for each in related(estate, kind, key)} for kind, key in things.items()}
    assert {("circuit", "int-2"), ("device", "int-rt-1"), ("line_group", "internet")} == links["circuit"]
    assert {("circuit", "int-1"), ("device", "int-rt-2")} <= links["device"]
    assert {("line_group", "internet"), ("line_group", "breakout")} == links["line_group"]
    assert (set(), set()) == (links["tenant"], links["service"])


def test_every_reason_of_a_circuits_state_has_its_japanese_words() -> None:
    """All that judge_circuit can say, made by it."""
    at = NOON_NS
    lossy = ProbeEvidence(at, 0.125, lossy=True)
    said = [
        judge_circuit(Evidence(), at, isolated=True),
        judge_circuit(Evidence(interface_up=False, interface_ns=at), at),
        judge_circuit(Evidence(interface_up=True, interface_ns=at), at),
        judge_circuit(Evidence(probe=ProbeEvidence(at, 1.0)), at),
        judge_circuit(Evidence(probe=ProbeEvidence(at, 0.0)), at),
        judge_circuit(Evidence(probe=lossy), at),
        judge_circuit(Evidence(), at),
    ]
    reasons = [reason for _, reason in said]
    assert [] == [reason for reason in reasons if not re.search("[ぁ-ん]", reason_ja(reason))]
    assert len(reasons) == len({reason_ja(reason) for reason in reasons})
    assert "向こう端へのエコーが失われています（直近1分 12.5%）" == reason_ja(reasons[5])
    assert "carrier lost" == reason_ja("carrier lost")


def cap(kind: str, ratio: float, *, projected: int | None = None) -> dict:
    direction = "each" if kind == "monthly_volume" else "in"
    held = {
        "line": "internet",
        "kind": kind,
        "direction": direction,
        "value": ratio * 100,
        "limit": 100,
        "ratio": ratio,
    }
    return {**held, "exceeded": ratio > 1, "projected": projected, "provisional": False}


@pytest.mark.parametrize(
    ("held", "level"),
    [
        (cap("sustained_rate", 0.79), "normal"),
        (cap("sustained_rate", 0.8), "minor"),
        (cap("burst_rate", 1.01), "serious"),
        (cap("monthly_volume", 0.95, projected=99), "normal"),
        (cap("monthly_volume", 0.5, projected=101), "minor"),
        (cap("monthly_volume", 1.01), "serious"),
        (cap("percentile_95", 0.85), "minor"),
    ],
)
def test_a_volume_is_judged_by_where_it_will_end_and_a_rate_by_where_it_is(held: dict, level: str) -> None:
    assert level == cap_level(held)


def test_a_tile_shows_the_cap_that_is_nearest_to_being_too_much(estate: Estate) -> None:
    """A month at 95 % that will end within its cap is calmer than a rate at 85 %."""
    live = LiveState(estate)
    live.show_caps({"tsu": [cap("monthly_volume", 0.95, projected=99), cap("sustained_rate", 0.85)]})
    shown = live.entry("tenants", "tsu")
    assert ("sustained_rate", 0.85, "in", "minor") == tuple(
        shown[f"cap_{word}"] for word in ("kind", "ratio", "direction", "level")
    )
    live.show_caps({"tsu": [cap("monthly_volume", 0.95, projected=99), cap("burst_rate", 0.2)]})
    assert ("burst_rate", 0.2) == (shown["cap_kind"], shown["cap_ratio"])
    live.show_caps({"tsu": [cap("monthly_volume", 0.5, projected=101), cap("burst_rate", 0.2)]})
    assert ("monthly_volume", "each", "minor") == (shown["cap_kind"], shown["cap_direction"], shown["cap_level"])
    version = live.snapshot(NOON_NS)["version"]
    live.show_caps({"tsu": [cap("monthly_volume", 0.5, projected=101), cap("burst_rate", 0.2)]})
    assert version == live.snapshot(NOON_NS)["version"]
    live.show_caps({})
    tags = (("tenant", "tsu"), ("line", "internet"))
    live.observe([Sample("tenant", tags, {"in_bits_per_second": 1e6, "out_cap_ratio": 0.3}, NOON_NS)])
    assert (0.3, "out", "normal") == tuple(shown[f"cap_{word}"] for word in ("ratio", "direction", "level"))


def palette(name: str, theme: str) -> dict[str, str]:
    """The colours of a stylesheet in a theme; the light one replaces what it names."""
    text = (STATIC / name).read_text(encoding="utf-8")
    blocks = re.findall(r'^(:root|\[data-theme="light"\]) \{(.*?)\}', text, re.DOTALL | re.MULTILINE)
    wanted = blocks if theme == "light" else [block for block in blocks if block[0] == ":root"]
    return dict(pair for _, block in wanted for pair in re.findall(r"--([a-z]+): (#[0-9a-f]{6})\b", block))


def linear(colour: str) -> tuple[float, ...]:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return tuple(each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio."""
    lights = sorted(
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(each), strict=True)) for each in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


SEEN_BY = {
    "everybody else": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopes": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopes": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopes": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""Machado, Oliveira and Fernandes 2009, severity 1.0, on linear light."""


def seen(colour: str, by: str) -> tuple[float, float, float]:
    """L*a*b* of a colour as somebody sees it (CIE 15, D65)."""
    light = [min(1.0, max(0.0, sum(m * c for m, c in zip(row, linear(colour), strict=True)))) for row in SEEN_BY[by]]
    rows = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    x, y, z = (sum(m * c for m, c in zip(row, light, strict=True)) for row in rows)
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x / 0.95047, y, z / 1.08883))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("sheet", ["wall.css", "work.css"])
def test_every_colour_of_letters_stands_out_from_its_ground(sheet: str, theme: str) -> None:
    """4.5 to 1, as WCAG's AA asks of small letters."""
    colours = palette(sheet, theme)
    letters = [name for name in colours if name not in {"ground", "panel", "edge", "track", "alarm"}]
    weak = [
        (name, ground, round(contrast(colours[name], colours[ground]), 2))
        for name in letters
        for ground in ("ground", "panel")
        if contrast(colours[name], colours[ground]) < 4.5
    ]
    assert [] == weak
    assert len(letters) >= 9


@pytest.mark.parametrize("by", list(SEEN_BY))
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_states_and_lines_are_told_apart_by_whatever_eyes(theme: str, by: str) -> None:
    """A difference of 12 in L*a*b* is plain to see side by side (R75); the signs tell those apart that are alone."""
    colours = palette("wall.css", theme)
    states = ("good", "notice", "minor", "serious", "old")
    pairs = [*combinations(states, 2), ("in", "out")]
    views = {state: seen(colours[state], by) for state in (*states, "in", "out")}
    distances = {pair: math.dist(views[pair[0]], views[pair[1]]) for pair in pairs}
    near = {pair: round(distance) for pair, distance in distances.items() if distance < 12}
    assert {} == near


def test_every_state_has_a_sign_of_its_own() -> None:
    text = (STATIC / "words.js").read_text(encoding="utf-8")
    signs = dict(re.findall(r'(\w+): "(.)"', text.partition("SIGNS")[2].partition("}")[0]))
    assert {"normal", "notice", "minor", "serious", "unknown"} == set(signs)
    assert len(signs) == len(set(signs.values()))
