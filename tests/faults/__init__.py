"""Programs are killed, frozen and taken away under load; afterwards the books must balance to the last event."""
