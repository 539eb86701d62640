"""The dashboards for the lines, the tenants and the capacity review; those of the machinery are in machinery.py."""

from typing import Final

from dashboards.parts import Board, Choice, Question, Show

CIRCUIT: Final = Choice("circuit", "回線", "circuit", "circuit")
GROUP: Final = Choice("line_group", "回線群", "line_group_5m", "line_group")
TENANT: Final = Choice("tenant", "接続団体", "tenant_5m", "tenant", single=True)
LINE: Final = Choice("line", "回線の区分", "tenant_5m", "line")
_OF_CIRCUIT: Final = {"circuit": "${circuit:regex}"}
_OF_GROUP: Final = {"line_group": "${line_group:regex}"}
_OF_TENANT: Final = {"tenant": "${tenant:regex}", "line": "${line:regex}"}
_TOTAL: Final = {"line": "total"}


def _both(measurement: str, what: str, tag: str, **more: object) -> tuple[Question, Question]:
    """In and out of one figure, by a tag."""
    into, out = (
        Question(measurement, f"{way}_{what}", tags=(tag,), alias=f"$tag_{tag} {word}", **more)  # type: ignore[arg-type]
        for way, word in (("in", "受信"), ("out", "送信"))
    )
    return into, out


WALL: Final = Board(
    "hinomi-wall",
    "火の見 NOC監視",
    "当番が離れて見る画面。?kiosk を付けて開くか、プレイリスト「火の見」で巡回する。データが古いパネルは値が消える。",
    [
        (
            "いま",
            [
                Show(
                    "回線の状態",
                    "契約回線ごとの最新の状態。断は赤、片系などの低下は橙。10分より古い状態は出さない。",
                    [Question("circuit", "state", "last", ("circuit",), span="", alias="$tag_circuit", only="raw")],
                    "number",
                    width=12,
                    link=("hinomi-lines", "circuit"),
                    range="10m",
                ),
                Show(
                    "機器の応答",
                    "監視対象の機器が最後のポーリングに応答したか。「いいえ」は応答なし。",
                    [Question("device", "up", "last", ("device",), span="", alias="$tag_device", only="raw")],
                    "number",
                    width=12,
                    link=("hinomi-devices", "device"),
                    range="10m",
                ),
            ],
        ),
        (
            "回線",
            [
                Show(
                    "契約帯域に対する利用率（回線群）",
                    "回線群の合計が契約帯域（確保帯域）に対して占める割合。1分の平均。線は規則のしきい値。",
                    _both("line_group", "committed_ratio", "line_group"),
                    link=("hinomi-lines", "line_group"),
                ),
                Show(
                    "上限に近い接続団体",
                    "接続団体の通信量が持続上限に対して占める割合（最新、受信）。100%を超えると制限の対象。",
                    [
                        Question(
                            "tenant", "in_cap_ratio", "last", ("tenant", "line"), span="", alias="$tag_tenant $tag_line"
                        )
                    ],
                    "bars",
                    link=("hinomi-tenant", "tenant"),
                ),
            ],
        ),
        (
            "アラート",
            [
                Show(
                    "アラートの最新の状態",
                    "期間内に動いたアラートを、規則と対象ごとに最後の状態で示す。",
                    [Question("alert", "state", "last", ("severity", "rule", "subject"), span="", only="raw")],
                    "table",
                    width=24,
                    format="table",
                )
            ],
        ),
    ],
    refresh="30s",
)

LINES: Final = Board(
    "hinomi-lines",
    "火の見 回線",
    "契約回線と回線群を、契約帯域（確保）と上限（ベストエフォート）に照らして見る。値は契約を基準とし、機器の速度ではない。",
    [
        (
            "回線群",
            [
                Show(
                    "契約帯域に対する利用率（回線群）",
                    "回線群の合計と契約帯域の比。2日を超える期間では5分値の平均を読む。",
                    _both("line_group", "committed_ratio", "line_group", where=_OF_GROUP),
                ),
                Show(
                    "上限に対する利用率（回線群）",
                    "回線群の合計と上限の比。上限に張り付いているときは通信が頭打ちになっている。",
                    _both("line_group", "ceiling_ratio", "line_group", where=_OF_GROUP),
                ),
                Show(
                    "通信量（回線群）",
                    "回線群の合計の通信速度（毎秒ビット）。",
                    _both("line_group", "bits_per_second", "line_group", where=_OF_GROUP),
                ),
                Show(
                    "観測率（回線群）",
                    "その時間のうち実際に観測できた割合。低いときの値は参考とする。",
                    [
                        Question(
                            "line_group", "coverage_ratio", "mean", ("line_group",), _OF_GROUP, alias="$tag_line_group"
                        )
                    ],
                    top=1.0,
                ),
            ],
        ),
        (
            "回線",
            [
                Show(
                    "契約帯域に対する利用率（回線）",
                    "回線ごとの契約帯域に対する比。",
                    _both("circuit", "committed_ratio", "circuit", where=_OF_CIRCUIT),
                ),
                Show(
                    "上限に対する利用率（回線）",
                    "回線ごとの上限に対する比。",
                    _both("circuit", "ceiling_ratio", "circuit", where=_OF_CIRCUIT),
                ),
                Show(
                    "通信量（回線）",
                    "回線ごとの通信速度（毎秒ビット）。",
                    _both("circuit", "bits_per_second", "circuit", where=_OF_CIRCUIT),
                ),
                Show(
                    "5分値の最大（回線）",
                    "5分の中の最も高い1分。平均に隠れる混雑を見る。",
                    [
                        Question(
                            "circuit",
                            "in_bits_per_second",
                            "max",
                            ("circuit",),
                            _OF_CIRCUIT,
                            alias="$tag_circuit 受信最大",
                        ),
                        Question(
                            "circuit",
                            "out_bits_per_second",
                            "max",
                            ("circuit",),
                            _OF_CIRCUIT,
                            alias="$tag_circuit 送信最大",
                        ),
                    ],
                ),
                Show(
                    "回線の状態の移り変わり",
                    "正常、低下、断の移り変わり。観測した時刻で記録される。",
                    [Question("circuit", "state", "last", ("circuit",), _OF_CIRCUIT, alias="$tag_circuit", only="raw")],
                    "states",
                ),
                Show(
                    "どの回線が通信を運んでいるか",
                    "現用・待機の組で、実際に通信を運んでいる回線。切替の時刻が分かる。",
                    [
                        Question(
                            "circuit", "active", "last", ("circuit",), _OF_CIRCUIT, alias="$tag_circuit", only="raw"
                        )
                    ],
                    "states",
                ),
            ],
        ),
    ],
    (GROUP, CIRCUIT),
)

TENANTS: Final = Board(
    "hinomi-tenants",
    "火の見 接続団体一覧",
    "すべての接続団体を並べて見る。名前を押すとその団体の画面へ、期間を保ったまま移る。",
    [
        (
            "上限と量",
            [
                Show(
                    "持続上限に対する利用率（最大）",
                    "期間内で最も高かった、5分平均と持続上限の比（受信）。100%超が続くと上限超過。",
                    [
                        Question(
                            "tenant", "in_cap_ratio", "max", ("tenant", "line"), span="", alias="$tag_tenant $tag_line"
                        )
                    ],
                    "bars",
                    height=12,
                    link=("hinomi-tenant", "tenant"),
                ),
                Show(
                    "期間の受信量",
                    "期間内に受信したオクテットの合計。ポーリングの欠けがあっても二重に数えない。",
                    [Question("tenant", "in_octets", "sum", ("tenant",), _TOTAL, span="", alias="$tag_tenant")],
                    "bars",
                    height=12,
                    link=("hinomi-tenant", "tenant"),
                ),
            ],
        ),
        (
            "推移",
            [
                Show(
                    "受信の推移",
                    "接続団体ごとの受信速度。全回線の合計。",
                    [Question("tenant", "in_bits_per_second", tags=("tenant",), where=_TOTAL, alias="$tag_tenant")],
                    link=("hinomi-tenant", "tenant"),
                ),
                Show(
                    "送信の推移",
                    "接続団体ごとの送信速度。全回線の合計。",
                    [Question("tenant", "out_bits_per_second", tags=("tenant",), where=_TOTAL, alias="$tag_tenant")],
                    link=("hinomi-tenant", "tenant"),
                ),
                Show(
                    "期間の95パーセンタイル（受信）",
                    "期間内の5分平均を高い順に並べ、上位5%を除いた最大。端数の丸めにより報告書と順位が1つずれることがある。",
                    [
                        Question(
                            "tenant",
                            "in_bits_per_second",
                            "percentile",
                            ("tenant",),
                            _TOTAL,
                            span="",
                            alias="$tag_tenant",
                            only="rollup",
                        )
                    ],
                    "bars",
                    width=24,
                    height=12,
                    link=("hinomi-tenant", "tenant"),
                ),
            ],
        ),
    ],
    since="now-7d",
    refresh="5m",
)

ONE_TENANT: Final = Board(
    "hinomi-tenant",
    "火の見 接続団体",
    "一つの接続団体の通信、上限、量、95パーセンタイル。上の選択で団体と回線の区分を選ぶ。",
    [
        (
            "通信",
            [
                Show(
                    "通信速度",
                    "選んだ団体の、回線の区分ごとの受信と送信。",
                    _both("tenant", "bits_per_second", "line", where=_OF_TENANT),
                ),
                Show(
                    "持続上限に対する利用率",
                    "5分平均と持続上限の比。100%を3回続けて超えると上限超過となる。",
                    _both("tenant", "cap_ratio", "line", where=_OF_TENANT),
                ),
            ],
        ),
        (
            "量と95パーセンタイル",
            [
                Show(
                    "今月の通信量",
                    "月の初めからの受信と送信の合計（全回線）。",
                    [
                        Question(
                            "tenant",
                            "month_octets",
                            "last",
                            ("line",),
                            {"tenant": "${tenant:regex}", "line": "total"},
                            span="",
                            alias="今月",
                        )
                    ],
                    "number",
                    width=6,
                ),
                Show(
                    "期間の95パーセンタイル（受信）",
                    "期間内の5分平均の95パーセンタイル。",
                    [
                        Question(
                            "tenant",
                            "in_bits_per_second",
                            "percentile",
                            ("line",),
                            _OF_TENANT,
                            span="",
                            alias="$tag_line",
                            only="rollup",
                        )
                    ],
                    "number",
                    width=6,
                ),
                Show(
                    "1日の通信量",
                    "日ごとの受信と送信のオクテット。日の境は現地の午前0時。",
                    [
                        Question(
                            "tenant",
                            f"{way}_octets",
                            "sum",
                            ("line",),
                            _OF_TENANT,
                            "1d",
                            f"$tag_line {word}",
                            "rollup",
                        )
                        for way, word in (("in", "受信"), ("out", "送信"))
                    ],
                ),
                Show(
                    "観測率",
                    "その時間のうち実際に観測できた割合。",
                    [Question("tenant", "coverage_ratio", tags=("line",), where=_OF_TENANT, alias="$tag_line")],
                    width=24,
                    top=1.0,
                ),
            ],
        ),
    ],
    (TENANT, LINE),
    since="now-24h",
    refresh="5m",
)


def _daily(name: str, way: str, word: str, span: str = "1d") -> Question:
    return Question("line_group", name, way, ("line_group",), _OF_GROUP, span, f"$tag_line_group {word}", "rollup")


CAPACITY: Final = Board(
    "hinomi-capacity",
    "火の見 容量評価（月次）",
    "設計した性能が出ているか、いつ足りなくなるかを、月の会議で見る。すべて5分値から読む。",
    [
        (
            "この期間",
            [
                Show(
                    "期間の95パーセンタイル",
                    "期間内の5分平均の95パーセンタイル。回線群ごと、受信と送信。",
                    [
                        _daily("in_bits_per_second", "percentile", "受信", ""),
                        _daily("out_bits_per_second", "percentile", "送信", ""),
                    ],
                    "number",
                    width=12,
                    height=6,
                    link=("hinomi-lines", "line_group"),
                ),
                Show(
                    "期間の最大（1分値）",
                    "期間内の最も高い1分。95パーセンタイルとの差が大きいほど瞬間的な集中がある。",
                    [_daily("in_bits_per_second", "max", "受信", ""), _daily("out_bits_per_second", "max", "送信", "")],
                    "number",
                    width=12,
                    height=6,
                    link=("hinomi-lines", "line_group"),
                ),
                Show(
                    "最繁時（1時間平均）",
                    "1時間の平均。山の位置から最も混む時間帯を読む。",
                    [
                        _daily("in_bits_per_second", "mean", "受信", "1h"),
                        _daily("out_bits_per_second", "mean", "送信", "1h"),
                    ],
                ),
                Show(
                    "1日の95パーセンタイル",
                    "日ごとの95パーセンタイル。日の境は現地の午前0時。",
                    [
                        _daily("in_bits_per_second", "percentile", "受信"),
                        _daily("out_bits_per_second", "percentile", "送信"),
                    ],
                ),
            ],
        ),
        (
            "傾向と予測",
            [
                Show(
                    "半年の傾向（1日の95パーセンタイル、契約帯域比）",
                    "直近180日。契約帯域に対する比で、80%に近づく速さを見る。",
                    [
                        _daily("in_committed_ratio", "percentile", "受信"),
                        _daily("out_committed_ratio", "percentile", "送信"),
                    ],
                    width=24,
                    range="180d",
                ),
                Show(
                    "80%に達するまでの日数",
                    "監視プログラムが毎日計算する予測。上限の80%に達する日までの残り。3年以内に達しなければ値は無い。",
                    [
                        Question(
                            "forecast",
                            "days_to_80",
                            "last",
                            ("line_group", "direction"),
                            _OF_GROUP,
                            "",
                            "$tag_line_group $tag_direction",
                            "raw",
                        )
                    ],
                    "number",
                    width=8,
                    range="3d",
                ),
                Show(
                    "100%に達するまでの日数",
                    "上限に達する日までの残り（予測）。",
                    [
                        Question(
                            "forecast",
                            "days_to_100",
                            "last",
                            ("line_group", "direction"),
                            _OF_GROUP,
                            "",
                            "$tag_line_group $tag_direction",
                            "raw",
                        )
                    ],
                    "number",
                    width=8,
                    range="3d",
                ),
                Show(
                    "1日あたりの伸び",
                    "予測に使った傾き。1日に増える速度（毎秒ビット）。",
                    [
                        Question(
                            "forecast",
                            "trend_bits_per_second_per_day",
                            "last",
                            ("line_group", "direction"),
                            _OF_GROUP,
                            "",
                            "$tag_line_group $tag_direction",
                            "raw",
                        )
                    ],
                    "number",
                    width=8,
                    range="3d",
                ),
            ],
        ),
    ],
    (GROUP,),
    since="now-30d",
    refresh="1h",
)

BOARDS: Final = (WALL, LINES, TENANTS, ONE_TENANT, CAPACITY)
