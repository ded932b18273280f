// tc(8), ethtool(8) and devlink(8) against transcripts of real ones: outputs to the byte, calls into the driver, lines of `tc monitor`.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseTranscript, playTranscript } from '../../../src/scenario/recording/transcript.ts';

const FOLDER = new URL('../../../fixtures/recordings/offload/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');

describe('transcripts', () => {
  it('netdevsim-tc: no difference', () => {
    const report = playTranscript(read('netdevsim-tc.commands.txt'), {
      driverLog: null,
      tcMonitor: read('netdevsim-tc.tc-monitor.txt'),
    });
    expect(report.differences).toEqual([]);
    expect(report.commands).toBe(11);
  });

  it('offsim-flower: every output, all 64 driver calls, the monitor', () => {
    const report = playTranscript(read('offsim-flower.commands.txt'), {
      driverLog: read('offsim-flower.driver.txt'),
      tcMonitor: read('offsim-flower.tc-monitor.txt'),
    });
    expect(report.differences).toEqual([]);
    expect(report.compared).toEqual({ outputs: 27, driverCalls: 64, monitorLines: 215 });
  });

  it('netdevsim-ethtool: no difference', () => {
    const text = read('netdevsim-ethtool.commands.txt');
    const report = playTranscript(text, { driverLog: null, tcMonitor: null });
    expect(report.differences).toEqual([]);
    expect(report.commands).toBe(23);
  });

  it('devlink: no difference', () => {
    const text = read('devlink.commands.txt');
    const report = playTranscript(text, { driverLog: null, tcMonitor: null });
    expect(report.differences).toEqual([]);
    expect(report.commands).toBe(31);
  });

  it('finds what differs: an output, an exit status, a driver call, a line of the monitor', () => {
    const text = read('netdevsim-tc.commands.txt').replace(
      'dst_ip 10.0.0.1\n  not',
      'dst_ip 10.0.0.2\n  not',
    );
    const monitor = read('netdevsim-tc.tc-monitor.txt').replace('added filter', 'added filters');
    const { differences } = playTranscript(text.replace('[rc 2]', '[rc 1]'), {
      driverLog: 'offsim: nothing\n',
      tcMonitor: monitor,
    });
    expect(differences.map(({ what }) => what)).toEqual([
      'command',
      'command',
      'driver',
      'monitor',
    ]);
  });

  it('splits commands, outputs and statuses', () => {
    expect(parseTranscript('$ a b\nx\ny\n[rc 2]\n$ c\n')).toEqual([
      { command: 'a b', output: 'x\ny\n', status: 2, line: 1 },
      { command: 'c', output: '', status: 0, line: 5 },
    ]);
  });
});
