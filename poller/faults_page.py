"""docs/faults.md, made from the table so that it cannot lag: `python -m poller.faults_page > docs/faults.md`."""

import sys
from typing import Final

from poller.faults import SENTENCES, TABLE, Answer, FaultClass, Place, fault_class

_INTRODUCTION: Final = """\
# 障害の切り分け ／ Whose fault it is

`python -m poller.faults_page > docs/faults.md` が `poller/faults.py` の表から作るページです。手で編集しないでください。
Made from the table in `poller/faults.py`; do not edit.

```
監視装置 ─── near ═══════════ far ─── beyond
   us   ours      circuit        beyond
```

回線ごとに3か所へ ICMP エコーを送り続けます（`circuits.*.probe`）。**near** は当方の端、**far** は契約範囲の向こう端、
**beyond** はその先です。3か所の応答と、回線を収容する当方のインターフェースの状態（SNMP の ifOperStatus）の組合せから、
障害の場所と、責任分界点のどちら側かを決めます。判定は通知メールの「どこか（切り分け）」、画面、`hinomi incident` に、
根拠（各点の応答と時刻、経路の調査結果）とともに示します。

Echoes go to three points of each circuit all the time. What the three points say and the state of our interface to the
circuit decide where a fault is and which side of the demarcation point it is on. Mails, wall and `hinomi incident` show
the class with its evidence: each point with the time since which it has been so, and how far packets still got.

- 応答なし（down）は、エコー6回の連続した喪失で確定します（既定では最後の応答から11秒以内）。送信できなかったエコーは
  数えません。不明（unknown）は、点の設定がない、送信できない、または値が古いことを示します。
  A point is down after six echoes lost in a row; what could not be sent does not count, and is unknown.
- 1か所に IPv4 と IPv6 のアドレスを1つずつ書くと、別々に確認します。どちらかが応答すれば up、これまでに応答したことの
  あるアドレスがすべて応答しないとき down です。損失と遅延は、応答している最初のアドレスのものです。
  A point may have an address of each family, asked apart: it is up while either answers, and down when all that have
  ever answered are silent; loss and delay are those of the first that answers.
- 当方のゲートウェイ（`polling.gateways`）がすべて応答しないときは、この表によらず **isolated**（監視装置の孤立）です。
  その間は機器も回線も「断」ではなく「不明」として記録します。
  When none of our own gateways answers, monitoring is isolated whatever the table says, and history says unknown.
- どの点も分からない回線（`probe` の設定がないなど）では、構成ファイルの `scope` をそのまま示します。
  Where no point is known at all, the estate's `scope` is told as it stands.
- 「応答あり」は、そこまで届いたことの証明です。冗長な回線では別の回線を回って届くことがあり、その組合せは
  undetermined（判定できない）としています。
  What answers has been reached, on a redundant line perhaps by the other circuit: such rows are undetermined.
- インターフェースが down のときは、当方のポートや配線か、事業者の終端装置かを、応答だけでは決められません。
  With our interface down, our port and cable and the provider's termination look the same from here.
"""
_CLASS_WORDS: Final = {
    FaultClass.NONE: "障害なし",
    FaultClass.INSIDE: "契約範囲内",
    FaultClass.OUTSIDE: "契約範囲外",
    FaultClass.UNDETERMINED: "判定できない",
    FaultClass.ISOLATED: "監視装置の孤立",
}
_ANSWER_WORDS: Final = {Answer.UP: "up 応答", Answer.DOWN: "down 無応答", Answer.UNKNOWN: "unknown 不明"}


def faults_page() -> str:
    """The whole page: what a class means, then all 81 combinations."""
    return "\n".join([_INTRODUCTION, *_places(), "", *_combinations()]) + "\n"


def _places() -> list[str]:
    rows = [
        "## 場所と区分 ／ Places and classes",
        "",
        "| place | 区分 class | 日本語 | English |",
        "|---|---|---|---|",
    ]
    for place, (japanese, english) in SENTENCES.items():
        rows.append(f"| {place} | {_class_text(place)} | {japanese} | {english} |")
    return rows


def _class_text(place: Place) -> str:
    if place is Place.CIRCUIT:
        return "回線の `scope` のとおり：outside 契約範囲外（既定）または inside 契約範囲内"
    found = fault_class(place, "outside")
    return f"{found} {_CLASS_WORDS[found]}"


def _combinations() -> list[str]:
    rows = [
        "## すべての組合せ ／ All combinations",
        "",
        "`circuit` の行の区分は、回線の `scope` が outside（既定）のとき outside、inside のとき inside です。",
        "The class of `circuit` is the `scope` of the circuit, outside unless the estate says otherwise.",
        "",
        "| near | far | beyond | interface up | interface down | interface unknown |",
        "|---|---|---|---|---|---|",
    ]
    for points, places in TABLE.items():
        cells = [_ANSWER_WORDS[point] for point in points] + [_cell(place) for place in places]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _cell(place: Place) -> str:
    found = fault_class(place, "outside")
    return "–" if found is FaultClass.NONE else f"{found} ({place})" if found != str(place) else str(found)


if __name__ == "__main__":
    sys.stdout.write(faults_page())
