// conntrack(8): lines as conntrack-tools 1.4.7 prints them (the examples were printed by a real machine), filters, footers on
// stderr, exit codes.

import { describe, expect, it } from 'vitest';
import type { CommandContext } from '../../../src/scenario/commands/command.ts';
import { conntrack } from '../../../src/scenario/commands/conntrack/conntrack.ts';
import { NfStack, hex } from '../../support/nf-stack.ts';

const UDP = hex(
  '0200000001010200000001020800450000211001400040115f1fc0a801020a00000213880035000ddc9868656c6c6f',
);
const UDP_REPLY = hex(
  '0200000002010200000002020800450000212001400040114f1f0a000002c0a8010200351388000ddc9868656c6c6f',
);
const ECHO = hex(
  '02000000010102000000010208004500001c10014000400100000a0000010a0000020800f7f800070000',
);

function machine(): { stack: NfStack; run: (line: string) => ReturnType<typeof conntrack.run> } {
  const stack = new NfStack();
  const rules =
    'add table inet t; add chain inet t c { type filter hook forward priority 0; }; add rule inet t c ct state new accept';
  expect(stack.nf.nft.run([rules]).stderr).toBe('');
  const ctx = { stack, readText: () => null } as unknown as CommandContext;
  return { stack, run: (line) => conntrack.run(line.split(' '), ctx) };
}

const FOOT = 'conntrack v1.4.7 (conntrack-tools)';

describe('conntrack', () => {
  it('lists UDP as Linux does: unreplied, replied, then ASSURED after 2 s', () => {
    const { stack, run } = machine();
    stack.send(UDP, 0);
    stack.at(0.5);
    expect(run('-L').stdout).toBe(
      'udp      17 29 src=192.168.1.2 dst=10.0.0.2 sport=5000 dport=53 [UNREPLIED] ' +
        'src=10.0.0.2 dst=192.168.1.2 sport=53 dport=5000 mark=0 use=1\n',
    );
    stack.send(UDP_REPLY, 1);
    expect(run('-L').stdout).toBe(
      'udp      17 30 src=192.168.1.2 dst=10.0.0.2 sport=5000 dport=53 ' +
        'src=10.0.0.2 dst=192.168.1.2 sport=53 dport=5000 mark=0 use=1\n',
    );
    stack.at(2.6).send(UDP, 0);
    const { stdout, stderr, status } = run('-L -o extended');
    expect(stdout).toBe(
      'ipv4     2 udp      17 120 src=192.168.1.2 dst=10.0.0.2 sport=5000 dport=53 ' +
        'src=10.0.0.2 dst=192.168.1.2 sport=53 dport=5000 [ASSURED] mark=0 use=1\n',
    );
    expect(stderr).toBe(`${FOOT}: 1 flow entries have been shown.\n`);
    expect(status).toBe(0);
  });

  it('filters, deletes, counts and empties', () => {
    const { stack, run } = machine();
    stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
    stack.send(UDP, 0);
    stack.send(ECHO, 0);
    expect(run('-C').stdout).toBe('2\n');
    expect(run('-L -p icmp').stdout).toMatch(
      /^icmp {5}1 30 src=10\.0\.0\.1 dst=10\.0\.0\.2 type=8 code=0 id=7 \[UNREPLIED\] src=10\.0\.0\.2 dst=10\.0\.0\.1 type=0 code=0 id=7 mark=0 use=1\n$/,
    );
    expect(run('-D -p tcp')).toEqual({
      status: 1,
      stdout: '',
      stderr: `${FOOT}: 0 flow entries have been deleted.\n`,
    });
    const deleted = run('-D -s 192.168.1.2 -p udp --dport 53');
    expect(deleted.status).toBe(0);
    expect(deleted.stderr).toBe(`${FOOT}: 1 flow entries have been deleted.\n`);
    expect(run('-F').stderr).toBe(`${FOOT}: connection tracking table has been emptied.\n`);
    expect(run('-L').stdout).toBe('');
    expect(run('-S').stdout).toMatch(
      /^cpu=0 {3}\tfound=0 invalid=0 insert=0 insert_failed=0 drop=0 /,
    );
    expect(run('-X -p tcp').status).toBe(2);
  });

  it('a packet dropped by a rule leaves no entry', () => {
    const { stack, run } = machine();
    expect(stack.nf.nft.run('insert rule inet t c udp dport 53 drop'.split(' ')).stderr).toBe('');
    expect(stack.send(UDP, 0).fate).toBe('dropped');
    expect(run('-C').stdout).toBe('0\n');
    stack.send(UDP_REPLY, 1);
    expect(stack.nf.conntrack.table.count).toBe(1);
  });

  it('drops new connections when the table is full of assured ones', () => {
    const { stack } = machine();
    stack.sysctl.set('net.netfilter.nf_conntrack_max', '1');
    stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
    stack.send(UDP, 0);
    stack.send(UDP_REPLY, 1);
    stack.at(2.6).send(UDP, 0);
    expect(stack.send(ECHO, 0).fate).toBe('dropped');
    expect(stack.nf.conntrack.stats.drop).toBe(1);
  });

  it('port unreachable is related and changes nothing', () => {
    const { stack } = machine();
    stack.send(UDP, 0);
    const error = new Uint8Array(14 + 20 + 8 + 28);
    error.set(UDP_REPLY.subarray(0, 34));
    error[17] = 56;
    error[23] = 1;
    error.set([3, 3, 0, 0, 0, 0, 0, 0], 34);
    error.set(UDP.subarray(14, 42), 42);
    stack.sysctl.set('net.netfilter.nf_conntrack_checksum', '0');
    expect(stack.send(error, 1).ctState).toBe(4);
    expect(stack.connections()[0]).toContain('[UNREPLIED]');
    error[45] ^= 0xff;
    error[65] ^= 0xff; // quotes a flow that nobody knows
    expect(stack.send(error, 1).ctState).toBe(1);
  });
});
