"""Runs as files of the trackers that people have: a file a format. None needs its library to be written."""
