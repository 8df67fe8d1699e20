"""The vocabulary that ingest, streams and sinks share; nothing in here does any input or output."""
