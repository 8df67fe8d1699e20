"""Alerts on their way to people: pages, routes and the webhook."""
