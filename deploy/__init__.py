"""How Fairpixel is installed, started, watched and stopped: on one machine, or as images."""
