// docs/trace.md is what the table of steps says.

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { traceDocument } from '../../../src/report/trace-doc.ts';

const FILE = new URL('../../../docs/trace.md', import.meta.url);

it('docs/trace.md is up to date (UPDATE_DOCS=1 writes it)', () => {
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(FILE, traceDocument());
  expect(readFileSync(FILE, 'utf8')).toBe(traceDocument());
});
