"""10,000 notifications in 2 s from three sources and one linkDown from a fourth, by the clock on the wall (R47).

The whole daemon runs on the example prefecture, its 72 devices simulated and polled. Told are how long the linkDown
took from its sending to the open incident on the wall's API, whether the storm is one incident, and that every
notification is counted.

    python -m benchmarks.traps --storm
"""

import json
import socket
import time
from typing import Any

from benchmarks.traps import link_down
from benchmarks.traps_steady import ask, wait_for, watched_prefecture
from probes.snmp.message import CommunityMessage, encode_message

COUNT, SECONDS = 10_000, 2.0
STEP = 100
RULE = """rules:
  link-told:
    name: {ja: リンク断の通知, en: link down told}
    on: notification.raised
    equals: true
    where: {notifications: [linkDown], devices: [ar-mie]}
    clear_for: 1h
    severity: serious
"""
INCLUDE = "include:"


def sender(address: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, 0))
    return opened


def datagram(number: int) -> bytes:
    return encode_message(CommunityMessage(1, b"lab-only-notify", link_down(200 + number % 40, number)))


def open_incidents(wall: int, words: str) -> list[Any]:
    return [one for one in ask(wall, "/api/v1/wall")["incidents"] if words in json.dumps(one, ensure_ascii=False)]


def main() -> None:
    with watched_prefecture((INCLUDE, f"{RULE}{INCLUDE}")) as (addresses, told, wall):
        fourth, *three = (sender(addresses[number]) for number in (0, 10, 20, 30))
        time.sleep(15)  # the first round of polls and discoveries
        before = wait_for(wall, 0)["received"]
        begun, sent_at, took = time.monotonic(), 0.0, None
        for start in range(0, COUNT, STEP):
            for number in range(start, start + STEP):
                three[number % 3].sendto(datagram(number), ("127.0.0.1", told))
            if start == COUNT // 2:
                fourth.sendto(datagram(1), ("127.0.0.1", told))
                sent_at = time.monotonic()
            if sent_at and took is None and open_incidents(wall, "link-told"):
                took = time.monotonic() - sent_at
            time.sleep(max(0.0, begun + (start + STEP) * SECONDS / COUNT - time.monotonic()))
        sending = time.monotonic() - begun
        while took is None:
            if open_incidents(wall, "link-told"):
                took = time.monotonic() - sent_at
        time.sleep(2)
        funnel = ask(wall, "/api/v1/notifications?since=999999999")["funnel"]
        storms = len(open_incidents(wall, "notification-storm"))
        received = funnel["received"] - before
        dropped = sum(funnel["dropped"].values())
        print(f"linkDown of the fourth source to its open incident: {took:.2f} s")
        print(f"{COUNT + 1} sent in {sending:.1f} s, received {received}, lost {funnel['dropped'].get('kernel', 0)},")
        print(f"accepted {funnel['accepted']}, beyond the limit and only counted {dropped}; storm incidents: {storms}")


if __name__ == "__main__":
    main()
