"""The Avro schemas of everything that lies in a topic, one file a version; a change is a new version."""
