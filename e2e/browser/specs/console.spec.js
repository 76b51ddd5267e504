// The staff's console: who signs in, looks around, and takes a company in.
import { expect, look, tabTo, test } from "../watched.js";

const CONSOLE = process.env.EASYCODE_CONSOLE;
const PASSWORD = process.env.EASYCODE_STAFF_PASSWORD;
const COMPANY = process.env.EASYCODE_COMPANY;
// One whose limits a pipeline owns.
const OWNED = process.env.EASYCODE_OWNED_COMPANY;
const plain = () => test.info().project.use.javaScriptEnabled === false;

async function signIn(page, who = "administrator") {
  await page.goto(`${CONSOLE}/client-admin/fleet`);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("input[name=username]").fill(`${who}@easycode.example`);
  await page.locator("input[name=password]").fill(PASSWORD);
  await page.locator("button[type=submit], input[type=submit]").first().click();
  await expect(page.getByRole("heading", { level: 1, name: "Fleet" })).toBeVisible();
}

/** A name that no run before has used. */
function fresh() {
  return `${COMPANY}-${test.info().project.name}`.slice(0, 40);
}

/** Sees that the company is ready: live with JavaScript; without, the page loads itself again, which a browser that is driven may miss. */
async function isReady(page, name) {
  await expect(page.getByRole("heading", { level: 1, name: `Progress of tenant ${name}` })).toBeVisible();
  await expect(async () => {
    if (plain()) await page.reload();
    await expect(page.getByRole("row", { name: /^Ready True/ })).toBeVisible();
  }).toPass({ timeout: 40_000 });
}

async function onboard(page, name) {
  await page.goto(`${CONSOLE}/client-admin/tenants/new`);
  await page.getByLabel("Short name").fill(name);
  await page.getByLabel("Company's name").fill("Browser Works Ltd");
  await page.getByLabel("First administrators").fill("ada@browser.example, Ada");
  await page.getByLabel("crm", { exact: true }).check();
  await page.getByLabel("finance", { exact: true }).check();
  await page.getByLabel("On offboarding").selectOption("Delete");
  await page.getByRole("button", { name: "Show what would change" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `What would change of tenant ${name}` })).toBeVisible();
}

test("before signing in @look @plain", async ({ page }) => {
  await page.goto(`${CONSOLE}/client-admin/fleet`);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await look(page, "console-sign-in");
});

test("the fleet, a search, a tenant, and what to do @look @plain", async ({ page }) => {
  await signIn(page);
  await look(page, "console-fleet");
  await page.getByRole("link", { name: "Tenants", exact: true }).click();
  await page.getByLabel("Name or company").fill("aurora");
  await page.getByRole("button", { name: "Show" }).click();
  await expect(page.getByRole("status")).toContainText("1 found");
  await look(page, "console-search");
  await page.getByRole("link", { name: "aurora", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Tenant aurora" })).toBeVisible();
  await look(page, "console-tenant");
  await page.getByRole("link", { name: "Offboard" }).click();
  await look(page, "console-offboard");
  await page.getByRole("link", { name: "What to do" }).click();
  await look(page, "console-help");
  await page.goto(`${CONSOLE}/client-admin/instances/dynamo`);
  await look(page, "console-instance");
  await page.goto(`${CONSOLE}/client-admin/platforms/eu1`);
  await look(page, "console-platform");
  await page.goto(`${CONSOLE}/client-admin/fleet?q=dynamo`);
  await look(page, "console-fleet-search");
  await page.goto(`${CONSOLE}/client-admin/tenants/nobody`);
  await look(page, "console-not-found");
});

test("what is wrong is told at its field @look @plain", async ({ page }) => {
  await signIn(page);
  await page.goto(`${CONSOLE}/client-admin/tenants/new`);
  await look(page, "console-onboard");
  await page.getByLabel("Short name").fill("No Name");
  await page.getByRole("button", { name: "Show what would change" }).click();
  await expect(page.getByRole("alert")).toContainText("There is a problem");
  await expect(page.getByLabel("Short name")).toHaveAttribute("aria-invalid", "true");
  await look(page, "console-onboard-error");
});

test("a company is taken in, invited and let go @plain", async ({ page }) => {
  const name = fresh();
  await signIn(page);
  await onboard(page, name);
  await look(page, "console-plan");
  await page.getByRole("main").getByRole("button", { name: "Apply this" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Progress of tenant ${name}` })).toBeVisible();
  await look(page, "console-progress");
  await isReady(page, name);
  await look(page, "console-ready");
  await page.goto(`${CONSOLE}/client-admin/tenants/${name}`);
  await page.getByRole("button", { name: "Make an invitation link for ada@browser.example" }).click();
  await expect(page.getByRole("status")).toContainText("/user/invitation?token=");
  await look(page, "console-invitation");

  // A service is withdrawn: what becomes of its data is told before it is done.
  await page.getByRole("link", { name: "Change", exact: true }).click();
  await page.getByLabel("finance", { exact: true }).uncheck();
  await page.getByRole("button", { name: "Show what would change" }).click();
  const plan = page.getByRole("main");
  await expect(plan.getByRole("row", { name: /entitlements/ })).toContainText("finance");
  await expect(plan).toContainText("keep the data of finance until");
  await look(page, "console-withdrawal");
  await plan.getByRole("button", { name: "Apply this" }).click();
  await isReady(page, name);

  await page.goto(`${CONSOLE}/client-admin/tenants/${name}/offboard`);
  const confirm = page.getByRole("textbox");
  await confirm.fill("another");
  await page.getByRole("main").getByRole("button").click();
  await expect(page.getByRole("textbox")).toHaveAttribute("aria-invalid", "true");
  await look(page, "console-offboard-error");
  await page.getByRole("textbox").fill(name);
  await page.getByRole("main").getByRole("button").click();
  await expect(page.getByRole("heading", { level: 1, name: `Progress of tenant ${name}` })).toBeVisible();
});

test("what a pipeline owns is not overwritten unasked @look @plain", async ({ page }) => {
  await signIn(page);
  await page.goto(`${CONSOLE}/client-admin/tenants/${OWNED}/change`);
  await page.getByLabel("Users", { exact: true }).fill("9");
  await page.getByRole("button", { name: "Show what would change" }).click();
  await expect(page.getByRole("heading", { level: 1, name: `Conflicts over tenant ${OWNED}` })).toBeVisible();
  const conflict = page.getByRole("group", { name: "spec.limits.users" });
  await expect(conflict).toContainText("e2e");
  await expect(conflict.getByLabel("Leave it as it is")).toBeChecked();
  await look(page, "console-conflict");
  await conflict.getByLabel("Take it over from e2e").check();
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("heading", { name: "Taken over" })).toBeVisible();
  await expect(page.getByRole("row", { name: /limits.users/ })).toContainText("9");
  await look(page, "console-taken-over");
  // Thought better of it: the form has what was wanted, and nothing was changed.
  await page.getByRole("button", { name: "Back to the form" }).click();
  await expect(page.getByLabel("Users", { exact: true })).toHaveValue("9");
});

test("by keyboard alone", async ({ page }) => {
  await signIn(page);
  await page.goto(`${CONSOLE}/client-admin/fleet`);
  await tabTo(page, page.getByRole("link", { name: "Skip to the content" }), 1);
  await tabTo(page, page.getByRole("link", { name: "Onboard a company" }));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Onboard a company" })).toBeVisible();
  await tabTo(page, page.getByLabel("Short name"));
  await page.keyboard.type("Not A Name");
  await tabTo(page, page.getByRole("button", { name: "Show what would change" }));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toBeVisible();
});
