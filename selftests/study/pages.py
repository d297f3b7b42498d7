# SPDX-License-Identifier: GPL-2.0
"""
pages - a report as a page of Markdown, or as one HTML file

Both pages take the same calls: heading, text, table, plot, command.  Text is
Markdown, of which the HTML page knows paragraphs, "> " quotes, "- " lists,
`code`, **strong**, *emphasis* and [links](#where).
"""

import html
import os
import re
import textwrap

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--faint:#595959;--paper:#fff;
--card:#f6f6f4;--rule:#dedede;--link:#0063a8}
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--faint:#a9a9a9;
--paper:#161616;--card:#212121;--rule:#3a3a3a;--link:#6cb8f0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:17px/1.55 system-ui,'Segoe UI','DejaVu Sans',sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.8rem;line-height:1.2;margin:.5rem 0 1rem}
h2{font-size:1.35rem;line-height:1.25;margin:3.2rem 0 .8rem;
padding-top:1rem;border-top:1px solid var(--rule)}
h3{font-size:1.02rem;margin:1.6rem 0 .3rem}
a{color:var(--link)}
blockquote{margin:1rem 0;padding:.1rem 0 .1rem 1rem;
border-left:3px solid var(--rule);color:var(--faint)}
blockquote p{margin:0}
code{font:.86em/1.4 ui-monospace,'DejaVu Sans Mono',monospace;
background:var(--card);padding:.1em .3em;border-radius:3px;
overflow-wrap:anywhere}
figure{margin:1.4rem 0 .4rem}
figure svg{display:block;width:100%;max-width:700px;height:auto}
.wide{overflow-x:auto;margin:1.2rem 0 .4rem}
table{border-collapse:collapse;font-size:.86rem;line-height:1.35}
th,td{padding:.35rem 1rem .35rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--rule)}
th{font-weight:600;vertical-align:bottom}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.numbers td{white-space:nowrap}
td small{display:block;color:var(--faint)}
.from{color:var(--faint);font-size:.86rem;margin:.2rem 0 1.4rem}
"""


class Cell:
    """What stands in a table: a text, and a smaller one below it."""

    def __init__(self, text, small="", right=False):
        self.text = text
        self.small = small
        self.right = right


class Html:
    """A page as one HTML file."""

    def __init__(self, title):
        self.title = title
        self.parts = []

    def heading(self, level, text, anchor=""):
        """A heading; @anchor is its name for links."""
        self.parts.append("<h%d%s>%s</h%d>" % (
            level, ' id="%s"' % anchor if anchor else "", inline(text), level))

    def text(self, text):
        """Paragraphs, lists and quotes."""
        for block in re.split(r"\n\s*\n", text.strip()):
            if block.startswith(">"):
                block = re.sub(r"(?m)^> ?", "", block)
                self.parts.append("<blockquote><p>%s</p></blockquote>"
                                  % inline(block))
            elif block.startswith("- "):
                self.parts.append("<ul>%s</ul>" % "".join(
                    "<li>%s</li>" % inline(item)
                    for item in re.split(r"(?m)^- ", block)[1:]))
            elif block:
                self.parts.append("<p>%s</p>" % inline(block))

    def table(self, head, rows):
        """A table of Cells.  A column stands as its cells do."""
        def element(kind, cell):
            return "<%s%s>%s%s</%s>" % (
                kind, ' class="n"' if cell.right else "", inline(cell.text),
                "<small>%s</small>" % inline(cell.small) if cell.small else "",
                kind)

        self.parts.append(
            '<div class="wide"><table%s><thead><tr>%s</tr></thead><tbody>%s'
            "</tbody></table></div>" % (
                ' class="numbers"' if any(c.right for row in rows for c in row)
                else "",
                "".join(element("th", cell) for cell in head),
                "".join("<tr>%s</tr>" % "".join(element("td", c) for c in row)
                        for row in rows)))

    def plot(self, _, picture):
        """A plot: the SVG goes into the page."""
        self.parts.append("<figure>%s</figure>" % picture)

    def below(self, text):
        """What is said below a plot or a table, smaller."""
        self.parts.append('<p class="from">%s</p>' % inline(text))

    def __str__(self):
        return "\n".join([
            "<!DOCTYPE html>", '<html lang="en">', "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            "<title>%s</title>" % html.escape(self.title),
            "<style>%s</style>" % STYLE, "</head>", "<body>", "<main>",
            *self.parts, "</main>", "</body>", "</html>"]) + "\n"


def inline(text):
    """The marks within a paragraph."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*", r"<em>\1</em>", text)


def filled(text):
    """A paragraph, a quote or an item of a list, in lines of equal length."""
    first = re.match(r"(> |- )?", text)[0]
    text = " ".join(re.sub(r"(?m)^> ?", "", text[len(first):]).split())
    return textwrap.fill(
        text, 80, initial_indent=first,
        subsequent_indent={"- ": "  "}.get(first, first),
        break_long_words=False, break_on_hyphens=False)


class Markdown:
    """A page of Markdown, and the files of its plots, in a folder beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.parts = []
        self.plots = {}

    def heading(self, level, text, anchor=""):
        """A heading; @anchor is its name for links."""
        self.parts.append("%s%s %s" % (
            '<a id="%s"></a>\n\n' % anchor if anchor else "",
            "#" * level, text))

    def text(self, text):
        """Paragraphs, lists and quotes."""
        self.parts.append("\n\n".join(
            "\n".join(filled(item) for item in re.split(r"\n(?=- )", block))
            for block in re.split(r"\n\s*\n", text.strip())))

    def table(self, head, rows):
        """A table of Cells."""
        lines = ["| %s |" % " | ".join(cell.text for cell in head),
                 "|%s" % "".join("---:|" if cell.right else "---|"
                                 for cell in head)]
        for row in rows:
            lines.append("| %s |" % " | ".join(
                " ".join(cell.text.split()) +
                ("<br><sub>%s</sub>" % cell.small if cell.small else "")
                for cell in row))
        self.parts.append("\n".join(lines))

    def plot(self, name, picture):
        """A plot: the SVG is a file, and the page has a link to it."""
        title = html.unescape(re.search(r"<title>(.*?)</title>", picture)[1])
        self.plots[name + ".svg"] = picture
        self.parts.append("![%s](%s/%s.svg)" % (title, self.folder, name))

    def below(self, text):
        """What is said below a plot or a table, smaller."""
        self.parts.append("<sub>%s</sub>" % text)

    def __str__(self):
        return "\n\n".join(self.parts) + "\n"

    def write(self, path):
        """Write the page and its plots; remove plots that it has no more."""
        folder = os.path.join(os.path.dirname(path), self.folder)
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            if name.endswith(".svg") and name not in self.plots:
                os.unlink(os.path.join(folder, name))
        for name, picture in self.plots.items():
            with open(os.path.join(folder, name), "w") as file:
                file.write(picture)
        with open(path, "w") as file:
            file.write(str(self))
