// The server, the agent and the demo tenant are already there: `cargo xtask test` starts them and says by
// environment variables where they are. See settings.js.
import { defineConfig, devices } from '@playwright/test';
import { settings } from './settings.js';

export default defineConfig({
  testDir: './tests',
  outputDir: './test-results',
  // One agent, one demo tenant: tests take turns.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    ...devices['Desktop Chrome'],
    baseURL: settings.url,
    timezoneId: 'Europe/Berlin',
    screenshot: 'only-on-failure',
    trace: 'off',
    launchOptions: {
      executablePath: settings.chromium,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'sign-in', testMatch: 'sign-in.spec.js' },
    {
      name: 'console',
      testIgnore: 'sign-in.spec.js',
      dependencies: ['sign-in'],
      use: { storageState: settings.session },
    },
  ],
});
