"""Watches every closed minute and tells on-call."""
