"""The pages of the site in a browser without a window: what scrolls, what is broken, what a search finds."""

import json
import shutil
import subprocess

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PAGE = """<html><body><pre id="out"></pre><script>
const pages = %s, width = %d;
async function opened(url, visit) {
  const frame = document.createElement('iframe');
  frame.style.width = width + 'px';
  frame.style.height = '900px';
  document.body.appendChild(frame);
  const loaded = new Promise(done => frame.onload = done);
  frame.src = url;
  await loaded;
  const found = await visit(frame);
  frame.remove();
  return found;
}
const pause = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  const faults = [];
  for (const page of pages) {
    faults.push(...await opened(page, async frame => {
      await pause(50);
      const root = frame.contentDocument.documentElement, found = [];
      if (root.scrollWidth > width) found.push(`${page} is ${root.scrollWidth} pixels wide`);
      for (const image of frame.contentDocument.images)
        if (image.complete && !image.naturalWidth) found.push(`${page} lacks ${image.src}`);
      return found;
    }));
  }
  const hits = await opened('search.html?q=exposure', async frame => {
    const count = () => frame.contentDocument.querySelectorAll('#search-results li a').length;
    for (let k = 0; k < 100 && count() < 6; k++) await pause(100);
    return count();
  });
  document.getElementById('out').textContent = 'FOUND' + JSON.stringify({faults, hits}) + 'END';
})();
</script></body></html>"""


def opened(site, pages, width, profile):
    """Open pages of a site in a window of some width; return faults, hits of a search, and errors of the console."""
    check = site / f"check_{width}.html"
    check.write_text(PAGE % (json.dumps(pages), width), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--disable-web-security",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=600000",
        f"--window-size={width + 60},1000",
        "--dump-dom",
        check.as_uri(),
    ]
    done = subprocess.run([BROWSER, *options], capture_output=True, text=True, timeout=600)
    check.unlink()
    text = done.stdout.partition("FOUND")[2].partition("END")[0]
    assert text, done.stderr[-2000:]
    errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "rror" in line]
    return json.loads(text) | {"errors": errors}
