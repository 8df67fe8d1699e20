"""PostHog's capture API."""
