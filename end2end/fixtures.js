// A page that fails its test when the browser complains: script errors, refused resources, violations of the
// content security policy.
import { test as base, expect } from '@playwright/test';
import { settings } from './settings.js';

export const test = base.extend({
  // Complaints that a test brings about on purpose, such as a refused form.
  expectedComplaints: [[], { option: true }],

  page: async ({ page, expectedComplaints }, use) => {
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(`script error: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await use(page);
    const unexpected = complaints.filter((text) => !expectedComplaints.some((known) => known.test(text)));
    expect(unexpected, 'the browser complained').toEqual([]);
  },
});

/// Goes to a page and waits until it is hydrated.
export async function open(page, path) {
  await page.goto(path);
  await hydrated(page);
}

export async function hydrated(page) {
  await expect(page.locator('html')).toHaveAttribute('data-hydrated', '');
}

export const tenantPath = (page = '') => `/tenants/${settings.tenant}${page}`;

/// The card of the demo source.
export const sourceCard = (page) => page.getByRole('article', { name: settings.source, exact: true });

/// Addresses of one of each of the pages that a signed-in person reaches.
export async function everyPage(page) {
  const paths = [
    '/',
    tenantPath(),
    tenantPath('/snapshots'),
    tenantPath('/activity'),
    tenantPath('/agents'),
    tenantPath('/storage'),
    tenantPath('/storage-accounts/new'),
    tenantPath('/backup-sets/new'),
    tenantPath('/sources/new'),
  ];
  for (const [list, part] of [
    ['/snapshots', '/snapshots/snp_'],
    ['/activity', '/runs/run_'],
    ['/storage', '/backup-sets/set_'],
  ]) {
    await page.goto(tenantPath(list));
    const link = page.locator(`main a.row-link[href*="${part}"]`).first();
    if (await link.count()) paths.push(await link.getAttribute('href'));
  }
  return paths;
}

export { expect, settings };
