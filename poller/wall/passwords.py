"""What people prove themselves with: scrypt hashes (RFC 7914) and codes of a second factor (TOTP, RFC 6238).

Pure; time and salt are arguments.
"""

import base64
import hashlib
import hmac
import re
import struct
from typing import Final

LOG_N: Final = 15
BLOCK: Final = 8
PARALLEL: Final = 3
"""32 MiB and some tenths of a second for each try (OWASP's second recommendation for scrypt)."""
LONGEST: Final = 1024
"""Characters of a password; what is longer is not hashed at all."""
STEP_SECONDS: Final = 30
DIGITS: Final = 6
_HASH: Final = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{22,86})"
)
_MOST_MEMORY: Final = 256 * 2**20


class BadHash(ValueError):  # noqa: N818 - it says what the text is
    """The text is no hash of ours; the sentence says how to make one."""


def hash_password(password: str, salt: bytes) -> str:
    """The hash to keep: "$scrypt$ln=15,r=8,p=3$SALT$HASH", base64 without padding (PHC's form)."""
    key = _scrypt(password, salt, (LOG_N, BLOCK, PARALLEL), 32)
    return f"$scrypt$ln={LOG_N},r={BLOCK},p={PARALLEL}${_encode(salt)}${_encode(key)}"


def fits(password: str, kept: str) -> bool:
    """Whether this is the password of the hash; raises BadHash. Costs tens of megabytes and tenths of a second."""
    cost, salt, key = _parse(kept)
    if len(password) > LONGEST:
        return False
    return hmac.compare_digest(_scrypt(password, salt, cost, len(key)), key)


def check_hash(kept: str) -> None:
    """Raises BadHash where the text is no hash that can be computed here."""
    _parse(kept)


def totp_key(secret: str) -> bytes:
    """The key of a secret in base32, spaces and case of no account; ValueError where it is none or under 80 bits."""
    plain = secret.replace(" ", "").replace("-", "").upper().rstrip("=")
    key = base64.b32decode(plain + "=" * (-len(plain) % 8))
    if len(key) < 10:  # noqa: PLR2004 - 80 bits, the least that authenticators use
        raise ValueError("the secret is too short")
    return key


def totp(key: bytes, step: int) -> str:
    """The code of a time step: HOTP (RFC 4226, 5.3) with SHA-1 and six digits."""
    digest = hmac.digest(key, struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def accepted_step(key: bytes, code: str, now_seconds: float, used_step: int) -> int | None:
    """The time step of a code that may be used now: the present one or its neighbours (RFC 6238, 5.2).

    used_step: of the code used last; a code serves once.
    """
    plain = re.sub(r"\s", "", code)
    if not plain.isascii():
        return None
    present = int(now_seconds) // STEP_SECONDS
    fitting = [step for step in (present - 1, present, present + 1) if hmac.compare_digest(totp(key, step), plain)]
    return next((step for step in fitting if step > used_step), None)


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int], length: int) -> bytes:
    log_n, block, parallel = cost
    octets = password.encode("utf-8", "surrogatepass")
    memory = 2 * _MOST_MEMORY
    return hashlib.scrypt(octets, salt=salt, n=2**log_n, r=block, p=parallel, maxmem=memory, dklen=length)


def _parse(kept: str) -> tuple[tuple[int, int, int], bytes, bytes]:
    match = _HASH.fullmatch(kept)
    if match is None:
        raise BadHash("is no hash of a password; hinomi user hash makes one")
    log_n, block, parallel = (int(each) for each in match.group(1, 2, 3))
    if not (log_n >= 1 and block >= 1 and parallel >= 1 and 128 * block * 2**log_n <= _MOST_MEMORY):
        raise BadHash("is a hash that costs more than 256 MiB; hinomi user hash makes one that costs 32")
    return (log_n, block, parallel), _decode(match[4]), _decode(match[5])


def _encode(octets: bytes) -> str:
    return base64.b64encode(octets).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise BadHash("is no hash of a password; hinomi user hash makes one") from None
