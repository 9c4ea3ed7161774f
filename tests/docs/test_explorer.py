"""The explorer, as a learner uses it: with a mouse, with a keyboard only, without JavaScript."""

import re

import pytest
from playwright.sync_api import expect

from clew import ladder
from clew.lab import recordings

MIXES = ["00000", "10000", "11100", "11111", "01111", "11011", "11101"]


def beads(page):
    """Each hop's verdict as the wide drawing shows it; idle replicas have none."""
    shown = page.locator(".explorer .map.wide .bead[data-hop]").evaluate_all(
        "beads => beads.map(bead => [bead.dataset.hop, bead.dataset.verdict]).filter(one => one[1] !== 'none')"
    )
    found = dict(shown)
    assert len(shown) == len(found) == 6
    return tuple(found[hop] for hop in ladder.HOPS)


@pytest.mark.parametrize("mix", MIXES)
def test_every_mix_shows_its_recorded_run_and_fits_a_screen(open_page, mix):
    run = next(recordings.run_of(entry) for entry in recordings.load("lattice")["runs"] if entry["mix"] == mix)
    page = open_page(f"explorer/?mix={mix}")
    assert beads(page) == ladder.expected(mix)
    for part in (".controls", "#told", "#end", ".legend", ".map.wide"):
        expect(page.locator(f".explorer {part}")).to_be_in_viewport(ratio=1)
    heights = page.locator(".buttons .md-button").evaluate_all("all => all.map(one => one.offsetHeight)")
    assert len(set(heights)) == 1
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


def test_switches_change_the_address_and_play(open_page):
    page = open_page("explorer/", reduced_motion="reduce")
    expect(page).to_have_url(re.compile(r"\?mix=11100$"))
    page.get_by_role("switch", name="queue-service").click()
    expect(page).to_have_url(re.compile(r"\?mix=11110$"))
    expect(page.locator("#stage-name")).to_have_text("4 · The queue service puts it into the message")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert beads(page) == ladder.expected("11110")
    assert pressed(page) == ["4"]
    page.get_by_role("switch", name="nginx").click()
    expect(page.locator("#stage-name")).to_have_text("Mix 01110: not a stage")
    assert pressed(page) == []
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert beads(page) == ladder.expected("01110")
    page.get_by_role("button", name="Stage 0").click()
    assert pressed(page) == ["0"]
    expect(page).to_have_url(re.compile(r"\?mix=00000$"))


def pressed(page):
    return page.locator("[data-stage][aria-pressed=true]").all_inner_texts()


def test_the_link_to_a_mix_is_copied(open_page, site):
    page = open_page("explorer/?mix=11011", permissions=["clipboard-read", "clipboard-write"])
    page.locator("#share").click()
    expect(page.locator("#share")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{site.url}explorer/?mix=11011"


# A step may be shorter than the time between two looks from outside, so the page itself notes each of them.
NOTE_STEPS = """() => {
  window.seen = [];
  const told = document.querySelector("#told");
  const note = () => window.seen.push([told.textContent, document.documentElement.scrollHeight]);
  new MutationObserver(note).observe(told, {childList: true, characterData: true, subtree: true});
}"""


def test_nothing_moves_during_play(open_page):
    page = open_page("explorer/?mix=11111")
    before = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate(NOTE_STEPS)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#told")).to_contain_text("worker kept", timeout=15_000)
    texts, heights = zip(*page.evaluate("window.seen"), strict=True)
    for step in ("sends X-Request-ID", "nginx in", "routes in", "task-service in", "queue-service in", "in Redis"):
        assert any(step in text for text in texts), (step, texts)
    assert set(heights) == {before}


def test_the_id_travels(open_page):
    page = open_page("explorer/?mix=11111")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".map.wide .parcel")).to_be_visible()
    expect(page.locator("#told")).to_contain_text("sends X-Request-ID: MY-TRACE-123")
    expect(page.locator("#told")).to_contain_text("worker kept", timeout=15_000)
    expect(page.locator(".map.wide .parcel")).to_be_hidden()


def test_by_keyboard_only(open_page):
    page = open_page("explorer/?mix=11100")

    def tab_to(selector):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab does not reach {selector}")

    tab_to("[data-layer='4']")
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(r"\?mix=11101$"))
    tab_to("[data-stage='0']")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?mix=00000$"))
    expect(page.locator("#told")).to_contain_text("Stage 0: nginx replaced, routes missing")
    tab_to("#restart")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("Stage 0: the client sends")
    assert page.evaluate("document.activeElement.id") == "restart"
    tab_to("#step")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("◆ nginx in nginx-loadbalancer")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("○ routes in fastapi-server")
    tab_to("#message-summary")
    page.keyboard.press("Enter")
    expect(page.locator("#message-body")).to_contain_text("confidence_level")


def test_the_message_can_be_opened(open_page):
    page = open_page("explorer/?mix=11110")
    page.locator("#message-summary").click()
    expect(page.locator("#message-summary")).to_have_text("The ID is in the message, at kwargs.correlation_id.")
    expect(page.locator("#message-body .kept").first).to_have_text("MY-TRACE-123")


def test_the_trail_leads_to_the_line(open_page):
    page = open_page("explorer/?mix=11101")
    page.locator("#end a").click()
    marked = page.locator(".source .line:target")
    expect(marked).to_contain_text(ladder.LAYERS[3].anchor)


def test_an_unknown_mix_shows_stage_3(open_page):
    page = open_page("explorer/?mix=<b>hello</b>")
    assert beads(page) == ladder.expected("11100")


def test_still_picture_without_javascript(open_page):
    page = open_page("explorer/", java_script_enabled=False)
    expect(page.locator(".controls")).to_be_hidden()
    expect(page.locator(".map.wide")).to_be_visible()
    expect(page.locator("#told")).to_contain_text("Stage 3: nginx kept, routes kept, task-service kept")
    expect(page.locator("#end")).to_contain_text("The trail ends in queue-service")
    assert page.locator(".explorer .map.wide .bead[data-verdict=kept]").count() == 3
    expect(page.locator("#log pre")).to_contain_text("VaR START")
