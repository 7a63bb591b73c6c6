"""Say what all assets have in common: who owns them, how a failed step is tried again, how fresh marts must be."""

from datetime import timedelta

import dagster as dg

OWNERS = ["team:data"]
# For a disk or a database that is busy: every step reads or writes files. A failed check is not tried again.
RETRIES = dg.RetryPolicy(max_retries=2, delay=1.0, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
# The slowest schedule runs each hour. A refresh that finds nothing new counts too.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3), warn_window=timedelta(minutes=75))
