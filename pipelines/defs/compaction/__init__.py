"""Compact the sealed files of the lake, and delete what a compacted file replaces."""
