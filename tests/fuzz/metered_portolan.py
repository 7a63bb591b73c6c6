"""Run ``portolan`` with a meter of the event loop: ``python -m tests.fuzz.metered_portolan serve …``, of one worker."""

from __future__ import annotations

from starlette.types import ASGIApp

from portolan.cli import main
from router_service import app as service
from tests.fuzz.loop_meter import LoopMeter

_made = service.app


def metered() -> ASGIApp:
    """Return the application of a worker with a meter around it."""
    return LoopMeter(_made())


if __name__ == "__main__":
    # The server looks the factory up by its name.
    service.app = metered
    main()
