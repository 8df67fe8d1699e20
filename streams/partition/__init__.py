"""Everything about one partition between its assignment and its revocation."""
