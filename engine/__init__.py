"""Persona Lab's engine: everything the app and the command line do, without a user interface."""
