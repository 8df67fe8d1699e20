"""The Faust worker: opens sealed packs, applies consent, finds duplicates and bots, hashes, writes clean packs."""
