"""Import onnxruntime such that it reports nothing to its vendor."""

import os

# It is read at the import, and reports the process at once: ``disable_telemetry_events()`` afterwards is too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
