// What the theme leaves without a name, or out of a keyboard's reach: every code block's <nav>, and what scrolls sideways.
let block = 0;
function correct() {
  for (const nav of document.querySelectorAll("nav.md-code__nav:not([aria-label])")) nav.ariaLabel = `Code block ${(block += 1)}`;
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset__table, .highlight code, .output, .output .clew, .output .clew > *, .output .wide")) {
    if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible" && !box.hasAttribute("tabindex")) box.tabIndex = 0;
  }
}
new MutationObserver(correct).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", correct);
addEventListener("toggle", correct, true);
addEventListener("load", correct);
