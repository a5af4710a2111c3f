// What the tests need to know of the server under test.
import { fileURLToPath } from 'node:url';

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the browser test with \`cargo xtask test\``);
  return value;
}

export const settings = {
  url: need('HOLDFAST_URL'),
  email: need('HOLDFAST_EMAIL'),
  password: need('HOLDFAST_PASSWORD'),
  // The demo tenant's id, and the name of one of its sources whose agent is online.
  tenant: need('HOLDFAST_TENANT'),
  source: need('HOLDFAST_SOURCE'),
  s3: {
    endpoint: need('HOLDFAST_S3_ENDPOINT'),
    accessKey: need('HOLDFAST_S3_ACCESS_KEY'),
    secretKey: need('HOLDFAST_S3_SECRET_KEY'),
  },
  // A recovery public key that is well formed; nothing is ever sealed to it here.
  recoveryKey:
    process.env.HOLDFAST_RECOVERY_KEY ??
    'hfrk1ogugb6gvq4ocivr265xiod2yfqzsyliamqacz53e2adi6pvyevbui6nr54nnvslknrd25zty3kfcbdma2syzpkgtfyw7m6qtbr3dqhnsnzkyk',
  chromium: process.env.CHROMIUM ?? '/usr/bin/chromium',
  // Where the first test leaves its session for the others.
  session: fileURLToPath(new URL('./node_modules/.session.json', import.meta.url)),
};
