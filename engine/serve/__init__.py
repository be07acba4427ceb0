"""Answering and handing on: the playground's generator, the OpenAI-compatible address, exports of a variant.

The generator is one process a workspace. `client` is what the app and the command line use: light, no model.
`server` is the process itself. They meet on a socket and on files below data/talk/, so a question and its
answer outlive pages, tabs and the process.
"""
