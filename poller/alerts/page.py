"""The text of a mail about one incident: what, who, where, what to do, in that order; short enough for a phone."""

import re
from dataclasses import dataclass
from typing import Final

from poller.alerts.dependencies import redundancy_tells
from poller.alerts.headline import ending, headline, sentence, wavering
from poller.alerts.incidents import Incident, Member
from poller.alerts.notices import Kind, Why
from poller.alerts.otherlines import OTHER_LINE, other_lines
from poller.alerts.promises import due_lines, kept_lines, level_lines, second_due
from poller.alerts.servicelevel import ServiceLevel
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.alerts.words import (
    REMARKS,
    Times,
    clean,
    duration_text,
    join,
    pick,
    reading_text,
    scope_text,
    subject_name,
    value_text,
)
from poller.estate import Circuit, Contact, Estate

OUTSIDERS: Final = frozenset({"provider", "tenant", "officer", "supplier"})
"""Roles outside the operating team: no call to act in the subject, and a word on who writes."""
_NUMBERED: Final = re.compile(r"[0-9０-９]+[.．)）]")
NAMED_TENANTS: Final = 8
"""More tenants than these are only counted in the first line."""


@dataclass(frozen=True, slots=True)
class Postmark:
    """What a mail says about itself.

    number: its place in the thread; next_ns: when the next one follows; joining: who is told then besides. levels:
    of what the incident touched and has a target, this month; for a recovery.
    """

    kind: Kind
    why: str
    number: int
    now_ns: int
    next_ns: int | None
    joining: tuple[Contact, ...] = ()
    levels: tuple[ServiceLevel, ...] = ()


def _steps(runbook: str) -> tuple[str, list[str]]:
    """The runbook's title, if it has one, and its steps, numbered unless its author did."""
    lines = [clean(line) for line in runbook.splitlines() if line.strip()]
    if not any(_NUMBERED.match(line) for line in lines):
        return "", [f"  {number}. {line}" for number, line in enumerate(lines, 1)]
    title = lines.pop(0) if not _NUMBERED.match(lines[0]) else ""
    return title, [f"  {line}" for line in lines]


class Page:
    """One mail's text, section by section."""

    def __init__(self, incident: Incident, mark: Postmark, contact: Contact, estate: Estate) -> None:
        self.incident = incident
        self.mark = mark
        self.contact = contact
        self.estate = estate
        self.lang = contact.lang
        self.times = Times(estate)
        self.rule = estate.rules.get(incident.root_member.rule)

    def say(self, ja: str, en: str) -> str:
        """The words in the reader's language."""
        return pick(self.lang, ja, en)

    def subject(self) -> str:
        """Severity, what, since when, who, which side: enough to decide whether to get up."""
        incident, mark = self.incident, self.mark
        what = headline(incident, self.estate, self.lang)
        began = self.times.short_near(incident.begun_ns, mark.now_ns)
        if mark.kind is Kind.RECOVERED:
            ended = incident.ended_ns or mark.now_ns
            took = duration_text((ended - incident.begun_ns) / SECOND, self.lang)
            until = self.times.short_near(ended, incident.begun_ns)
            return self.say(
                f"【復旧】{what}（{began}〜{until}、{took}）{self._scope_short()}",
                f"[Recovered] {what} ({began}-{until}, {took}){self._scope_short()}",
            )
        due = second_due(incident, self.estate)
        act = "" if self.contact.role in OUTSIDERS else "・対応要"
        label = {
            Kind.FIRST: self.say(f"【重大{act}】", "[SERIOUS] "),
            Kind.RAISED: self.say(f"【重大に変更{act}】", "[NOW SERIOUS] "),
            Kind.REPEAT: self.say(
                f"【重大・未確認 再通知{incident.told.repeats + 1}】",
                f"[SERIOUS, unacknowledged, {incident.told.repeats + 1}] ",
            ),
            Kind.EASED: self.say("【一部復旧・軽微】", "[Partly over, now minor] "),
            Kind.FLAPPING: self.say("【重大・不安定】", "[SERIOUS, flapping] "),
            Kind.REMINDER: self.say(f"【重大・二次通知の期限 {due}】", f"[SERIOUS, second notice due {due}] "),
            Kind.STEADY: self.say("【重大・安定、なお継続】", "[SERIOUS, steady, still so] "),
        }.get(mark.kind, "")
        since = self.say(f"（{began}〜）", f" (since {began})")
        return f"{label}{what}{since}{self._reach_short()}{self._scope_short()}"

    def _reach_short(self) -> str:
        reach = self._tenants()
        if not reach or self.mark.kind is Kind.EASED:
            return ""
        if len(reach) == 1:
            return self.say(f"影響 {reach[0]}", f" affects {reach[0]}")
        return self.say(f"影響{len(reach)}団体", f" affects {len(reach)} tenants")

    def _scope_short(self) -> str:
        if not self.incident.fault:
            return ""
        return self.say("／", "; ") + scope_text(self.incident, self.lang)

    def _tenants(self) -> list[str]:
        """Names of affected tenants as far as this reader may know them: a tenant reads of itself alone."""
        tenants = [self.estate.tenants[id_] for id_ in self.incident.affected.tenants if id_ in self.estate.tenants]
        if self.contact.role == "tenant":
            tenants = [tenant for tenant in tenants if self.contact.id in tenant.contacts]
        return [clean(tenant.name.lang(self.lang), 40) for tenant in tenants]

    def text(self) -> str:
        """The plain text, sections with nothing to say left out."""
        sections = [
            self._greeting(),
            self._what(),
            self._reach(),
            self._where(),
            self._todo(),
            self._promises(),
            self._links(),
        ]
        return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"

    def _greeting(self) -> list[str]:
        """People outside the operating team are told who writes, and providers what is asked of them."""
        if self.contact.role not in OUTSIDERS:
            return []
        who = clean(self.estate.organisation.name.lang(self.lang), 60)
        lines = [
            self.say(f"{who}の監視から自動でお知らせします。", f"An automatic notice from the monitoring of {who}.")
        ]
        if self.contact.role == "provider" and self.mark.kind is not Kind.RECOVERED:
            lines.append(
                self.say(
                    "貴社回線の障害の可能性があります。状況のご確認をお願いいたします。",
                    "Your circuit may be at fault. Please look into it.",
                )
            )
        return lines

    def _what(self) -> list[str]:
        incident = self.incident
        lines = [self.say("■ 何が起きたか", "# What happened"), self._sentence()]
        began, found = self.times.full(incident.begun_ns), self.times.clock(incident.opened_ns)
        now = self.times.near(self.mark.now_ns, incident.begun_ns)
        if incident.ended_ns is not None:
            took = duration_text((incident.ended_ns - incident.begun_ns) / SECOND, self.lang)
            ended = self.times.full(incident.ended_ns)
            lines.append(
                self.say(
                    f"  発生 {began} ／ 復旧 {ended}（{took}） ／ この通知 {now}",
                    f"  began {began} / ended {ended} ({took}) / this notice {now}",
                )
            )
        else:
            seconds = (incident.opened_ns - incident.begun_ns) / SECOND
            lag = duration_text(seconds, self.lang)
            later = self.say(f"（検知から{lag}）", f" (after {lag})") if seconds >= 1 else ""
            lines.append(
                self.say(
                    f"  発生 {began} ／ 確定 {found}{later} ／ この通知 {now}",
                    f"  began {began} / confirmed {found}{later} / this notice {now}",
                )
            )
        if self.mark.kind is Kind.RAISED and incident.serious_since_ns is not None:
            since = self.times.full(incident.serious_since_ns)
            lines.append(self.say(f"  重大となった時刻 {since}", f"  serious since {since}"))
        return lines

    def _sentence(self) -> str:
        kind = self.mark.kind
        if kind is Kind.RECOVERED:
            return ending(self.incident, self.estate, self.lang)
        redundancy = ""
        if self.incident.redundancy_left:
            redundancy = self.say("予備系で継続しています。", " The standby is in service.")
        elif self.incident.anchor.startswith("group/") and self.rule is not None and redundancy_tells(self.rule):
            redundancy = self.say("冗長性は残っていません。", " No redundancy is left.")
        extra = {
            Kind.FLAPPING: self.say(
                "安定するまで、個々の変化は通知しません。", " Single changes are not told until it is calm."
            ),
            Kind.STEADY: self.say(
                "状態の繰り返し変化は収まりましたが、障害は続いています。", " Calm again, but still so."
            ),
            Kind.EASED: self.say(
                "重大ではなくなりましたが、復旧は完了していません。以後は軽微として、翌営業日のまとめでお知らせします。",
                " No longer serious, but not over; from here on the digest of the next business day tells of it.",
            ),
            Kind.REMINDER: self.say(
                "二次通知（対応状況の報告）がまだ記録されていません。",
                " Nobody has noted yet that those in charge were told what is being done.",
            ),
            Kind.REPEAT: self.say("まだ確認（受領）されていません。", " Nobody has acknowledged it yet."),
        }.get(kind, "")
        if self.mark.why == Why.AFTER_MUTE:
            extra += self.say(
                "計画作業または通知停止の終了後も続いています。", " Still so after the planned work or silence."
            )
        say = wavering if kind is Kind.FLAPPING else sentence
        return f"{say(self.incident, self.estate, self.lang)}{redundancy}{extra}"

    def _reach(self) -> list[str]:
        tenants = self._tenants()
        over = self.mark.kind in {Kind.RECOVERED, Kind.EASED}
        plural = ("" if len(tenants) == 1 else "s") + (" affected until then" if over else "")
        which = self.say("影響を受けた接続団体" if over else "接続団体", "")
        lines = []
        if tenants and self.contact.role == "provider":
            lines.append(self.say(f"{which} {len(tenants)}団体", f"{len(tenants)} connected organisation{plural}"))
        elif tenants:
            named = join(tenants[:NAMED_TENANTS], self.lang)
            more = self.say("ほか", " and more") if len(tenants) > NAMED_TENANTS else ""
            lines.append(
                self.say(
                    f"{which} {len(tenants)}団体：{named}{more}",
                    f"{len(tenants)} connected organisation{plural}: {named}{more}",
                )
            )
        services = [self.estate.services[s] for s in self.incident.affected.services if s in self.estate.services]
        if services:
            names = join((clean(service.name.lang(self.lang), 40) for service in services), self.lang)
            lines.append(self.say(f"サービス：{names}", f"Services: {names}"))
        children = [member for member in self.incident.members if member.inhibited_by is not None]
        if children:
            lines.append(
                self.say(
                    f"この障害の先にあり確認できない対象：{len(children)}件",
                    f"Behind this fault and not to be judged: {len(children)}",
                )
            )
        if self.contact.role not in {"provider", "tenant"} and self.mark.kind is not Kind.RECOVERED:
            lines += other_lines(self.incident, self.estate, self.lang)
        if not lines and self.incident.fault:
            lines.append(
                self.say(
                    "影響を受ける接続団体は確認されていません。", "No connected organisation is known to be affected."
                )
            )
        return [self.say("■ 影響", "# Who is affected"), *lines] if lines else []

    def _where(self) -> list[str]:
        if not self.incident.fault:
            return self._readings()
        lines = [
            self.say("■ どこか（切り分け）", "# Where"),
            self.say(f"判定：{scope_text(self.incident, 'ja')}", f"Verdict: {scope_text(self.incident, 'en')}"),
        ]
        if self.contact.role in {"provider", "tenant"}:
            return lines
        for entry in self.incident.evidence:
            if entry.field == OTHER_LINE:
                continue
            subject = Subject.parse(entry.subject)
            name = subject_name(subject, self.estate, self.lang)
            value = value_text(subject.kind, entry.field, entry.value, self.lang)
            since = self.times.near(entry.at_ns, self.mark.now_ns)
            when = {"notification": (f"{since} 受信", f"at {since}"), "path": (f"{since} 調査", f"at {since}")}
            ja, en = when.get(entry.field, (f"{since} から", f"since {since}"))
            lines.append(self.say(f"  {name}　{value}（{ja}）", f"  {name}: {value} ({en})"))
            if words := self.say(*entry.words):
                lines.append(f"    {clean(words)}")
        return lines

    def _readings(self) -> list[str]:
        lines = []
        for member in self.incident.members:
            rule = self.estate.rules.get(member.rule)
            if rule is not None and reading_text(member, rule, self.lang):
                lines.append(self._reading(member))
        return [self.say("■ 測定値", "# Readings"), *lines] if lines else []

    def _reading(self, member: Member) -> str:
        rule = self.estate.rules[member.rule]
        name = subject_name(Subject.parse(member.subject), self.estate, self.lang)
        meaning = clean(rule.name.lang(self.lang), 60)
        since = self.times.clock(member.since_ns)
        return f"  {name} {meaning} {reading_text(member, rule, self.lang)} " + self.say(
            f"{since} から", f"since {since}"
        )

    def _todo(self) -> list[str]:
        if self.mark.kind is Kind.RECOVERED or self.contact.role == "tenant":
            return self._remarks()
        ours = self.rule is not None and self.contact.role != "provider"
        title, lines = _steps(self.rule.runbook.lang(self.lang) if self.rule is not None and ours else "")
        for circuit in self._circuits():
            provider = self.estate.contacts.get(circuit.provider or "")
            number = self.say(f"回線番号 {circuit.contract_number}", f"circuit number {circuit.contract_number}")
            name = clean(circuit.name.lang(self.lang), 40)
            if provider is not None and self.contact.role != "provider":
                phone = clean(f"{provider.name.lang(self.lang)} {provider.phone}".strip(), 80)
                lines.append(self.say(f"  連絡先：{phone}（{name} {number}）", f"  Call: {phone} ({name}, {number})"))
            elif circuit.contract_number:
                lines.append(f"  {name} {number}")
        if self.contact.role == "provider":
            return [self.say("■ 対象の回線", "# Circuits"), *lines] if lines else []
        heading = self.say("■ まず行うこと", "# What to do first")
        if title:
            heading += self.say(f"（{title}）", f" ({title})")
        return [heading, *lines] if lines else []

    def _circuits(self) -> list[Circuit]:
        if not self.incident.fault or self.incident.scope == "inside":
            return []
        found = [self.estate.circuits[c] for c in self.incident.affected.circuits if c in self.estate.circuits]
        return [c for c in found if self.contact.role != "provider" or c.provider == self.contact.id]

    def _remarks(self) -> list[str]:
        if self.contact.role in {"tenant", "provider"}:
            return []
        lines = []
        for remark in self.incident.remarks:
            what = self.say(*REMARKS.get(remark.kind, ("記録", "comment")))
            lines.append(
                f"  {self.times.clock(remark.at_ns)} {what} {clean(remark.who, 40)} {clean(remark.text)}".rstrip()
            )
        return [self.say("■ 対応の記録", "# What was done"), *lines] if lines else []

    def _promises(self) -> list[str]:
        if self.contact.role not in {"operator", "engineer"} or not self.incident.fault:
            return []
        if self.mark.kind is not Kind.RECOVERED:
            return due_lines(self.incident, self.estate, self.lang)
        return [
            *kept_lines(self.incident, self.estate, self.lang),
            *level_lines(self.incident, self.mark.levels, self.estate, self.lang),
        ]

    def _links(self) -> list[str]:
        if self.contact.role in {"tenant", "provider"}:
            more = self.say("状況が変わりましたら、続けてお知らせします。", "We will write again when this changes.")
            number = self.say(f"受付番号：{self.incident.id}", f"Incident: {self.incident.id}")
            return [number] if self.mark.kind is Kind.RECOVERED else [more, number]
        url = (
            f"{clean(self.estate.mail.wall_url).rstrip('/')}/incident/{self.incident.id}"
            if self.estate.mail.wall_url
            else ""
        )
        if self.mark.kind is Kind.RECOVERED:
            return [self.say("■ この件の記録", "# Record"), f"  {url or f'hinomi incident {self.incident.id}'}"]
        lines = [self.say("■ この件を見る・受ける", "# See it, take it")]
        if url:
            lines.append(f"  {url}")
        taken = self.incident.acknowledged
        if taken is None:
            command = f"hinomi ack {self.incident.id}"
            lines.append(self.say(f"  確認済みにする： {command}", f"  acknowledge: {command}"))
        else:
            when, who = self.times.near(taken.at_ns, self.mark.now_ns), clean(taken.who, 40)
            lines.append(self.say(f"  確認済み： {who}（{when}）", f"  acknowledged by {who} at {when}"))
        if self.mark.kind is Kind.REMINDER:
            note = f"hinomi second-notice {self.incident.id}"
            lines.append(self.say(f"  二次通知を記録する： {note}", f"  note the second notice: {note}"))
        if self.mark.next_ns is not None:
            when = self.times.short(self.mark.next_ns)
            names = join((clean(contact.name.lang(self.lang), 40) for contact in self.mark.joining), self.lang)
            to = self.say(f"{names}にも" if names else "", f", to {names} too," if names else "")
            lines.append(
                self.say(
                    f"次の通知：確認されない場合 {when} に{to}再通知します。状況が変わればこのスレッドに続報します。",
                    f"Next: at {when} again{to} if nobody acknowledges. Changes follow in this thread.",
                )
            )
        return lines
