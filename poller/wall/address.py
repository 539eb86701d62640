"""Where the wall of a configuration is reached from this machine. Pure."""

from poller.settings import Wall


def wall_url(wall: Wall) -> str:
    """Its URL; a wall that listens on every address is asked on loopback."""
    address = wall.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(address), str(address))  # noqa: S104 - compared, not bound
    scheme = "http" if wall.certificate is None else "https"
    return f"{scheme}://[{host}]:{wall.port}" if ":" in host else f"{scheme}://{host}:{wall.port}"
