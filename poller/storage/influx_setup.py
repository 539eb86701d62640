"""Makes InfluxDB ready: database or bucket, retention, the name InfluxQL finds it by, and who may write and read.

Everything is looked for first and left as it is where it exists: running it again changes nothing but the retention.
Sources: InfluxQL schema and authentication (1.x), /api/v2 buckets, dbrps and authorizations (2.x). 3.x Core has no
such API: make the database with its own tool, the rest of this product needs no setup there.
"""

import http
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

import influxdb_client
import msgspec
import urllib3
from influxdb_client.client.exceptions import InfluxDBError

from poller.secrets import Secret
from poller.storage.errors import StorageError
from poller.storage.influx import InfluxSettings, authorization

_api: Any = influxdb_client  # generated code without types
_POLICY: Final = "autogen"
_SECRET_OCTETS: Final = 24


class SetupRefused(StorageError):  # noqa: N818 - the name is the outcome
    """The server did not do what was asked; the text is its own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked after: what, what was done (made, changed, kept), a new secret if made."""

    what: str
    outcome: str
    secret: Secret | None = None


def set_up(settings: InfluxSettings, retention_days: int | None) -> list[Step]:
    """Make everything for settings.bucket; settings carry the administrator's token or user.

    retention_days None: for ever. VictoriaMetrics needs nothing and gets no step. Raises SetupRefused.
    """
    if settings.kind == "victoria":
        return []
    return _set_up_1(settings, retention_days) if settings.kind == "1" else _set_up_2(settings, retention_days)


def _set_up_1(settings: InfluxSettings, retention_days: int | None) -> list[Step]:
    name = settings.bucket
    duration = f"{retention_days}d" if retention_days else "INF"
    existing = {row[0] for row in _ask_1(settings, "SHOW DATABASES")}
    if name not in existing:
        _ask_1(settings, f'CREATE DATABASE "{name}" WITH DURATION {duration} REPLICATION 1 NAME "{_POLICY}"')
        steps = [Step(f"database {name}, kept {duration}", "made")]
    else:
        wanted = f'ALTER RETENTION POLICY "{_POLICY}" ON "{name}" DURATION {duration} DEFAULT'
        _ask_1(settings, wanted)
        steps = [Step(f"database {name}, kept {duration}", "kept")]
    users = {row[0] for row in _ask_1(settings, "SHOW USERS")}
    for user, right in ((f"{name}_writer", "WRITE"), (f"{name}_reader", "READ")):
        if user in users:
            steps.append(Step(f"user {user} ({right.lower()} only)", "kept"))
            continue
        password = secrets.token_urlsafe(_SECRET_OCTETS)
        _ask_1(settings, f"CREATE USER \"{user}\" WITH PASSWORD '{password}'")
        _ask_1(settings, f'GRANT {right} ON "{name}" TO "{user}"')
        steps.append(Step(f"user {user} ({right.lower()} only)", "made", Secret(password)))
    return steps


def _ask_1(settings: InfluxSettings, question: str) -> list[list[Any]]:
    """The rows of a statement's answer."""
    request = urllib.request.Request(  # noqa: S310 - the operator's own URL
        f"{settings.url.rstrip('/')}/query",
        data=urllib.parse.urlencode({"q": question}).encode(),
        headers=authorization(settings),
    )
    try:
        with urllib.request.urlopen(request, timeout=settings.timeout_seconds) as answer:  # noqa: S310
            result = msgspec.json.decode(answer.read())["results"][0]
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace").strip()
        raise SetupRefused(f"{settings.url} answers HTTP {error.code}: {text}") from error
    except OSError as error:
        raise SetupRefused(f"{settings.url} cannot be reached: {error}") from error
    if "error" in result:
        raise SetupRefused(f"{settings.url} answers: {result['error']}")
    return [row for series in result.get("series", ()) for row in series.get("values", ())]


def _set_up_2(settings: InfluxSettings, retention_days: int | None) -> list[Step]:
    token = settings.token.reveal() if settings.token else ""
    client = _api.InfluxDBClient(
        settings.url.rstrip("/"), token=token, org=settings.org, timeout=int(settings.timeout_seconds * 1000)
    )
    try:
        org = next(iter(client.organizations_api().find_organizations(org=settings.org)), None)
        if org is None:
            raise SetupRefused(f"{settings.url} has no organisation {settings.org}")
        bucket, step = _bucket(client, settings.bucket, org.id, retention_days)
        steps = [step, _mapping(client, settings.bucket, bucket)]
        known = {entry.description for entry in client.authorizations_api().find_authorizations(org_id=org.id)}
        for action in ("write", "read"):
            description = f"hinomi {settings.bucket} {action}"
            made = None if description in known else _token(client, description, bucket, action)
            steps.append(Step(f"token {description!r} ({action} only)", "made" if made else "kept", made))
    except InfluxDBError as error:
        if getattr(error, "status", None) == http.HTTPStatus.NOT_FOUND:
            text = f"make the database with the server's own tool: influxdb3 create database {settings.bucket}"
            raise SetupRefused(f"{settings.url} has no buckets, as InfluxDB 3 has none; {text}") from error
        raise SetupRefused(f"{settings.url} answers: {error.message}") from error
    except urllib3.exceptions.HTTPError as error:
        raise SetupRefused(f"{settings.url} cannot be reached: {error}") from error
    finally:
        client.close()
    return steps


def _bucket(client: Any, name: str, org_id: str, retention_days: int | None) -> tuple[Any, Step]:  # noqa: ANN401 - generated client
    """The bucket as it is now, and what was done to it."""
    seconds = (retention_days or 0) * 86_400
    kept = f"bucket {name}, kept {f'{retention_days}d' if retention_days else 'for ever'}"
    rules = [_api.BucketRetentionRules(type="expire", every_seconds=seconds)]
    buckets = client.buckets_api()
    found = buckets.find_bucket_by_name(name)
    if found is None:
        return buckets.create_bucket(bucket_name=name, org=org_id, retention_rules=rules), Step(kept, "made")
    if [rule.every_seconds for rule in found.retention_rules] == [seconds] or not (seconds or found.retention_rules):
        return found, Step(kept, "kept")
    found.retention_rules = rules
    return buckets.update_bucket(bucket=found), Step(kept, "changed")


def _mapping(client: Any, name: str, bucket: Any) -> Step:  # noqa: ANN401 - generated client
    """The database name by which InfluxQL finds the bucket; recent servers have a virtual one by themselves."""
    service = _api.DBRPsService(client.api_client)
    what = f"mapping of InfluxQL's database {name} to the bucket"
    for entry in service.get_dbr_ps(org_id=bucket.org_id, db=name).content or ():
        if entry.bucket_id == bucket.id and entry.default:
            return Step(what, "kept")
    wanted = _api.DBRPCreate(
        org_id=bucket.org_id, bucket_id=bucket.id, database=name, retention_policy=_POLICY, default=True
    )
    service.post_dbrp(dbrp_create=wanted)
    return Step(what, "made")


def _token(client: Any, description: str, bucket: Any, action: str) -> Secret:  # noqa: ANN401 - generated client
    """A new token that can do this one thing to this one bucket."""
    resource = _api.PermissionResource(type="buckets", id=bucket.id, org_id=bucket.org_id)
    permission = _api.Permission(action=action, resource=resource)
    wanted = _api.Authorization(org_id=bucket.org_id, description=description, permissions=[permission])
    return Secret(client.authorizations_api().create_authorization(authorization=wanted).token)
