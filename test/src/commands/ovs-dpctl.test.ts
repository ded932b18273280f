// ovs-dpctl against a session of the real one (fixtures/recordings/ovs/ovs-dpctl.commands.txt), and its refusals.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Testbed } from '../../../src/scenario/testbed.ts';
import { tokenize } from '../../../src/scenario/commands/command.ts';

const FILE = new URL('../../../fixtures/recordings/ovs/ovs-dpctl.commands.txt', import.meta.url);

/** The session's log lines bear the time of the recording. */
const timeless = (text: string): string => text.replace(/^\d{4}-\S+Z\|/gm, 'TIME|');

function machine(): Testbed {
  const testbed = new Testbed({ ports: [{ name: 'p0' }] });
  for (const line of [
    'ip link add v0 type veth peer name v1',
    'ip link add gnv0 type veth peer name g1',
  ])
    expect(testbed.runWords(line.split(' ')).status).toBe(0);
  return testbed;
}

describe('ovs-dpctl', () => {
  it('prints what the real tool printed', () => {
    const testbed = machine();
    for (const entry of readFileSync(FILE, 'utf8').split(/^\$ /m).slice(1)) {
      const [line, ...rest] = entry.split('\n');
      const said = rest.join('\n');
      const status = /\[rc (\d+)\]/.exec(said)?.[1] ?? '0';
      const result = testbed.runWords(tokenize(line)[0]);
      const found = timeless(result.stderr + result.stdout);
      expect(found, line).toBe(timeless(said.replace(/\[rc \d+\]\n/, '')));
      expect(String(result.status), line).toBe(status);
    }
  });

  it.each([
    ['ovs-dpctl', 'missing command name; use --help for help'],
    ['ovs-dpctl bogus', "unknown command 'bogus'; use --help for help"],
    ['ovs-dpctl add-dp', "'add-dp' command requires at least 1 arguments"],
    ['ovs-dpctl del-dp nosuch', 'opening datapath (No such device)'],
    ['ovs-dpctl add-dp dp0', 'add_dp (File exists)'],
    ['ovs-dpctl add-if dp0 v0', 'adding v0 to dp0 failed (Device or resource busy)'],
    ['ovs-dpctl add-if dp0 lo', 'adding lo to dp0 failed (Invalid argument)'],
    ['ovs-dpctl add-if dp0 gnv0,port_no=1', 'adding gnv0 to dp0 failed (Device or resource busy)'],
    ['ovs-dpctl add-if dp0 gnv0,port_no=65535', 'adding gnv0 to dp0 failed (File too large)'],
    ['ovs-dpctl del-if dp0 0', 'deleting port 0 from dp0 failed (Invalid argument)'],
    ['ovs-dpctl del-if dp0 7', 'deleting port 7 from dp0 failed (No such device)'],
    [
      'ovs-dpctl add-flow dp0 "in_port(1),eth(),eth_type(0x1234)" 2',
      'updating flow table (File exists)',
    ],
    [
      'ovs-dpctl del-flow dp0 "in_port(1),eth(),eth_type(0x4321)"',
      'deleting flow (No such file or directory)',
    ],
    [
      'ovs-dpctl add-flow dp0 "in_port(1),bogus(),eth()" 2',
      'parsing flow key (syntax error at bogus(),eth()) (Invalid argument)',
    ],
    ['ovs-dpctl add-flow dp0 "in_port(1),eth()" "2,x"', 'parsing actions (Invalid argument)'],
    ['ovs-dpctl ct-set-limits zone=70000,limit=1', 'invalid argument: zone=70000,limit=1'],
  ])('%s: %s', (line, message) => {
    const testbed = machine();
    for (const one of [
      'ovs-dpctl add-dp dp0',
      'ovs-dpctl add-if dp0 v0',
      'ovs-dpctl add-flow dp0 "in_port(1),eth(),eth_type(0x1234)" 2',
    ])
      expect(testbed.runWords(tokenize(one)[0]).status, one).toBe(0);
    const { status, stderr } = testbed.runWords(tokenize(line)[0]);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(`ovs-dpctl: ${message}`);
    expect(status).toBe(1);
  });

  it('limits of connections hold per zone', () => {
    const testbed = machine();
    const run = (line: string): string => testbed.runWords(tokenize(line)[0]).stdout;
    run('ovs-dpctl add-dp dp0');
    run('ovs-dpctl ct-set-limits default=10 zone=5,limit=2');
    expect(run('ovs-dpctl ct-get-limits')).toBe('default limit=10\nzone=5,limit=2,count=0\n');
    run('ovs-dpctl ct-del-limits zone=5');
    expect(run('ovs-dpctl ct-get-limits zone=5')).toBe(
      'default limit=10\nzone=5,limit=10,count=0\n',
    );
  });
});
