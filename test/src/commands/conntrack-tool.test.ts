// conntrack(8) 1.4.7 on a whole router: the event lines of a connection's life as a real machine printed them (spec C.8), connections
// made and changed by hand, -G, -o save, filters, counters, complaints. E.84 and E.85.

import { describe, expect, it } from 'vitest';
import type { Packet } from '../../support/packets.ts';
import { RouterRig } from '../../support/router-rig.ts';

const TRACK =
  'table inet t { chain c { type filter hook forward priority 0; ct state new accept; } }';
const FOOT = 'conntrack v1.4.7 (conntrack-tools)';

function connect(rig: RouterRig, dst = '192.168.1.2'): void {
  const back: Partial<Packet> = { src: '10.0.0.2', dst, sport: 80, dport: 4000 };
  rig.send('c', { flags: 'S', seq: 1000 });
  rig.send('s', { ...back, flags: 'SA', seq: 5000, ack: 1001 });
  rig.send('c', { flags: 'A', seq: 1001, ack: 5001 });
}

function close(rig: RouterRig): void {
  const back: Partial<Packet> = { src: '10.0.0.2', dst: '192.168.1.2', sport: 80, dport: 4000 };
  rig.send('c', { flags: 'FA', seq: 1001, ack: 5001 });
  rig.send('s', { ...back, flags: 'FA', seq: 5001, ack: 1002 });
  rig.send('c', { flags: 'A', seq: 1002, ack: 5002 });
}

const ORIGINAL = 'src=192.168.1.2 dst=10.0.0.2 sport=4000 dport=80';
const REPLY = 'src=10.0.0.2 dst=192.168.1.2 sport=80 dport=4000';

describe('conntrack -E', () => {
  it('tells a connection from NEW to DESTROY', () => {
    const rig = new RouterRig(TRACK);
    expect(rig.shell('conntrack -E')).toBe('');
    connect(rig);
    close(rig);
    expect(rig.stack.monitors.take()).toBe(
      [
        `    [NEW] tcp      6 120 SYN_SENT ${ORIGINAL} [UNREPLIED] ${REPLY}`,
        ` [UPDATE] tcp      6 60 SYN_RECV ${ORIGINAL} ${REPLY}`,
        ` [UPDATE] tcp      6 432000 ESTABLISHED ${ORIGINAL} ${REPLY} [ASSURED]`,
        ` [UPDATE] tcp      6 120 FIN_WAIT ${ORIGINAL} ${REPLY} [ASSURED]`,
        ` [UPDATE] tcp      6 30 LAST_ACK ${ORIGINAL} ${REPLY} [ASSURED]`,
        ` [UPDATE] tcp      6 120 TIME_WAIT ${ORIGINAL} ${REPLY} [ASSURED]`,
        '',
      ].join('\n'),
    );
    rig.runTo(200);
    expect(rig.stack.monitors.take()).toBe(
      `[DESTROY] tcp      6 TIME_WAIT ${ORIGINAL} ${REPLY} [ASSURED]\n`,
    );
  });

  it('picks events, connections and columns', () => {
    const rig = new RouterRig(TRACK);
    rig.shell('sysctl -w net.netfilter.nf_conntrack_acct=1');
    rig.shell('conntrack -E -e DESTROY -p udp -o extended,timestamp');
    connect(rig);
    rig.send('c', { protocol: 'udp' });
    rig.shell('conntrack -D -p udp');
    expect(rig.stack.monitors.take()).toMatch(
      /^\[00000003\.0000\d\d\]\t\[DESTROY\] ipv4 {5}2 udp {6}17 (29|30) src=192.168.1.2 dst=10.0.0.2 sport=4000 dport=80 packets=1 bytes=28 \[UNREPLIED\] src=10.0.0.2 dst=192.168.1.2 sport=80 dport=4000 packets=0 bytes=0\n$/,
    );
  });

  it('tells marks, and expected connections', () => {
    const rig = new RouterRig(
      'table inet t { chain c { type filter hook forward priority 0; udp dport 80 ct mark set 7; } }',
    );
    rig.shell('conntrack -E -o id');
    rig.send('c', { protocol: 'udp' });
    expect(rig.stack.monitors.take()).toMatch(/^ {4}\[NEW\] udp .* mark=7 id=\d+\n$/);
    rig.shell('conntrack -U -p udp -m 9');
    expect(rig.stack.monitors.take()).toMatch(/^ \[UPDATE\] udp {6}17 30 .* mark=9 id=\d+\n$/);
  });
});

describe('conntrack by hand', () => {
  const entry = '-s 1.1.1.1 -d 2.2.2.2 -p udp --sport 5 --dport 6 -t 100';

  it('-I makes, -G finds, -o save prints what would make it again', () => {
    const rig = new RouterRig();
    const made = rig.command(`conntrack -I ${entry} -u SEEN_REPLY`);
    expect(made).toEqual({
      status: 0,
      stdout: '',
      stderr: `${FOOT}: 1 flow entries have been created.\n`,
    });
    rig.runTo(4);
    expect(rig.shell('conntrack -L -o save')).toBe(
      '-A -t 99 -u SEEN_REPLY -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p udp ' +
        '--sport 5 --dport 6 --reply-port-src 6 --reply-port-dst 5\n',
    );
    expect(rig.command(`conntrack -I ${entry}`)).toMatchObject({
      status: 1,
      stderr: `${FOOT}: Operation failed: Such conntrack exists, try -U to update\n`,
    });
    const found = rig.command('conntrack -G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 5 --dport 6');
    expect(found.stdout).toBe(
      'udp      17 99 src=1.1.1.1 dst=2.2.2.2 sport=5 dport=6 src=2.2.2.2 dst=1.1.1.1 sport=6 dport=5 mark=0 use=1\n',
    );
    expect(found.stderr).toBe(`${FOOT}: 1 flow entries have been shown.\n`);
  });

  it('what -o save prints makes the same table elsewhere', () => {
    const rig = new RouterRig(
      `${TRACK}\ntable ip n { chain p { type nat hook postrouting priority 100; masquerade; } }`,
    );
    connect(rig);
    rig.send('c', { protocol: 'icmp', sport: 7 });
    rig.send('c', { protocol: 'udp', sport: 9 });
    const other = new RouterRig();
    for (const line of rig.shell('conntrack -L -o save').trim().split('\n'))
      other.shell(`conntrack ${line}`);
    expect(other.listed()).toEqual(rig.listed());
  });

  it('E.85: -G and -D of nothing', () => {
    const rig = new RouterRig();
    expect(rig.command('conntrack -G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 5 --dport 6')).toEqual({
      status: 1,
      stdout: '',
      stderr: `${FOOT}: Operation failed: such conntrack doesn't exist\n`,
    });
    expect(rig.command('conntrack -D -p tcp')).toEqual({
      status: 1,
      stdout: '',
      stderr: `${FOOT}: 0 flow entries have been deleted.\n`,
    });
  });

  it('-U changes marks, timeouts and what may be set', () => {
    const rig = new RouterRig();
    rig.shell(`conntrack -I ${entry}`);
    const updated = rig.command('conntrack -U -p udp -m 0x10/0xff -t 500 -u ASSURED,OFFLOAD');
    expect(updated.stderr).toBe(`${FOOT}: 1 flow entries have been updated.\n`);
    expect(rig.listed()[0]).toMatch(/^udp {6}17 (499|500) .*\[UNREPLIED\].* \[ASSURED\] mark=16 /);
    expect(rig.command('conntrack -U -p tcp -m 1').status).toBe(1);
  });

  it('-I with -n gives the reply another end', () => {
    const rig = new RouterRig();
    rig.shell(`conntrack -I ${entry} -n 10.0.0.9:7000`);
    expect(rig.listed('-n 10.0.0.9')[0]).toContain('src=2.2.2.2 dst=10.0.0.9 sport=6 dport=7000');
    expect(rig.listed('-g')).toEqual([]);
  });
});

describe('filters and counters', () => {
  it('picks by network, mark mask, status, NAT, reply ports; zeroes while listing', () => {
    const rig = new RouterRig(
      `${TRACK}\ntable ip n { chain p { type nat hook postrouting priority 100; ip saddr 192.168.1.3 masquerade; } }`,
    );
    rig.shell('sysctl -w net.netfilter.nf_conntrack_acct=1');
    for (const host of [2, 3, 4]) rig.send('c', { protocol: 'udp', src: `192.168.1.${host}` });
    rig.shell('conntrack -U -s 192.168.1.4 -m 0xab');
    const count = (options: string): number => rig.listed(options).length;
    expect(count('-s 192.168.1.2/31')).toBe(2);
    expect(count('-s 192.168.0.0/16 -d 10.0.0.2')).toBe(3);
    expect(count('-m 0xb/0xf')).toBe(1);
    expect(count('-u UNREPLIED')).toBe(3);
    expect(count('--src-nat')).toBe(1);
    expect(count('-j 10.0.0.1')).toBe(1);
    expect(count('-q 10.0.0.1')).toBe(1);
    expect(count('-p udp --reply-port-dst=4000 -f ipv4')).toBe(3);
    expect(count('-f ipv6')).toBe(0);
    expect(rig.listed('-z')[0]).toContain('packets=1 bytes=28');
    expect(rig.listed()[0]).toContain('packets=0 bytes=0');
  });

  it.each([
    ['', 2, 'no command given'],
    ['-L -D', 2, 'Invalid commands combination'],
    ['-L -t 5', 2, "Illegal option `--timeout' with this command"],
    [
      '-I -s 1.1.1.1 -d 2.2.2.2 -t 5',
      2,
      "You need to supply the `--protonum' option for this command",
    ],
    [
      '-I -p tcp -s 1.1.1.1 -d 2.2.2.2 -t 5 --sport 1 --dport 2',
      2,
      "You need to supply the `--state' option",
    ],
    ['-G -p udp -s 1.1.1.1', 2, "you have to specify `--orig-src' and `--orig-dst'"],
    ['-L -u FOO', 2, "Bad parameter `FOO'"],
    ['-L -o nice', 2, "Bad parameter `nice'"],
    ['-L -s 1.2.3.256', 2, "Invalid IP address `1.2.3.256'"],
    // What the real 1.4.7 said: a protocol's options are known behind `-p` only.
    ['-L --dport 6', 2, "unknown option `--dport'"],
    ['-L --sport 5 -p tcp', 2, "unknown option `--sport'"],
    ['-L -p udp --state ESTABLISHED', 2, "unknown option `--state'"],
    ['-L -p gre --sport 5', 2, "unknown option `--sport'"],
    ['-L -p icmpv6 --icmp-type 128', 2, "unknown option `--icmp-type'"],
    ['-L -p tcp --state CLOSED', 2, "unknown TCP state `CLOSED'"],
    ['-L table', 2, "unknown type `table'"],
  ])('%s', (words, status, message) => {
    const result = new RouterRig().command(`conntrack ${words}`.trim());
    expect(result.status).toBe(status);
    expect(result.stderr).toContain(`${FOOT}: ${message}`);
    expect(result.stderr).toContain(
      "Try `conntrack -h' or 'conntrack --help' for more information.\n",
    );
  });

  it('makes an SCTP connection in the state that it is given, and counts what userspace inserts', () => {
    const rig = new RouterRig();
    rig.shell(
      'conntrack -I -s 1.1.1.4 -d 2.2.2.2 -p sctp --sport 5 --dport 6 -t 100 --state ESTABLISHED ' +
        '--orig-vtag 1 --reply-vtag 2',
    );
    expect(rig.listed('-p sctp --state ESTABLISHED')).toEqual([
      'sctp     132 100 ESTABLISHED src=1.1.1.4 dst=2.2.2.2 sport=5 dport=6 [UNREPLIED] src=2.2.2.2 dst=1.1.1.4 sport=6 dport=5 mark=0 use=1',
    ]);
    // A real machine after one -I and packets of its own: a line a core, packets are not counted as insertions.
    rig.send('c', { protocol: 'udp' });
    expect(rig.command('conntrack -S').stdout).toMatch(/^cpu=0 {3}\tfound=0 invalid=0 insert=1 /);
  });

  it('E.84: the lines of a real machine, masqueraded', () => {
    const rig = new RouterRig(
      `${TRACK}\ntable ip n { chain p { type nat hook postrouting priority 100; masquerade; } }`,
    );
    rig.send('c', { protocol: 'icmp', sport: 1234 });
    rig.send('c', { protocol: 'udp', sport: 40000, dport: 53 });
    connect(rig, '10.0.0.1');
    rig.runTo(3.5);
    expect(rig.listed()).toEqual([
      'icmp     1 29 src=192.168.1.2 dst=10.0.0.2 type=8 code=0 id=1234 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=1234 mark=0 use=1',
      'udp      17 29 src=192.168.1.2 dst=10.0.0.2 sport=40000 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=40000 mark=0 use=1',
      'tcp      6 431999 ESTABLISHED src=192.168.1.2 dst=10.0.0.2 sport=4000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=4000 [ASSURED] mark=0 use=1',
    ]);
  });
});
