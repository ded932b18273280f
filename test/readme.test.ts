// The README stays true: its summary is what the program prints (UPDATE_DOCS=1 writes it), its commands exist, its links lead
// somewhere.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const README = join(ROOT, 'README.md');
const SUMMARY = /(The first prints:\n\n```\n)[\s\S]*?(```)/;

describe('README', () => {
  it('shows the summary that `npx flowtwin replay` prints', () => {
    const cli = join(ROOT, 'dist/bundle/node/cli.js');
    const printed = execFileSync(process.execPath, [cli, 'replay'], {
      encoding: 'utf8',
      cwd: ROOT,
    });
    if (process.env['UPDATE_DOCS'] === '1') {
      const text = readFileSync(README, 'utf8');
      writeFileSync(
        README,
        text.replace(SUMMARY, (_all, before: string, after: string) => before + printed + after),
      );
    }
    expect(SUMMARY.exec(readFileSync(README, 'utf8'))?.[0]).toContain(printed);
  });

  it.each(['README.md', 'ARCHITECTURE.md'])('%s: every link leads to a file', (name) => {
    const text = readFileSync(join(ROOT, name), 'utf8');
    const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1]);
    expect(links.filter((link) => !existsSync(join(ROOT, link)))).toEqual([]);
  });

  it('names only npm scripts that exist', () => {
    const text = readFileSync(README, 'utf8');
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...text.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1]);
    expect(named.filter((script) => scripts[script] === undefined)).toEqual([]);
  });
});
