"""The steps of the pipeline; each rule speaks of one value, each step of a column."""
