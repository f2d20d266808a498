"""Exports of learning platforms: one module a layout, `read` to detect and read them."""
