"""The whole report as one HTML file that can be mailed: the first page, then every run's page as a section of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from html.parser import HTMLParser

_ATTRIBUTE = re.compile(
    r"""(\s(?:id|for|headers|aria-labelledby|aria-describedby|href|xlink:href)=)(["'])(.*?)\2""", re.S
)
_URL = re.compile(r"url\(#([^)]+)\)")


def join(index: str, pages: Mapping[str, str]) -> str:
    """One document of the first page's text and the pages' by file name; ids and links of a page get its number."""
    numbers = {name: f"p{number}" for number, name in enumerate(pages, start=1)}
    first = _Body("", numbers, ("body",)).read(index)
    sections = []
    for name, text in pages.items():
        body = _Body(f"{numbers[name]}-", numbers, ("header", "main")).read(text)
        sections.append(f'<section class="page" id="{numbers[name]}">\n{body}\n</section>\n')
    head = index[: index.index("<body>")]
    end = first.rindex("</main>")
    return f"{head}<body>\n{first[:end]}{''.join(sections)}{first[end:]}\n</body>\n</html>\n"


class _Body(HTMLParser):
    """What lies within some elements of a page, its ids and links renamed; all else stays as it was written."""

    def __init__(self, prefix: str, numbers: Mapping[str, str], kept: Collection[str]) -> None:
        super().__init__(convert_charrefs=False)
        self.prefix, self.numbers, self.kept = prefix, numbers, kept
        self.within = 0
        self.out: list[str] = []

    def read(self, text: str) -> str:
        """The text of the kept elements."""
        self.feed(text)
        self.close()
        return "".join(self.out)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Write the tag when it lies within."""
        self._put(self._tag())
        self.within += tag in self.kept

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Write the tag when it lies within."""
        self._put(self._tag())

    def handle_endtag(self, tag: str) -> None:
        """Write the tag when it lies within."""
        self.within -= tag in self.kept
        self._put(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Write the text when it lies within."""
        self._put(data)

    def handle_entityref(self, name: str) -> None:
        """Write the character as it was written."""
        self._put(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Write the character as it was written."""
        self._put(f"&#{name};")

    def _put(self, text: str) -> None:
        if self.within:
            self.out.append(text)

    def _tag(self) -> str:
        """The tag that is read just now, with its attributes renamed."""
        text = _ATTRIBUTE.sub(self._renamed, self.get_starttag_text() or "")
        return _URL.sub(lambda match: f"url(#{self.prefix}{match[1]})", text)

    def _renamed(self, match: re.Match[str]) -> str:
        start, quote, value = match.groups()
        if start.strip() in ("href=", "xlink:href="):
            value = self._link(value)
        else:
            value = " ".join(self.prefix + word for word in value.split())
        return f"{start}{quote}{value}{quote}"

    def _link(self, value: str) -> str:
        file, _, anchor = value.partition("#")
        if file.startswith("data:"):
            return value
        if not file:
            return f"#{self.prefix}{anchor}"
        if file == "index.html":
            return f"#{anchor or 'main'}"
        number = self.numbers[file]
        return f"#{number}-{anchor}" if anchor else f"#{number}"
