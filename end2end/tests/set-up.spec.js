import { expect, hydrated, open, settings, test } from '../fixtures.js';

// A customer of its own for each run, so that the demo tenant stays as it is.
const unique = Date.now().toString(36);

async function newCustomer(page, name) {
  await page.goto('/');
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: 'Add customer' }).click();
  await expect(page).toHaveURL(/\/tenants\/tnt_[0-9a-f]{32}$/);
  return new URL(page.url()).pathname;
}

async function fillStorageAccount(page, secretKey) {
  await page.getByLabel('Name', { exact: true }).fill('Lockbox');
  await page.getByLabel('Endpoint').fill(settings.s3.endpoint);
  await page.getByLabel('Region').fill('us-east-1');
  await page.getByLabel('Access key').fill(settings.s3.accessKey);
  await page.getByLabel('Secret key').fill(secretKey);
  await page.getByLabel(/Path-style/).check();
  await page.getByRole('button', { name: 'Add storage account' }).click();
}

async function fillBackupSet(page, bucket, create) {
  await page.getByLabel('Name', { exact: true }).fill('Main');
  await page.getByLabel(create ? /Create the bucket/ : /Use a bucket that exists/).check();
  await page.getByLabel('Bucket name').fill(bucket);
  await page.getByLabel('Immutable retention policy').check();
  await page.getByLabel('Lock each backup for').fill('2');
  await page.getByLabel('Recovery public key').fill(settings.recoveryKey);
  await page.getByRole('button', { name: 'Create backup set' }).click();
}

async function typedIsStillThere(page, bucket) {
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Main');
  await expect(page.getByLabel(/Use a bucket that exists/)).toBeChecked();
  await expect(page.getByLabel('Bucket name')).toHaveValue(bucket);
  await expect(page.getByLabel('Immutable retention policy')).toBeChecked();
  await expect(page.getByLabel('Lock each backup for')).toHaveValue('2');
  await expect(page.getByLabel('Recovery public key')).toHaveValue(settings.recoveryKey);
}

async function theWholeWay(page, kind) {
  const customer = await newCustomer(page, `Browser test ${unique} ${kind}`);
  await page.getByRole('link', { name: 'Add a storage account' }).click();

  await fillStorageAccount(page, 'not-the-secret-key');
  await expect(page.getByRole('alert')).toContainText(/\S{3}/);
  await expect(page.getByLabel('Endpoint')).toHaveValue(settings.s3.endpoint);
  await fillStorageAccount(page, settings.s3.secretKey);
  await expect(page).toHaveURL(new RegExp(`${customer}/backup-sets/new`));

  // A bucket that does not exist is refused, with what to do, and nothing typed is lost.
  const missing = `no-such-bucket-${unique}`;
  await fillBackupSet(page, missing, false);
  await expect(page.getByRole('alert')).toContainText(missing);
  await typedIsStillThere(page, missing);

  const bucket = `browser-${unique}-${kind}`;
  await fillBackupSet(page, bucket, true);
  await expect(page).toHaveURL(new RegExp(`${customer}/backup-sets/set_`));
  await expect(page.getByRole('heading', { level: 1, name: 'Main' })).toBeVisible();
  await expect(page.getByRole('main')).toContainText('COMPLIANCE');
  await expect(page.getByRole('main')).toContainText('2 days');

  await page.getByRole('button', { name: 'Look into the bucket now' }).click();
  await expect(page.getByText('Looked at')).toBeVisible();

  await page.getByRole('button', { name: 'Enroll an endpoint' }).click();
  const command = page.getByRole('group', { name: 'Command that enrolls an endpoint' });
  await expect(command).toContainText('holdfast-agent enroll');
  await expect(command).toContainText(/--fingerprint \S+ <<'TOKEN'\s+hfe_\S+\s+TOKEN/);

  await page.goto(customer);
  await expect(page.locator('.step.next')).toContainText('Enroll an endpoint');
  return { customer, command };
}

test.describe('from nothing to an enrollment command', () => {
  test.use({ expectedComplaints: [/Failed to load resource.*422/] });

  test('hydrated', async ({ page }) => {
    await open(page, '/');
    await theWholeWay(page, 'js');
  });

  test('the date of the lock follows the number of days', async ({ page }) => {
    await open(page, `/tenants/${settings.tenant}/backup-sets/new`);
    const days = page.getByLabel('Lock each backup for');
    const date = page.locator('#lock-date strong');
    await days.fill('1');
    const one = await date.textContent();
    await days.fill('400');
    await expect(date).not.toHaveText(one);
    await expect(date).toHaveText(/^\d{1,2} [A-Z][a-z]{2} \d{4}$/);
    await page.getByLabel(/^GOVERNANCE/).check();
    await expect(page.getByText('an intruder who has the account')).toBeVisible();
    await page.getByLabel('Recovery public key').fill('hfrk1mistyped');
    await expect(page.getByText('Not a usable key')).toBeVisible();
  });
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('from nothing to an enrollment command, which is shown once', async ({ page }) => {
    await theWholeWay(page, 'plain');
    await page.goBack();
    await page.reload();
    await expect(page.getByRole('group', { name: 'Command that enrolls an endpoint' })).toHaveCount(0);
  });
});

test('a page that was opened from a link of the console is hydrated too', async ({ page }) => {
  await open(page, '/');
  await page.locator(`a[href="/tenants/${settings.tenant}"]`).click();
  await expect(page).toHaveURL(new RegExp(settings.tenant));
  await hydrated(page);
  await expect(page.locator('#main')).toBeFocused();
});
