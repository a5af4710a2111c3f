import axe from 'axe-core';
import { everyPage, expect, hydrated, settings, tenantPath, test } from '../fixtures.js';

test('the overview shows the demo tenant and its state', async ({ page }) => {
  await page.goto('/');
  const row = page.getByRole('row').filter({ has: page.locator(`a[href="${tenantPath()}"]`) });
  await expect(row).toBeVisible();
  await expect(row).toContainText(/Protected|Needs attention|Failing|Not set up/);
});

test('every page hydrates without a complaint, and axe finds nothing serious', async ({ page }) => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const path of await everyPage(page)) {
      await page.goto(path);
      await hydrated(page);
      await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
      expect(await page.title(), path).toMatch(/\S · Holdfast$/);
      // Evaluated by the browser's debugger, so the content security policy stays as it is.
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
      expect(serious, `${path}, ${colorScheme}`).toEqual([]);
    }
  }
});

test('dark is dark', async ({ page }) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/');
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await background()).not.toBe(light);
});

test('times are local once hydrated, and exact in UTC on hover', async ({ page }) => {
  await page.goto(tenantPath('/agents'));
  await hydrated(page);
  await expect(page.getByRole('contentinfo')).toContainText('Europe/Berlin');
  await expect(page.locator('main time').first()).toHaveAttribute('title', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
});

test.describe('an address that leads nowhere', () => {
  test.use({ expectedComplaints: [/Failed to load resource.*404/] });

  for (const path of ['/no-such-page', '/tenants/tnt_00000000000000000000000000000000', tenantPath('/runs/nonsense')]) {
    test(`says so: ${path.replace(settings.tenant, 'tnt_…')}`, async ({ page }) => {
      const response = await page.goto(path);
      expect(response.status()).toBe(404);
      await expect(page.getByRole('alert').filter({ hasText: 'Not found' })).toBeVisible();
    });
  }
});

test('a narrow screen needs no sideways scrolling', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  for (const path of await everyPage(page)) {
    await page.goto(path);
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    expect(wide, path).toBeLessThanOrEqual(room);
  }
});

// A hundred letters without a gap.
const long = 'W'.repeat(100);

test('a name of a hundred letters pushes nothing out of sight', async ({ page }) => {
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 800 });
    for (const path of await everyPage(page)) {
      await page.goto(path);
      await hydrated(page);
      // The names on the page, as somebody might have given them.
      await page.evaluate((long) => {
        const names = 'tbody th a, tbody th:not(:has(a)), tbody td.long, tbody td.mono, h1, h3, .tenant-name, .crumbs li, .reasons li, dd a';
        for (const name of document.querySelectorAll(names)) name.textContent = long;
        for (const button of document.querySelectorAll('.buttons a')) button.textContent = `Enroll an endpoint for ${long}`;
        for (const option of document.querySelectorAll('option')) option.textContent = long;
      }, long);
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
      expect(wide, `${path} at ${width}`).toBeLessThanOrEqual(room);
      for (const box of await page.locator('.table-box').all()) {
        const [content, visible] = await box.evaluate((box) => [box.scrollWidth, box.clientWidth]);
        expect(content, `a table of ${path} at ${width}`).toBeLessThanOrEqual(visible);
      }
    }
  }
});

test('every tab is in sight on a narrow screen', async ({ page }) => {
  for (const width of [400, 320]) {
    await page.setViewportSize({ width, height: 740 });
    await page.goto(tenantPath());
    const tabs = page.getByRole('navigation', { name: 'Customer' }).getByRole('link');
    await expect(tabs).toHaveCount(5);
    for (const tab of await tabs.all()) {
      const { x, width: wide } = await tab.boundingBox();
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x + wide).toBeLessThanOrEqual(width);
    }
  }
});

test('the keyboard gets past the header', async ({ page }) => {
  await page.goto('/');
  await hydrated(page);
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('#main')).toBeFocused();
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('every page is there whole', async ({ page }) => {
    for (const path of await everyPage(page)) {
      const response = await page.goto(path);
      expect(response.status(), path).toBe(200);
      await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
      await expect(page.getByRole('main')).not.toContainText('Loading');
      expect(await page.title(), path).toMatch(/\S · Holdfast$/);
    }
  });
});
