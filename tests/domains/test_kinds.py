"""What kind of miss a reply is: by what it does where a domain judges that, by its length elsewhere."""

from __future__ import annotations

import pytest

from engine.domains.chat import CHAT
from engine.domains.kinds import kind_of
from engine.domains.smart_home import SMART_HOME

RIGHT = "Setting the lights to brightness at 40 and color warm."
ASKS = "What brightness would you like for the lights?"


@pytest.mark.parametrize(
    ("reply", "right", "kind"),
    [
        (RIGHT, RIGHT, ""),
        (" ", RIGHT, "empty"),
        (ASKS, RIGHT, "asks"),
        ("Have a nice day.", RIGHT, "missing"),
        (RIGHT, ASKS, "acts"),
        (RIGHT.replace("40", "60"), RIGHT, "other"),
        (RIGHT.removesuffix(" and color warm.") + ".", RIGHT, "missing"),
        (f"{RIGHT} Setting the speaker to volume at 30.", RIGHT, "extra"),
        (RIGHT.replace("Setting", "I set"), RIGHT, "wording"),
    ],
)
def test_actions_decide_where_the_domain_judges_them(reply: str, right: str, kind: str) -> None:
    assert kind_of(SMART_HOME, reply, right) == kind


@pytest.mark.parametrize(
    ("reply", "kind"),
    [("", "empty"), ("One", "short"), ("a b c d e f g h i", "long"), ("a b d c", "wording")],
)
def test_length_decides_elsewhere(reply: str, kind: str) -> None:
    assert kind_of(CHAT, reply, "a b c d") == kind
