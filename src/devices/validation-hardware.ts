// Published figures of RSS, lines, pipelines and moderation against the model (V12, V13, V25 to V27).

import { AdaptiveInterval } from '../../driver/twin/moderation.ts';
import { Port } from '../../hw/mac/port.ts';
import {
  K_DPORT,
  K_DST,
  K_FAMILY,
  K_FLAGS,
  K_PROTO,
  K_SPORT,
  K_SRC,
  KEY_WORDS,
  PARSE_PORTS,
} from '../../hw/parse/key-layout.ts';
import {
  MRQC_RSSEN,
  MRQC_RSS_FIELD_IPV4,
  MRQC_RSS_FIELD_IPV4_TCP,
  MRQC_RSS_FIELD_IPV6,
  MRQC_RSS_FIELD_IPV6_TCP,
} from '../../hw/regs.ts';
import { RETA_ENTRIES, RSS_KEY_BYTES, Rss } from '../../hw/table/rss.ts';
import { TOFINO_CLOCK_MHZ, pipeCycles } from '../../hw/table/stage-latency.ts';
import type { StageDependency } from '../../hw/table/stage-latency.ts';
import { parseIp } from '../rules/values.ts';
import { row } from './validation-row.ts';
import type { Published } from './validation-row.ts';

export function hardwareRows(): Published[] {
  return [...rssRows(), ...lineRows(), ...pipeRows(), ...moderationRows()];
}

const RSS_KEY = '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa';
/** Source, destination, ports, hash of addresses, hash with ports: the verification suite. */
const RSS_SUITE: readonly [string, string, number, number, number, number][] = [
  ['66.9.149.187', '161.142.100.80', 2794, 1766, 0x323e8fc2, 0x51ccc178],
  ['199.92.111.2', '65.69.140.83', 14230, 4739, 0xd718262a, 0xc626b0ea],
  ['24.19.198.95', '12.22.207.184', 12898, 38024, 0xd2d0a5de, 0x5c2b394a],
  ['38.27.205.30', '209.142.163.6', 48228, 2217, 0x82989176, 0xafc7327f],
  ['153.39.163.191', '202.188.127.2', 44251, 1303, 0x5d1809c5, 0x10e828a2],
  ['3ffe:2501:200:1fff::7', '3ffe:2501:200:3::1', 2794, 1766, 0x2cc18cd5, 0x40207d3d],
  ['3ffe:501:8::260:97ff:fe40:efab', 'ff02::1', 14230, 4739, 0x0f0c461c, 0xdde51bbf],
  [
    '3ffe:1900:4545:3:200:f8ff:fe21:67cf',
    'fe80::200:f8ff:fe21:67cf',
    44251,
    38024,
    0x4b61e985,
    0x02d1feef,
  ],
];

function rssOf(tableEntries: number): Rss {
  const rss = new Rss({ tableEntries, keyBytes: RSS_KEY_BYTES, entryBits: 4, contexts: 0 });
  for (let i = 0; i < RSS_KEY_BYTES; i++)
    rss.key[i] = parseInt(RSS_KEY.slice(2 * i, 2 * i + 2), 16);
  rss.keyChanged();
  return rss;
}

function rssRows(): Published[] {
  const rss = rssOf(RETA_ENTRIES);
  let right = 0;
  for (const [src, dst, sport, dport, plain, withPorts] of RSS_SUITE) {
    const key = rssKey(src, dst, sport, dport);
    rss.mrqc = MRQC_RSSEN | MRQC_RSS_FIELD_IPV4 | MRQC_RSS_FIELD_IPV6;
    rss.classify(key);
    if (rss.hash >>> 0 === plain) right++;
    rss.mrqc = MRQC_RSSEN | MRQC_RSS_FIELD_IPV4_TCP | MRQC_RSS_FIELD_IPV6_TCP;
    rss.classify(key);
    if (rss.hash >>> 0 === withPorts) right++;
  }
  const [src, dst, sport, dport] = RSS_SUITE[0];
  const published: readonly [entries: number, entry: number][] = [
    [RETA_ENTRIES, 120],
    [512, 376],
    [2048, 376],
  ];
  return [
    row('V12', 'Toeplitz verification suite: hashes right', 'DPDK test_thash.c', '', 16, right),
    ...published.map(([entries, entry]) => {
      const found = retaEntry(rssOf(entries), entries, rssKey(src, dst, sport, dport));
      const what = `RETA of ${entries}: entry of hash 0x51ccc178`;
      return row('V13', what, 'computed', '', entry, found);
    }),
  ];
}

function rssKey(src: string, dst: string, sport: number, dport: number): Uint32Array {
  const key = new Uint32Array(KEY_WORDS);
  const from = parseIp(src);
  const to = parseIp(dst);
  if (from === null || to === null) return key;
  key[K_FAMILY] = from.family;
  key[K_FLAGS] = PARSE_PORTS;
  key[K_PROTO] = 6;
  key.set(from.words, K_SRC);
  key.set(to.words, K_DST);
  key[K_SPORT] = sport;
  key[K_DPORT] = dport;
  return key;
}

/** Which entry a key reads, found out through the queue numbers: four bits at a time. */
function retaEntry(rss: Rss, entries: number, key: Uint32Array): number {
  rss.mrqc = MRQC_RSSEN | MRQC_RSS_FIELD_IPV4_TCP;
  let entry = 0;
  for (let shift = 0; entries >> shift > 1; shift += 4) {
    for (let i = 0; i < entries; i++) rss.reta[i] = (i >> shift) & 15;
    entry |= rss.classify(key) << shift;
  }
  return entry;
}

function lineRows(): Published[] {
  const frames = 1000;
  const perFrameNs = (rateBps: number): number => {
    const port = new Port(0, rateBps, 0, 1 << 20, 1e12);
    for (let i = 0; i < frames; i++) port.receive(60);
    return port.rxLine.freePs / frames / 1000;
  };
  const source = 'computed: (64 + 20) bytes at line rate';
  const [ten, hundred] = [perFrameNs(10e9), perFrameNs(100e9)];
  const tolerance = 1e-6;
  return [
    row('V25', 'line rate, 64 B at 10G', source, 'Mpps', 14.880952, 1000 / ten, { tolerance }),
    row('V25', 'line rate, 64 B at 100G', source, 'Mpps', 148.809524, 1000 / hundred, {
      tolerance,
    }),
    ...[
      [50e9, 74.404762],
      [200e9, 297.619048],
      [400e9, 595.238095],
    ].map(([rateBps, mpps]) =>
      row(
        'V25',
        `line rate, 64 B at ${rateBps / 1e9}G`,
        source,
        'Mpps',
        mpps,
        1000 / perFrameNs(rateBps),
        { tolerance },
      ),
    ),
    row('V25', 'time of a 64 B frame at 10G', source, 'ns', 67.2, ten, { tolerance }),
    row('V25', 'time of a 64 B frame at 100G', source, 'ns', 6.72, hundred, { tolerance }),
  ];
}

/** Adaptive moderation, bulk branch at 10G: delay for an average frame of so many bytes. */
function moderationRows(): Published[] {
  const source = 'ixgbe @52e3c49 ixgbe_main.c';
  const published = [
    [60, 20],
    [316, 60],
    [1084, 110],
    [1981, 126],
  ];
  return published.map(([bytes, us]) =>
    row('V27', `adaptive interrupt delay, ${bytes} B`, source, 'us', us, bulkDelayUs(bytes), {
      basis: 'calibrated',
    }),
  );
}

/** What a vector comes to when each look finds 1000 packets of one size. */
function bulkDelayUs(bytes: number): number {
  const vector = new AdaptiveInterval(10_000);
  for (let n = 1; n <= 3; n++)
    vector.update(0, 1000 * n, 1000 * n * bytes, 1000 * n, 1000 * n * bytes);
  return vector.intervalUs;
}

function pipeRows(): Published[] {
  const source = 'p4c @34b86e9 power_spec.h, mau_power.cpp';
  const cycles = (dependency: StageDependency, hasTcam: boolean): number => {
    const none = { hasSelector: false, hasMeter: false, hasStateful: false };
    const stage = { dependency, hasTcam, ...none };
    return pipeCycles(new Array<typeof stage>(12).fill(stage), false);
  };
  const what = 'Tofino 1 pipe of 12 stages';
  const calibrated = { basis: 'calibrated' } as const;
  const withTcam = cycles('match', true);
  const ns = (withTcam * 1000) / TOFINO_CLOCK_MHZ;
  return [
    row('V26', `${what}, match-dependent, TCAM`, source, 'cycles', 268, withTcam, calibrated),
    row(
      'V26',
      `${what}, match-dependent`,
      source,
      'cycles',
      244,
      cycles('match', false),
      calibrated,
    ),
    row(
      'V26',
      `${what}, concurrent`,
      source,
      'cycles',
      16,
      cycles('concurrent', false),
      calibrated,
    ),
    row('V26', `${what}, match-dependent, TCAM`, source, 'ns', 211, ns, { tolerance: 0.002 }),
  ];
}
