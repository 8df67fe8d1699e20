"""What `make bench` runs: parts alone, all together, costs and the highest rate; no part of `make test`."""
