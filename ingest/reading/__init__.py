"""A request becomes rows: fields, keys, bodies and the native forms of an event."""
