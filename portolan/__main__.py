"""``python -m portolan``."""

import signal

# Until ``main`` takes over: an interrupt while modules are imported ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# The process that started this one may have masked it: ``portolan.processes.interrupts_held``.
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

from portolan.cli import main  # noqa: E402

main()
