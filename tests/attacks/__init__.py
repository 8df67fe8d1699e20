"""What was done to the platform from outside, and its kinds: each fails now, and its test fails without the wall."""
