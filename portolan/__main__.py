"""``python -m portolan``."""

import signal

# Until ``main`` takes over: an interrupt while modules are imported ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from portolan.cli import main  # noqa: E402

main()
