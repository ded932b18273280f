// Style that matters, as a test: import direction and cycles, purity, head comments, line and function length, and a
// README line for every fixture. What a compiler or linter already says is not repeated here.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const CODE = ['hw', 'driver', 'src'].flatMap((folder) => filesBelow(join(ROOT, folder), '.ts'));
const ALL = [...CODE, ...filesBelow(join(ROOT, 'test'), '.ts')];

function filesBelow(folder: string, ending: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) found.push(...filesBelow(path, ending));
    else if (name.endsWith(ending)) found.push(path);
  }
  return found;
}

const show = (path: string): string => relative(ROOT, path);
const text = (path: string): string => readFileSync(path, 'utf8');

function importsOf(path: string): { target: string; typeOnly: boolean }[] {
  const found: { target: string; typeOnly: boolean }[] = [];
  const pattern = /^(?:import|export)\s+(type\s+)?[^'";]*?from\s+'([^']+)'/gm;
  for (const match of text(path).matchAll(pattern))
    if (match[2].startsWith('.'))
      found.push({ target: resolve(dirname(path), match[2]), typeOnly: match[1] !== undefined });
  return found;
}

/** Which layers a layer may import from. */
function layerOf(path: string): string {
  const parts = show(path).split('/');
  return parts[0] === 'src' && parts[1] === 'node' ? 'src/node' : parts[0];
}

const MAY_IMPORT: Record<string, string[]> = {
  hw: ['hw'],
  driver: ['hw', 'driver'],
  src: ['hw', 'driver', 'src'],
  'src/node': ['hw', 'driver', 'src', 'src/node'],
};

describe('tidy', () => {
  it('imports go one way: hw <- driver <- src <- src/node', () => {
    const wrong: string[] = [];
    for (const path of CODE)
      for (const { target } of importsOf(path))
        if (!MAY_IMPORT[layerOf(path)].includes(layerOf(target)))
          wrong.push(`${show(path)} imports ${show(target)}`);
    expect(wrong).toEqual([]);
  });

  it('has no import cycle at run time', () => {
    const cycles: string[] = [];
    const state = new Map<string, 'open' | 'done'>();
    const visit = (path: string, trail: string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(path)), path].map(show).join(' -> '));
        return;
      }
      state.set(path, 'open');
      for (const { target, typeOnly } of importsOf(path))
        if (!typeOnly && CODE.includes(target)) visit(target, [...trail, path]);
      state.set(path, 'done');
    };
    for (const path of CODE) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('opens every file with a comment that says what it is for', () => {
    const bare = ALL.filter((path) => !/^(#!.*\n)?(\/\/|\/\*)/.test(text(path)));
    expect(bare.map(show)).toEqual([]);
  });

  it('keeps lines to 100 columns, comments to 140', () => {
    const long: string[] = [];
    for (const path of ALL)
      text(path)
        .split('\n')
        .forEach((line, index) => {
          const limit = /^\s*(\/\/|\*|\/\*)|\/\/ /.test(line) ? 140 : 100;
          // A string or pattern that cannot be broken (a message, a hex frame) may run over.
          if (line.length > limit && !/['`/][^'`]{50,}['`/]/.test(line) && !/import/.test(line))
            long.push(`${show(path)}:${index + 1}`);
        });
    expect(long).toEqual([]);
  });

  it('keeps functions to 70 lines and files to 500', () => {
    const long: string[] = [];
    for (const path of CODE) {
      const lines = text(path).split('\n');
      if (lines.length > 501) long.push(`${show(path)}: ${lines.length} lines`);
      let start = -1;
      lines.forEach((line, index) => {
        const opens =
          /^(?: {2})?(?:export |private |async |static |override |get |set )*(?:function )?[A-Za-z_]\w*(?:<[^>]*>)?\(.*[{(,]$/;
        if (
          start < 0 &&
          opens.test(line) &&
          !/^(?: {2})?(?:if|for|while|switch|return)\b/.test(line)
        )
          start = index;
        if (start >= 0 && line === `${/^ */.exec(lines[start])?.[0] ?? ''}}`) {
          if (index - start + 1 > 70)
            long.push(`${show(path)}:${start + 1}: ${index - start + 1} lines`);
          start = -1;
        }
      });
    }
    expect(long).toEqual([]);
  });

  it('names every fixture in a README of its folder or above', () => {
    const root = join(ROOT, 'fixtures');
    const missing = filesBelow(root, '').filter((path) => {
      if (path.endsWith('README.md')) return false;
      for (let folder = dirname(path); ; folder = dirname(folder)) {
        const name = relative(folder, path);
        try {
          const readme = text(join(folder, 'README.md'));
          if (readme.includes(name) || readme.includes(`${dirname(name)}/*`)) return false;
        } catch {
          // no README in this folder: look above
        }
        if (folder === root) return true;
      }
    });
    expect(missing.map(show)).toEqual([]);
  });
});
