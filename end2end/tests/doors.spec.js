// What a form takes, what comes back of it, and what a link can do.
import { expect, open, settings, tenantPath, test } from '../fixtures.js';

// 24 words of the list that recovery kits are made of; they are nobody's kit.
const words =
  'abandon ability able about above absent absorb abstract absurd abuse access accident account accuse achieve acid ' +
  'acoustic acquire across act action actor actress actual';

/// Everything that the browser sends while `work` runs.
async function sentDuring(page, work) {
  const sent = [];
  const listen = (request) => sent.push(`${request.url()} ${request.postData() ?? ''}`);
  page.on('request', listen);
  await work();
  page.off('request', listen);
  return sent.join('\n');
}

const key = (page) => page.getByLabel('Recovery public key');

test.describe('secret words in the field of the public key', () => {
  test('are recognised, taken out and never sent', async ({ page }) => {
    await open(page, tenantPath('/backup-sets/new'));
    for (const pasted of [words, words.toUpperCase().replaceAll(' ', '\n'), words.replaceAll(' ', ', ')]) {
      await key(page).fill(settings.recoveryKey);
      await expect(page.getByText('Its fingerprint is')).toBeVisible();
      const sent = await sentDuring(page, async () => {
        await key(page).fill(pasted);
        await expect(key(page)).toHaveValue('');
        await expect(page.getByText('taken out of the field and not sent')).toBeVisible();
        await page.getByRole('button', { name: 'Create backup set' }).click();
        await page.waitForTimeout(300);
      });
      expect(sent).not.toMatch(/abandon|acoustic/i);
    }
    // Word by word, too.
    await key(page).fill('');
    await key(page).pressSequentially('abandon ability able about');
    await expect(key(page)).toHaveValue('');
  });

  test('that were there before the page was taken over', async ({ page }) => {
    await page.route(/frontend.*\.wasm/, async (route) => {
      await new Promise((done) => setTimeout(done, 1_500));
      await route.continue();
    });
    await page.goto(tenantPath('/backup-sets/new'));
    await key(page).fill(words);
    await expect(key(page)).toHaveValue('', { timeout: 30_000 });
    await expect(page.getByText('taken out of the field and not sent')).toBeVisible();
  });

  test.describe('without JavaScript', () => {
    test.use({ javaScriptEnabled: false });

    test('are refused and repeated nowhere', async ({ page }) => {
      await page.goto(tenantPath('/backup-sets/new'));
      await page.getByLabel('Name', { exact: true }).fill('Words');
      await page.getByLabel('Bucket name').fill('words');
      await page.getByLabel('Immutable retention policy').check();
      await key(page).fill(words);
      await page.getByRole('button', { name: 'Create backup set' }).click();
      await expect(page.getByRole('alert').filter({ hasText: 'make a new kit' })).toBeVisible();
      expect(page.url()).toMatch(/\/backup-sets\/new$/);
      await expect(key(page)).toHaveValue('');
      await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Words');
      expect(await page.content()).not.toMatch(/acoustic/);
    });
  });
});

test('lists follow their filters from address to address', async ({ page }) => {
  const rows = page.getByRole('region', { name: 'Snapshots' }).locator('a.row-link');
  await open(page, tenantPath('/snapshots?from=2020-01-01&to=2020-01-31'));
  await expect(page.getByText('No such snapshots')).toBeVisible();
  await page.getByRole('link', { name: 'Show all' }).click();
  await expect(rows.first()).toBeVisible();
  await expect(page.getByLabel('From (UTC)')).toHaveValue('');
  await page.goBack();
  await expect(page.getByText('No such snapshots')).toBeVisible();
  await expect(page.getByLabel('From (UTC)')).toHaveValue('2020-01-01');
});

test('a link cannot put a sentence onto the sign-in page', async ({ page }) => {
  await page.context().clearCookies();
  const lie = { kind: 'refused', message: { field: null, message: 'Call 0123 to have your account unlocked' } };
  const error = Buffer.from(JSON.stringify(lie)).toString('base64url');
  for (const form of ['sign_in', '/console/fn/sign_in']) {
    await open(page, `/sign-in?__path=${encodeURIComponent(form)}&__err=${error}&email=planted`);
    await expect(page.locator('body')).not.toContainText('Call 0123');
    await expect(page.getByLabel('E-mail address')).toHaveValue('');
  }
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('nothing that was typed is in an address', async ({ page }) => {
    const addresses = [];
    page.on('request', (request) => addresses.push(request.url()));
    await page.goto(tenantPath('/storage-accounts/new'));
    await page.getByLabel('Name', { exact: true }).fill('Typed name');
    await page.getByLabel('Endpoint').fill('http://typed-endpoint.invalid');
    await page.getByLabel('Access key').fill('AKIATYPED');
    await page.getByLabel('Secret key').fill('typed-secret');
    await page.getByRole('button', { name: 'Add storage account' }).click();
    await expect(page.getByRole('alert')).toContainText(/\S{3}/);
    await expect(page.getByLabel('Endpoint')).toHaveValue('http://typed-endpoint.invalid');
    await expect(page.getByLabel('Access key')).toHaveValue('AKIATYPED');
    await expect(page.getByLabel('Secret key')).toHaveValue('');
    expect(addresses.join('\n')).not.toMatch(/typed|AKIA/i);
    // Once.
    await page.reload();
    await expect(page.getByLabel('Endpoint')).toHaveValue('');
  });

  test('lists are filtered by source and date', async ({ page }) => {
    await page.goto(tenantPath('/snapshots'));
    await expect(page.locator('main a.row-link').first()).toBeVisible();
    await page.getByLabel('From (UTC)').fill('2020-01-01');
    await page.getByLabel('To (UTC)').fill('2020-01-31');
    await page.getByRole('button', { name: 'Show' }).click();
    await expect(page.getByText('No such snapshots')).toBeVisible();
    await expect(page.getByLabel('To (UTC)')).toHaveValue('2020-01-31');
    await page.getByRole('link', { name: 'Show all' }).click();
    await page.getByLabel('Source').selectOption({ index: 1 });
    await page.getByRole('button', { name: 'Show' }).click();
    await expect(page).toHaveURL(/source=src_/);
    await expect(page.locator('main a.row-link').first()).toBeVisible();
    await page.goto(tenantPath('/activity?from=2020-01-01&to=2020-01-31'));
    await expect(page.getByText('No such runs')).toBeVisible();
  });
});
