"""One file a command: `fairpixel NAME` runs NAME.py, its function `run`, or `app`, a typer.Typer with commands in it.

Files import what is heavy inside their functions, so that `fairpixel --help` stays quick. An expected failure is a
`runtime.errors.UserError`: deploy.cli prints it and exits with 1.
"""
