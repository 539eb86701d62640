"""Network namespaces of our own: networks on one machine whose cables can be pulled, for tests and for training.

Needs root, and Debian's iproute2, nftables and procps; why_not() says what is missing.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from typing import Final, TypeVar

T = TypeVar("T")
_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_COUNTER: Final = count()


def run(*command: str) -> str:
    """Run a command and give what it printed; CalledProcessError where it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - fixed commands


def unique(word: str) -> str:
    """A name that no other process and no earlier call has: whoever runs beside us has namespaces, too."""
    return f"hinomi-{word}-{os.getpid()}-{next(_COUNTER)}"


@cache
def why_not() -> str:
    """Why namespaces cannot be used here, found by laying and pulling a cable once; empty where they can."""
    missing = [tool for tool in ("ip", "nft", "sysctl") if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        tried = Chain(unique("try"), ("left", "right"))
    except subprocess.CalledProcessError as error:
        return _refused(error)
    try:
        tried.pull(1)
    except subprocess.CalledProcessError as error:
        return _refused(error)
    finally:
        tried.delete()
    return ""


def _refused(error: subprocess.CalledProcessError) -> str:
    return f"network namespaces cannot be used here: `{' '.join(error.cmd)}` said: {str(error.stderr).strip()}"


class Namespace:
    """A network namespace of ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        try:
            self.ip("link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            self.delete()
            raise

    def ip(self, *arguments: str) -> str:
        """Run `ip` on this namespace."""
        return run("ip", "-n", self.name, *arguments)

    def run(self, *command: str) -> str:
        """Run a command within it."""
        return run(*self.command(*command))

    def command(self, *command: str) -> Sequence[str]:
        """The command that runs another within it."""
        return ("ip", "netns", "exec", self.name, *command)

    def inside(self, work: Callable[[], T]) -> T:
        """What the work opens belongs to this namespace; only a thread goes there, and it ends."""

        def enter() -> T:
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            return work()

        with ThreadPoolExecutor(1) as threads:
            return threads.submit(enter).result()

    def delete(self) -> None:
        """Take it away, with the cables that end in it."""
        run("ip", "netns", "del", self.name)


class Chain:
    """Namespaces in a row, each a router for the next: node 0 -- cable 1 -- node 1 -- cable 2 -- node 2 ...

    Cable n has the addresses 10.8.n.1 (left) and 10.8.n.2 (right), and fd08:n::1 and ::2.
    """

    def __init__(self, stem: str, nodes: Sequence[str]) -> None:
        self.nodes: list[Namespace] = []
        try:
            for name in nodes:
                self.nodes.append(Namespace(f"{stem}-{name}"))
            for number in range(1, len(nodes)):
                self._lay(number)
            self._join()
        except subprocess.CalledProcessError:
            self.delete()
            raise

    def _join(self) -> None:
        """Let every node forward, and know the way to every cable."""
        for number, node in enumerate(self.nodes):
            node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
            for other in range(1, len(self.nodes)):
                if other - number > 1:
                    self._route(node, other, f"10.8.{number + 1}.2", f"fd08:{number + 1}::2")
                elif number - other > 0:
                    self._route(node, other, f"10.8.{number}.1", f"fd08:{number}::1")

    def _lay(self, number: int) -> None:
        left, right = self.nodes[number - 1], self.nodes[number]
        cable = f"cable{number}"
        left.ip("link", "add", cable, "type", "veth", "peer", "name", cable, "netns", right.name)
        for end, node in ((1, left), (2, right)):
            node.run("sysctl", "-qw", f"net.ipv6.conf.{cable}.accept_dad=0")  # else IPv6 waits a second or two
            node.ip("address", "add", f"10.8.{number}.{end}/24", "dev", cable)
            node.ip("address", "add", f"fd08:{number}::{end}/64", "dev", cable, "nodad")
            node.ip("link", "set", cable, "up")

    @staticmethod
    def _route(node: Namespace, cable: int, gateway: str, gateway_v6: str) -> None:
        node.ip("route", "add", f"10.8.{cable}.0/24", "via", gateway)
        node.ip("-6", "route", "add", f"fd08:{cable}::/64", "via", gateway_v6)

    def pull(self, number: int) -> None:
        """Pull a cable where neither end notices, as behind a switch: nothing that passes it arrives any more."""
        hook = f"type filter hook ingress device cable{number} priority 0; policy drop;"
        for node in (self.nodes[number - 1], self.nodes[number]):
            node.run("nft", f"add table netdev cable{number}")
            node.run("nft", f"add chain netdev cable{number} arriving {{ {hook} }}")

    def plug(self, number: int) -> None:
        """Put the cable back."""
        for node in (self.nodes[number - 1], self.nodes[number]):
            node.run("nft", f"delete table netdev cable{number}")

    def delete(self) -> None:
        """Take everything away."""
        for node in self.nodes:
            node.delete()
