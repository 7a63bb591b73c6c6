"""One file per endpoint family: decode, hand on, render."""
