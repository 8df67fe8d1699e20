"""The bench's own sums: loads, rows, tables, the search for a rate, results and comparisons. Nothing is measured."""
