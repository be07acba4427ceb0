"""The app: the frame around the pages, and the server that answers for it. Start it with `make run`.

Streamlit takes this file twice: `streamlit run` imports it for the server `app`, and runs it as a script at
each click.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from streamlit.starlette import App

from pages.shared import frame
from pages.shared.hosts import Hosts

if __name__ == "__main__":
    frame.draw().run()
else:
    app = App(__file__, middleware=[Middleware(Hosts)])
