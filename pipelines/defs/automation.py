"""Say whether Dagster runs the pipelines by itself, which it does unless another process does it already."""

import os

import dagster as dg

VARIABLE = "PORTOLAN_SCHEDULES"


def schedules_are_on() -> bool:
    """Return false if ``PORTOLAN_SCHEDULES`` is ``off``, as ``portolan up`` sets it, which refreshes by itself."""
    return os.environ.get(VARIABLE, "").strip().lower() != "off"


SENSORS = dg.DefaultSensorStatus.RUNNING if schedules_are_on() else dg.DefaultSensorStatus.STOPPED
SCHEDULES = dg.DefaultScheduleStatus.RUNNING if schedules_are_on() else dg.DefaultScheduleStatus.STOPPED
