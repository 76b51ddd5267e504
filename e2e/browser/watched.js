// A page that is watched: no error in the console, no violation of its policy, no request to anyone else, nothing that axe finds.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test as base, expect } from "@playwright/test";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
// Pages of others that people are led through, which are not ours to check.
const FOREIGN = (process.env.EASYCODE_BROWSER_FOREIGN ?? "").split(" ").filter(Boolean);
const OWN = (process.env.EASYCODE_BROWSER_OWN ?? "").split(" ").filter(Boolean);

export const test = base.extend({
  page: async ({ page, javaScriptEnabled }, use) => {
    const faults = [];
    page.on("console", (message) => {
      // A page that refuses something is answered with an error status, which Chromium notes as an error of its own.
      const status = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
      const foreign = FOREIGN.some((origin) => message.location().url?.startsWith(origin));
      if (["error", "warning"].includes(message.type()) && !status && !foreign) faults.push(message.text());
    });
    page.on("pageerror", (error) => faults.push(`an error of the script: ${error.message}`));
    page.on("request", (request) => {
      const origin = new URL(request.url()).origin;
      if (origin !== "null" && ![...OWN, ...FOREIGN].includes(origin)) faults.push(`a request to ${request.url()}`);
    });
    page.on("requestfailed", (request) => {
      const failure = request.failure()?.errorText ?? "";
      // What is left before it is loaded, such as a stream of events.
      if (failure !== "net::ERR_ABORTED") faults.push(`${request.url()} failed: ${failure}`);
    });
    await use(page);
    expect(faults, "what the browser complained of").toEqual([]);
  },
});
export { expect };

/** Takes a picture of the page as it is, and has axe look at it. */
export async function look(page, name) {
  const info = test.info();
  const path = `../../target/browser/${name}-${info.project.name}.png`;
  await page.screenshot({ path, fullPage: true });
  const wide = await measured(page, () => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide ?? 0, `${name} is wider than the screen`).toBeLessThanOrEqual(0);
  if (info.project.use.javaScriptEnabled === false) return;
  await page.evaluate(axe);
  const found = await page.evaluate((levels) => window.axe.run(document, { runOnly: levels, resultTypes: ["violations"] }), LEVELS);
  const violations = found.violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.map((node) => node.html) }));
  expect(violations, `what axe found on ${name}`).toEqual([]);
}

async function measured(page, what) {
  return test.info().project.use.javaScriptEnabled === false ? undefined : page.evaluate(what);
}

/** Goes by Tab to the element, and checks that one sees where one is. */
export async function tabTo(page, target, most = 60) {
  for (let steps = 0; steps < most; steps++) {
    await page.keyboard.press("Tab");
    if (await target.evaluate((element) => element === document.activeElement)) {
      const seen = await target.evaluate((element) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
      });
      expect(seen, "the focus is to be seen").toBe(true);
      return;
    }
  }
  throw new Error(`${target} is not reached within ${most} steps`);
}
