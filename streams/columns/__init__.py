"""Events as columns, and what makes rules on them fast."""
