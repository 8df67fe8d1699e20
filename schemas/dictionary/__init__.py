"""What each column that holds something of an event means: one source for the notice, the dictionary and queries."""
