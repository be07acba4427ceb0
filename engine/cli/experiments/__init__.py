"""The commands of the Experiments page."""
