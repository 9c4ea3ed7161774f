// The theme gives every code block a <nav> for its copy button, all without a name; a screen reader needs one for each.
let block = 0;
new MutationObserver(() => {
  for (const nav of document.querySelectorAll("nav.md-code__nav:not([aria-label])")) nav.ariaLabel = `Code block ${(block += 1)}`;
}).observe(document.body, { childList: true, subtree: true });
