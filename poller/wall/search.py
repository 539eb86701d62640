"""Finding a thing by its name, id, address, number or kind: every word must be in it. Pure."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final

from poller.estate import Estate

MOST: Final = 100
"""Found things that are told; who gets more, writes more."""
LONGEST: Final = 200
"""Characters of a question; what comes after is not looked at."""


def found(estate: Estate, incidents: Iterable[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """What is called so comes before what is connected with it; among these open incidents first. At most MOST.

    Each with kind, id, name and more, a line of what else is known. Nothing is found by an empty text.
    """
    words = _plain(text[:LONGEST]).split()
    if not words:
        return []
    things = [(thing, _plain(" ".join(parts))) for thing, parts in _things(estate, incidents)]
    hits = [thing for thing, plain in things if all(word in plain for word in words)]
    hits.sort(key=lambda thing: _rank(thing, words))  # stable: what ranks alike keeps its order
    return hits[:MOST]


def _rank(thing: dict[str, Any], words: list[str]) -> int:
    """What is called so first, then what has it in its name, then what is only connected with it."""
    called = _plain(" ".join((thing["id"], *thing["name"].values())))
    return 0 if [_plain(thing["id"])] == words else 1 if all(word in called for word in words) else 2


def _things(estate: Estate, incidents: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    for incident in incidents:
        title = incident["title"]
        yield _thing("incident", incident["id"], title, incident["severity"]), [incident["id"], *title.values()]
    for circuit in estate.circuits.values():
        measured = circuit.measured_by
        more = " ".join(part for part in (circuit.contract_number, measured.device, measured.interface) if part)
        yield _of("circuit", circuit, more, (str(circuit.kind), circuit.redundancy_group or ""))
    for group in estate.line_groups.values():
        yield _of("line_group", group, "", group.members)
    for device in estate.devices.values():
        addresses = " ".join(str(address) for address in device.addresses)
        yield _of("device", device, addresses, (str(device.role), device.site))
    for service in estate.services.values():
        yield _of("service", service, service.target, (str(service.kind),))
    for tenant in estate.tenants.values():
        places = [f"{each.device} {each.interface}" for each in tenant.attachments]
        yield _of("tenant", tenant, ", ".join(places), (str(tenant.kind),))


def _of(kind: str, thing: Any, more: str, words: Iterable[str]) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401 - any of the estate
    name = {"ja": thing.name.ja, "en": thing.name.en}
    return _thing(kind, thing.id, name, more), [thing.id, *name.values(), more, *words]


def _thing(kind: str, id_: str, name: dict[str, str], more: str) -> dict[str, Any]:
    return {"kind": kind, "id": id_, "name": name, "more": more}


def _plain(text: str) -> str:
    """Wide letters narrow, capitals small, katakana of half width whole: as people type it."""
    return unicodedata.normalize("NFKC", text).casefold()
