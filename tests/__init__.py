"""The tests; `make test` runs all but tests/speed."""
