// The recording of tun queues: no difference, and a difference wherever the recording is changed in something that the rules decide.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isTunRecording, parseTunRecording } from '../../../src/scenario/recording/tun-format.ts';
import type { TunTest } from '../../../src/scenario/recording/tun-format.ts';
import { playTunRecording } from '../../../src/scenario/recording/tun-player.ts';
import { must } from '../../support/must.ts';

const FILE = new URL('../../../fixtures/recordings/tun/tun-multiqueue.json', import.meta.url);
const TEXT = readFileSync(FILE, 'utf8');

function load(): TunTest[] {
  return parseTunRecording(TEXT, 'tun-multiqueue.json');
}

/** Tests in which the recording with a change differs. */
function differing(change: (find: (name: string) => TunTest) => void): string[] {
  const tests = load();
  change((name) => must(tests.find((one) => one.test === name)));
  const report = playTunRecording(tests);
  return [...new Set(report.differences.map((one) => one.test))];
}

describe('tun recording', () => {
  it('plays without difference', () => {
    expect(isTunRecording(TEXT)).toBe(true);
    const report = playTunRecording(load());
    expect(report.differences).toEqual([]);
    expect(report.unknown).toEqual([]);
    expect(report.compared).toBeGreaterThan(400);
    expect(report.phases).toHaveLength(8);
  });

  it('finds what was changed', () => {
    const changes: readonly (readonly [string, (test: TunTest) => void])[] = [
      ['queue 3 detached', (t) => must(t.spread).splice(0, 1, 2)],
      ['queue 3 detached', (t) => (t.after = [0, 1, 0])],
      ['queue 3 detached', (t) => (t.write_on_detached = 'EIO')],
      ['queue 3 attached again', (t) => (t.came = [3, 0])],
      ['queue 1 detached with flows taught to 0..3', (t) => (t.after = [0, 1, 2, 0])],
      ['queue 1 detached with flows taught to 0..3', (t) => (t.taught_again = [0, 3, 2, 0])],
      ['taught by 1, then 3, then 2', (t) => (t.came = [1, 3, 3])],
      ['steering: return -1', (t) => must(t.came as number[]).splice(2, 1, 3)],
      ['taught while a program steers', (t) => (t.came = 2)],
      ['steering removed (-1)', (t) => must(t.again as number[]).splice(2, 1, 0)],
      ['a second queue opened', (t) => must(t.came as number[]).splice(0, 1, 1)],
      ['second open without multi_queue', (t) => (t.result = 'EINVAL')],
      ['taught again each second', (t) => must(t.seen).splice(8, 1, [4, 2])],
      ['expiry, no traffic in between', (t) => (t.after = { '2.9': 3, '3.2': 3, '4.4': 3 })],
      ['5000 flows taught to queue 3', (t) => ((t.came as Record<string, number>)['4095'] = 0)],
      ['persistent multi_queue device', (t) => (t.text = must(t.text).replace('persist on', 'x'))],
    ];
    for (const [name, change] of changes)
      expect(differing((find) => change(find(name)))).toEqual([name]);
    const late = differing((find) => {
      must(find('expiry, replies every 0.25 s').seen)[17] = [4.25, 3];
    });
    expect(late).toEqual(['expiry, replies every 0.25 s']);
  });

  it('says which tests it does not know, and reads nothing else', () => {
    const report = playTunRecording([{ test: 'something else', came: 1 }]);
    expect(report.unknown).toEqual(['something else']);
    expect(isTunRecording('{"about": ""}')).toBe(false);
    expect(() => parseTunRecording('[{"test": 1}]', 'x.json')).toThrow(/^x.json: 0.test: /);
    expect(() => parseTunRecording('[{"test"', 'x.json')).toThrow(/^x.json: not JSON: /);
  });
});
