import { expect, open, settings, sourceCard, tenantPath, test } from '../fixtures.js';

test('back up now shows progress until S3 has confirmed every lock, and the snapshot says until when', async ({ page }) => {
  await open(page, tenantPath());
  const card = sourceCard(page);
  const newest = card.locator('a[href*="/snapshots/snp_"]');
  const before = (await newest.count()) ? await newest.getAttribute('href') : '';
  await card.getByRole('button', { name: 'Back up now' }).click();
  await expect(card.getByRole('progressbar')).toBeVisible();
  await expect(card.getByRole('button', { name: 'Back up now' })).toBeVisible({ timeout: 90_000 });
  await expect(newest).not.toHaveAttribute('href', before);

  await newest.click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(settings.source);
  await expect(page.locator('.page-head')).toContainText('Complete');
  await expect(page.locator('.lock-until time')).toHaveText(/^\d{1,2} [A-Z][a-z]{2} \d{4}$/);
  const until = Date.parse(await page.locator('.lock-until time').getAttribute('datetime'));
  expect(until).toBeGreaterThan(Date.now());
  await expect(page.locator('.timeline svg')).toBeVisible();
});

test('a run is followed on its own page', async ({ page }) => {
  await open(page, tenantPath());
  await sourceCard(page).getByRole('button', { name: 'Back up now' }).click();
  // The link in the card goes when the run is over, which may be soon.
  await page.getByRole('link', { name: 'Activity' }).click();
  await page.locator('main a.row-link[href*="/runs/run_"]').first().click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(settings.source);
  await expect(page.locator('.page-head')).toContainText('Complete', { timeout: 90_000 });
  await expect(page.getByText('files and folders')).toBeVisible();
  await expect(page.getByRole('link', { name: 'To the snapshot' })).toBeVisible();
});

test('restores are allowed, their command is there to paste, and the permission is ended by hand', async ({ page }) => {
  await open(page, tenantPath('/snapshots'));
  await page.locator('main a.row-link').first().click();
  await expect(page.getByRole('heading', { name: 'Restore' })).toBeVisible();
  const allow = page.getByRole('button', { name: 'Allow restores' });
  if (await allow.count()) await allow.click();
  const command = page.getByRole('group', { name: 'Command that restores this snapshot' });
  await expect(command).toContainText('holdfast-agent restore --snapshot snp_');
  await expect(page.locator('main .badge', { hasText: /^\s*Allowed\s*$/ })).toBeVisible();
  await page.getByText('End the permission now').click();
  await page.getByRole('button', { name: 'End the permission' }).click();
  await expect(page.getByText('Ended by hand').first()).toBeVisible();
  await expect(allow).toBeVisible();
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('back up now leads to the run, which asks again until it is complete', async ({ page }) => {
    await page.goto(tenantPath());
    await sourceCard(page).getByRole('button', { name: 'Back up now' }).click();
    await expect(page).toHaveURL(/\/runs\/run_/);
    await expect(page.locator('.page-head')).toContainText('Complete', { timeout: 90_000 });
  });
});
