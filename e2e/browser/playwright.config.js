// Debian's Chromium, one page after the other. Where the pages are comes from e2e/tests/browser/.
import { defineConfig } from "@playwright/test";

const args = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
// Names that browsers know are led to where the pods are.
args.push(`--host-resolver-rules=${process.env.EASYCODE_BROWSER_HOSTS ?? ""}`);
// Chromium's sandbox is not for root.
if (process.getuid() === 0) args.push("--no-sandbox");

// Those of the console and those of a company may run at the same time.
const specs = process.env.EASYCODE_BROWSER_SPECS ?? "all";
const desktop = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };

export default defineConfig({
  testDir: "specs",
  outputDir: `../../target/browser/runs-${specs}`,
  reporter: [["list"], ["junit", { outputFile: `../../target/browser/${specs}.xml` }]],
  workers: 1,
  fullyParallel: false,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    trace: "off",
    screenshot: "only-on-failure",
    launchOptions: { executablePath: process.env.EASYCODE_CHROMIUM ?? "/usr/bin/chromium", args },
  },
  projects: [
    { name: "desktop", use: { viewport: desktop, colorScheme: "light" } },
    { name: "desktop-dark", use: { viewport: desktop, colorScheme: "dark" }, grep: /@look/ },
    { name: "phone", use: { viewport: phone, colorScheme: "light", hasTouch: true }, grep: /@look/ },
    { name: "phone-dark", use: { viewport: phone, colorScheme: "dark", hasTouch: true }, grep: /@look/ },
    { name: "without-script", use: { viewport: desktop, javaScriptEnabled: false }, grep: /@plain/ },
  ],
});
