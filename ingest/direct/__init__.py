"""The topic that producers write to themselves."""
