"""Matomo's tracking API."""
