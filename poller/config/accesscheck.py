"""Who may see the wall, and over what: no door without a lock, and no role without what it needs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from poller.config.places import Path_
from poller.config.problems import did_you_mean
from poller.estate import Estate
from poller.people import User

if TYPE_CHECKING:
    from poller.config.loading import Tree


def check_access(estate: Estate, tree: "Tree") -> None:
    """A wall that others can reach has TLS and users; every user has what the role needs and no more."""
    for setting, text in _of_the_wall(estate):
        tree.add(("wall", setting), text)
    for key, user in estate.users.items():
        path: Path_ = ("users", key)
        for setting, text in _of_a_user(user):
            tree.add((*path, setting), text)
        if user.tenant is not None and user.tenant not in estate.tenants:
            hint = did_you_mean(user.tenant, estate.tenants)
            tree.add((*path, "tenant"), f"there is no tenant {user.tenant!r}{'.' + hint if hint else ''}")


def _of_the_wall(estate: Estate) -> Iterator[tuple[str, str]]:
    wall = estate.wall
    if (wall.certificate is None) != (wall.key is None):
        yield ("key" if wall.key is None else "certificate"), "is missing: certificate and key go together"
    elif not wall.listen.is_loopback and wall.certificate is None and not wall.trusted_proxies:
        needs = "TLS (certificate and key, or trusted_proxies) and users; 127.0.0.1 needs neither"
        yield "listen", f"others can reach {wall.listen}: that needs {needs}"
    elif wall.asks_for_login and not estate.users:
        setting = "login" if wall.login else "listen" if not wall.listen.is_loopback else "trusted_proxies"
        yield setting, "nobody could log in: the section users is missing"


def _of_a_user(user: User) -> Iterator[tuple[str, str]]:
    if (user.role == "tenant") != (user.tenant is not None):
        yield "tenant", "is missing" if user.tenant is None else f"belongs to the role tenant, and this is {user.role}"
    if user.password is None and user.token is None:
        yield "password", "is missing: a person needs a password, a program a token"
    if user.password is not None and user.token is not None:
        yield "token", "a user has a password or a token, not both"
    if user.role == "administrator" and user.totp is None:
        yield "totp", "is missing: an administrator needs a second factor; hinomi user totp makes one"
    if user.role == "administrator" and user.token is not None:
        yield "token", "an administrator is a person, and has a password and a second factor"
    if user.totp is not None and user.token is not None and user.role != "administrator":
        yield "totp", "a program has no second factor"
