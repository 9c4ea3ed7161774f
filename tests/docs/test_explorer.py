"""The explorer, as a learner uses it: it asks first; with a mouse, with a keyboard only, without JavaScript."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from clew import ladder
from clew.lab import recordings

MIXES = ["00000", "10000", "11100", "11111", "01111", "11011", "11101"]
LAST_STEP = 6
# What is on the page for somebody who looks or listens: visible text, and the attributes that are read out.
TOLD = """() => document.body.innerText + [...document.querySelectorAll("*")].flatMap(
  (one) => ["aria-label", "title", "alt", "aria-description", "value"].map((name) => one.getAttribute(name) ?? "")
).join(" ")"""


def beads(page):
    """Each hop's verdict as the wide drawing shows it; idle replicas have none."""
    shown = page.locator(".explorer .map.wide .bead[data-hop]").evaluate_all(
        "beads => beads.map(bead => [bead.dataset.hop, bead.dataset.verdict]).filter(one => one[1] !== 'none')"
    )
    found = dict(shown)
    assert len(shown) == len(found)
    return tuple(found.get(hop) for hop in ladder.HOPS)


def step(page, times=LAST_STEP):
    for _ in range(times):
        page.locator("#step").click()


@pytest.mark.parametrize("mix", ["00000", "11111", "11011"])
def test_it_asks_first_and_gives_nothing_away(open_page, mix):
    page = open_page("explorer/" if mix == "00000" else f"explorer/?mix={mix}")
    expect(page.locator("#question")).to_have_text("Where will it break?")
    assert beads(page) == (None,) * 5
    told = page.evaluate(TOLD)
    for hop in ladder.HOPS:
        for verdict in ("kept", "replaced", "missing"):
            assert f"{hop} {verdict}" not in told
    for given_away in ("rail ends", "reaches the worker", ".conf:18", "VaR $", "correlation_id"):
        assert given_away not in told, given_away
    assert page.locator(".code-line").count() == 0
    for part in ("#ask", ".buttons", "#told", ".map.wide", "#code", "#line"):
        expect(page.locator(f".explorer {part}")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(
    ("mix", "guess", "said"),
    [
        ("00000", "nginx", "You said nginx. Right."),
        ("00000", "worker", "You said worker. It is nginx."),
        ("11111", "nowhere", "You said nowhere. Right."),
        ("11111", "routes", "You said routes. It is nowhere."),
        ("11011", "task-service", "You said task-service. Right."),
    ],
)
def test_a_guess_is_played_and_answered(open_page, mix, guess, said):
    page = open_page(f"explorer/?mix={mix}", reduced_motion="reduce")
    page.locator("#speed").select_option(label="fast")
    page.get_by_role("button", name=guess, exact=True).click()
    expect(page.locator("#told")).to_contain_text(said, timeout=15_000)
    assert beads(page) == ladder.expected(mix)
    assert page.locator("[data-guess][aria-pressed=true]").all_inner_texts() == [guess]


@pytest.mark.parametrize("mix", MIXES)
def test_every_mix_shows_its_recorded_run_and_fits_a_screen(open_page, mix):
    run = next(recordings.run_of(entry) for entry in recordings.load("lattice")["runs"] if entry["mix"] == mix)
    page = open_page(f"explorer/?mix={mix}")
    step(page)
    assert beads(page) == ladder.expected(mix)
    for part in (".controls", "#told", "#end", "#legend-one", ".map.wide", "#code", "#line"):
        expect(page.locator(f".explorer {part}")).to_be_in_viewport(ratio=1)
    told = page.locator("#told")
    for hop, verdict in zip(ladder.HOPS, run.verdicts, strict=True):
        expect(told).to_contain_text(f"{hop} {verdict}")
    ends = page.locator("#end")
    expect(ends).to_contain_text(f"trail ends in {run.ends_in['hop']}" if run.ends_in else "reaches the worker")
    assert page.locator(".explorer").inner_text().count("rail ends in") == (1 if run.ends_in else 0)
    lines = page.locator("#log .row").all_inner_texts()
    assert len(lines) >= 10
    (by_nginx,) = [n for n, line in enumerate(lines) if "nginx-loadbalancer" in line]
    assert re.match(r" *≈\d+ ms ", lines[by_nginx])
    assert any("Request completed" in line for line in lines[:by_nginx])
    assert not Axe().run(page).response["violations"]


def test_each_step_shows_its_code_and_its_log_line(open_page):
    page = open_page("explorer/?mix=11000")
    files = []
    for hop in ("nginx", "routes", "task-service", "queue-service", None, "worker"):
        step(page, 1)
        files.append(page.locator("#code-file").inner_text())
        assert 3 <= page.locator(".code-line").count() <= 6
        expect(page.locator("#line")).to_contain_text(f"hop={hop}" if hop else "The message is in Redis")
    files.pop(4)
    assert files == [layer.file for layer in ladder.LAYERS]


def test_a_switch_swaps_the_code_and_asks_again(open_page):
    page = open_page("explorer/")
    step(page, 2)
    page.get_by_role("switch", name="queue-service").click()
    expect(page.locator(".code-line.fixed")).to_have_count(3)
    expect(page.locator("#told")).to_have_text("Guess, or press Play.")
    assert beads(page) == (None,) * 5
    page.get_by_role("switch", name="queue-service").click()
    expect(page.locator(".code-line.losing")).to_have_count(1)


def test_switches_and_stages_change_the_address(open_page):
    page = open_page("explorer/?mix=11100")
    page.get_by_role("switch", name="queue-service").click()
    expect(page).to_have_url(re.compile(r"\?mix=11110$"))
    expect(page.locator("#stage-name")).to_have_text("4 · The queue service puts it into the message")
    assert pressed(page) == ["4"]
    page.get_by_role("switch", name="nginx").click()
    expect(page.locator("#stage-name")).to_have_text("Mix 01110: not a stage")
    assert pressed(page) == []
    page.get_by_role("button", name="Stage 0").click()
    assert pressed(page) == ["0"]
    expect(page).to_have_url(re.compile(r"\?mix=00000$"))


def pressed(page):
    return page.locator("[data-stage][aria-pressed=true]").all_inner_texts()


@pytest.mark.parametrize("address", ["explorer/?mix=11011", "explorer/?mix=11000&two=1"])
def test_the_link_is_copied_and_leads_back(open_page, site, address):
    page = open_page(address, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#share")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == site.url + address


def test_without_a_clipboard_the_link_is_shown_selected(open_page, site):
    page = open_page("explorer/?mix=11011")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link-text")).to_have_value(f"{site.url}explorer/?mix=11011")
    assert page.evaluate("getSelection().toString() || document.activeElement.id") in ("link-text", page.url)


# A step may be shorter than the time between two looks from outside, so the page itself notes each of them.
NOTE_STEPS = """() => {
  window.seen = [];
  const told = document.querySelector("#told"), map = document.querySelector(".map.wide");
  const note = () => window.seen.push([told.textContent, map.getBoundingClientRect().top + scrollY]);
  new MutationObserver(note).observe(told, {childList: true, characterData: true, subtree: true});
}"""


def test_nothing_moves_during_play(open_page):
    page = open_page("explorer/?mix=11111")
    page.evaluate(NOTE_STEPS)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#told")).to_contain_text("worker kept", timeout=15_000)
    texts, places = zip(*page.evaluate("window.seen"), strict=True)
    for told in ("sends X-Request-ID", "nginx in", "routes in", "task-service in", "queue-service in", "in Redis"):
        assert any(told in text for text in texts), (told, texts)
    assert len(set(places)) == 1


def test_the_id_travels(open_page):
    page = open_page("explorer/?mix=11111")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".map.wide .parcel")).to_be_visible()
    expect(page.locator("#told")).to_contain_text("sends X-Request-ID: MY-TRACE-123")
    expect(page.locator("#told")).to_contain_text("worker kept", timeout=15_000)
    expect(page.locator(".map.wide .parcel")).to_be_hidden()


def test_three_speeds(open_page):
    page = open_page("explorer/?mix=11111")
    took = {}
    for speed in ("slow", "normal", "fast"):
        page.locator("#restart").click(force=True)
        page.locator("#speed").select_option(label=speed)
        began = page.evaluate("performance.now()")
        page.get_by_role("button", name="Play").click()
        expect(page.locator("#told")).to_contain_text("nginx in", timeout=15_000)
        took[speed] = page.evaluate("performance.now()") - began
        page.get_by_role("button", name="Stop").click()
    assert took["slow"] > took["normal"] > took["fast"], took


def test_back_and_restart(open_page):
    page = open_page("explorer/?mix=11100")
    step(page, 3)
    page.locator("#back").click()
    expect(page.locator("#told")).to_contain_text("● routes in fastapi-server")
    page.locator("#restart").click()
    assert beads(page) == (None,) * 5
    expect(page.locator("#restart")).to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize(("stage", "told_apart"), [(0, "0 of 18"), (3, "12 of 18"), (5, "18 of 18")])
def test_two_at_once(open_page, stage, told_apart):
    owners = {0: {"nobody"}, 3: {"nobody", "first", "second"}, 5: {"first", "second"}}[stage]
    mix = ladder.stage(stage).mix
    page = open_page(f"explorer/?mix={mix}")
    page.get_by_role("switch", name="two people at once").click()
    expect(page).to_have_url(re.compile(rf"\?mix={mix}&two=1$"))
    expect(page.locator("#told")).to_contain_text("Which lines will be whose?")
    step(page)
    shapes = page.locator(".map.wide .whose").evaluate_all(
        "all => all.map(one => [one.classList[2], one.getAttribute('d').includes('H')])"
    )
    assert len(shapes) == 12 and {owner for owner, _ in shapes} == owners
    assert all((owner == "second") == square for owner, square in shapes), "two shapes, not only two colours"
    expect(page.locator("#told")).to_contain_text(told_apart)
    assert not Axe().run(page).response["violations"]


def test_two_at_once_on_a_mix_goes_to_a_stage(open_page):
    page = open_page("explorer/?mix=11011")
    page.get_by_role("switch", name="two people at once").click()
    expect(page).to_have_url(re.compile(r"\?mix=11000&two=1$"))


def test_by_keyboard_only(open_page):
    page = open_page("explorer/?mix=11100", reduced_motion="reduce")

    def tab_to(selector):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab does not reach {selector}")

    tab_to("[data-guess='queue-service']")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("You said queue-service. Right.", timeout=15_000)
    assert page.evaluate("document.activeElement.dataset.guess") == "queue-service", "the focus stays"
    tab_to("[data-layer='4']")
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(r"\?mix=11101$"))
    tab_to("[data-stage='0']")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?mix=00000$"))
    tab_to("#step")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("◆ nginx in nginx-loadbalancer")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("○ routes in fastapi-server")
    tab_to("#restart")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "restart"
    tab_to("#step")
    for _ in range(LAST_STEP):
        page.keyboard.press("Enter")
    tab_to("#message-summary")
    page.keyboard.press("Enter")
    expect(page.locator("#message-body")).to_contain_text("confidence_level")


def test_the_message_opens_at_the_id_and_names_the_decoy(open_page):
    page = open_page("explorer/?mix=11110")
    step(page)
    page.locator("#message-summary").click()
    expect(page.locator("#message-summary")).to_have_text("The ID is in the message, at kwargs.correlation_id.")
    expect(page.locator("#message-body .kept").last).to_be_in_viewport()
    expect(page.locator("#decoy")).to_contain_text("Celery's own, and has the task's ID")
    decoy = page.locator("#message-body .decoy").inner_text().strip('"')
    expect(page.locator("#decoy")).to_contain_text(decoy)


def test_the_trail_leads_to_the_line(open_page):
    page = open_page("explorer/?mix=11101")
    step(page)
    page.locator("#end a").click()
    marked = page.locator(".source .line:target")
    expect(marked).to_contain_text(ladder.LAYERS[3].anchor)


def test_an_unknown_mix_opens_stage_0(open_page):
    page = open_page("explorer/?mix=<b>hello</b>")
    expect(page).to_have_url(re.compile(r"\?mix=00000$"))


def test_on_a_phone_the_map_comes_after_the_controls_and_moves_with_the_play(open_page):
    page = open_page("explorer/?mix=11111", viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    places = page.evaluate(
        "['.controls', '.stage-map'].map(one => document.querySelector(one).getBoundingClientRect().top)"
    )
    assert places == sorted(places)
    for hop in ladder.HOPS[:4]:
        step(page, 1)
        bead = page.locator(f".map.tall .bead[data-hop='{hop}'][data-verdict='kept']")
        expect(bead).to_be_in_viewport()
        expect(page.locator(".buttons")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_the_map_is_there_and_the_answer_is_folded(open_page):
    page = open_page("explorer/", java_script_enabled=False)
    expect(page.locator(".controls")).to_be_hidden()
    expect(page.locator(".map.wide")).to_be_visible()
    folded = page.locator("noscript details, details").filter(has_text="What becomes of the ID on stage 0")
    expect(folded).to_be_visible()
    assert "nginx replaced" not in page.locator("body").inner_text()
