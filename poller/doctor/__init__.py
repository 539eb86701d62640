"""What `hinomi doctor` examines: is this machine fit to run the daemon of a configuration, and what is to be done."""

from poller.doctor.examination import Check, checks_of, examine
from poller.doctor.finding import Finding, Verdict, Words

__all__ = ["Check", "Finding", "Verdict", "Words", "checks_of", "examine"]
