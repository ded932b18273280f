// docs/what-if-rings.md stays true: its two scenarios, played on built output, lose packets and time in the order it says.

import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../../..');

/** Packets dropped. */
function play(scenario: string): number {
  const cli = join(ROOT, 'dist/bundle/node/cli.js');
  const file = join(ROOT, 'fixtures/scenarios', scenario);
  const args = ['replay', file, '--pps', '13.5M', '--loop', '5000', '--json', '-'];
  const text = execFileSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  const report = JSON.parse(text) as { fates: { dropped: { packets: number } } };
  return report.fates.dropped.packets;
}

describe('what-if-rings', () => {
  it('loses more with 1024 slots than with 128 when six cores are at their limit', () => {
    const large = play('rings-large.yaml');
    const small = play('rings-small.yaml');
    expect(large).toBeGreaterThan(3000);
    expect(small).toBeLessThan(large / 3);
  });
});
