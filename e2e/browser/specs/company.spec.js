// A company's own pages: its people come in, its administrator sees to people and settings.
import { expect, look, tabTo, test } from "../watched.js";

const PAGES = process.env.EASYCODE_PAGES;
const COMPANY = process.env.EASYCODE_COMPANY;
const ADMINISTRATOR = process.env.EASYCODE_ADMINISTRATOR;
const PASSWORD = process.env.EASYCODE_PASSWORD;

async function signIn(page, email = ADMINISTRATOR, password = PASSWORD) {
  await page.goto(`${PAGES}/user/sign-in`);
  await page.getByLabel("Company", { exact: true }).fill(COMPANY);
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function come(page) {
  await signIn(page);
  await expect(page.getByRole("heading", { level: 1, name: "Your page" })).toBeVisible();
}

/** What a setting's field is called, which is also its id. */
function field(page, pointer) {
  return page.locator(`[id="${pointer}"]`);
}

test("signing in, and what is told of a wrong password @look @plain", async ({ page }) => {
  await page.goto(`${PAGES}/user/`);
  await expect(page).toHaveURL(`${PAGES}/user/sign-in`);
  await look(page, "company-sign-in");
  // Of nobody's account, so that none is locked for it.
  await signIn(page, "nobody@fjord.example", "wrong all along");
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.getByLabel("Email address")).toHaveValue("nobody@fjord.example");
  await expect(page.getByLabel("Password", { exact: true })).toHaveValue("");
  await look(page, "company-sign-in-refused");
  await come(page);
  await look(page, "company-home");
  await page.getByRole("link", { name: "Events" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Events" })).toBeVisible();
  await look(page, "company-events");
  await page.goto(`${PAGES}/user/`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  await page.goto(`${PAGES}/user/people`);
  await expect(page.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
});

test("a clerk is invited, comes in, is given another role and is let go @look @plain", async ({ page, browser, contextOptions }) => {
  const email = `kim-${test.info().project.name}@fjord.example`;
  await come(page);
  await page.getByRole("link", { name: "People" }).click();
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Name", { exact: true }).fill("Kim <Clerk>");
  await page.getByLabel(/^pos-cashier – /).check();
  await look(page, "company-people");
  await page.getByRole("button", { name: "Invite" }).click();
  const link = (await page.getByLabel("Link").inputValue()).trim();
  expect(link).toContain(`${PAGES}/user/invitation?token=`);
  await look(page, "company-invitation");

  const context = await browser.newContext(contextOptions);
  const kim = await context.newPage();
  await kim.goto(link);
  await expect(kim.getByRole("heading", { level: 1, name: "Welcome" })).toBeVisible();
  await look(kim, "company-welcome");
  await kim.getByLabel("Password").fill("password");
  await kim.getByRole("button", { name: "Set the password and sign in" }).click();
  await expect(kim.getByLabel("Password")).toHaveAttribute("aria-invalid", "true");
  await look(kim, "company-welcome-refused");
  await kim.getByLabel("Password").fill(PASSWORD);
  await kim.getByRole("button", { name: "Set the password and sign in" }).click();
  await expect(kim.getByRole("heading", { level: 1, name: "Your page" })).toBeVisible();
  await expect(kim.getByRole("row", { name: /^pos/ })).toContainText("pos-cashier");
  await expect(kim.getByRole("link", { name: "People" })).toHaveCount(0);
  await look(kim, "company-clerk");
  await kim.goto(`${PAGES}/user/settings`);
  await expect(kim.getByRole("main")).toContainText("administrator");
  await look(kim, "company-forbidden");

  await page.goto(`${PAGES}/user/people`);
  await page.getByRole("row", { name: email }).getByRole("link").click();
  await page.getByLabel(/^pos-manager – /).check();
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("status")).toContainText("Saved");
  await look(page, "company-person");
  await page.getByRole("button", { name: "Remove" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByLabel("Yes, remove this person").check();
  await page.getByRole("button", { name: "Remove" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "People" })).toBeVisible();
  await expect(page.getByRole("row", { name: email })).toHaveCount(0);
  await kim.goto(`${PAGES}/user/`);
  await expect(kim.getByRole("heading", { level: 1, name: "Sign in" })).toBeVisible();
  await context.close();
});

test("a receipt is looked at before it is saved, refused at its field, and taken back @look @plain", async ({ page }) => {
  await come(page);
  await page.getByRole("link", { name: "Settings" }).click();
  await look(page, "company-settings");
  await page.getByRole("link", { name: "pos", exact: true }).click();
  const shop = `Fjord ${test.info().project.name}`;
  await field(page, "/receipt/header").fill(`${shop}\nHarbour 3`);
  await field(page, "/receipt/footer").fill("Takk!");
  await page.getByRole("button", { name: "Show a preview" }).click();
  await expect(page.getByRole("status")).toContainText("nothing is saved yet");
  await expect(page.getByRole("region", { name: "Receipt" })).toContainText(shop);
  await look(page, "company-receipt");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("status")).toContainText("Saved");

  await field(page, "/receipt/width").fill("7");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(field(page, "/receipt/width")).toHaveAttribute("aria-invalid", "true");
  await expect(field(page, "/receipt/width-error")).toBeVisible();
  await expect(field(page, "/receipt/header")).toHaveValue(`${shop}\nHarbour 3`);
  await look(page, "company-receipt-refused");

  await page.goto(`${PAGES}/user/settings/pos`);
  await field(page, "/receipt/footer").fill("Ha det!");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(field(page, "/receipt/footer")).toHaveValue("Ha det!");
  await page.getByRole("button", { name: /^Take it back: version/ }).first().click();
  await expect(page.getByRole("status")).toContainText("The earlier version is in force again");
  await expect(field(page, "/receipt/footer")).toHaveValue("Takk!");
  await look(page, "company-receipt-back");
});

test("an approval workflow is set, as a form and as JSON @look @plain", async ({ page }) => {
  await come(page);
  await page.goto(`${PAGES}/user/settings/procurement`);
  await field(page, "/approvals/0/above").fill("250.00");
  await field(page, "/approvals/0/role").selectOption("procurement-director");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("status")).toContainText("Saved");
  await look(page, "company-workflow");
  await page.getByRole("link", { name: "Edit as JSON" }).click();
  await expect(field(page, "json")).toHaveValue(/procurement-director/);
  await field(page, "json").fill("{ nothing");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(field(page, "json")).toHaveAttribute("aria-invalid", "true");
  await look(page, "company-workflow-json");
});

test("a theme is looked at before all pages have it @look @plain", async ({ page }) => {
  await come(page);
  await page.goto(`${PAGES}/user/settings/ui`);
  await field(page, "/theme/accent").fill("#7a1f5c");
  await field(page, "/theme/logoText").fill("Fjord & Co");
  await page.getByRole("button", { name: "Show a preview" }).click();
  await expect(page.locator(".preview .band")).toHaveText("Fjord & Co");
  await expect(page.locator(".preview .band")).toHaveCSS("background-color", "rgb(122, 31, 92)");
  await look(page, "company-theme");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("status")).toContainText("Saved");
  await expect(async () => {
    await page.goto(`${PAGES}/user/`);
    await expect(page.locator("header")).toHaveCSS("background-color", "rgb(122, 31, 92)", { timeout: 100 });
  }).toPass({ timeout: 5_000 });
  await look(page, "company-themed");
  await page.goto(`${PAGES}/user/settings/ui`);
  await page.getByRole("button", { name: "Take the defaults back" }).click();
  await expect(page.getByRole("status")).toContainText("The defaults are in force again");
});

test("who was slower is told so, and sees what was not saved", async ({ page, browser, contextOptions }) => {
  await come(page);
  await page.goto(`${PAGES}/user/settings/crm`);
  const context = await browser.newContext(contextOptions);
  const other = await context.newPage();
  await come(other);
  for (const [who, name] of [[other, "loyalty"], [page, "region"]]) {
    if (who === other) await other.goto(`${PAGES}/user/settings/crm`);
    await field(who, "/customFields/contact/0/name").fill(name);
    await field(who, "/customFields/contact/0/type").selectOption("Text");
    await who.getByRole("button", { name: "Save" }).click();
  }
  await expect(page.getByRole("alert")).toContainText("changed meanwhile");
  await expect(field(page, "/customFields/contact/0/name")).toHaveValue("region");
  await look(page, "company-conflict");
  await context.close();
});

test("by keyboard alone", async ({ page }) => {
  await page.goto(`${PAGES}/user/sign-in`);
  await tabTo(page, page.getByRole("link", { name: "Skip to the content" }), 1);
  await tabTo(page, page.getByLabel("Company", { exact: true }));
  await page.keyboard.type(COMPANY);
  await tabTo(page, page.getByLabel("Email address"));
  await page.keyboard.type(ADMINISTRATOR);
  await tabTo(page, page.getByLabel("Password", { exact: true }));
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Your page" })).toBeVisible();
  await tabTo(page, page.getByRole("link", { name: "Settings" }));
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("link", { name: "pos", exact: true }));
  await page.keyboard.press("Enter");
  await tabTo(page, field(page, "/receipt/width"));
  await page.keyboard.type("4");
  await tabTo(page, page.getByRole("button", { name: "Save" }));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toBeVisible();
});
