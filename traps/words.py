"""A notification in words: varbinds with names and enumerations, and its text in Japanese or English. Pure.

All text from the network is cleaned here: what is not printable does not leave as text (R77).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from probes.snmp.oid import format_oid
from probes.snmp.values import Missing, Tag, VarBind, decode_opaque_float
from traps.catalogue import Catalogue, Meaning
from traps.notification import Notification

_PLACE: Final = re.compile(r"\{([A-Za-z0-9_|]+)\}")
_LONGEST: Final = 200
_LONGEST_VALUE: Final = 1_024
_DANGLING: Final = " ：:、,"


class Told(NamedTuple):
    """One varbind in words. instance: what follows the object in its OID, "" where the object is not known."""

    name: str
    instance: str
    oid: str
    value: str


def name_varbinds(notification: Notification, meaning: Meaning, catalogue: Catalogue) -> list[Told]:
    """Every varbind with its name, or its number where nobody knows one, and its value as people read it."""
    told = []
    for place, varbind in enumerate(notification.varbinds):
        known = catalogue.object_of(varbind.oid)
        name = known.name if known is not None else catalogue.name_varbind(meaning, place, varbind.oid)
        instance = format_oid(varbind.oid[len(known.oid) :]) if known is not None else ""
        words = known.values if known is not None else {}
        told.append(Told(name, instance, format_oid(varbind.oid), value_text(varbind, words)))
    return told


def value_text(varbind: VarBind, words: Mapping[int, str] | None = None) -> str:
    """A value: an enumeration by its word and number, text where it is text, hexadecimal where it is not."""
    value = varbind.value
    if isinstance(value, bool | int):
        word = (words or {}).get(value)
        return f"{word}({value})" if word is not None else str(value)
    if isinstance(value, bytes):
        return _octets(value, varbind.tag)
    if isinstance(value, tuple):
        return format_oid(value)
    return value.name.lower() if isinstance(value, Missing) else ""


def _octets(value: bytes, tag: int) -> str:
    if tag == Tag.IP_ADDRESS:
        return ".".join(map(str, value))
    if tag == Tag.OPAQUE:
        number = decode_opaque_float(value)
        if number is not None:
            return f"{number:g}"
    try:
        text = value.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if (text or not value) and (text.isprintable() or all(sign.isprintable() or sign in "\r\n\t" for sign in text)):
        return clean(text, _LONGEST_VALUE)
    return value[: _LONGEST_VALUE // 3].hex(":")


def clean(text: str, longest: int = _LONGEST) -> str:
    """One line without control, format or private characters, cut at `longest`."""
    if text.isprintable() and len(text) <= longest and "  " not in text:  # as good as always
        return text.strip()
    flat = " ".join(text.split())
    kept = "".join(sign for sign in flat if unicodedata.category(sign)[0] != "C")
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def text_of(meaning: Meaning, told: Sequence[Told], lang: str, more: Mapping[str, str] | None = None) -> str:
    """The catalogue's text with its places filled: {a|b} is the first of both that was told; what was not falls away.

    more: values that were not told but are known, such as the name of the interface. An unknown notification is its
    number with its first values.
    """
    values = {**(more or {}), **{one.name: one.value for one in reversed(told) if one.value}}
    if not meaning.known:
        listed = ", ".join(f"{one.name}={one.value}" for one in told[:4])
        return clean(f"{meaning.name} {listed}".rstrip())

    def fill(place: re.Match[str]) -> str:
        return next((values[name] for name in place[1].split("|") if values.get(name)), "")

    return clean(_PLACE.sub(fill, meaning.text(lang)).rstrip(_DANGLING))


def subject_of(meaning: Meaning, told: Sequence[Told], more: Mapping[str, str] | None = None) -> str:
    """What it is about within its device: the values of its key, the interface by its name where that is known."""
    values = {**{one.name: one.value for one in reversed(told)}, **(more or {})}
    if "ifIndex" in meaning.key:
        name = values.get("ifName") or values.get("ifDescr") or values.get("ifIndex", "")
        return clean(name, 60)
    return clean(" ".join(values[name] for name in meaning.key if values.get(name)), 60)
