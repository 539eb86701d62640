"""The dashboards of devices, interfaces, services, what was told, the service level, and the daemon itself."""

from typing import Final

from dashboards.parts import Board, Choice, Question, Show

_ROLE: Final = Choice("role", "役割", "device", "role")
_DEVICE: Final = Choice("device", "機器", "device", "device")
_ONE_DEVICE: Final = Choice("device", "機器", "interface", "device", single=True)
_INTERFACES: Final = ("hinomi-interfaces", "device")
_SERVICE: Final = Choice("service", "サービス", "service", "service")
_OF_DEVICE: Final = {"role": "${role:regex}", "device": "${device:regex}"}
_OF_INTERFACE: Final = {"device": "${device:regex}"}
_OF_SERVICE: Final = {"service": "${service:regex}"}


def _device(name: str, way: str = "mean") -> list[Question]:
    return [Question("device", name, way, ("device",), _OF_DEVICE, alias="$tag_device")]


def _state(name: str) -> list[Question]:
    return [Question("device", name, "last", ("device",), _OF_DEVICE, alias="$tag_device", only="raw")]


DEVICES: Final = Board(
    "hinomi-devices",
    "火の見 機器",
    "役割ごとに機器の CPU、メモリ、セッション、冗長の役割、応答を見る。",
    [
        (
            "負荷",
            [
                Show(
                    "CPU使用率",
                    "機器の申告する CPU 使用率。線は規則のしきい値。",
                    _device("cpu_ratio"),
                    top=1.0,
                    link=_INTERFACES,
                ),
                Show(
                    "メモリ使用率", "機器の申告するメモリ使用率。", _device("memory_ratio"), top=1.0, link=_INTERFACES
                ),
                Show("セッション数", "同時セッション数（最大）。", _device("sessions", "max")),
                Show(
                    "セッション数の上限比",
                    "セッション数と上限の比。上限は機器の申告か設定。",
                    _device("sessions_ratio"),
                ),
                Show(
                    "新規セッション",
                    "毎秒の新規セッション数。監視プログラムが計算した値で、画面では計算しない。",
                    _device("session_rate"),
                ),
            ],
        ),
        (
            "状態",
            [
                Show("応答", "ポーリングに応答したか。", _state("up"), "states", link=_INTERFACES),
                Show("冗長の役割", "現用、待機、単独など。入れ替わりの時刻が切替の時刻。", _state("ha_role"), "states"),
                Show("機器の健康", "ファン、電源、温度などのうち最も悪いもの。", _state("health"), "states"),
                Show("往復遅延", "ICMP の往復遅延（中央値）。", _device("round_trip_delay_seconds")),
                Show("損失率", "ICMP の損失率。", _device("round_trip_loss_ratio"), top=1.0),
            ],
        ),
    ],
    (_ROLE, _DEVICE),
)


def _interface(name: str, way: str = "mean") -> tuple[Question, Question]:
    into, out = (
        Question(
            "interface",
            f"{direction}_{name}",
            way,
            ("device", "interface"),
            _OF_INTERFACE,
            alias=f"$tag_device $tag_interface {word}",
        )
        for direction, word in (("in", "受信"), ("out", "送信"))
    )
    return into, out


INTERFACES: Final = Board(
    "hinomi-interfaces",
    "火の見 インターフェース",
    "全機器のうち通信の多いインターフェースと、選んだ機器のインターフェースごとの通信、利用率、誤り、廃棄。",
    [
        (
            "多いもの",
            [
                Show(
                    "受信の多いインターフェース（期間の最大）",
                    "期間内で最も高かった受信速度の上位20。すべての機器から。",
                    [
                        Question(
                            "interface",
                            "in_bits_per_second",
                            "max",
                            ("device", "interface"),
                            span="",
                            alias="$tag_device $tag_interface",
                        )
                    ],
                    "bars",
                    height=12,
                    most=20,
                ),
                Show(
                    "送信の多いインターフェース（期間の最大）",
                    "期間内で最も高かった送信速度の上位20。すべての機器から。",
                    [
                        Question(
                            "interface",
                            "out_bits_per_second",
                            "max",
                            ("device", "interface"),
                            span="",
                            alias="$tag_device $tag_interface",
                        )
                    ],
                    "bars",
                    height=12,
                    most=20,
                ),
            ],
        ),
        (
            "推移",
            [
                Show(
                    "通信速度", "監視プログラムが2回の読み取りから一度だけ計算した速度。", _interface("bits_per_second")
                ),
                Show(
                    "速度に対する利用率",
                    "インターフェースの物理速度に対する比。契約の利用率は回線の画面で見る。",
                    _interface("ratio"),
                ),
                Show("誤り", "毎秒の誤りパケット。", _interface("errors_per_second")),
                Show("廃棄", "毎秒の廃棄パケット。出力の廃棄は混雑を示す。", _interface("discards_per_second")),
            ],
        ),
    ],
    (_ONE_DEVICE,),
)

SERVICES: Final = Board(
    "hinomi-services",
    "火の見 サービス",
    "DNS、Web、プロキシ、メール、時刻などを、利用者と同じ使い方で試した結果。",
    [
        (
            "いまと推移",
            [
                Show(
                    "サービスの状態",
                    "試験が成功したか。失敗は3回続いて初めて「いいえ」になる。",
                    [Question("service", "up", "last", ("service",), _OF_SERVICE, alias="$tag_service", only="raw")],
                    "states",
                ),
                Show(
                    "応答時間",
                    "答えが揃うまでの時間。平常時3秒、最繁時5秒が目安。",
                    [Question("service", "response_seconds", "mean", ("service",), _OF_SERVICE, alias="$tag_service")],
                ),
                Show(
                    "証明書の残り日数",
                    "TLS 証明書の期限までの日数。",
                    [
                        Question(
                            "service", "certificate_days", "last", ("service",), _OF_SERVICE, "", "$tag_service", "raw"
                        )
                    ],
                    "bars",
                    width=24,
                ),
            ],
        )
    ],
    (_SERVICE,),
)

EVENTS: Final = Board(
    "hinomi-events",
    "火の見 通知とアラート",
    "機器からの通知（トラップ、インフォーム）と、規則によるアラートの記録。",
    [
        (
            "機器からの通知",
            [
                Show(
                    "通知の件数",
                    "重大度ごとの件数。まとめられた繰り返しも1件ずつ数える。",
                    [Question("notification", "count", "sum", ("severity",), alias="$tag_severity")],
                ),
                Show(
                    "通知の一覧",
                    "新しい通知の文面。",
                    [Question("notification", "text", "last", ("severity", "device", "name"), span="")],
                    "table",
                    format="table",
                ),
            ],
        ),
        (
            "アラート",
            [
                Show(
                    "アラートの動き",
                    "規則ごとの状態の変化の回数。",
                    [Question("alert", "state", "count", ("severity",), span="1h", alias="$tag_severity")],
                ),
                Show(
                    "アラートの最新の状態",
                    "規則と対象ごとの最後の状態と事案の番号。",
                    [Question("alert", "state", "last", ("severity", "rule", "subject"), span="", also=("incident",))],
                    "table",
                    format="table",
                ),
            ],
        ),
    ],
    since="now-24h",
)

SERVICE_LEVEL: Final = Board(
    "hinomi-service-level",
    "火の見 サービスレベル",
    "対象ごとの月初からの稼働率。計画停止などの除外を引いた、契約上の数え方。監視プログラムが毎時計算する。",
    [
        (
            "稼働率",
            [
                Show(
                    "月初からの稼働率",
                    "サービス時間のうち、除外を引いて、使えた時間の割合。",
                    [
                        Question(
                            "service_level",
                            "availability_ratio",
                            "last",
                            ("kind", "subject"),
                            span="",
                            alias="$tag_subject",
                        )
                    ],
                    "bars",
                    height=14,
                    top=1.0,
                ),
                Show(
                    "停止時間と除外",
                    "月初からの停止時間（除外を引いたあと）と、除外した時間。",
                    [
                        Question(
                            "service_level", "down_seconds", "last", ("subject",), span="", alias="$tag_subject 停止"
                        ),
                        Question(
                            "service_level",
                            "excluded_seconds",
                            "last",
                            ("subject",),
                            span="",
                            alias="$tag_subject 除外",
                        ),
                    ],
                    "bars",
                    height=14,
                ),
                Show(
                    "稼働率の推移",
                    "月初からの稼働率が、日を追ってどう動いたか。",
                    [
                        Question(
                            "service_level", "availability_ratio", "last", ("subject",), span="1d", alias="$tag_subject"
                        )
                    ],
                    width=24,
                ),
            ],
        )
    ],
    since="now-30d",
    refresh="1h",
)


def _daemon(name: str, way: str = "max") -> list[Question]:
    return [Question("daemon", name, way, ("node", "part"), alias="$tag_node $tag_part")]


DAEMON: Final = Board(
    "hinomi-daemon",
    "火の見 監視プログラム",
    "監視プログラム自身の状態。遅れ、停滞、待ち行列、取りこぼし。",
    [
        (
            "遅れ",
            [
                Show("ポーリングの開始の遅れ", "予定より遅れて始まった時間の最大。", _daemon("lag_seconds")),
                Show("停滞", "処理の輪が回らなかった時間の最大。", _daemon("stall_seconds")),
                Show("忙しさ", "処理に使った CPU 時間の割合。", _daemon("busy_ratio"), top=1.0),
            ],
        ),
        (
            "待ちと取りこぼし",
            [
                Show(
                    "待ち行列",
                    "まだ保存先に届いていない記録の数。保存先が止まると増え、復旧すると減る。",
                    _daemon("queue_depth"),
                ),
                Show("取りこぼし（累計）", "起動からの累計。増えたら失われたということ。", _daemon("drops_total")),
                Show("失敗（累計）", "起動からの失敗の累計。", _daemon("failed_total")),
                Show(
                    "保存できない、届けられない",
                    "ディスク満杯と、保存先が受け付けない状態。",
                    [
                        Question("daemon", "disk_full", "last", ("part",), alias="$tag_part ディスク満杯"),
                        Question("daemon", "undelivered", "last", ("part",), alias="$tag_part 未達"),
                    ],
                    "states",
                ),
            ],
        ),
    ],
)

MACHINERY: Final = (DEVICES, INTERFACES, SERVICES, EVENTS, SERVICE_LEVEL, DAEMON)
