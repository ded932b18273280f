// The flowtable command on the whole machine: where flows are, what each path carried, and what handing them back does.

import { describe, expect, it } from 'vitest';
import { PS_PER_MS, PS_PER_S } from '../../../hw/time/units.ts';
import { Testbed } from '../../../src/scenario/testbed.ts';

const RULES =
  'table inet t {\n flowtable ft { hook ingress priority 0; devices = { p0, p1 }; flags offload; counter; }\n' +
  ' chain f { type filter hook forward priority 0; meta l4proto { tcp, udp } flow add @ft; }\n}\n';

function router(): Testbed {
  const testbed = new Testbed({ ports: [{ name: 'p0' }, { name: 'p1' }] });
  for (const command of [
    'sysctl -w net.ipv4.ip_forward=1',
    'sysctl -w net.netfilter.nf_conntrack_acct=1',
    'ip addr add 10.0.0.254/24 dev p0',
    'ip addr add 10.0.1.254/24 dev p1',
    'ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev p0 nud permanent',
    'ip neigh replace 10.0.1.1 lladdr 02:00:00:00:00:02 dev p1 nud permanent',
  ])
    expect(testbed.runWords(command.split(' ')).status).toBe(0);
  expect(testbed.runWords(['nft', '-f', '-'], RULES).stderr).toBe('');
  testbed.advanceTo(PS_PER_S);
  return testbed;
}

/** A UDP frame 10.0.0.1:40000 <-> 10.0.1.1:80 without checksum. */
function send(testbed: Testbed, reply = false): void {
  const bytes = new Uint8Array(60);
  bytes.set(testbed.devices[reply ? 1 : 0].mac, 0);
  bytes.set([2, 0, 0, 0, 0, reply ? 2 : 1, 8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17], 6);
  bytes.set(reply ? [10, 0, 1, 1, 10, 0, 0, 1] : [10, 0, 0, 1, 10, 0, 1, 1], 26);
  bytes.set(reply ? [0, 80, 0x9c, 0x40, 0, 26] : [0x9c, 0x40, 0, 80, 0, 26], 34);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += bytes[i] * 256 + bytes[i + 1];
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes.set([(~sum >> 8) & 0xff, ~sum & 0xff], 24);
  testbed.inject(reply ? 1 : 0, testbed.nowPs, bytes);
  testbed.advance(PS_PER_MS);
}

const run = (testbed: Testbed, line: string) => testbed.runWords(line.split(' '));
/** `key=value` words of the only line. */
function facts(testbed: Testbed): Record<string, string> {
  const { stdout } = run(testbed, 'flowtable list');
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  return Object.fromEntries([...stdout.matchAll(/(\S+)=(\S+)/g)].map((m) => [m[1], m[2]]));
}

describe('flowtable', () => {
  it('lists flows with their path, entries and packets in each path', () => {
    const testbed = router();
    for (let i = 0; i < 5; i++) send(testbed);
    for (let i = 0; i < 3; i++) send(testbed, true);
    testbed.advance(5 * PS_PER_S); // the collector asks for counters
    const line = facts(testbed);
    expect(line).toMatchObject({
      flowtable: 'ft',
      path: 'hardware',
      'in-hardware': 'both',
      classic: '2/0',
      software: '0/0',
      hardware: '3/3',
    });
    expect(line['handles']).toMatch(/^\d+\/\d+$/);
    expect(run(testbed, 'flowtable list proto tcp').stdout).toBe('');
    expect(run(testbed, 'flowtable list src 10.0.0.1 dport 80').stdout).not.toBe('');
    testbed.checkInvariants();
  });

  it('hands a flow back to software, for good', () => {
    const testbed = router();
    for (let i = 0; i < 3; i++) send(testbed);
    expect(run(testbed, 'flowtable release software sport 40000').stderr).toBe(
      '1 flows have been released.\n',
    );
    testbed.advance(10 * PS_PER_MS);
    expect(facts(testbed)).toMatchObject({ path: 'software', handles: '-/-' });
    expect(run(testbed, 'conntrack -L').stdout).toContain('[OFFLOAD]');
    expect(testbed.nic.pipeline.flows.count).toBe(0);
    for (let i = 0; i < 4; i++) {
      send(testbed);
      testbed.advance(2 * PS_PER_S);
    }
    expect(facts(testbed)).toMatchObject({ path: 'software', software: '4/0' });
    testbed.checkInvariants();
    expect(run(testbed, 'nft flush ruleset').status).toBe(0);
    testbed.advance(5 * PS_PER_S);
    testbed.checkInvariants();
  });

  it('hands a flow back to the classic path until a rule makes it anew', () => {
    const testbed = router();
    for (let i = 0; i < 3; i++) send(testbed);
    expect(run(testbed, 'nft flush chain inet t f').status).toBe(0);
    expect(run(testbed, 'flowtable release classic').status).toBe(0);
    testbed.advance(5 * PS_PER_S);
    expect(run(testbed, 'flowtable list').stdout).toBe('');
    expect(testbed.nic.pipeline.flows.count).toBe(0);
    expect(run(testbed, 'conntrack -L').stdout).not.toContain('OFFLOAD');
    testbed.checkInvariants();
  });

  it('counts what became of every packet, and shows the work under way as /proc does', () => {
    const testbed = router();
    const PROC = 'cat /proc/net/stat/nf_flowtable';
    // The kernel's own format (nf_flow_table_procfs.c): a header, then "%8d %8d %8d" a CPU.
    const idle = 'wq_add   wq_del   wq_stats\n' + '       0        0        0\n'.repeat(2);
    expect(run(testbed, PROC).stdout).toBe(idle);
    for (let i = 0; i < 3; i++) send(testbed);
    const stats = run(testbed, 'flowtable stats table ft').stdout;
    expect(stats).toMatch(/^ft:\n {5}flows: 1\n {5}added: 1\n/);
    // The first packet is not confirmed when it comes to the rule, the second makes the flow, the third is the device's.
    expect(stats).toContain('     not-added:unconfirmed: 1\n');
    expect(stats).toContain('     passed:miss: 2\n');
    expect(stats).toContain('     hw-installed: 1\n');
    expect(run(testbed, PROC).stdout).toBe(idle);
    expect(run(testbed, 'flowtable stats table none')).toMatchObject({ status: 1, stdout: '' });
    expect(run(testbed, 'flowtable stats sport 4').status).toBe(2);
    // A deletion under way: one item, gone when the driver has answered.
    expect(run(testbed, 'flowtable release software').status).toBe(0);
    const sums = run(testbed, PROC)
      .stdout.trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/ +/).map(Number))
      .reduce((a, b) => a.map((n, i) => n + b[i]));
    expect(sums).toEqual([0, 1, 0]);
    testbed.advance(PS_PER_S);
    expect(run(testbed, PROC).stdout).toBe(idle);
  });

  it.each([
    ['', 'usage: flowtable list'],
    ['drop', "flowtable: unknown word 'drop'"],
    ['release', "flowtable: expected software or classic, found ''"],
    ['list proto gre', "flowtable: proto: expected tcp or udp, found 'gre'"],
    ['list src nowhere', "flowtable: src: expected an address, found 'nowhere'"],
    ['list sport 70000', "flowtable: sport: expected a port, found '70000'"],
    ['list dport', "flowtable: 'dport' needs a value"],
  ])('refuses "%s"', (words, said) => {
    const result = run(router(), `flowtable ${words}`.trim());
    expect(result.status).toBe(2);
    expect(result.stderr.split('\n')[0]).toContain(said);
  });
});
