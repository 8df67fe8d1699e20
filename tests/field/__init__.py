"""What real logs, clients and people send: each case one line of a JSON-lines file here, with its public source."""
