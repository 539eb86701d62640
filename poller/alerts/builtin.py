"""Rules about ourselves that every configuration has; one of the same id in the configuration replaces it.

What they look at is published by poller.selfwatch once a minute, and isolation by the engine itself.
"""

from collections.abc import Mapping
from typing import Final

from poller.alerts.isolation import ISOLATED
from poller.alerts.notifications import CANARY_LOST, ENGINE_REFUSED, STORM
from poller.alerts.selfrules import SELF_RULES
from poller.estate import Rule, Runbook, Selector, Severity
from poller.settings import Name

_DISK_FULL: Final = Rule(
    id="storage-disk-full",
    name=Name(ja="ディスク満杯のため測定値を保存できない", en="the disk is full, measurements cannot be kept"),
    on="daemon.disk_full",
    equals=True,
    severity=Severity.SERIOUS,
    runbook=Runbook(
        ja="監視と通報は続いている。測定値はメモリーで待っており、空きができると自動で保存される\n"
        "状態ディレクトリーのあるディスクの空きを確認し、不要なファイルを移す（df -h、du -xh）\n"
        "待ちきれなくなると古い測定値から失われるため、速やかに空きを作る",
        en="Watching and telling go on. Measurements wait in memory and are kept as soon as there is room\n"
        "Look at the disk of the state directory and move what is not needed (df -h, du -xh)\n"
        "When they have waited too long the oldest are lost: make room soon",
    ),
)
_NOT_DURABLE: Final = Rule(
    id="storage-not-durable",
    name=Name(ja="測定値を保存できない", en="measurements cannot be kept"),
    on="daemon.not_durable",
    equals=True,
    severity=Severity.SERIOUS,
    runbook=Runbook(
        ja="監視と通報は続いている。理由はログの journal state の行にある\nディスクの故障と権限を確認する",
        en="Watching and telling go on. The reason is in the log, in the line 'journal state'\n"
        "Check the disk for damage and its permissions",
    ),
)
_LOSING: Final = Rule(
    id="self-loss",
    name=Name(ja="測定値の取りこぼし", en="measurements were lost"),
    on="daemon.drops_total",
    changes=True,
    where=Selector(parts=("journal",)),
    clear_for="5m",
    severity=Severity.SERIOUS,
    runbook=Runbook(
        ja="ログの journal drop の行で、失われた数と場所（memory、disk）を確認する\n"
        "保存先（InfluxDB など）が長く止まっていれば復旧する。上限は storage.journal_bytes と journal_days",
        en="See in the log, in the line 'journal drop', how many were lost and where (memory, disk)\n"
        "If a store (InfluxDB or another) has been away for long, bring it back\n"
        "The limits are storage.journal_bytes and storage.journal_days",
    ),
)
_UNDELIVERED: Final = Rule(
    id="storage-undelivered",
    name=Name(ja="保存先が測定値を受け付けない", en="a store does not take measurements"),
    on="daemon.undelivered",
    equals=True,
    raise_for="10m",
    severity=Severity.MINOR,
    runbook=Runbook(
        ja="監視、通報、ウォールに影響はない。測定値はディスクで待ち、復旧後に順に届く\n"
        "理由はログの store unavailable の行にある。保存先のサーバー、権限、空きを確認する",
        en="Watching, telling and the wall are not concerned. Measurements wait on disk and follow in order\n"
        "The reason is in the log, in the line 'store unavailable'. Check that server, its permissions and its disk",
    ),
)

_REFUSED: Final = Rule(
    id="configuration-refused",
    name=Name(
        ja="設定の誤り（以前の設定で監視を継続）", en="the configuration is wrong; the one before it is in force"
    ),
    on="daemon.refused",
    equals=True,
    clear_for="0s",
    severity=Severity.MINOR,
    runbook="監視は以前の設定のまま続いている\n"
    "hinomi check で誤りの場所（ファイル、行、列）を確認して直し、hinomi reload で読み直す",
)

BUILT_IN: Final[Mapping[str, Rule]] = {
    rule.id: rule
    for rule in (
        ISOLATED,
        _DISK_FULL,
        _NOT_DURABLE,
        _LOSING,
        _UNDELIVERED,
        _REFUSED,
        *SELF_RULES,
        STORM,
        CANARY_LOST,
        ENGINE_REFUSED,
    )
}
