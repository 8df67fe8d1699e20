"""The GA4 Measurement Protocol."""
