"""Every page: no violation that axe knows, no broken link, nothing from elsewhere; search and copy work."""

import html.parser
import json
import re
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from clew import ladder
from clew.cli import cli
from clew.core.marks import COLOURS
from clew.core.paths import ROOT
from clew.site import build, web

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
LAST = ladder.STAGE_LIST[3]
PAGES = {
    "home": "",
    "journey": "journey/",
    "stage": "journey/stage-3/",
    "two": "two-at-once/",
    "leaks": "leaks/",
    "try": "try/",
    "mystery": "mystery/",
    "ids": "three-ids/",
    "layers": "layers/",
    "explorer": "explorer/",
    "notebooks": "notebooks/",
    "notebook": f"notebooks/{NOTEBOOKS[0]}/",
    "other notebook": f"notebooks/{NOTEBOOKS[5]}/",
    "commands": "reference/commands/",
    "http": "reference/http/",
    "python": "reference/clew/",
    "seeing": "seeing/",
    "ways": "seeing/three-ways/",
    "metrics": "seeing/metrics/",
    "hygiene": "seeing/hygiene/",
    "log-store": "seeing/log-store/",
    "questions": "seeing/questions/",
    "security": "seeing/security/",
    "durable": "durable/",
    "claims": "durable/claims/",
    "ledger": "durable/ledger/",
    "scale": "scale/",
    "kubernetes": "scale/kubernetes/",
    "swarm": "scale/swarm/",
    "load": "scale/load/",
    "benchmarks": "scale/benchmarks/",
    "architecture": "architecture/",
    "instructors": "instructors/",
    "source": f"source/stages/{LAST.slug}/{ladder.LAYERS[2].file}/",
}
MEGABYTE = 1024 * 1024


# Colours depend on the scheme, what fits and what scrolls on the width: two of the four combinations find all of it.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(open_page, name, width, scheme):
    page = open_page(PAGES[name], viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert page.locator("body").get_attribute("data-md-color-scheme") == {"light": "default", "dark": "slate"}[scheme]
    for folded in page.locator("article details").all():
        folded.evaluate("one => { one.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    told = [
        f"{one['id']}: {one['help']}\n"
        + "\n".join(node["html"][:200] + "\n" + node["failureSummary"] for node in one["nodes"][:3])
        for one in found
    ]
    assert not told, "\n\n".join(told)


@pytest.mark.parametrize("name", ["home", "explorer"])
def test_first_load_is_light(open_page, browser, site, name):
    context = browser.new_context()
    page = context.new_page()
    answers = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(site.url + PAGES[name])
    page.wait_for_load_state("networkidle")
    weights = {answer.url.removeprefix(site.url): len(answer.body()) for answer in answers}
    context.close()
    print(
        f"{name}: {sum(weights.values()) / 1024:.0f} KiB, {len(weights)} requests, built in {site.build_seconds:.1f} s"
    )
    assert sum(weights.values()) < MEGABYTE, weights


def test_search_finds_and_leads_there(open_page):
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("restaurant")
    first = page.locator(".md-search-result__link").first
    expect(first).to_contain_text("three IDs")
    first.click()
    expect(page.locator("h1")).to_contain_text("The three IDs")


def test_code_can_be_copied(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".highlight").first
    block.hover()
    block.get_by_role("button", name=re.compile("Copy")).click()
    expect(page.locator(".md-dialog")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").strip().endswith("make stage-3 up trace")


@pytest.mark.parametrize("number", range(1, 6))
def test_a_stage_page_leads_to_its_fixed_line(open_page, number):
    layer, slug = ladder.changed_layer(number), ladder.stage(number).slug
    line = ladder.changed_lines(layer, fixed=True)[0]
    page = open_page(f"journey/stage-{number}/")
    page.get_by_text("The fix, ").click()
    page.locator(f"a[href$='{slug}/{layer.file}/#L-{line}']").first.click()
    text = (ladder.stage(number).folder / layer.file).read_text().splitlines()[line - 1]
    marked = page.locator(".source .line:target")
    expect(marked).to_be_in_viewport()
    assert marked.text_content().endswith(text)


class Targets(html.parser.HTMLParser):
    """The anchors of a page and what it links to."""

    def __init__(self):
        super().__init__()
        self.anchors, self.links = set(), []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        self.links += [values[key] for key in ("href", "src") if values.get(key)]


def test_links_and_anchors_lead_somewhere(site):
    pages = {}
    for path in site.folder.rglob("*.html"):
        targets = Targets()
        targets.feed(path.read_text())
        pages[path] = targets
    broken = []
    for path, targets in pages.items():
        if path.name == "404.html":
            continue
        here = "http://site/" + str(path.relative_to(site.folder)).removesuffix("index.html")
        for link in targets.links:
            to = urlsplit(urljoin(here, link))
            if to.netloc != "site":
                continue
            wanted = site.folder / unquote(to.path).lstrip("/")
            wanted = wanted / "index.html" if to.path.endswith("/") else wanted
            anchor = unquote(to.fragment)
            if not wanted.exists() or (wanted in pages and anchor and anchor not in pages[wanted].anchors):
                broken.append(f"{path.relative_to(site.folder)} -> {link}")
    assert not broken


def test_every_page_is_there_and_has_content(site):
    """A generator that leaves pages out without an error would be noticed here."""
    built = {str(path.relative_to(site.folder)) for path in site.folder.rglob("index.html")}
    generated = [path for path in build(cli) if path.endswith(".md")]
    assert built == {str(Path(web.address(path)) / "index.html").removeprefix("./") for path in generated}
    assert len([path for path in built if path.startswith("notebooks/")]) == len(NOTEBOOKS) + 1 >= 9
    assert len([path for path in built if path.startswith("source/stages/")]) == 7 * len(ladder.STAGE_LIST)
    anchors = 0
    for path in built:
        text = (site.folder / path).read_text()
        article = text.partition("<article")[2].partition("</article>")[0]
        assert "<h1" in article and len(re.sub(r"<[^>]+>", "", article).split()) > 10, f"{path} is empty"
        anchors += len(re.findall(r' id="', article))
    assert anchors > 5000  # mostly the lines of the source pages


def test_the_navigation_leads_to_every_part(site):
    targets = Targets()
    targets.feed((site.folder / "reference/http/index.html").read_text().partition('class="md-tabs"')[2])
    wanted = {name for name in PAGES if name not in ("source", "journey")}
    shown = {urljoin("http://site/reference/http/", link) for link in targets.links}
    assert not [name for name in wanted if urljoin("http://site/", PAGES[name]) not in shown]


def test_only_this_machine_is_named(site):
    found = []
    for path in (*site.folder.rglob("*.html"), *site.folder.rglob("*.css")):
        text = path.read_text()
        found += [
            f"{path.name}: {one}" for one in re.findall(r"(?:src|@import|url\()[ =\"']*(https?://[^\"') ]+)", text)
        ]
        if str(ROOT) in text or str(Path.home()) + "/" in text:
            found.append(f"{path.relative_to(site.folder)} names a folder of this machine")
    assert not found


def test_one_visual_language():
    css = (ROOT / "docs/assets/clew.css").read_text()
    for verdict in ("kept", "replaced", "missing"):
        assert f"--{verdict}: {COLOURS[verdict]};" in css


def test_openapi_is_the_application_s_own(site):
    description = json.loads((site.folder / "reference/openapi.json").read_text())
    answers = description["paths"]["/api/v1/tasks"]["post"]["responses"]
    assert list(answers["201"]["content"]) == ["application/json"]
    for status in ("400", "413", "422", "503"):
        assert list(answers[status]["content"]) == ["application/problem+json"]
    assert not [name for name in description["components"]["schemas"] if "ValidationError" in name]
