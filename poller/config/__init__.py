"""Files become an Estate, or a list of everything that is wrong with them, each with file, line and column."""

from poller.config.loading import Configuration, load
from poller.config.problems import ConfigurationError, Place, Problem

__all__ = ["Configuration", "ConfigurationError", "Place", "Problem", "load"]
