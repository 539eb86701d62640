"""What a probe of a service found, as the sentence that the operator reads, Japanese and English.

One literal table: reason to a pair of templates. A fact is a text, or a pair where it reads differently in the two
languages. Facts that came from the network were cleaned by whoever put them there (probes.text).
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

Said: TypeAlias = str | tuple[str, str]
"""A text for both languages, or (Japanese, English)."""

PHASES: Final[Mapping[str, tuple[str, str]]] = {
    "resolve": ("名前解決", "resolving the name"),
    "connect": ("接続", "connecting"),
    "tls": ("TLSの確立", "setting up TLS"),
    "first_byte": ("応答待ち", "waiting for the first answer"),
    "rest": ("応答の受信", "reading the answer"),
}
"""The steps of a probe in their order; each but the last is timed."""

SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    # every kind
    "no_answer": (
        "{peer} から {seconds} 秒以内に応答がありません（{phase}の段階）。",
        "{peer} gave no answer within {seconds} s (while {phase}).",
    ),
    "refused": (
        "{peer} は接続を拒否しました。このポートで待ち受けるプログラムがありません。",
        "{peer} refused the connection: nothing listens on that port.",
    ),
    "unreachable": ("{peer} へ到達できません（{detail}）。", "{peer} cannot be reached ({detail})."),
    "closed": ("{peer} は途中で接続を切りました（{phase}の段階）。", "{peer} closed the connection (while {phase})."),
    "malformed": (
        "{peer} の応答は {protocol} として読めません（{detail}）。",
        "The answer of {peer} cannot be read as {protocol} ({detail}).",
    ),
    "name_unknown": ("名前 {name} のアドレスが見つかりません。", "The name {name} has no address."),
    "name_unresolved": (
        "監視サーバーで名前 {name} を解決できず、確認できませんでした（{detail}）。",
        "This machine cannot resolve the name {name}, so nobody was asked ({detail}).",
    ),
    "authority_unreadable": (
        "認証局のファイル {file} を読めず、確認できませんでした（{detail}）。",
        "The authority's file {file} cannot be read, so nobody was asked ({detail}).",
    ),
    "not_asked": (
        "監視サーバー側の理由で確認できませんでした（{detail}）。",
        "We could not ask, for a reason on our own side ({detail}).",
    ),
    # TCP
    "connects": ("{target} に接続できます。", "{target} accepts connections."),
    # TLS, also below HTTPS and STARTTLS
    "certificate_valid": (
        "{target} の証明書は有効です（{names}、残り {days} 日）。",
        "The certificate of {target} is valid ({names}, {days} days left).",
    ),
    "certificate_ends_soon": (
        "{target} の証明書は残り {days} 日です（{limit} 日を切りました。{names}、期限 {until}）。",
        "The certificate of {target} ends in {days} days (less than {limit}; {names}, until {until}).",
    ),
    "certificate_expired": (
        "{peer} の証明書は期限が切れています（{detail}）。",
        "The certificate of {peer} has expired ({detail}).",
    ),
    "certificate_not_yet": (
        "{peer} の証明書はまだ有効期間に入っていません（{detail}）。",
        "The certificate of {peer} is not valid yet ({detail}).",
    ),
    "certificate_untrusted": (
        "{peer} の証明書は信頼できる認証局のものではありません（{detail}）。",
        "The certificate of {peer} does not come from a trusted authority ({detail}).",
    ),
    "certificate_name": (
        "{peer} の証明書は {name} のものではありません（{detail}）。",
        "The certificate of {peer} is not for {name} ({detail}).",
    ),
    "tls_failed": (
        "{peer} とTLSの通信を確立できません（{detail}）。",
        "TLS cannot be set up with {peer} ({detail}).",
    ),
    # DNS
    "dns_answers": ("{target} は {query} に {answer} と答えました。", "{target} answered {answer} for {query}."),
    "dns_rcode": (
        "{peer} は {query} に {rcode} と答えました（期待は {expect}）。",
        "{peer} answered {rcode} for {query} (expected: {expect}).",
    ),
    "dns_no_record": (
        "{peer} は {query} の {record_type} レコードを返しません。",
        "{peer} has no {record_type} record for {query}.",
    ),
    "dns_other_record": (
        "{peer} は {query} に {answer} と答えました（期待は {expect}）。",
        "{peer} answered {answer} for {query} (expected: {expect}).",
    ),
    "dns_exists": (
        "{peer} は、存在しないはずの {query} に {answer} と答えました。",
        "{peer} answered {answer} for {query}, which must not exist.",
    ),
    # HTTP
    "http_answers": ("{target} は正常です（状態コード {status}）。", "{target} answers (status {status})."),
    "http_blocks": ("{target} は遮断されています（{detail}）。", "{target} is blocked ({detail})."),
    "http_status": (
        "{target} は状態コード {status} を返しました（期待は {expect}）。",
        "{target} answered with status {status} (expected: {expect}).",
    ),
    "http_text_missing": (
        "{target} のページに「{expect}」がありません（状態コード {status}）。",
        "The page at {target} lacks the text '{expect}' (status {status}).",
    ),
    "http_not_blocked": (
        "遮断されるはずの {target} が表示できます（状態コード {status}）。",
        "{target} must be blocked and can be seen (status {status}).",
    ),
    "http_redirects": (
        "{target} は転送を {count} 回以上繰り返します。",
        "{target} redirects {count} times and more.",
    ),
    "proxy_status": (
        "{peer} は {target} への接続を状態コード {status} で断りました。",
        "{peer} declined to connect to {target} (status {status}).",
    ),
    "proxy_login": (
        "{peer} が認証を求めています（状態コード 407）。",
        "{peer} asks for a login (status 407).",
    ),
    "proxy_login_declined": (
        "{peer} は利用者 {user} での認証を断りました（状態コード 407）。",
        "{peer} declined the login of {user} (status 407).",
    ),
    # SMTP
    "smtp_accepts": (
        "{target} はメールを受け付けます（{step} まで確認）。",
        "{target} takes mail (tried up to {step}).",
    ),
    "smtp_declines": (
        "{target} は {step} を断りました（{reply}）。",
        "{target} declined {step} ({reply}).",
    ),
    "smtp_no_starttls": ("{target} は STARTTLS に対応していません。", "{target} does not offer STARTTLS."),
    # NTP
    "ntp_answers": (
        "{target} の時刻は正常です（差 {offset} 秒、stratum {stratum}）。",
        "{target} gives the time (offset {offset} s, stratum {stratum}).",
    ),
    "ntp_unsynchronised": (
        "{target} は時刻が合っていないと答えています（{detail}）。",
        "{target} says itself that its clock is not synchronised ({detail}).",
    ),
    "ntp_kiss": (
        "{target} は時刻の提供を断りました（{code}）。",
        "{target} declines to give the time ({code}).",
    ),
    "ntp_offset": (
        "{target} と監視サーバーの時計に {offset} 秒の差があります（許容 {limit} 秒）。双方の時計を確かめてください。",
        "The clocks of {target} and of this machine differ by {offset} s (at most {limit} s); look at both.",
    ),
}
"""Every reason a probe gives, with its sentence in Japanese and English."""


def sentence(reason: str, facts: Mapping[str, Said], lang: str) -> str:
    """The sentence in "ja" or "en"; KeyError for a reason or a fact that is missing."""
    column = 1 if lang == "en" else 0
    spoken = {name: said if isinstance(said, str) else said[column] for name, said in facts.items()}
    return SENTENCES[reason][column].format_map(spoken)
