"""Every command that a page of docs shows is run, as it is shown."""
