"""The playground's generator: one process a workspace that answers questions token by token.

`client` is what the app and the command line use: light, no model. `server` is the process itself. They meet
on a socket and on files below data/talk/, so a question and its answer outlive pages, tabs and the process.
"""
