"""What the doctor makes of what was read: the verdict, one sentence what is, one what to do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poller.doctor.finding import Finding, Words, failed, ok, warning

CLOCK_OFF_SECONDS: Final = 0.5
"""Reports by the minute and SNMPv3's window of 150 s bear more, the comparison of logs does not."""
SYNC_SLOW_SECONDS: Final = 0.1
SYNC_TOO_SLOW_SECONDS: Final = 1.0
"""The journal syncs about once a second."""
RESERVE_OCTETS: Final = 256 * 2**20
"""What the journal leaves free (JournalLimits.keep_free_octets)."""
DAYS_TOO_FEW: Final = 3.0
"""Seventy-two hours must be held where a store is down (R69)."""
DAYS_FEW: Final = 30.0


@dataclass(frozen=True, slots=True)
class Clock:
    """synchronised: None where the kernel does not say. off_seconds: the kernel's bound on its own error."""

    synchronised: bool | None
    off_seconds: float | None


class Port(StrEnum):
    """What came of binding."""

    FREE = "free"
    TAKEN = "taken"
    FORBIDDEN = "forbidden"
    NO_SUCH_ADDRESS = "no such address"


@dataclass(frozen=True, slots=True)
class Notifying:
    """where: the address and port of the settings, None for nowhere; port: what came of binding it."""

    where: str | None
    port: Port | None
    unit_active: bool
    daemon_runs: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """refused: why nothing can be written, None where it can. sync_seconds: the median of some."""

    where: str
    refused: str | None
    sync_seconds: float | None


def judge_clock(clock: Clock) -> Finding:
    """Whether times in reports and logs can be believed."""
    if clock.synchronised and clock.off_seconds is not None and clock.off_seconds <= CLOCK_OFF_SECONDS:
        off = f"{clock.off_seconds * 1000:.0f} ms"
        return ok("clock", f"時計は同期しています（誤差 {off} 以内）", f"the clock is synchronised, within {off}")
    found = Words("時計が同期していません", "the clock is not synchronised")
    if clock.synchronised is None:
        found = Words("時計が同期しているか分かりません", "the kernel does not say whether the clock is synchronised")
    elif clock.synchronised:
        found = Words(
            f"時計の誤差が {clock.off_seconds:.1f} 秒に達するおそれがあります",
            f"the clock may be off by {clock.off_seconds:.1f} s",
        )
    advice = Words(
        "chrony か systemd-timesyncd を動かし、timedatectl で確かめてください",
        "run chrony or systemd-timesyncd, and look at timedatectl",
    )
    return warning("clock", found, advice)


def judge_buffer(limit: int | None, asked: Mapping[str, int]) -> Finding:
    """Whether the kernel gives the receive buffers that are asked for; asked: octets by what asks."""
    who, most = max(asked.items(), key=lambda each: each[1])
    if limit is not None and limit >= most:
        sizes = f"{limit} >= {most}"
        return ok(
            "receive_buffer",
            f"受信バッファーの上限は足りています（{sizes}）",
            f"the receive buffer limit is enough: {sizes}",
        )
    shown = "?" if limit is None else str(limit)
    return warning(
        "receive_buffer",
        Words(
            f"受信バッファーの上限 net.core.rmem_max は {shown} で、{who} が求める {most} に足りません",
            f"net.core.rmem_max is {shown}, and {who} asks for {most}",
        ),
        Words(
            f"/etc/sysctl.d/60-hinomi.conf に net.core.rmem_max = {most} と書き、sysctl --system で反映してください",
            f"write net.core.rmem_max = {most} into /etc/sysctl.d/60-hinomi.conf and run sysctl --system",
        ),
    )


def judge_echoes(refusals: Mapping[str, str | None]) -> Finding:
    """Whether echoes may be sent; refusals: by address family why not, None where they may."""
    if not refusals:
        return ok("icmp", "ping を送る対象はありません", "nothing is asked for echoes")
    refused = {family: reason for family, reason in refusals.items() if reason is not None}
    if not refused:
        families = ", ".join(refusals)
        return ok("icmp", f"ping を送れます（{families}）", f"echoes may be sent: {families}")
    return failed(
        "icmp",
        Words(f"ping を送れません（{', '.join(refused)}）", f"echoes may not be sent: {', '.join(refused)}"),
        Words(
            "systemd のユニットに AmbientCapabilities=CAP_NET_RAW を、手で動かすときは sysctl の "
            "net.ipv4.ping_group_range を設定してください",
            "give the unit AmbientCapabilities=CAP_NET_RAW, or set sysctl net.ipv4.ping_group_range for the group",
        ),
    )


def judge_notifying(way: Notifying) -> Finding:
    """Whether traps and informs get in."""
    if way.unit_active:
        return ok("notifications", "通知は hinomi-traps.socket で受けます", "hinomi-traps.socket takes notifications")
    if way.where is None:
        return warning(
            "notifications",
            Words("機器からの通知（トラップ）を受けていません", "nobody takes the devices' notifications (traps)"),
            Words(
                "systemctl enable --now hinomi-traps.socket を実行するか、notifications.listen を設定してください",
                "run systemctl enable --now hinomi-traps.socket, or set notifications.listen",
            ),
        )
    if way.port is Port.FREE or (way.port is Port.TAKEN and way.daemon_runs):
        return ok("notifications", f"通知を {way.where} で受けられます", f"notifications can be taken at {way.where}")
    return failed("notifications", *_no_port(way.where, way.port, "hinomi-traps.socket"))


def judge_wall(where: str, port: Port, answers: str | None, *, daemon_runs: bool) -> Finding:
    """Whether the wall is served, or can be. answers: what is wrong with an answer, None where it is alive."""
    if answers is None and not daemon_runs:
        return failed(
            "wall",
            Words(
                f"{where} では、別の状態ディレクトリーの監視か、この利用者から見えない監視が動いています",
                f"at {where} a daemon of another state directory answers, or one that this user may not see",
            ),
            Words(
                "root か利用者 hinomi で実行し直し、別の監視なら wall.port を変えてください",
                "run this as root or hinomi; if it is another daemon, choose another wall.port",
            ),
        )
    if answers is None:
        return ok("wall", f"壁面は {where} で動いています", f"the wall is served at {where}")
    if port is Port.FREE and not daemon_runs:
        return ok("wall", f"壁面の {where} は空いています", f"the wall's {where} is free")
    if port is Port.FREE or (port is Port.TAKEN and daemon_runs):
        return failed(
            "wall",
            Words(
                f"監視は動いていますが、壁面 {where} が応答しません（{answers}）",
                f"a daemon runs, and its wall at {where} does not answer: {answers}",
            ),
            Words("journalctl -u hinomi で原因を確かめてください", "look at journalctl -u hinomi"),
        )
    return failed("wall", *_no_port(where, port, "wall.port"))


def _no_port(where: str, port: Port | None, way: str) -> tuple[Words, Words]:
    if port is Port.TAKEN:
        return (
            Words(f"{where} は別のプログラムが使っています", f"another program holds {where}"),
            Words(
                "ss -lnp で使っているプログラムを調べて止めるか、別のポートにしてください",
                "find it with ss -lnp and stop it, or choose another port",
            ),
        )
    if port is Port.FORBIDDEN:
        return (
            Words(f"{where} を開く権限がありません", f"this user may not open {where}"),
            Words(f"1024 未満のポートは {way} など別の方法にしてください", f"below 1024 use {way} or another port"),
        )
    return (
        Words(f"{where} のアドレスはこの機械にありません", f"this machine has no address as in {where}"),
        Words("ip addr で確かめ、設定のアドレスを直してください", "look at ip addr and correct the setting"),
    )


def judge_disk(disk: Disk) -> Finding:
    """Whether state can be written, and quickly enough."""
    if disk.refused is not None or disk.sync_seconds is None:
        return failed(
            "disk_speed",
            Words(f"{disk.where} に書けません（{disk.refused}）", f"{disk.where} cannot be written: {disk.refused}"),
            Words(
                "利用者 hinomi が書けるようにするか、storage.directory を直してください（systemd-tmpfiles --create）",
                "let the user hinomi write there (systemd-tmpfiles --create), or correct storage.directory",
            ),
        )
    took = f"{disk.sync_seconds * 1000:.1f} ms"
    if disk.sync_seconds <= SYNC_SLOW_SECONDS:
        return ok(
            "disk_speed", f"{disk.where} に書けます（同期 {took}）", f"{disk.where} can be written, a sync takes {took}"
        )
    found = Words(
        f"{disk.where} への同期が遅く、{took} かかります", f"a sync of {disk.where} takes {took}, which is slow"
    )
    advice = Words(
        "この機械のディスクの負荷と種類を確かめ、速いディスクに移してください",
        "look at the load and the kind of this disk, and move the state to a faster one",
    )
    return (failed if disk.sync_seconds > SYNC_TOO_SLOW_SECONDS else warning)("disk_speed", found, advice)


def judge_room(where: str, free_octets: int, days_left: float | None) -> Finding:
    """Whether measurements have room; days_left: at the rate at which they come, None where it is not known yet."""
    free = f"{free_octets / 1e9:.1f} GB"
    days = (
        Words("", "")
        if days_left is None
        else Words(f"、今の速さで {days_left:.0f} 日分", f", {days_left:.0f} days at this rate")
    )
    found = Words(f"{where} の空きは {free}{days.ja} です", f"{where} has {free} free{days.en}")
    advice = Words(
        "ディスクを広げるか、storage.raw_days を減らしてください", "enlarge the disk, or lower storage.raw_days"
    )
    if free_octets < RESERVE_OCTETS or (days_left is not None and days_left < DAYS_TOO_FEW):
        return failed("disk_room", found, advice)
    if days_left is not None and days_left < DAYS_FEW:
        return warning("disk_room", found, advice)
    return ok("disk_room", found.ja, found.en)


def judge_names(resolved: Sequence[str], lost: Mapping[str, str]) -> Finding:
    """Whether the names of the configuration can be resolved; lost: why not, by name."""
    if lost:
        told = ", ".join(f"{name} ({reason})" for name, reason in sorted(lost.items()))
        return failed(
            "dns",
            Words(f"名前を解決できません：{told}", f"cannot be resolved: {told}"),
            Words(
                "/etc/resolv.conf と名前のつづりを確かめるか、アドレスで書いてください",
                "look at /etc/resolv.conf and the spelling, or write addresses",
            ),
        )
    if not resolved:
        return ok("dns", "設定に名前はなく、DNS は要りません", "the configuration has no names, it needs no DNS")
    return ok(
        "dns",
        f"設定の名前 {len(resolved)}件をすべて解決できます",
        f"all {len(resolved)} names of the configuration resolve",
    )


def judge_relay(relay: str, trouble: str | None, *, others_answer: bool) -> Finding:
    """Whether a relay takes mail; where another does, it is a warning."""
    if trouble is None:
        return ok("mail", f"{relay} がメールを受け付けます", f"{relay} answers as a mail relay")
    found = Words(f"{relay} にメールを渡せません（{trouble}）", f"{relay} takes no mail: {trouble}")
    advice = Words(
        "mail.relays の host、port、tls と、途中のファイアウォールを確かめてください",
        "look at host, port and tls in mail.relays, and at firewalls on the way",
    )
    return (warning if others_answer else failed)("mail", found, advice)


def judge_no_relay(maildir: str | None) -> Finding:
    """Where no relay is configured."""
    if maildir is not None:
        return ok("mail", f"メールは {maildir} に置きます", f"mails are put into {maildir}")
    return warning(
        "mail",
        Words("メールの送り先がありません", "mails have nowhere to go"),
        Words("mail.relays を設定してください", "set mail.relays"),
    )


def judge_peer(check: str, name: str, trouble: str | None) -> Finding:
    """Whether a database, broker or receiver that is configured answers."""
    if trouble is None:
        return ok(check, f"{name} が応答します", f"{name} answers")
    return failed(
        check,
        Words(f"{name} を使えません（{trouble}）", f"{name} cannot be used: {trouble}"),
        Words(
            f"設定の {check} と、相手が動いていること、途中のファイアウォールを確かめてください",
            f"look at the settings of {check}, whether it runs, and at firewalls on the way",
        ),
    )
