"""Workers and partitions by the cores of a machine, and topics that grow."""
