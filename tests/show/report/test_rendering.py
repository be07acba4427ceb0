"""A report's two texts, byte by byte, of a document that holds every kind of block and hostile words."""

from __future__ import annotations

from engine.show.report.blocks import Bullets, Code, Document, Exchange, Said, Section, Table, Text
from engine.show.report.rendering import as_html, as_markdown

HOSTILE = "<img src=x> | *bold*\n# more"
DOCUMENT = Document(
    "Who wins?",
    "A report",
    (
        Section(
            HOSTILE,
            (
                Text(HOSTILE, "lead"),
                Text("Mind this.", "note"),
                Bullets(("one", HOSTILE)),
                Table(
                    HOSTILE,
                    ("variant", "mean"),
                    ((HOSTILE, "12.3"), ("unified", "better")),
                    frozenset({"mean"}),
                ),
                Exchange(HOSTILE, HOSTILE, (Said("Right reply", HOSTILE), Said("base", "Yes.", "12.3"))),
                Code(("python -m engine compare",)),
            ),
        ),
    ),
)
PLAIN = r"&lt;img src=x&gt; \| \*bold\* \# more"
MARKDOWN = f"""# Who wins?

A report

## {PLAIN}

**{PLAIN}**

> Mind this.

- one
- {PLAIN}

{PLAIN}

| variant | mean |
| --- | ---: |
| {PLAIN} | 12.3 |
| unified | better |

### {PLAIN}

> {PLAIN}

- Right reply: {PLAIN}
- base (12.3): Yes.

    python -m engine compare
"""


def test_markdown_byte_by_byte() -> None:
    assert as_markdown(DOCUMENT) == MARKDOWN


def test_html_escapes_every_value_and_marks_numbers_and_verdicts() -> None:
    page = as_html(DOCUMENT, {})
    assert page == as_html(DOCUMENT, {})
    body = page.partition("<main>")[2]
    told = "&lt;img src=x&gt; | *bold*\n# more"
    assert body.startswith(f'\n<section id="s1">\n<h2>{told}</h2>\n<p class="lead">{told}</p>\n')
    assert f'<tr><td>{told}</td><td class="number">12.3</td></tr>\n' in body
    assert '<td class="number better">better</td>' in body
    assert '<th class="number">mean</th>' in body
    assert f"<dt>Right reply <span></span></dt><dd>{told}</dd><dt>base <span>12.3</span></dt>" in body
    assert "<img" not in body
    assert body.endswith(
        "<pre><code>python -m engine compare</code></pre>\n</section>\n</main>\n</body>\n</html>\n"
    )
