"""Declare marts, and build and publish them by partitions whose input changed."""
