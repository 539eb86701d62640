"""Rules about our own health that every configuration has: late, busy, stuck, short of memory or disk, not heard.

What they look at is published by poller.selfwatch once a minute. A rule of the same id in the configuration replaces
one of these; docs/operation.md says what to do about each.
"""

from typing import Any, Final

from poller.estate import Rule, Runbook, Selector, Severity
from poller.settings import Name


def _rule(id_: str, names: tuple[str, str], on: str, part: str, runbook: Runbook, **more: Any) -> Rule:  # noqa: ANN401 - a row of a table
    ja, en = names
    settings = {"severity": Severity.MINOR, "clear_for": "5m", **more}
    where = Selector(parts=(part,))
    return Rule(id=id_, name=Name(ja=ja, en=en), on=f"daemon.{on}", where=where, runbook=runbook, **settings)


SELF_RULES: Final = (
    _rule(
        "self-late",
        ("監視の読み取りの遅れ 10秒超", "polls begin more than 10 s late"),
        *("lag_seconds", "rounds"),
        Runbook(
            ja="監視サーバーの負荷（CPU、ディスク）を確認する\nhinomi status で時間のかかっている機器を確認する",
            en="Check the load of the monitoring server (CPU, disk)\nSee with hinomi status which devices take long",
        ),
        above=10,
        clear_below=2,
        raise_for="3m",
    ),
    _rule(
        "self-overrun",
        ("間隔内に終わらない読み取り", "polls that do not end within their interval"),
        *("overruns_total", "rounds"),
        Runbook(
            ja="hinomi status とログの overrun の行で機器を確認する\n応答の遅い機器は interval を長くする",
            en="Find the devices in hinomi status and in the log (overrun)\nGive slow devices a longer interval",
        ),
        changes=True,
        clear_for="15m",
        severity=Severity.NOTICE,
    ),
    _rule(
        "self-busy",
        ("監視プログラムの負荷 80％超", "the daemon is busy for more than 80 % of the time"),
        *("busy_ratio", "loop"),
        Runbook(
            ja="監視サーバーの CPU を確認する。続く場合は対象を分けるか、間隔を長くする",
            en="Check the CPU of the monitoring server; if it lasts, spread the devices or lengthen the interval",
        ),
        above="80%",
        clear_below="60%",
        raise_for="5m",
    ),
    _rule(
        "self-stall",
        ("監視プログラムの停滞 5秒超", "the daemon stood still for more than 5 s"),
        *("stall_seconds", "loop"),
        Runbook(
            ja="監視サーバーのディスクの応答、メモリの不足（swap）、仮想基盤の停止を確認する",
            en="Check the answers of the disk, a lack of memory (swap) and pauses of the virtual machine",
        ),
        above=5,
        clear_below=1,
    ),
    _rule(
        "self-memory",
        ("監視プログラムのメモリ 80％超", "the daemon holds more than 80 % of the memory it may have"),
        *("memory_ratio", "loop"),
        Runbook(
            ja="hinomi status でメモリと待ち行列を確認する\n"
            "増え続ける場合は systemctl restart hinomi（状態は保たれる）のうえ、連絡する",
            en="See memory and queues in hinomi status\n"
            "If it keeps growing: systemctl restart hinomi (its state is kept), and tell us",
        ),
        above="80%",
        clear_below="70%",
        raise_for="5m",
    ),
    _rule(
        "self-disk",
        ("監視サーバーのディスクの残り 14日未満", "the disk will be full in less than 14 days"),
        *("days_left", "disk"),
        Runbook(
            ja="状態ディレクトリーのあるディスクを広げるか、不要なファイルを移す\n"
            "storage.raw_days を短くすると、古い細かな測定値から消える",
            en="Enlarge the disk of the state directory, or move what is not needed\n"
            "With a smaller storage.raw_days old fine-grained measurements go first",
        ),
        below=14,
        clear_above=21,
        raise_for="30m",
    ),
    _rule(
        "self-heartbeat",
        ("外部への生存通知が届かない", "the heartbeat is not taken by its receiver"),
        *("trouble", "heartbeat"),
        Runbook(
            ja="受け側（heartbeat.url、heartbeat.mqtt）と、そこまでの経路を確認する。監視と通報は続いている",
            en="Check its receiver (heartbeat.url, heartbeat.mqtt) and the way there; watching and telling go on",
        ),
        equals=True,
        raise_for="5m",
        clear_for="2m",
    ),
    _rule(
        "self-mail",
        ("通知メールの滞留（5分超）", "mails have waited for more than 5 minutes"),
        *("trouble", "outbox"),
        Runbook(
            ja="メールでは届かないかもしれない。電話で当番に知らせる\n"
            "hinomi test-mail で中継サーバーごとの応答を確認する",
            en="Mails may not arrive: tell those on call by telephone\n"
            "See with hinomi test-mail what each relay answers",
        ),
        equals=True,
        clear_for="2m",
        severity=Severity.SERIOUS,
    ),
    _rule(
        "self-dead-letter",
        ("届かない通知メール", "a mail that no server takes"),
        *("failed_total", "outbox"),
        Runbook(
            ja="hinomi dead-letters で宛先と理由を確認し、連絡先の設定を直す",
            en="See recipient and reason with hinomi dead-letters, and mend the contact",
        ),
        changes=True,
        clear_for="1h",
    ),
    _rule(
        "self-store",
        ("アラートの記録に書き込めない", "the alerts store cannot be written"),
        *("trouble", "alerts"),
        Runbook(
            ja="監視サーバーのディスクの空きと権限を確認する。書けるまでメールは出ない",
            en="Check room and permissions of the monitoring server's disk: no mail leaves before it can write",
        ),
        equals=True,
        clear_for="2m",
        severity=Severity.SERIOUS,
    ),
)
