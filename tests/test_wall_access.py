"""What decides at the wall's door, as tables: who may what, from where, how often, and how long a login holds."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.people import User
from poller.secrets import Secret
from poller.settings import Name, Wall
from poller.wall.access import ROUTES, Asked, client_address, may, refusal
from poller.wall.attempts import FREE, LONGEST_PAUSE_SECONDS, REMEMBERED, Attempts, names_of
from poller.wall.passwords import BadHash, accepted_step, check_hash, fits, hash_password, totp, totp_key
from poller.wall.sessions import LASTS_SECONDS, Session, named_user, opened, request_token, seal
from poller.wall.users import Known

KEY = b"k" * 32
NOON_NS = 1_795_230_000 * 10**9
HOME = Asked("GET", "127.0.0.1", False, "127.0.0.1:8480", None, None, None, None)
PROXY = "192.0.2.7"
OPEN_WALL = Wall()
BEHIND = Wall(trusted_proxies=(ip_address(PROXY),))
OWN_TLS = Wall(listen="192.0.2.1", certificate="wall.pem", key="wall.key")


def user(role: str, tenant: str | None = None) -> User:
    return User(id="someone", name=Name(ja="某", en="someone"), role=role, tenant=tenant)


@pytest.mark.parametrize(
    ("wall", "asked", "why"),
    [
        (OPEN_WALL, HOME, None),
        (OPEN_WALL, replace(HOME, host="localhost"), None),
        (OPEN_WALL, replace(HOME, host="[::1]:8480"), None),
        (OPEN_WALL, replace(HOME, host="rebound.example"), "without a login"),
        (OPEN_WALL, replace(HOME, host="rebound.example:8480"), "without a login"),
        (OPEN_WALL, replace(HOME, host="127.0.0.1.rebound.example"), "without a login"),
        (OPEN_WALL, replace(HOME, host=""), "without a login"),
        (OPEN_WALL, replace(HOME, method="POST"), None),
        (OPEN_WALL, replace(HOME, method="POST", origin="http://127.0.0.1:8480"), None),
        (OPEN_WALL, replace(HOME, method="POST", origin="http://evil.example"), "another site"),
        (OPEN_WALL, replace(HOME, method="POST", origin="http://127.0.0.1:9"), "another site"),
        (OPEN_WALL, replace(HOME, method="POST", origin="null"), "another site"),
        (OPEN_WALL, replace(HOME, method="DELETE", site="cross-site"), "another site"),
        (OPEN_WALL, replace(HOME, method="POST", site="same-site"), "another site"),
        (OPEN_WALL, replace(HOME, method="POST", site="same-origin"), None),
        (OPEN_WALL, replace(HOME, method="GET", site="cross-site"), None),
        (OWN_TLS, replace(HOME, peer="198.51.100.9", over_tls=True, host="wall.example"), None),
        (OWN_TLS, replace(HOME, peer="198.51.100.9", host="wall.example"), "needs TLS"),
        (OWN_TLS, replace(HOME, peer="198.51.100.9", forwarded_proto="https"), "needs TLS"),
        (BEHIND, replace(HOME, peer=PROXY, forwarded_proto="https", host="wall.example"), None),
        (BEHIND, replace(HOME, peer=PROXY, forwarded_proto="http"), "needs TLS"),
        (BEHIND, replace(HOME, peer=PROXY), "needs TLS"),
        (BEHIND, replace(HOME, peer=PROXY, forwarded_proto="https, http"), "needs TLS"),
        (BEHIND, replace(HOME, peer="192.0.2.8", forwarded_proto="https"), "needs TLS"),
        (BEHIND, HOME, None),
        (BEHIND, replace(HOME, forwarded_for="198.51.100.9"), "needs TLS"),
    ],
)
def test_what_is_refused_whoever_asks(wall: Wall, asked: Asked, why: str | None) -> None:
    """R76: TLS or this machine; no page of another site changes anything."""
    told = refusal(asked, wall)
    assert (why is None, True) == (told is None, why is None or why in (told or ""))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (PROXY, "198.51.100.9", "198.51.100.9"),
        (PROXY, "10.0.0.1, 198.51.100.9", "198.51.100.9"),
        (PROXY, f"198.51.100.9, {PROXY}", "198.51.100.9"),
        (PROXY, None, PROXY),
        ("203.0.113.5", "198.51.100.9", "203.0.113.5"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(peer: str, forwarded: str | None, expected: str) -> None:
    assert expected == client_address(replace(HOME, peer=peer, forwarded_for=forwarded), BEHIND)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("wall", {"/", "/metrics", "/api/v1/wall", "/api/v1/stream"}),
        ("viewer", {"/", "/api/v1/wall", "/api/v1/dead-letters", "/api/v1/service-level"}),
        ("noc", {"/", "/api/v1/silences", "/api/v1/incident/{id}/{action}", "/api/v1/maintenance/{id}/end"}),
        ("administrator", {"/", "/api/v1/silences", "/api/v1/audit"}),
    ],
)
def test_each_role_may_what_is_its_work(role: str, allowed: set[str]) -> None:
    paths = {path for method, path in ROUTES if may(user(role), (method, path), {})}
    assert set() == allowed - paths
    posts = {path for method, path in ROUTES if method == "POST" and may(user(role), (method, path), {})}
    everybody = {"/api/v1/login", "/api/v1/logout"}
    assert (role in {"noc", "administrator"}) == (posts != everybody)
    assert (role == "administrator") == ("/api/v1/audit" in paths)


@given(st.text(), st.text())
def test_a_tenant_may_see_itself_only(kind: str, id_: str) -> None:
    tenant = user("tenant", "tsu")
    for route in (("GET", "/{kind}/{id}"), ("GET", "/api/v1/{kind}/{id}/history")):
        assert ((kind, id_) == ("tenant", "tsu")) == may(tenant, route, {"kind": kind, "id": id_})
        assert may(tenant, route, {"kind": "tenant", "id": "tsu"})


def test_a_route_that_is_not_in_the_table_is_nobodys() -> None:
    assert [] == [role for role in ("wall", "viewer", "noc", "administrator") if may(user(role), ("GET", "/new"), {})]


def test_tries_are_slowed_down_more_and_more_and_never_for_ever() -> None:
    """R76."""
    attempts, now, waits = Attempts(), 1000.0, []
    names = names_of("admin", "192.0.2.9")
    assert [0.0] * FREE == [attempts.begin(names, now) for _ in range(FREE)]
    for _ in range(12):
        wait = attempts.begin(names, now)
        waits.append(wait)
        assert wait == attempts.begin(names, now)  # asking during a pause does not make it longer
        now += wait
        assert attempts.begin(names, now) == 0.0
    assert [2.0, 4.0, 8.0, 16.0] == waits[:4]
    assert LONGEST_PAUSE_SECONDS == waits[-1] == max(waits)


def test_another_user_and_another_address_are_slowed_down_each() -> None:
    attempts = Attempts()
    for number in range(FREE):
        attempts.begin(names_of(f"user{number}", "192.0.2.9"), 0.0)
        attempts.begin(names_of("admin", f"198.51.100.{number}"), 0.0)
    assert attempts.begin(names_of("fresh", "192.0.2.9"), 0.0) > 0
    assert attempts.begin(names_of("admin", "203.0.113.1"), 0.0) > 0
    assert 0 == attempts.begin(names_of("fresh", "203.0.113.1"), 0.0)


def test_an_own_account_does_not_clear_the_way_for_guessing() -> None:
    attempts, mine, others = Attempts(), names_of("me", "192.0.2.9"), names_of("admin", "192.0.2.9")
    for _ in range(FREE - 1):
        assert 0 == attempts.begin(others, 0.0)
    assert 0 == attempts.begin(mine, 0.0)
    attempts.succeeded(*mine)
    assert 0 == attempts.begin(others, 0.0)
    assert attempts.begin(mine, 0.0) > 0


def test_many_names_take_no_more_than_their_room() -> None:
    attempts = Attempts()
    for number in range(REMEMBERED):
        attempts.begin(names_of(f"user{number}", f"10.0.{number // 256}.{number % 256}"), float(number))
    assert REMEMBERED == len(attempts._tries)


def test_a_network_of_ipv6_is_one_address() -> None:
    assert names_of("a", "2001:db8::1") == names_of("a", "2001:db8::2:3")
    assert names_of("a", "2001:db8::1") != names_of("a", "2001:db8:0:1::1")


def test_scrypt_is_that_of_rfc_7914() -> None:
    key = "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"  # section 12
    kept = f"$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU${key}"
    assert (True, False) == (fits("pleaseletmein", kept), fits("pleaseletmeIn", kept))


def test_a_hash_proves_its_password_and_no_other() -> None:
    kept = hash_password("合言葉 open sesame", b"0123456789abcdef")
    assert [True, False, False] == [fits(each, kept) for each in ("合言葉 open sesame", "", "合言葉")]
    assert not fits("x" * 2000, kept)


@pytest.mark.parametrize(
    "kept",
    ["", "secret", "$scrypt$ln=15,r=8,p=3$c2FsdA$a2V5", "$scrypt$ln=30,r=8,p=1$" + "A" * 22 + "$" + "A" * 43,
     "$scrypt$ln=0,r=8,p=1$" + "A" * 22 + "$" + "A" * 43],
)  # fmt: skip
def test_what_is_no_hash_is_told(kept: str) -> None:
    with pytest.raises(BadHash):
        check_hash(kept)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, the last six of eight digits."""
    assert code == totp(b"12345678901234567890", seconds // 30)


def test_a_code_serves_once_and_a_neighbours_time_does() -> None:
    key = totp_key("gezd gnbv gy3t qojq GEZDGNBVGY3TQOJQ")
    assert b"12345678901234567890" == key
    assert 1 == accepted_step(key, "287 082", 59, -1)
    assert 1 == accepted_step(key, "287082", 61, -1)  # 30 s late
    assert None is accepted_step(key, "287082", 95, -1)
    assert None is accepted_step(key, "287082", 59, 1)
    for nonsense in ("", "28708", "２８７０８２", "abcdef", "\udcff"):
        assert None is accepted_step(key, nonsense, 59, -1)


def known(role: str = "noc", password: str = "hash") -> Known:
    return Known(user(role, "tsu" if role == "tenant" else None), Secret(password))


def session(run: str = "run") -> Session:
    return Session("someone", "abc", NOON_NS, run)


def test_a_session_is_what_was_sealed() -> None:
    cookie = seal(session(), known(), KEY)
    assert "someone" == named_user(cookie)
    assert session() == opened(cookie, known(), KEY, "run", NOON_NS)


@pytest.mark.parametrize(
    ("who", "key", "run", "later_seconds"),
    [
        (known(password="other"), KEY, "run", 0),
        (known("administrator"), KEY, "run", 0),
        (known("tenant"), KEY, "run", 0),
        (known(), b"j" * 32, "run", 0),
        (known(), KEY, "the next run", 0),
        (known(), KEY, "run", LASTS_SECONDS),
    ],
)
def test_a_session_ends_with_its_time_its_run_and_its_user(
    who: Known, key: bytes, run: str, later_seconds: int
) -> None:
    assert None is opened(seal(session(), known(), KEY), who, key, run, NOON_NS + later_seconds * 10**9)


def test_the_session_of_a_wall_does_not_end() -> None:
    """A wall's login does not expire in mid-shift, nor by a restart (R75)."""
    wall = known("wall")
    ten_years_ns = 10 * 365 * 86400 * 10**9
    assert session("") == opened(seal(session(""), wall, KEY), wall, KEY, "another run", NOON_NS + ten_years_ns)
    assert None is opened(seal(session(""), known(), KEY), known(), KEY, "run", NOON_NS)  # nobody else has one like it


@given(st.text(max_size=200))
def test_whatever_a_cookie_holds_is_no_session(cookie: str) -> None:
    named_user(cookie)
    assert None is opened(cookie, known(), KEY, "run", NOON_NS)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_cookie_is_no_session(place: int, change: int) -> None:
    cookie = bytearray(seal(session(), known(), KEY).encode())
    cookie[place % len(cookie)] ^= change
    assert None is opened(cookie.decode("latin-1"), known(), KEY, "run", NOON_NS)


def test_the_token_of_a_change_is_of_one_login() -> None:
    tokens = {request_token(replace(session(), id=id_), key) for id_ in ("a", "b") for key in (KEY, b"j" * 32)}
    assert 4 == len(tokens)
