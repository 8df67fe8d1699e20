"""The alert watcher: waits for minutes to close, judges each once, keeps what it decided, tells people."""
