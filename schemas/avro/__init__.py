"""The Avro schemas of everything that lies in a topic, one file a version, and how columns are written.

A change of a schema is a new version.
"""
