"""The tag and its consent dialog, and how they are served."""
