"""The commands of the Study page."""
