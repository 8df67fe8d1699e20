"""Supervision: supervisord starts every program, restarts what dies or stops answering, and stops all in order."""
