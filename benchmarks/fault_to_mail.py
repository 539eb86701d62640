"""From a fault to the mail that a server has accepted, in real time: `sudo python benchmarks/fault_to_mail.py`.

In a network namespace of its own: the simulated prefecture, the daemon as it ships, and an SMTP server. First devices
send traps that the shipped rules call serious (three, one after another). Then nftables drops the echoes to both far
edges of a line. Each time the clock runs until the server has said 250 to the mail about it.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Final

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from poller.config import load
from poller.lab.notifications import Trap, trap_datagram

ROOT: Final = Path(__file__).resolve().parent.parent
LINES: Final = {
    "インターネット": ("127.16.200.11", "127.16.200.12"),
    "ブレイクアウト": ("127.16.200.21", "127.16.200.22"),
}
"""What the subject says of a line, and its far edges in the example."""
TOLD: Final = "間もなく停止する機器"
"""What the shipped rule is called that takes this notification as serious."""
LOW_BATTERY: Final = (1, 3, 6, 1, 4, 1, 318, 0, 7)
TRAP_PORT: Final = 16162
TRAPS: Final = 3
FIRST_SECONDS: Final = 20.0
READER: Final = "shift@noc.example.jp"
SETTLE_SECONDS: Final = 80.0
PATIENCE_SECONDS: Final = 90.0


class Inbox:
    """Accepts everything and remembers when."""

    def __init__(self) -> None:
        self.mails: list[tuple[float, str]] = []
        self.changed = threading.Condition()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.original_content or b"", policy=default)
        with self.changed:
            if READER in envelope.rcpt_tos:  # one of them: the others' mails about one fault come a moment later
                self.mails.append((time.monotonic(), str(message["Subject"])))
            self.changed.notify_all()
        return "250 accepted"

    def wait_for(self, words: str, after: float) -> float | None:
        """Seconds from `after` to the first serious mail with these words; None where none came in time."""
        with self.changed:
            while time.monotonic() < after + PATIENCE_SECONDS:
                for at, subject in self.mails:
                    if at > after and words in subject and "【重大" in subject:
                        return at - after
                self.changed.wait(1.0)
        return None


def main() -> None:
    """Lay the estate out, start everything, cut, measure."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=10025)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        shutil.copytree(ROOT / "config" / "examples" / "prefecture", config)
        text = (config / "hinomi.yaml").read_text(encoding="utf-8")
        relay = "relays: [{host: 127.0.0.1, port: 10025, tls: none}]"
        (config / "hinomi.yaml").write_text(re.sub(r"maildir: maildir.*", relay, text), encoding="utf-8")
        command = [sys.executable, "-m", "poller.cli"]
        started = [
            subprocess.Popen([*command, what, "-c", str(config)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)
            for what, log in (("lab", subprocess.DEVNULL), ("run", None if "-v" in sys.argv else subprocess.DEVNULL))
        ]
        try:
            time.sleep(FIRST_SECONDS)
            community = (config / "secrets" / "notify-community").read_bytes().strip()
            for number, address in enumerate(senders(config)[:TRAPS]):
                took = send_and_wait(inbox, number, (address, community))
                print(f"trap {number + 1}: {'no mail' if took is None else f'{took:.1f} s'}", flush=True)
            time.sleep(SETTLE_SECONDS)  # first polls, echoes of every target
            for words, edges in LINES.items():
                took = cut_and_wait(inbox, words, edges)
                print(f"{words}: {'no mail' if took is None else f'{took:.1f} s'}", flush=True)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()
            server.stop()


def senders(config: Path) -> list[str]:
    """Addresses of devices that have no partner, so that each fault is an incident of its own."""
    devices = load(config).estate.devices.values()
    return [str(device.addresses[0]) for device in devices if device.redundancy_group is None]


def send_and_wait(inbox: Inbox, number: int, sender: tuple[str, bytes]) -> float | None:
    """Send one trap from a device's own address with its community, and wait for the mail."""
    address, community = sender
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((address, 0))
        after = time.monotonic()
        line.sendto(trap_datagram(Trap(LOW_BATTERY), 10**8, number + 1, community), ("127.0.0.1", TRAP_PORT))
    return inbox.wait_for(TOLD, after)


def cut_and_wait(inbox: Inbox, words: str, edges: tuple[str, ...]) -> float | None:
    """Drop every echo to these addresses from now on, and wait for the mail."""
    rules = "\n".join(
        (
            f"table inet cut_{edges[0].replace('.', '_')} {{",
            "  chain silence {",
            "    type filter hook input priority 0; policy accept;",
            f"    ip daddr {{ {', '.join(edges)} }} icmp type echo-request drop",
            "  }",
            "}\n",
        )
    )
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    return inbox.wait_for(words, time.monotonic())


if __name__ == "__main__":
    if os.environ.get("HINOMI_INSIDE") is None:
        os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], {**os.environ, "HINOMI_INSIDE": "1"})
    main()
