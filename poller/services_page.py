"""docs/services.md, made from the table of probes so that it cannot fall behind: `python -m poller.services_page`."""

import sys
from collections.abc import Mapping
from typing import Final

from poller.service_states import REPEAT_NS, REPEATS
from probes.sentences import SENTENCES
from probes.services import PROBES

_INTRODUCTION: Final = f"""\
# Services / サービスの確認

Made by `python -m poller.services_page` from the probes; do not edit.

## 日本語

`services:` に書いたサービスを、利用者と同じ使い方で確かめます（外形監視）。1件の検査は1つの質問で、既定では60秒ごと、
サービスごとに決まった秒に行います。`timeout`（既定10秒）までに応答の全体が届かなければ「応答なし」です。

- 検査の結果が今の状態と食い違うと、{REPEAT_NS // 10**9}秒おきに{REPEATS}回くり返し、
  すべて同じ結果のときだけ状態を変えます。変わったときは、最初に失敗した検査の時刻から数えます。
  1回だけの失敗は記録には残りますが、状態は変わりません。
- 決まった状態は再起動後も1時間は引き継ぎます。質問の内容を変えたサービスは、初めから確かめます。
- 監視サーバー側の理由（権限、ソケット、名前解決の不通、認証局ファイル、秘密情報など）で検査できないときは
  「不明」で、停止とは数えません。
- 名前が IPv4 と IPv6 の両方のアドレスを持つときは、`family: ipv4` と `family: ipv6` の2件に分けて確かめられます。
- 応答時間は段階ごと（名前解決、接続、TLS、最初の応答）にも記録します。
  プロキシ経由の HTTPS では CONNECT の往復も接続に含みます。
- 各検査は、サービス時間（`calendar`）の中かどうかを持ちます（`in_service_hours`）。サービスレベルの計算の元になります。
- 手で確かめるには `hinomi probe 種類 対象 --explain`、設定どおりに確かめるには
  `hinomi probe サービスID -c 設定フォルダー` を使います。終了コードは 0 正常、1 正常でない、2 質問の誤りです。

## English

The services under `services:` are checked as their users use them. One check asks one question, every 60 s unless
`interval` says otherwise, each service at its own second. What is not answered whole within `timeout` (10 s)
counts as no answer.

- A check that contradicts the present state is repeated {REPEATS} times, {REPEAT_NS // 10**9} s apart;
  the state changes only if all of them agree, and then from the time of the first. A single
  failed check is kept in the records and changes nothing.
- What stands is known for an hour over a restart; a service that is asked otherwise than before begins anew.
- What could not be asked for a reason on our own side (rights, sockets, no name service, an authority's file, a
  secret) is unknown, not down.
- A name with both IPv4 and IPv6 addresses is checked apart by two services, `family: ipv4` and `family: ipv6`.
- The response time is kept by phase too: resolving the name, connecting, TLS, first answer. Through a proxy the
  exchange of CONNECT counts as connecting.
- Every check says whether it lies within the service hours (`calendar`; field `in_service_hours`), the raw material of
  the service level.
- By hand: `hinomi probe KIND TARGET --explain`, or `hinomi probe SERVICE -c FOLDER` exactly as configured. The exit
  status is 0 up, 1 not up, 2 a question without sense.

"""
_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "dns": (
        "`HOST[:53]`",
        "UDP と TCP で名前を問い合わせ、応答コードと期待するレコードを確かめる。UDP で切り詰められたら TCP で問い直す",
        "asks for a name by UDP and by TCP; rcode and the record expected. What UDP cuts short is asked by TCP",
    ),
    "http": (
        "`http://…` `https://…`",
        "ページを取得し、状態コードと本文を確かめる。転送は5回まで。明示プロキシ経由、遮断されるべきページも確かめられる",
        "gets a page; status and text. Up to 5 redirects; through the explicit proxy; also what must be blocked",
    ),
    "smtp": (
        "`HOST[:25]`",
        "EHLO、STARTTLS、RCPT まで対話し、配送はしない。証明書は `ca_file` か `server_name` があるときだけ検証する",
        "EHLO, STARTTLS or RCPT, no delivery; the certificate is verified with `ca_file` or `server_name` only",
    ),
    "ntp": (
        "`HOST[:123]`",
        "時刻を問い合わせ、差、stratum、うるう秒表示（未同期）を確かめる",
        "asks for the time; offset, stratum, leap indicator",
    ),
    "tcp": ("`HOST:PORT`", "接続できることを確かめる", "connects"),
    "tls": (
        "`HOST[:443]`",
        "証明書の連鎖、名前、残り日数を確かめる。30日、14日、7日を切ると知らせる（規則は `service.certificate_days`）",
        "chain, name and days of the certificate; below 30, 14, 7 days it says so (rules: `service.certificate_days`)",
    ),
}
_OPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "query": ("問い合わせる名前（必須）", "the name to ask for (needed)"),
    "record_type": (
        "レコードの種類。既定は A、期待が IPv6 アドレスなら AAAA",
        "type of record; A, or AAAA where an IPv6 address is expected",
    ),
    "transport": ("`both`（既定）、`udp`、`tcp`", "`both` (default), `udp` or `tcp`"),
    "expect": (
        "DNS：期待するレコード、`NXDOMAIN` は「無い」こと。HTTP：本文にある語、`blocked` のときは遮断ページにある語",
        "DNS: the record, or `NXDOMAIN` for none; HTTP: text in the page, with `blocked` in the block page",
    ),
    "status": ("期待する状態コード。既定は400未満", "the status expected; any below 400 by default"),
    "proxy": ("明示プロキシの URL", "URL of the explicit proxy"),
    "proxy_user": (
        "プロキシの認証（Basic）に使う利用者名。`proxy_password` と組で書く",
        "user for the proxy's login (Basic); goes together with `proxy_password`",
    ),
    "proxy_password": (
        "その利用者のパスワードの参照（`file:`、`env:`、`credential:`）。検査のたびに読む",
        "where its password is (`file:`, `env:`, `credential:`); read at each check",
    ),
    "blocked": (
        "遮断されるのが正しい。403 か 451、または `expect` の語があるページで正常",
        "must be blocked: up with 403 or 451, or with a page that has the text of `expect`",
    ),
    "sender": ("MAIL の差出人。既定は空の差出人", "sender in MAIL; the null sender by default"),
    "recipient": ("RCPT まで確かめる宛先", "go on to RCPT for this address"),
    "starttls": ("STARTTLS を必須とする", "STARTTLS must be offered and set up"),
    "server_name": (
        "証明書にあるべき名前。既定は対象のホスト",
        "name the certificate must have; the target's host by default",
    ),
    "ca_file": (
        "システムの認証局の代わりに信頼する認証局（PEM）。設定フォルダーから見たパス",
        "authority (PEM) to trust instead of the system's; relative to the configuration's folder",
    ),
    "offset_seconds": ("許す時刻の差。既定は1秒", "how far the clocks may differ; 1 s by default"),
}
_PROXY_LOGIN: Final = """\

プロキシの認証は Basic（RFC 7617）だけに対応しています。ほかの方式（NTLM、Negotiate など）を求めるプロキシは
`proxy_login_declined` または `proxy_login` になります。その場合は、監視サーバーを認証なしで通す設定を
プロキシに加えてください。
Basic (RFC 7617) is the one way to log in to a proxy. One that wants another (NTLM, Negotiate) shows as
`proxy_login_declined` or `proxy_login`; let it pass this machine without a login then.
"""


def services_page() -> str:
    """The whole page: kinds, their settings, every sentence in both languages."""
    kinds = ["## Kinds / 種類\n", "| kind | target | 確かめること | what is checked |", "|---|---|---|---|"]
    kinds += [f"| `{kind}` | {' | '.join(_KINDS[kind])} |" for kind in PROBES]
    options = ["\n## Settings / 設定項目\n", "| setting | kinds | 意味 | meaning |", "|---|---|---|---|"]
    options += [f"| `{option}` | {_kinds_of(option)} | {' | '.join(_OPTIONS[option])} |" for option in _OPTIONS]
    sentences = ["\n## Sentences / 文\n", "| reason | 日本語 | English |", "|---|---|---|"]
    sentences += [f"| `{reason}` | {japanese} | {english} |" for reason, (japanese, english) in SENTENCES.items()]
    return _INTRODUCTION + "\n".join([*kinds, *options, _PROXY_LOGIN.rstrip("\n"), *sentences]) + "\n"


def _kinds_of(option: str) -> str:
    return ", ".join(f"`{kind}`" for kind, probe in PROBES.items() if option in probe.options)


if __name__ == "__main__":
    sys.stdout.write(services_page())
