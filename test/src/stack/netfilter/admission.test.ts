// Who may be added to a flowtable (spec B.3, behaviours 31 to 40): every condition of refusal on its own, made by packets, counted
// under its name and no other. Some need a connection as only a race or a helper leaves it; there the status bit of spec C.1 is set by
// hand.

import { describe, expect, it } from 'vitest';
import {
  ADMISSION_REFUSALS,
  type AdmissionRefusal,
} from '../../../../src/stack/netfilter/flowtable/counters.ts';
import { C_STATUS, ROW_WORDS } from '../../../../src/stack/netfilter/conntrack/table.ts';
import { NF_ACCEPT, NF_INET_FORWARD } from '../../../../src/stack/netfilter/hooks.ts';
import { ipPacket } from '../../../support/packets.ts';
import { RouterRig } from '../../../support/router-rig.ts';

/** `match`: in front of `flow add`. */
const rules = (match = '', more = ''): string => `table inet t {
  flowtable f { hook ingress priority 0; devices = { rc, rs }; }
  chain forwarded {
    type filter hook forward priority 0;
    ${match} counter flow add @f counter
  }
  ${more}
}
`;
/** enum ip_conntrack_status, from spec C.1. */
const EXPECTED = 1 << 0;
const SEQ_ADJUST = 1 << 6;
const DYING = 1 << 9;
const NAT_CLASH = 1 << 12;

function setStatus(rig: RouterRig, bits: number): void {
  for (const id of rig.nf.conntrack.liveIds())
    rig.nf.conntrack.table.words[id * ROW_WORDS + C_STATUS] |= bits;
}

const UDP = { protocol: 'udp' } as const;
const UDP6 = { ...UDP, src: 'fd01::2', dst: 'fd02::2' };

function handshake(rig: RouterRig): void {
  rig.send('c', { flags: 'S', seq: 1 });
  rig.send('s', { ...REPLY, flags: 'SA', seq: 5, ack: 2 });
}
const REPLY = { src: '10.0.0.2', dst: '192.168.1.2', sport: 80, dport: 4000 };

interface Case {
  refusal: AdmissionRefusal;
  rules?: string;
  rfc?: boolean;
  /** Packets before the one that is refused, and that one last; how many times the refusal counts by then. */
  play: (rig: RouterRig) => void;
  /** Times that other refusals were met on the way. */
  also?: Partial<Record<AdmissionRefusal, number>>;
  added?: number;
}

/** An IPv4 UDP packet of the same connection with a record-route option of 4 bytes. */
function withOptions(rig: RouterRig): void {
  const plain = { src: [192, 168, 1, 2], dst: [10, 0, 0, 2] };
  const bytes = Uint8Array.from([
    ...[0x46, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0],
    ...[...plain.src, ...plain.dst, 1, 1, 1, 0],
    ...[4000 >> 8, 4000 & 255, 0, 80, 0, 8, 0, 0],
  ]);
  let sum = 0;
  for (let i = 0; i < 24; i += 2) sum += bytes[i] * 256 + bytes[i + 1];
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes.set([(~sum >> 8) & 0xff, ~sum & 0xff], 10);
  rig.send('c', bytes);
}

const CASES: Case[] = [
  {
    refusal: 'ip-options',
    play: (rig) => {
      rig.send('c', UDP);
      withOptions(rig);
    },
    also: { unconfirmed: 1 },
  },
  { refusal: 'no-conntrack', play: (rig) => rig.send('c', { flags: 'FS' }) },
  {
    refusal: 'no-conntrack',
    rules: rules(
      '',
      'chain raw { type filter hook prerouting priority raw; meta l4proto udp notrack; }',
    ),
    play: (rig) => rig.send('c', UDP),
  },
  {
    refusal: 'tcp-fin-rst',
    rules: rules('tcp flags & (fin | rst) != 0'),
    play: (rig) => {
      handshake(rig);
      rig.send('c', { flags: 'A', seq: 2, ack: 6 });
      rig.send('c', { flags: 'FA', seq: 2, ack: 6 });
    },
  },
  { refusal: 'tcp-not-established', play: (rig) => rig.send('c', { flags: 'S', seq: 1 }) },
  // ESTABLISHED but not ASSURED: picked up in the middle, one side only (C.4).
  {
    refusal: 'tcp-not-established',
    play: (rig) => rig.send('c', { flags: 'A', seq: 2, ack: 6 }),
  },
  { refusal: 'protocol', play: (rig) => rig.send('c', { protocol: 'icmp' }) },
  {
    refusal: 'helper',
    rules: rules(
      '',
      'ct helper h { type "tftp" protocol udp; }\n' +
        'chain pre { type filter hook prerouting priority 0; udp dport 69 ct helper set "h"; }',
    ),
    play: (rig) => rig.send('c', { ...UDP, dport: 69 }),
  },
  {
    refusal: 'seq-adjust',
    play: (rig) => {
      rig.send('c', UDP);
      setStatus(rig, SEQ_ADJUST);
      rig.send('c', UDP);
    },
    also: { unconfirmed: 1 },
  },
  {
    refusal: 'nat-clash',
    play: (rig) => {
      rig.send('c', UDP);
      setStatus(rig, NAT_CLASH);
      rig.send('c', UDP);
    },
    also: { unconfirmed: 1 },
  },
  { refusal: 'unconfirmed', play: (rig) => rig.send('c', UDP) },
  {
    refusal: 'new',
    rfc: true,
    play: (rig) => {
      rig.send('c', UDP);
      rig.send('c', UDP);
    },
    also: { unconfirmed: 1 },
  },
  {
    refusal: 'related',
    rfc: true,
    play: (rig) => {
      rig.send('c', UDP);
      setStatus(rig, EXPECTED);
      rig.send('c', UDP);
    },
    also: { unconfirmed: 1 },
  },
  {
    refusal: 'offloaded-already',
    play: (rig) => {
      rig.send('c', UDP6);
      rig.send('c', UDP6);
      // An extension header: not for the fast path (B.5), but of the same connection.
      const plain = ipPacket(UDP6);
      const bytes = Uint8Array.from([
        ...plain.subarray(0, 40),
        ...[17, 0, 1, 4, 0, 0, 0, 0],
        ...plain.subarray(40),
      ]);
      bytes[5] += 8;
      bytes[6] = 60;
      rig.send('c', bytes);
    },
    also: { unconfirmed: 1 },
    added: 1,
  },
  {
    refusal: 'no-return-route',
    play: (rig) => {
      rig.send('c', { ...UDP, src: '203.0.113.9' });
      rig.send('c', { ...UDP, src: '203.0.113.9' });
    },
    also: { unconfirmed: 1 },
  },
  {
    refusal: 'conntrack-dying',
    play: (rig) => {
      rig.send('c', UDP);
      // Deleted while the packet is between prerouting and the rule.
      const race = {
        name: 'race',
        priority: -1,
        run: () => {
          setStatus(rig, DYING);
          return NF_ACCEPT;
        },
      };
      rig.stack.hooks.register(2, NF_INET_FORWARD, race);
      rig.send('c', UDP);
      rig.stack.hooks.unregister(2, NF_INET_FORWARD, race);
    },
    also: { unconfirmed: 1 },
  },
];

describe('flow add refuses, and counts', () => {
  it.each(CASES.map((one) => ({ ...one, name: one.refusal })))('$name', (one) => {
    const rig = new RouterRig();
    if (one.rfc === true) rig.shell('sysctl -w net.netfilter.nf_flowtable_rfc_offload=1');
    rig.rules(one.rules ?? rules());
    one.play(rig);
    const stats = rig.shell('flowtable stats');
    const counted = Object.fromEntries(
      [...stats.matchAll(/^ {5}not-added:(\S+): (\d+)$/gm)].map((m) => [m[1], Number(m[2])]),
    );
    expect(Object.keys(counted)).toEqual([...ADMISSION_REFUSALS]);
    const met = Object.fromEntries(Object.entries(counted).filter(([, count]) => count > 0));
    expect(met).toEqual({ ...one.also, [one.refusal]: 1 });
    expect(stats).toContain(`\n     added: ${one.added ?? 0}\n`);
    // What came to the statement: refused or added; what went on behind it: added.
    const [before, behind] = [
      ...rig.shell('nft list chain inet t forwarded').matchAll(/packets (\d+)/g),
    ].map((m) => Number(m[1]));
    const refused = Object.values(counted).reduce((a, b) => a + b, 0);
    expect(before).toBe(refused + behind);
    expect(behind).toBe(one.added ?? 0);
  });

  it('every name has a case', () => {
    expect(new Set(CASES.map((one) => one.refusal))).toEqual(new Set(ADMISSION_REFUSALS));
  });
});
