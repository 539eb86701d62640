"""What devices told lately, as page and API: the funnel, the latest, who was heard when, what does not fit.

/api/v1/notifications gives everything, or with since=N only what came after number N, for whoever follows.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from poller.estate import Estate
from poller.notified import Entry, Notified
from poller.wall.live import LiveState
from poller.wall.work import answer
from probes.snmp.oid import format_oid
from traps.words import text_of

_SOURCES_MOST: Final = 1_000
Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotificationPages:
    """The routes; notified is None in a daemon that receives nothing."""

    def __init__(self, notified: Notified | None, live: LiveState, clock_ns: Callable[[], int], page: Page) -> None:
        self._notified = notified
        self._live = live
        self._clock_ns = clock_ns
        self._page = page

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/notifications", self._page),
            web.get("/api/v1/notifications", self._list),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) < 19):  # noqa: PLR2004 - digits of 64 bits
            return answer({"error": "since is the number of a notification"}, status=400)
        return answer(view(self._notified, self._live.estate, int(since), self._clock_ns()))


def view(notified: Notified | None, estate: Estate, since: int, now_ns: int) -> dict[str, Any]:
    """Everything to show: receiving, funnel, latest (newest first), sources, what is odd, storm, canary."""
    if notified is None:
        return {"now_ns": now_ns, "receiving": [], "latest": [], "number": 0}
    intake, funnel = notified.intake, notified.intake.funnel
    counters = ("received", "decoded", "accepted", "told", "summed", "committed", "informs", "acknowledged")
    return {
        "now_ns": now_ns,
        "receiving": [f"{host}:{port}" for host, port in notified.addresses],
        "number": notified.recent[-1].number if notified.recent else 0,
        "funnel": {
            **{name: getattr(funnel, name) for name in counters},
            "repeated_informs": funnel.repeated_informs,
            "unknown": intake.oddities.unknown,
            "dropped": {str(reason): count for reason, count in funnel.dropped.items() if count},
        },
        "latest": [_entry(entry) for entry in reversed(notified.recent) if entry.number > since],
        "sources": _sources(notified),
        "silent": _silent(notified, estate),
        "strangers": [
            {"address": one.address, "count": one.count, "last_ns": one.last_ns, "claims": one.claims}
            for one in intake.oddities.strangers.values()
        ],
        "gaps": [
            {"oid": format_oid(gap.oid) or "*", "device": gap.device, "count": gap.count, "last_ns": gap.last_ns}
            for gap in sorted(intake.oddities.gaps.values(), key=lambda gap: -gap.count)
        ],
        "refused": _refused(notified, now_ns),
        "storm": notified.storms.text(),
        "engines": intake.security.engines,
        "canary": {
            "sent_ns": notified.canary.sent_ns,
            "durable_ns": notified.canary.durable_ns,
            "misses": notified.canary.misses,
        },
    }


def _entry(entry: Entry) -> dict[str, Any]:
    one = entry.accepted
    return {
        "number": entry.number,
        "time_ns": one.time_ns,
        "device": one.device,
        "source": one.sender.address,
        "version": one.version,
        "kind": one.notification.kind,
        "name": one.meaning.name,
        "oid": format_oid(one.notification.oid),
        "severity": one.meaning.severity,
        "count": one.window.count,
        "storm": one.storm,
        "differs": one.differs,
        "text": {lang: text_of(one.meaning, entry.told, lang, entry.more) for lang in ("ja", "en")},
        "varbinds": [{"name": each.name, "oid": each.oid, "value": each.value} for each in entry.told],
    }


def _sources(notified: Notified) -> list[dict[str, Any]]:
    """Who was heard, the latest first; differs: an address that its notifications name as their own (R50)."""
    found = [source for source in notified.intake.known.values() if source is not None]
    found.sort(key=lambda source: -source.last_ns)
    return [
        {
            "address": source.sender.address,
            "device": source.sender.device,
            "relay": source.sender.relay,
            "count": source.total,
            "last_ns": source.last_ns,
            "limited": source.limited,
            "dropped": source.dropped,
            "differing": source.differing,
            "differs": source.differs,
            "storm": source.calm_after_ns is not None,
            "authentication_failures": sum(
                tally[0] for oid, tally in source.tallies.items() if oid == _AUTHENTICATION_FAILURE
            ),
        }
        for source in found[:_SOURCES_MOST]
    ]


_AUTHENTICATION_FAILURE: Final = (1, 3, 6, 1, 6, 3, 1, 1, 5, 5)


def _refused(notified: Notified, now_ns: int) -> list[dict[str, Any]]:
    """Senders by SNMPv3 whose clock went back: what they told, what was expected, and when (R44)."""
    return [
        {
            "engine": reset.engine_id.hex(),
            "device": reset.device,
            "address": reset.address,
            "boots": reset.boots,
            "seen_boots": reset.seen_boots,
            "count": reset.count,
            "last_ns": min(now_ns, int(reset.at * 1e9)),
        }
        for reset in notified.intake.security.resets
    ]


def _silent(notified: Notified, estate: Estate) -> list[str]:
    """Devices of which nothing was ever heard: perhaps nobody told them where to send."""
    heard = {source.sender.device for source in notified.intake.known.values() if source is not None and source.total}
    return [device for device in estate.devices if device not in heard]
