"""Rules on notifications (traps, informs): which of them look at one, and when an alarm without an end is over.

A rule `on: notification.raised` with `equals: true` raises when a notification begins something and clears when its
counterpart comes (linkUp for linkDown; the catalogue's `clears`). Its subject is the alarm: device, the name of the
beginning, and what it is about. One without a counterpart is over when it was not repeated for the rule's clear_for.
What happens in a storm, or soon after a reboot, comes without `raised` and is judged by no such rule.

Everything that must survive a restart is in the alerts themselves; nothing is remembered here. Pure.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from poller.alerts.rules import EstateFacts, Judge, Lines, Verdict, Watch, all_match, compile_judge, selected_lines
from poller.alerts.states import SECOND, Alert, Reading, State
from poller.alerts.subjects import Subject
from poller.estate import Estate, Rule, Runbook, Severity
from poller.sample import Sample
from poller.settings import Name

MEASUREMENT: Final = "notification"
STORM: Final = Rule(
    id="notification-storm",
    name=Name(ja="機器からの通知（トラップ）の集中", en="storm of notifications (traps)"),
    on="daemon.storm",
    equals=True,
    clear_for="0s",
    severity=Severity.MINOR,
    runbook=Runbook(
        ja="通知の一覧（/notifications）で、どの機器から何の通知が来ているかを確認する\n"
        "その機器の該当インターフェースや設定を確認し、原因を止める\n"
        "集中している間も、ほかの機器の通知はふだんどおり扱われている",
        en="See in the list (/notifications) which device sends what\n"
        "Look at that device's interface or settings, and stop the cause\n"
        "Notifications of other devices are treated as ever meanwhile",
    ),
)
CANARY_LOST: Final = Rule(
    id="notification-path-broken",
    name=Name(ja="通知（トラップ）の受信経路の異常", en="notifications (traps) do not come through"),
    on="daemon.canary_misses",
    above=1,
    clear_for="0s",
    severity=Severity.SERIOUS,
    runbook=Runbook(
        ja="受信口（UDP）が開いているか、受信バッファーがあふれていないかを確認する\n"
        "ディスクの空きと、ジャーナルへの書込みを確認する",
        en="Check that the UDP port is open and that its receive buffer does not overflow\n"
        "Check the room on the disk, and that the journal is written",
    ),
)
ENGINE_REFUSED: Final = Rule(
    id="notification-sender-refused",
    name=Name(ja="時計の戻った機器からの通知（SNMPv3）を拒否中", en="an SNMPv3 sender is refused, its clock went back"),
    on="daemon.refused_engines",
    above=0,
    raise_for="3m",
    clear_for="0s",
    severity=Severity.MINOR,
    runbook="通知の一覧（/notifications）で、拒否している機器とエンジンIDを確認する\n"
    "その機器を交換または初期化した場合は hinomi traps --accept ENGINE で受入れを再開する\n"
    "心当たりがなければ、過去の通知の再送（なりすまし）を疑い、その機器とネットワークを調べる",
)
ACCEPT_ENGINE: Final = "accept_engine"
"""Action of the command that believes such a sender again; its target is the engine id in hexadecimal digits."""


class _Compiled(NamedTuple):
    rule: Rule
    field: str
    judge: Judge
    lines: Lines
    varbinds: Mapping[str, str]


class NotificationRules:
    """The rules of an estate that look at notifications. with_end: names of alarms that a counterpart ends."""

    def __init__(self, estate: Estate, with_end: Collection[str] = ()) -> None:
        self._facts = EstateFacts(estate)
        self._with_end = frozenset(with_end)
        self._rules = [
            _Compiled(
                rule,
                rule.on.partition(".")[2],
                compile_judge(rule).judge,
                selected_lines(rule.where),
                {one.partition("=")[0]: one.partition("=")[2] for one in rule.where.varbinds},
            )
            for rule in estate.rules.values()
            if rule.on.partition(".")[0] == MEASUREMENT
        ]

    def watches(self, sample: Sample) -> tuple[Watch, ...]:
        """The rules that look at this very notification; mostly none. Nothing is remembered of it."""
        if not self._rules:
            return ()
        tags = dict(sample.tags)
        alarm = str(sample.fields.get("alarm", tags.get("name", "")))
        subject = Subject(MEASUREMENT, tags.get("device", ""), alarm)
        names = {tags.get("name", ""), alarm.partition(" ")[0], str(sample.fields.get("oid", ""))}
        facts = {**self._facts.of(Subject("device", subject.id), sample.tags), MEASUREMENT: frozenset(names - {""})}
        return tuple(
            Watch(one.rule, subject, (one.rule.id, str(subject)), one.field, one.judge)
            for one in self._rules
            if all_match(one.lines, facts) and _fit(one.varbinds, sample)
        )

    def fading(self, alerts: Iterable[Alert], rules: Mapping[str, Rule], now_ns: int) -> list[tuple[Alert, Reading]]:
        """What time says to alarms that fire: readings that clear, for a beginning that ended or was not repeated."""
        found = []
        for alert in alerts:
            rule = rules.get(alert.rule)
            if rule is None or alert.state is not State.FIRING or not alert.subject.startswith(f"{MEASUREMENT}/"):
                continue
            hold = int(rule.clear_for * SECOND)
            ended = alert.clear_since_ns is not None and now_ns - alert.clear_since_ns >= hold
            if not ended and (self._has_end(alert) or not alert.raised or now_ns - alert.seen_ns < hold):
                continue
            if not ended:
                found.append((alert, Reading(Verdict.CLEAR, False, now_ns - hold)))
            found.append((alert, Reading(Verdict.CLEAR, False, now_ns)))
        return found

    def _has_end(self, alert: Alert) -> bool:
        return Subject.parse(alert.subject).part.partition(" ")[0] in self._with_end


def _fit(patterns: Mapping[str, str], sample: Sample) -> bool:
    """Whether for every named varbind one of its values fits the pattern."""
    if not patterns:
        return True
    told = json.loads(str(sample.fields.get("varbinds", "[]")))
    return all(
        any(name in {one[0], one[2]} and fnmatchcase(one[3], pattern) for one in told)
        for name, pattern in patterns.items()
    )
