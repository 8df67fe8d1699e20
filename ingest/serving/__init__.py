"""Connections and bytes: HTTP/1.1, sockets, workers, arrival of bodies, answers."""
