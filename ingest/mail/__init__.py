"""Opens, clicks and the webhooks of mail services."""
