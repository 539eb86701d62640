"""A mail's text as HTML: the same words in the same order, with the picture; nothing is fetched from anywhere.

Plain tables and inline styles, because that is what mail programs show. Every text is escaped (R77).
"""

import re
from html import escape
from typing import Final

from poller.alerts.picture import HOURS, SIZE, colours
from poller.alerts.pictured import Picture
from poller.alerts.words import pick
from poller.estate import Severity
from poller.schema import SCHEMA

PICTURE: Final = "picture@hinomi"
"""The Content-ID of the picture."""
_COLOURS: Final = {"serious": "#cf222e", "minor": "#bf8700", "notice": "#57606a", "recovered": "#1a7f37"}
_HEADING: Final = re.compile(r"^(?:■|#) ?(.*)")
_LINK: Final = re.compile(r"https?://[^\s<>\"'）)]+")
_FIELDS: Final = {
    "in_bits_per_second": ("下り（受信）", "in"),
    "out_bits_per_second": ("上り（送信）", "out"),
    "round_trip_delay_seconds": ("応答時間", "round trip"),
    "response_seconds": ("応答時間", "response time"),
}
_FONT: Final = "font-family:'Hiragino Sans','Noto Sans JP','Yu Gothic',Meiryo,sans-serif"


def page_of(text: str, colour: str, picture: Picture | None, lang: str) -> str:
    """The HTML of a plain text; colour is a severity or "recovered"."""
    blocks = []
    for number, section in enumerate(text.strip().split("\n\n")):
        blocks.append(_section(section))
        if number == 0 and picture is not None:
            blocks.append(_figure(picture, lang))
    bar = _COLOURS.get(colour, _COLOURS[Severity.NOTICE])
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Hinomi</title></head>'
        f'<body style="margin:0;background:#ffffff;color:#1f2328;{_FONT};font-size:15px;line-height:1.6">'
        f'<div style="border-top:6px solid {bar};max-width:640px;padding:12px 16px">{"".join(blocks)}</div>'
        "</body></html>\n"
    )


def _section(section: str) -> str:
    lines = section.split("\n")
    heading = _HEADING.match(lines[0])
    head = ""
    if heading is not None:
        head = f'<h2 style="font-size:16px;margin:18px 0 4px">{escape(heading[1])}</h2>'
        lines = lines[1:]
    return head + "".join(f'<div style="{_style(line)}">{_linked(line.strip())}</div>' for line in lines)


def _style(line: str) -> str:
    return "padding-left:14px" if line.startswith("  ") else "margin:2px 0"


def _linked(line: str) -> str:
    """The line, escaped, its addresses as links."""
    found, at = [], 0
    for match in _LINK.finditer(line):
        found.append(escape(line[at : match.start()]))
        found.append(f'<a href="{escape(match[0], quote=True)}">{escape(match[0])}</a>')
        at = match.end()
    return "".join(found) + escape(line[at:])


def _figure(picture: Picture, lang: str) -> str:
    names = []
    for field, colour in zip(picture.fields, colours(len(picture.fields)), strict=True):
        ja, en = _FIELDS.get(field, (field, SCHEMA[picture.measurement].field(field).meaning))
        names.append(f'<span style="color:{colour}">&#9632;</span> {escape(pick(lang, ja, en))}')
    title = pick(lang, f"直近{HOURS}時間", f"the last {HOURS} hours")
    return (
        f'<div style="margin:10px 0"><div style="font-size:13px;color:#57606a">{title}　{"　".join(names)}</div>'
        f'<img src="cid:{PICTURE}" width="{SIZE[0]}" height="{SIZE[1]}" alt="{title}" style="max-width:100%"></div>'
    )
