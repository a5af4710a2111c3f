// How long the console's own WebAssembly takes to simulate: run by `cargo xtask bench planner`.
// Arguments: the console's pkg folder, a file with the simulation, rounds. Prints one JSON object.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { chromium } from '@playwright/test';

const [pkg, input, rounds] = process.argv.slice(2);
const types = { '.js': 'text/javascript', '.wasm': 'application/wasm' };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  const page = await browser.newPage();
  // No server is needed: the browser asks, and gets the files.
  await page.route('http://bench.test/**', async (route) => {
    const name = path.basename(new URL(route.request().url()).pathname);
    if (name === 'page') {
      await route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>bench</title>' });
    } else {
      await route.fulfill({ contentType: types[path.extname(name)], body: await readFile(path.join(pkg, name)) });
    }
  });
  await page.goto('http://bench.test/page');
  const simulation = await readFile(input, 'utf8');
  const answer = await page.evaluate(
    async ([simulation, rounds]) => {
      const { default: init, simulate } = await import('http://bench.test/frontend.js');
      await init({ module_or_path: 'http://bench.test/frontend_bg.wasm' });
      const milliseconds = [];
      let days = 0;
      for (let round = 0; round < rounds; round += 1) {
        const begun = performance.now();
        const timeline = simulate(simulation);
        milliseconds.push(performance.now() - begun);
        days = JSON.parse(timeline).days.length;
      }
      return { milliseconds, days };
    },
    [simulation, Number(rounds)],
  );
  console.log(JSON.stringify({ ...answer, browser: browser.version() }));
} finally {
  await browser.close();
}
