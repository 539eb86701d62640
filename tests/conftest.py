"""What tests of several parts share: mails held against what people found good."""

import os
from email.message import EmailMessage
from pathlib import Path

import pytest

SHOWN = ("Subject", "To", "X-Hinomi-Severity", "X-Hinomi-Reason")


def _check(message: EmailMessage, name: str) -> None:
    headers = "".join(f"{header}: {message[header]}\n" for header in SHOWN if message[header] is not None)
    body = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    text = f"{headers}\n{body}"
    path = Path(__file__).parent / "golden" / f"mail.{name}"
    if os.environ.get("HINOMI_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.fixture(scope="session")
def golden():
    """golden(message, name): as its reader sees it, the mail is tests/golden/mail.NAME.

    HINOMI_GOLDEN=write keeps what it is now.
    """
    return _check
