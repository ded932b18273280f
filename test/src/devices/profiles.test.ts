// Device profiles: the shipped ones are valid and say where every number is from; a user's own file extends and overrides.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deviceNames, loadDevice } from '../../../src/node/device-files.ts';
import { judge, validationRows } from '../../../src/devices/validation.ts';
import { row } from '../../../src/devices/validation-row.ts';

const REQUIRED = [
  ...['intel-82599', 'intel-e810', 'mellanox-cx5', 'broadcom-bnxt', 'mediatek-mt7621'],
  ...['mediatek-mt7986', 'mellanox-spectrum', 'mellanox-spectrum2', 'tofino1', 'rocker-ofdpa'],
  ...['generic-nic', 'generic-switch'],
];

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowtwin-devices-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function own(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

describe('shipped profiles', () => {
  it('are all there and valid', () => {
    expect(deviceNames()).toEqual(expect.arrayContaining(REQUIRED));
    for (const name of deviceNames()) expect(loadDevice(name).name).toBe(name);
  });

  it('say "assumed" or "memory" where a source is our choice, nothing or memory', () => {
    for (const name of deviceNames()) {
      const device = loadDevice(name);
      const groups = [device.figures, ...Object.values(device.tables).map((t) => t.figures)];
      for (const figures of groups)
        for (const [key, { source, status }] of Object.entries(figures)) {
          const where = `${name} ${key}: ${source}`;
          if (/our choice|^no source/.test(source)) expect(status, where).toBe('assumed');
          if (/from memory/.test(source)) expect(['memory', 'assumed'], where).toContain(status);
        }
    }
  });

  it('have the figures of the data sheets and drivers', () => {
    const figureOf = (name: string, table: string, key: string) =>
      loadDevice(name).tables[table].figures[key].value;
    expect(figureOf('intel-e810', 'tcam', 'depth')).toBe(512);
    expect(figureOf('intel-e810', 'tcam', 'sliceBits')).toBe(40);
    expect(figureOf('intel-e810', 'tcam', 'slices')).toBe(16);
    expect(figureOf('intel-e810', 'tcam', 'rangeRegisters')).toBe(8);
    expect(figureOf('broadcom-bnxt', 'tcam', 'depth')).toBe(256);
    expect(figureOf('broadcom-bnxt', 'tcam', 'sliceBits')).toBe(82);
    expect(figureOf('broadcom-bnxt-p58', 'tcam', 'depth')).toBe(2048);
    expect(figureOf('broadcom-bnxt-p58', 'tcam', 'sliceBits')).toBe(162);
    expect(figureOf('mellanox-spectrum2', 'tcam', 'maxMasks')).toBe(16);
    expect(figureOf('rocker-ofdpa', 'flow', 'entries')).toBe(100);
    expect(loadDevice('mellanox-spectrum').figures['kvdEntries'].value).toBe(245760);
  });
});

describe("a user's own profile", () => {
  it('extends a shipped one: only what it gives differs', () => {
    const depth = { value: 64, source: 'my board', status: 'measured' };
    const path = own('mine.json', {
      schema: 'flowtwin-device/1',
      name: 'mine',
      extends: 'intel-e810',
      tables: { tcam: { figures: { depth } } },
    });
    const mine = loadDevice(path);
    const shipped = loadDevice('intel-e810');
    expect(mine.tables['tcam'].figures['depth']).toEqual(depth);
    expect(mine.tables['tcam'].figures['slices']).toEqual(shipped.tables['tcam'].figures['slices']);
    expect(mine.name).toBe('mine');
    const second = own('second.json', {
      schema: 'flowtwin-device/1',
      name: 'second',
      extends: path,
    });
    expect(loadDevice(second).tables['tcam'].figures['depth']).toEqual(depth);
  });

  it.each([
    ['not JSON', '{', /JSON/],
    ['a list', '[]', /expected a JSON object/],
    ['unknown key', { extends: 'intel-e810', name: 'x', speed: 1 }, /[Uu]nrecognized.*speed/],
    ['unknown base', { extends: 'nosuch', name: 'x' }, /no device 'nosuch'; there are/],
    [
      'field',
      { extends: 'intel-e810', name: 'x', tables: { tcam: { templates: { a: ['ip'] } } } },
      /templates/,
    ],
    [
      'figure without source',
      { extends: 'intel-e810', name: 'x', tables: { tcam: { figures: { depth: { value: 1 } } } } },
      /tables\.tcam\.figures\.depth/,
    ],
    [
      'engine without its figures',
      { extends: 'intel-e810', name: 'x', tables: { tcam: { engine: 'rows-per-priority' } } },
      /rowSlices: a table of this kind needs it/,
    ],
  ])('is refused in one line: %s', (_, value, message) => {
    const path = own(
      'bad.json',
      typeof value === 'string' ? value : { schema: 'flowtwin-device/1', ...value },
    );
    expect(() => loadDevice(path)).toThrow(message);
  });

  it('does not extend itself', () => {
    const path = own('loop.json', {
      schema: 'flowtwin-device/1',
      name: 'loop',
      extends: './loop.json',
    });
    expect(() => loadDevice(path)).toThrow(/extends itself/);
  });

  it('takes settings, and refuses those of what is not there', () => {
    const tables = loadDevice('intel-e810', ['tcam.depth=128', 'tcam.engine=parman']).tables;
    expect(tables['tcam'].figures['depth']).toMatchObject({
      value: 128,
      source: '--set',
      status: 'assumed',
    });
    expect(tables['tcam'].engine).toBe('parman');
    expect(() => loadDevice('intel-e810', ['nope.depth=1'])).toThrow(/has the tables fdir, tcam/);
    expect(() => loadDevice('intel-e810', ['tcam.height=1'])).toThrow(/no such figure/);
    expect(() => loadDevice('intel-e810', ['tcam.depth=x'])).toThrow(/expected a number/);
    expect(() => loadDevice('intel-e810', ['tcam.depth=0'])).toThrow(/whole number above 0/);
    expect(() => loadDevice('intel-e810', ['tcam.engine=magic'])).toThrow(/engine/);
    expect(() => loadDevice('intel-e810', ['depth'])).toThrow(/PATH=VALUE/);
    expect(() => loadDevice('generic-nic', ['exact.entries=1000'])).toThrow(/power of two/);
  });
});

describe('validation', () => {
  it('judges by tolerance, bound and exactness', () => {
    const held = (published: number, model: number, rest = {}) =>
      judge(row('V0', '', '', '', published, model, rest)).holds;
    expect(held(100, 100)).toBe(true);
    expect(held(100, 100.1)).toBe(false);
    expect(held(100, 104.9, { tolerance: 0.05 })).toBe(true);
    expect(held(100, 94.9, { tolerance: 0.05 })).toBe(false);
    expect(held(98, 120, { bound: 'least' })).toBe(true);
    expect(held(1, 0.5, { bound: 'most' })).toBe(true);
    expect(held(1, 1.2, { bound: 'most' })).toBe(false);
    expect(held(0, 0)).toBe(true);
    expect(held(0, 1)).toBe(false);
  });

  it('holds every gated figure', () => {
    const rows = validationRows((name) => loadDevice(name));
    const outside = rows.filter(({ gated, holds }) => gated && !holds).map(({ figure }) => figure);
    expect(outside).toEqual([]);
    const cases = [
      'V1',
      'V2',
      'V3',
      'V12',
      'V13',
      'V14',
      'V16',
      'V18',
      'V19',
      'V21',
      'V22',
      'V25',
      'V26',
    ];
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(cases));
    for (const { source, gated } of rows) if (/memory/.test(source)) expect(gated).toBe(false);
  });
});
