"""How many workers and partitions this machine gets, and what an earlier start decided for good."""
