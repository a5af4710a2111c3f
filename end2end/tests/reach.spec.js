// What a page does without its server, and without its session.
import { expect, open, settings, sourceCard, tenantPath, test } from '../fixtures.js';

const note = (page) => page.locator('.reach-note');

/// The ways in which a server is away: no connection, or a proxy that answers in its place.
const absences = {
  'nothing answers': (route) => route.abort('connectionrefused'),
  'a proxy answers': (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }),
};

test.describe('a page that lost its server', () => {
  test.use({ expectedComplaints: [/Failed to load resource|EventSource|net::ERR/] });

  for (const [how, answer] of Object.entries(absences)) {
    test(`stays as it is, says so, and comes alive again: ${how}`, async ({ page }) => {
      await open(page, tenantPath('/activity'));
      await expect(page.locator('.table-box').first()).toBeVisible();
      const away = /\/console\/(fn|events)/;
      await page.route(away, answer);
      // Another page of the console is asked for: it cannot be had, and what is there stays.
      await page.getByRole('navigation', { name: 'Customer' }).getByRole('link', { name: 'Agents' }).click();
      await expect(note(page)).toContainText('cannot be reached');
      await expect(page.locator('body')).not.toContainText(/TypeError|Failed to fetch|error deserializing/i);
      await expect(page.getByText('That did not work')).toHaveCount(0);
      await page.unroute(away);
      await expect(note(page)).toBeEmpty({ timeout: 20_000 });
      await expect(page.getByRole('region', { name: 'Agents' })).toBeVisible();
    });
  }

  test('a form that was not answered says so in words', async ({ page }) => {
    await open(page, '/');
    await page.route(/\/console\/fn\/create_tenant/, absences['nothing answers']);
    await page.getByLabel('Name').fill('Never made');
    await page.getByRole('button', { name: 'Add customer' }).click();
    await expect(page.getByRole('alert').filter({ hasText: 'no usable answer' })).toBeVisible();
    await expect(page.locator('body')).not.toContainText(/TypeError|Failed to fetch/);
    await expect(page.getByLabel('Name')).toHaveValue('Never made');
  });
});

test.describe('a session that ended', () => {
  test.use({ expectedComplaints: [/Failed to load resource.*401|EventSource/] });

  test('is told with a link that leads back to the page', async ({ page }) => {
    await open(page, tenantPath('/snapshots?from=2020-01-01'));
    await page.context().clearCookies();
    await page.getByRole('navigation', { name: 'Customer' }).getByRole('link', { name: 'Agents' }).click();
    await expect(page.getByRole('heading', { name: 'Your session has ended' })).toBeVisible();
    await page.getByRole('link', { name: 'Sign in', exact: true }).click();
    await signInAgain(page);
    await expect(page).toHaveURL(new RegExp(`${tenantPath('/agents')}$`));
    await expect(page.getByRole('region', { name: 'Agents' })).toBeVisible();
  });

  test('is told at a form, too', async ({ page }) => {
    await open(page, tenantPath());
    await page.context().clearCookies();
    await sourceCard(page).getByRole('button', { name: 'Back up now' }).click();
    const alert = page.getByRole('alert').filter({ hasText: 'session has ended' }).first();
    await expect(alert).toBeVisible();
    await page.getByRole('link', { name: /^Sign in/ }).first().click();
    await signInAgain(page);
    await expect(page).toHaveURL(new RegExp(`${tenantPath()}$`));
  });
});

async function signInAgain(page) {
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await expect(page.getByText('Sign in to go on')).toBeVisible();
  await page.getByLabel('E-mail address').fill(settings.email);
  await page.getByLabel('Password').fill(settings.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
