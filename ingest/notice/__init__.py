"""What a site keeps of its visitors, said to them: made from the live policy, so it cannot drift from what is kept."""
