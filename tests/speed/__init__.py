"""What `make bench` runs: each part alone, then all together; no part of `make test`."""
