"""The picture in a mail, and the mail's HTML: what stands there, for whom, and that nothing strange gets in."""

import io
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from PIL import Image

from poller.alerts.engine import Alerting
from poller.alerts.letterpaper import page_of
from poller.alerts.picture import SIZE, Curve, Drawing, draw, pieces
from poller.alerts.pictured import Pictures
from poller.alerts.store import Store
from poller.config import load
from poller.sample import Sample
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore

SECOND = 10**9
NOW = int(datetime(2026, 11, 21, 3, 12, tzinfo=UTC).timestamp()) * SECOND
EXAMPLE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
COLOUR = (0x1F, 0x6F, 0xEB)


def drawing(*values: float | None, level: float | None = None, began: int = 30) -> Drawing:
    """One value a minute, the last one now."""
    first = NOW - (len(values) - 1) * 60 * SECOND
    points = tuple((first + n * 60 * SECOND, value) for n, value in enumerate(values) if value is not None)
    return Drawing((Curve("x", points),), NOW, NOW - began * 60 * SECOND, ZoneInfo("UTC"), lambda v: f"{v:g}", level)


def columns_of_ink(png: bytes) -> list[int]:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return sorted({x for x in range(image.width) for y in range(image.height) if image.getpixel((x, y)) == COLOUR})


def test_the_picture_is_small_sharp_and_the_same_for_the_same() -> None:
    png = draw(drawing(*range(360), level=200.0))
    assert (SIZE[0] * 2, SIZE[1] * 2) == Image.open(io.BytesIO(png)).size
    assert len(png) < 20_000
    assert png == draw(drawing(*range(360), level=200.0))


def test_there_is_no_line_over_what_nobody_saw() -> None:
    seen = [*[5.0] * 60, *[None] * 60, *[5.0] * 60]
    assert [60, 60] == [len(piece) for piece in pieces(drawing(*seen).curves[0])]
    columns = columns_of_ink(draw(drawing(*seen)))
    gaps = [b - a for a, b in pairwise(columns) if b - a > 1]
    assert 1 == len(gaps)
    assert gaps[0] == pytest.approx((548 - 54) * 2 / 6, abs=6)  # an hour of six


def test_a_level_of_nothing_and_values_of_nothing_draw_all_the_same() -> None:
    assert draw(drawing(0.0, 0.0)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ('<script>alert("x")</script>', "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"),
        ('https://x.example/"onmouseover=1', '<a href="https://x.example/">https://x.example/</a>&quot;onmouseover=1'),
        ("■ 影響 <b>", "影響 &lt;b&gt;</h2>"),
    ],
)
def test_text_stays_text_on_the_page(text, html) -> None:
    """Text is cleaned before it reaches a page (R77)."""
    assert html in page_of(text, "serious", None, "ja")


@pytest.fixture
def told(tmp_path):
    """The mails by contact about a breakout line that went down, with six hours of its traffic in the store."""
    estate = load(EXAMPLE).estate
    contacts = {
        id_: contact.model_copy(update={"severities": tuple(estate.contacts["noc-shift"].severities)})
        for id_, contact in estate.contacts.items()
    }
    estate = estate.model_copy(update={"contacts": contacts})
    rows = [
        {"time_ns": NOW - n * 60 * SECOND, "line_group": "breakout", "in_bits_per_second": 2.0e8,
         "out_bits_per_second": 5.0e7, "coverage_ratio": 1.0}
        for n in range(300, 0, -1)
    ]  # fmt: skip
    ParquetStore(tmp_path / "store").write_frame("line_group", pl.DataFrame(rows))
    store = Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(estate, store)
    alerting.illustrate(Pictures(estate, open_history(tmp_path / "store")))
    for second in (0, 60):
        states = [Sample("line_group", (("line_group", "breakout"),), {"state": "down"}, NOW + second * SECOND)]
        alerting.observe(states, NOW + second * SECOND)
    alerting.tick(NOW + 70 * SECOND)

    def read() -> dict[str, object]:
        asked = "SELECT contact, message FROM outbox WHERE contact NOT LIKE 'webhook%' ORDER BY id"
        rows = store.call(lambda db: db.execute(asked).fetchall()).result()
        return {contact: message_from_bytes(message, policy=default) for contact, message in rows}

    yield read
    store.close()


def parts_of(message) -> list[str]:
    return [part.get_content_type() for part in message.walk() if not part.is_multipart()]


def test_operators_see_the_last_hours_and_tenants_and_providers_read_words_alone(told) -> None:
    """HTML beside the text, with the picture within it; no tenant sees what is not its own."""
    mails = told()
    assert {"noc-shift": 3, "tsu-ict": 2, "provider-a": 2}.items() <= {
        id_: len(parts_of(m)) for id_, m in mails.items()
    }.items()
    operator = mails["noc-shift"]
    assert ["text/plain", "text/html", "image/png"] == parts_of(operator)
    html = operator.get_body(("html",)).get_content()
    assert 'src="cid:picture@hinomi"' in html
    assert "下り（受信）" in html
    (picture,) = [part for part in operator.walk() if part.get_content_type() == "image/png"]
    assert "<picture@hinomi>" == picture["Content-ID"]
    assert columns_of_ink(picture.get_content())
    assert "ブレイクアウト接続回線" in operator.get_body(("plain",)).get_content()


def test_html_says_what_the_text_says_in_its_order(told) -> None:
    operator = told()["noc-shift"]
    words = [
        line.strip().lstrip("■ ") for line in operator.get_body(("plain",)).get_content().splitlines() if line.strip()
    ]
    html = operator.get_body(("html",)).get_content()
    places = [html.find(word.split("https")[0]) for word in words]
    assert -1 not in places
    assert places == sorted(places)


def test_a_store_that_cannot_be_read_costs_the_picture_and_not_the_mail(tmp_path, told) -> None:
    (tmp_path / "store" / "line_group").rename(tmp_path / "gone")
    assert ["text/plain", "text/html"] == parts_of(told()["noc-shift"])
