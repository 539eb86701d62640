"""What a storm of notifications is told as: one incident, and how many of what from whom. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from poller.alerts.notifications import STORM
from traps.catalogue import Catalogue
from traps.flood import OTHERS, UNREAD, StormPart

_NAMED_MOST: Final = 6
_FIRST_WORD_NS: Final = 3 * 10**9
"""After the beginning; by then there is something to say."""


class StormRemark(NamedTuple):
    """Something to write under the open incident of a rule."""

    rule: str
    text: str


class StormStory:
    """Follows storms from second to second; what should be told lies ready for take_remarks()."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self._remarks: list[StormRemark] = []
        self.parts: Sequence[StormPart] = ()
        self.begun_ns: int | None = None
        self._names: dict[tuple[int, ...], str] = {}
        self._said = False

    def see(self, parts: Sequence[StormPart], catalogue: Catalogue, now_ns: int) -> bool:
        """Take in what storms now; True where a storm has begun or ended."""
        for part in parts:
            self._names[part.oid] = self._name(part, catalogue)
        before, was = self.begun_ns, self.parts
        self.parts = parts
        if parts and before is None:
            self.begun_ns, self._said = now_ns, False
        elif not parts and before is not None:
            self.begun_ns = None
            self._remarks.append(StormRemark(STORM.id, self._sentence(was, over=True)))
        elif before is not None and not self._said and now_ns - before >= _FIRST_WORD_NS:
            self._said = True
            self._remarks.append(StormRemark(STORM.id, self._sentence(parts, over=False)))
        return (before is None) != (self.begun_ns is None)

    def take_remarks(self) -> list[StormRemark]:
        """What should be told, each once."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def text(self) -> str:
        """How many of what from whom, as of now; empty while all is calm."""
        return self._sentence(self.parts, over=False) if self.parts else ""

    def _name(self, part: StormPart, catalogue: Catalogue) -> str:
        if part.oid in {OTHERS, UNREAD}:
            return "その他" if self.lang == "ja" else "others"
        return catalogue.meaning(part.oid).name

    def _sentence(self, parts: Sequence[StormPart], *, over: bool) -> str:
        total = sum(part.count for part in parts)
        sources = len({part.address for part in parts})
        listed = [
            f"{part.device if part.device != '-' else part.address} {self._names.get(part.oid, '?')} {part.count:,}"
            for part in parts[:_NAMED_MOST]
        ]
        if self.lang == "ja":
            rest = f"、ほか{len(parts) - _NAMED_MOST}種" if len(parts) > _NAMED_MOST else ""
            ending = "。収まりました" if over else ""
            return f"通知の集中：{sources}か所から計{total:,}件（{'、'.join(listed)}{rest}）{ending}"
        rest = f" and {len(parts) - _NAMED_MOST} more" if len(parts) > _NAMED_MOST else ""
        ending = "; it is over" if over else ""
        return f"storm of notifications: {total:,} from {sources} sources ({', '.join(listed)}{rest}){ending}"
