"""Services: what is asked must make sense to the kind that is asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from poller.config.places import Path_
from poller.estate import Estate
from poller.questions import question_of
from poller.service import Service
from probes.errors import BadQuestion
from probes.services import PROBES

if TYPE_CHECKING:
    from poller.config.loading import Tree

OPTIONS: Final = frozenset().union(*(probe.options for probe in PROBES.values()))
"""Settings that belong to some kinds only."""


def check_services(estate: Estate, tree: "Tree") -> None:
    """Every setting belongs to the service's kind, the question can be asked, and there is time for its answer."""
    for key, service in estate.services.items():
        path: Path_ = ("services", key)
        foreign = sorted((service.model_fields_set & OPTIONS) - PROBES[service.kind].options)
        for setting in foreign:
            kinds = [kind for kind, probe in PROBES.items() if setting in probe.options]
            tree.add((*path, setting), f"belongs to {' and '.join(kinds)}, and this is {service.kind}")
        if (service.proxy_user is None) != (service.proxy_password is None):
            missing = "proxy_user" if service.proxy_user is None else "proxy_password"
            tree.add((*path, missing), "is missing: proxy_user and proxy_password go together")
        if service.timeout >= service.interval:
            setting = "timeout" if "timeout" in service.model_fields_set else "interval"
            text = f"the timeout ({service.timeout:g} s) must be shorter than the interval ({service.interval:g} s)"
            tree.add((*path, setting), text)
        if not foreign:
            _check_question(service, path, tree)


def _check_question(service: Service, path: Path_, tree: "Tree") -> None:
    try:
        PROBES[service.kind].check(question_of(service, Path()))
    except BadQuestion as error:
        tree.add((*path, error.about) if error.about in service.model_fields_set else path, str(error))
