import { expect, hydrated, open, settings, tenantPath, test } from '../fixtures.js';

async function fill(page, password) {
  await page.getByLabel('E-mail address').fill(settings.email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test.describe('a wrong password', () => {
  test.use({ expectedComplaints: [/Failed to load resource.*401/] });

  test('is refused, and the address stays typed', async ({ page }) => {
    await open(page, '/sign-in');
    await fill(page, 'not-the-password');
    await expect(page.getByRole('alert')).toContainText('wrong');
    await expect(page.getByLabel('E-mail address')).toHaveValue(settings.email);
    await expect(page).toHaveURL(/\/sign-in/);
  });
});

test('a protected page asks to sign in first, then comes back', async ({ page }) => {
  await page.goto(tenantPath('/snapshots'));
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await hydrated(page);
  await fill(page, settings.password);
  await expect(page).toHaveURL(new RegExp(`${tenantPath('/snapshots')}$`));
  await expect(page.getByRole('banner')).toContainText(settings.email);
  await page.context().storageState({ path: settings.session });
});

test('signing out ends the session', async ({ page }) => {
  await open(page, '/sign-in');
  await fill(page, settings.password);
  await page.locator(`a[href="${tenantPath()}"]`).first().click();
  await expect(page.getByRole('navigation', { name: 'Customer' })).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/\/sign-in$/);
  await page.goto(tenantPath());
  await expect(page).toHaveURL(/\/sign-in\?next=/);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('signing in, a wrong password, and signing out work', async ({ page }) => {
    await page.goto('/sign-in');
    await fill(page, 'not-the-password');
    await expect(page.getByRole('alert')).toContainText('wrong');
    await expect(page.getByLabel('E-mail address')).toHaveValue(settings.email);
    await fill(page, settings.password);
    await expect(page.getByRole('heading', { level: 1, name: 'Customers' })).toBeVisible();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page.getByRole('button', { name: 'Sign in' })).toBeVisible();
    await page.goto('/');
    await expect(page).toHaveURL(/\/sign-in/);
  });
});
