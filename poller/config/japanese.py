"""Problems of a configuration in Japanese, for the operator: a catalogue of the English sentences. Pure.

The English sentence is what the checks say and the tests hold word for word; here each has its Japanese form, with the
same words of the operator's own file in place of {...}. A sentence that is not in the catalogue stays English.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from poller.config.problems import Problem

_HINT: Final = re.compile(r"(?P<said>.*?)[.;]? Did you mean (?P<meant>.+)\?", re.DOTALL)
_PLACE: Final = re.compile(r"\{(\w+)\}")

_SENTENCES: Final[Mapping[str, str]] = {
    # who may see the wall
    "is missing: certificate and key go together": "書かれていません。証明書と鍵は両方が必要です",
    "others can reach {listen}: that needs {lock}; 127.0.0.1 needs neither": (
        "{listen} には他の端末からも接続できます。TLS（certificate と key、または trusted_proxies）と users を"
        "設定してください（127.0.0.1 だけで使う場合は不要です）"
    ),
    "nobody could log in: the section users is missing": "users の区分がないため、誰もログインできません",
    "belongs to the role tenant, and this is {role}": "役割が tenant の利用者だけに書けます（今は {role}）",
    "is missing: a person needs a password, a program a token": (
        "書かれていません。人には password、プログラムには token が必要です"
    ),
    "a user has a password or a token, not both": "password と token は、どちらか1つだけを書いてください",
    "is missing: an administrator needs a second factor; hinomi user totp makes one": (
        "書かれていません。管理者には二要素目の認証が必要です。hinomi user totp で作れます"
    ),
    "an administrator is a person, and has a password and a second factor": (
        "管理者は人に限ります。password と二要素目の認証を設定してください"
    ),
    "a program has no second factor": "プログラムには二要素目の認証は使えません",
    # files and YAML
    "is no directory": "フォルダーがありません",
    "cannot be read: {why}": "読めません：{why}",
    "is not UTF-8 text": "UTF-8 の文字ではありません",
    "is not UTF-8 text; it looks like Shift_JIS, so convert it: {command}": (
        "UTF-8 ではなく、Shift_JIS のようです。次の命令で変換してください：{command}"
    ),
    "is not YAML: this line has a full-width colon '：'; YAML wants ': '": (
        "YAML として読めません。この行に全角のコロン「：」があります。半角の「: 」にしてください"
    ),
    "is not YAML: this line has a full-width space; YAML wants ordinary spaces": (
        "YAML として読めません。この行に全角の空白があります。半角の空白にしてください"
    ),
    "is not YAML: a tab; YAML indents with spaces": (
        "YAML として読めません。タブがあります。字下げは半角の空白で書いてください"
    ),
    "is not YAML: {why}; the {sign} opened at {place} is not closed": (
        "YAML として読めません。{place} で開いた {sign} が閉じていません（{why}）"
    ),
    "is not YAML: {why}": "YAML として読めません（{why}）",
    "the tag {tag} is not allowed: write plain values": "タグ {tag} は使えません。値だけを書いてください",
    "the key {key} has a full-width colon '：'; YAML wants ': '": (
        "キー {key} に全角のコロン「：」があります。半角の「: 」にしてください"
    ),
    "the key {key} has a full-width space; YAML wants ordinary spaces": (
        "キー {key} に全角の空白があります。半角の空白にしてください"
    ),
    "{said}; it has a full-width colon '：'; YAML wants ': '": (
        "{said}。全角のコロン「：」があります。半角の「: 」にしてください"
    ),
    "{said}; it has a full-width space; YAML wants ordinary spaces": (
        "{said}。全角の空白があります。半角の空白にしてください"
    ),
    "no file matches {pattern}": "{pattern} に当てはまるファイルがありません",
    "must be a file or pattern below this folder, such as devices/*.yaml": (
        "このフォルダーより下のファイルを、devices/*.yaml のように書いてください"
    ),
    # references
    "there is no {kind} {word}": "{kind} に {word} はありません",
    "there is no profile {word}": "機器プロファイルに {word} はありません",
    "no {kind} matches {pattern}": "{pattern} に当てはまる {kind} がありません",
    "{address} is also an address of {other} at {place}": "{address} は {other}（{place}）のアドレスでもあります",
    "{pattern} is no regular expression: {why}": "{pattern} は正規表現として読めません（{why}）",
    "runs in a circle: {circle} ({places})": "依存がめぐっています：{circle}（{places}）",
    "runs in a circle: {circle}": "依存がめぐっています：{circle}",
    "has the id of a device, at {place}; parents could mean either": (
        "機器（{place}）と同じ id です。parents がどちらを指すか決まりません"
    ),
    "has the id of a circuit, at {place}": "回線（{place}）と同じ id です",
    "holds devices ({device}) and circuits ({circuit}); it must be one kind": (
        "機器（{device}）と回線（{circuit}）が混ざっています。どちらか一方にしてください"
    ),
    "needs at least two members and has {count} ({only})": "2つ以上の構成員が必要ですが、{count} です（{only}）",
    "{needed} are needed and there are only {count} members": "{needed} が必要ですが、構成員は {count} しかありません",
    "the contact {contact} has the role {role}, not provider": "連絡先 {contact} の役割は provider でなく {role} です",
    "{contact} has the role {role}; only engineers are on call": (
        "{contact} の役割は {role} です。当番になれるのは engineer だけです"
    ),
    "email is missing: a contact with the role {role} gets alert mails": (
        "email が書かれていません。役割が {role} の連絡先にはアラートのメールが届きます"
    ),
    "is above the ceiling_rate at {place}": "上限 ceiling_rate（{place}）を超えています",
    "counts the circuit {circuit} twice: by {one} and by {other}": (
        "回線 {circuit} を二重に数えています（{one} と {other}）"
    ),
    "{series} already counts for {tenant} at {place}": "{series} は {tenant}（{place}）の分として数えられています",
    # credentials and secrets
    "is missing: SNMP version {version} asks with a community": (
        "書かれていません。SNMP のバージョン {version} ではコミュニティが必要です"
    ),
    "is missing: SNMP version 3 asks as a user": "書かれていません。SNMP のバージョン3では利用者名が必要です",
    "is missing: {one} and {other} go together": "書かれていません。{one} と {other} は両方必要です",
    "is missing: there is no privacy without authentication (RFC 3414)": (
        "書かれていません。認証のない暗号化はできません（RFC 3414）"
    ),
    "belongs to version 3, and this is version {version}": "バージョン3の設定ですが、これはバージョン {version} です",
    "belongs to versions 1 and 2c, and this is version 3": "バージョン1と2cの設定ですが、これはバージョン3です",
    "SNMP version {version} sends the community in clear; use version 3 where you can": (
        "SNMP のバージョン {version} はコミュニティを暗号化せずに送ります。できればバージョン3にしてください"
    ),
    "{word} is broken; use {better} where the device can": (
        "{word} は破られています。機器が対応していれば {better} にしてください"
    ),
    "the secret cannot be read: {said}": "秘密情報を読めません：{said}",
    "{secret}: the environment has no variable of this name": "{secret}（この名前の環境変数がありません）",
    "{secret}: not started by systemd with LoadCredential": "{secret}（systemd の LoadCredential で渡されていません）",
    "{secret}: {path}: No such file or directory": "{secret}（{path} がありません）",
    "{secret}: {path}: Permission denied": "{secret}（{path} を読む権限がありません）",
    "{secret} is empty": "{secret} は空です",
    "{secret} has {count} lines that are not empty; a secret is one line": (
        "{secret} は {count} 行あります。秘密情報は1行で書きます"
    ),
    (
        "{file} is open to others than its owner (mode {mode}), and {count} more secret files are open like it; "
        "chmod 600 closes a file"
    ): (
        "{file} は所有者でない人も読めます（モード {mode}）。同じ状態の秘密情報のファイルがほかに {count} あります。"
        "chmod 600 で閉じられます"
    ),
    "{file} is open to others than its owner (mode {mode}); chmod 600 closes a file": (
        "{file} は所有者でない人も読めます（モード {mode}）。chmod 600 で閉じられます"
    ),
    # circuits
    "{one} and {two} are both {family}: one of each at most": (
        "{one} と {two} はどちらも {family} です。IPv4 と IPv6 を1つずつまで書けます"
    ),
    # services
    "the authority's file {file} cannot be read: no certificate in it": (
        "認証局のファイル {file} に証明書がありません。このサービスは確認できず「不明」になります"
    ),
    "the authority's file {file} cannot be read: {why}": (
        "認証局のファイル {file} を読めません（{why}）。このサービスは確認できず「不明」になります"
    ),
    "belongs to {one} and {two} and {three}, and this is {kind}": (
        "{one}、{two}、{three} の設定ですが、これは {kind} です"
    ),
    "belongs to {one} and {two}, and this is {kind}": "{one} と {two} の設定ですが、これは {kind} です",
    "belongs to {kinds}, and this is {kind}": "{kinds} の設定ですが、これは {kind} です",
    "the timeout ({timeout} s) must be shorter than the interval ({interval} s)": (
        "timeout（{timeout} 秒）は interval（{interval} 秒）より短くしてください"
    ),
    "{written} is no target: write HOST, HOST:PORT or [IPv6]:PORT": (
        "{written} は対象として読めません。HOST、HOST:PORT、[IPv6]:PORT のどれかで書いてください"
    ),
    "{written} is no IPv6 address": "{written} は IPv6 のアドレスではありません",
    "{written} names no port, and there is no usual one: write HOST:PORT": (
        "{written} にポート番号がありません。HOST:PORT と書いてください"
    ),
    "port {port} is not between 1 and {most}": "ポート番号 {port} は 1 から {most} の間ではありません",
    "{written} is no URL: write http://HOST/ or https://HOST:PORT/PATH": (
        "{written} は URL として読めません。http://HOST/ か https://HOST:PORT/PATH のように書いてください"
    ),
    "a login has no place in a URL; that of a proxy is proxy_user and proxy_password": (
        "URL に利用者名やパスワードは書けません。プロキシの認証は proxy_user と proxy_password に書いてください"
    ),
    "is of use with a proxy only: write it as proxy": "認証するプロキシがありません。proxy に書いてください",
    "a user of a proxy has no colon in its name (RFC 7617, 2)": (
        "プロキシの利用者名にコロンは使えません（RFC 7617, 2）"
    ),
    "a DNS server is asked for a name: write it as query": "DNS サーバーに問い合わせる名前を query に書いてください",
    "{written} is no type of DNS records, such as A, AAAA, MX": (
        "{written} という DNS レコードの種類はありません（A、AAAA、MX など）"
    ),
    "{written} cannot be asked of a DNS server: {why}": "{written} は DNS で問い合わせられません（{why}）",
    "{written} is no mail address": "{written} はメールアドレスとして読めません",
    # rules, calendars, maintenance
    "{on} is no measurement.field of the schema": "{on} という計測項目はありません（計測.項目 の形で書きます）",
    "{measurement} has no field {field}; there are {known}": (
        "{measurement} に {field} という項目はありません。項目は {known} です"
    ),
    "{measurement} has no field {field}": "{measurement} に {field} という項目はありません",
    "rules do not look at {measurement}; they look at {known}": (
        "規則は {measurement} を見ません。見るのは {known} です"
    ),
    "needs exactly one of {kinds}, and has {given}": "{kinds} のうち1つだけを書いてください（今は {given}）",
    "{on} is true or false: use equals": "{on} は真偽の値です。equals で書いてください",
    "{on} is text: use equals": "{on} は文字の値です。equals で書いてください",
    "{on} is {kind}, not {written}": "{on} は {kind} の値で、{written} ではありません",
    "{level} of a ratio is {percent} %": "割合の {level} は {percent} ％のことになります",
    "must go with {level} and not be higher, or it would never clear": (
        "{level} とともに、それより高くない値を書いてください。このままでは復旧と判定されません"
    ),
    "must go with {level} and not be lower, or it would never clear": (
        "{level} とともに、それより低くない値を書いてください。このままでは復旧と判定されません"
    ),
    "a change is over in a moment: with changes there is nothing to wait for": (
        "変化は一瞬のことなので、changes とともには書けません"
    ),
    "goes with above_median only": "above_median とともにだけ使えます",
    '{written} is no span of hours: write "08:30-17:15"': (
        '{written} は時間帯ではありません。"08:30-17:15" のように書いてください'
    ),
    '{written} is no day of the year: write "12-29"': '{written} は月日ではありません。"12-29" のように書いてください',
    '{written} is no time: write "2026-11-21 22:00"': (
        '{written} は日時ではありません。"2026-11-21 22:00" のように書いてください'
    ),
    "is not after the start at {place}": "開始（{place}）より後ではありません",
    # sections and settings, the general after the particular
    "{rule}, not {written}": "{rule}（{written} と書かれています）",
    "is no section": "このような区分はありません",
    "is no section; sections are {names}": "このような区分はありません。区分は {names} です",
    "is no setting here": "ここにこのような設定はありません",
    "is none of {names}": "ここにこのような設定はありません。設定は {names} です",
    "is missing": "書かれていません",
    "is given twice; the first is at {place}": "2回書かれています。1回目は {place} です",
    "is defined twice; the first is at {place}": "2回定義されています。1回目は {place} です",
    "must be text": "文字で書いてください",
    "must be a whole number": "整数で書いてください",
    "must be a number": "数で書いてください",
    "must be true or false": "true か false で書いてください",
    "must be a list": "一覧（[...] または - ）で書いてください",
    "must be a mapping": "「名前: 値」の形で書いてください",
    "must be a mapping of settings": "「設定: 値」の形で書いてください",
    "must be a mapping of sections": "「区分: 値」の形で書いてください",
    "must be a mapping by id, such as `{example}`": "`{example}` のように、id ごとに書いてください",
    "must be above {least}": "{least} より大きくしてください",
    "must be below {most}": "{most} より小さくしてください",
    "must be {least} or more": "{least} 以上にしてください",
    "must be {most} or less": "{most} 以下にしてください",
    "needs at least {count} entry": "{count} 件以上が必要です",
    "{written} is not known; it is one of {choices}": "{written} は使えません。{choices} のどれかを書いてください",
    "{written}: an id is lower case letters, digits, - and _, and begins with a letter or digit": (
        "{written}：id は英小文字、数字、- と _ で書き、英小文字か数字で始めます"
    ),
    "{written}: must be a mail address such as noc@example.jp": (
        "{written}：noc@example.jp のようなメールアドレスで書いてください"
    ),
    "{written} does not match {pattern}": "{written} は決まった書き方（{pattern}）に合いません",
    "{written} is not an IPv4 or IPv6 address": "{written} は IPv4 や IPv6 のアドレスではありません",
    "{written} is no time zone": "{written} というタイムゾーンはありません",
    '{written} is not a rate: write bits per second such as "300M" or "4G"': (
        '{written} は速度ではありません。bps を "300M" や "4G" のように書いてください'
    ),
    '{written} is not a volume: write octets such as "500GB" or "20TB"': (
        '{written} は通信量ではありません。バイト数を "500GB" や "20TB" のように書いてください'
    ),
    '{written} is not a duration: write "60s", "5m" or "1h30m"': (
        '{written} は時間の長さではありません。"60s"、"5m"、"1h30m" のように書いてください'
    ),
    '{written} is not a ratio: write "80%" or 0.8': (
        '{written} は割合ではありません。"80%" や 0.8 のように書いてください'
    ),
    'a secret is given by reference only: "file:PATH", "env:NAME" or "credential:NAME"': (
        '秘密情報は設定に書かず、"file:パス"、"env:名前"、"credential:名前" で指定してください'
    ),
}


def in_japanese(problem: Problem) -> str:
    """The problem as one line: place and path as they are, the sentence in Japanese where the catalogue has it."""
    path = f"{problem.path}: " if problem.path else ""
    return f"{problem.place}: {path}{_translated(problem.text)}"


def _translated(text: str) -> str:
    if match := _HINT.fullmatch(text):
        return f"{_translated(match['said'])}。{match['meant']} ではありませんか。"
    for pattern, japanese in _catalogue():
        if match := pattern.fullmatch(text):
            inner = ("said", "rule")  # a sentence within a sentence
            words = {name: _translated(word) if name in inner else word for name, word in match.groupdict().items()}
            return japanese.format(**words)
    return text


@cache
def _catalogue() -> tuple[tuple[re.Pattern[str], str], ...]:
    """In the order of the catalogue: what says more stands before what says less."""
    return tuple((re.compile(_expression(english), re.DOTALL), japanese) for english, japanese in _SENTENCES.items())


def _expression(english: str) -> str:
    parts = _PLACE.split(english)
    return "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
