"""What people call: the pixel, events, the beacon, choices, mails, traces and compatible protocols."""
