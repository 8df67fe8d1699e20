"""What a line of a log is made of in any format: escapes, times, request targets, and what stands before the time."""
