// Filter sets and traces in ClassBench's format, so that the classifier's bench stands alone. No seeds of ClassBench: three shapes
// with the traits that matter to classifiers, by rough numbers read off its acl1, fw1 and ipc1 sets.
//
//   acl   long prefixes on both sides, exact destination ports, source ports any
//   fw    half of the rules with one address wild, short and long prefixes, ranges of ports, several protocols
//   ipc   all kinds of prefix pairs, many wild
//
// Addresses come from a tree of a few hundred networks, so that prefixes nest. Same seed, same bytes.
//
//   node bench/classbench-like.mjs acl 100000 RULES TRACE [HEADERS] [SEED]

import { writeFileSync } from 'node:fs';
import process from 'node:process';

/** mulberry32: below(n) gives 0 to n - 1. */
function generator(seed) {
  let state = seed | 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) % limit;
  };
}

/** Weighted choices: [weight, value]... */
const SHAPES = {
  acl: {
    src: [
      [60, 32],
      [15, 30],
      [10, 28],
      [10, 24],
      [3, 16],
      [2, 0],
    ],
    dst: [
      [75, 32],
      [10, 29],
      [8, 24],
      [4, 22],
      [2, 16],
      [1, 0],
    ],
    srcPort: [
      [99, 'any'],
      [1, 'exact'],
    ],
    dstPort: [
      [60, 'exact'],
      [25, 'any'],
      [8, 'high'],
      [7, 'range'],
    ],
    protocol: [
      [75, 6],
      [15, 17],
      [5, 0],
      [5, 1],
    ],
  },
  fw: {
    src: [
      [45, 0],
      [20, 32],
      [15, 28],
      [10, 24],
      [10, 16],
    ],
    dst: [
      [30, 0],
      [35, 32],
      [15, 28],
      [12, 24],
      [8, 16],
    ],
    srcPort: [
      [70, 'any'],
      [15, 'exact'],
      [10, 'high'],
      [5, 'range'],
    ],
    dstPort: [
      [45, 'exact'],
      [30, 'any'],
      [15, 'range'],
      [10, 'high'],
    ],
    protocol: [
      [60, 6],
      [25, 17],
      [10, 0],
      [3, 1],
      [2, 47],
    ],
  },
  ipc: {
    src: [
      [40, 32],
      [15, 28],
      [15, 24],
      [15, 16],
      [5, 8],
      [10, 0],
    ],
    dst: [
      [40, 32],
      [15, 28],
      [15, 24],
      [15, 16],
      [5, 8],
      [10, 0],
    ],
    srcPort: [
      [75, 'any'],
      [20, 'exact'],
      [5, 'range'],
    ],
    dstPort: [
      [55, 'any'],
      [35, 'exact'],
      [5, 'high'],
      [5, 'range'],
    ],
    protocol: [
      [45, 6],
      [30, 17],
      [20, 0],
      [5, 1],
    ],
  },
};

function pick(below, choices) {
  let at = below(choices.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, value] of choices) {
    if (at < weight) return value;
    at -= weight;
  }
  return choices[0][1];
}

const SERVICES = [20, 21, 22, 23, 25, 53, 67, 69, 80, 110, 119, 123, 135, 143, 161, 389, 443, 500];

function portRange(below, kind) {
  if (kind === 'any') return [0, 65535];
  if (kind === 'high') return [1024, 65535];
  if (kind === 'exact') {
    const port = below(2) === 0 ? SERVICES[below(SERVICES.length)] : 1024 + below(16000);
    return [port, port];
  }
  const low = below(60000);
  return [low, Math.min(65535, low + 1 + below(2000))];
}

/** Rules as arrays: src, src length, dst, dst length, port ranges, protocol, protocol mask. No rule comes twice. */
export function generateRules(kind, count, seed = 1) {
  const below = generator(seed);
  const shape = SHAPES[kind];
  const networks = Array.from({ length: 40 + Math.floor(Math.sqrt(count)) }, () => below(65536));
  const address = (length) => {
    const network = networks[Math.min(below(networks.length), below(networks.length))];
    const word = ((network << 16) | (below(256) << 8) | below(256)) >>> 0;
    return length === 0 ? 0 : ((word >>> (32 - length)) << (32 - length)) >>> 0;
  };
  const rules = [];
  const seen = new Set();
  while (rules.length < count) {
    const [srcLength, dstLength] = [pick(below, shape.src), pick(below, shape.dst)];
    const protocol = pick(below, shape.protocol);
    const ported = protocol === 6 || protocol === 17;
    const rule = [
      address(srcLength),
      srcLength,
      address(dstLength),
      dstLength,
      ...portRange(below, ported ? pick(below, shape.srcPort) : 'any'),
      ...portRange(below, ported ? pick(below, shape.dstPort) : 'any'),
      protocol,
      protocol === 0 ? 0 : 255,
    ];
    const key = rule.join();
    if (seen.has(key)) continue;
    seen.add(key);
    rules.push(rule);
  }
  // Specific rules tend to stand first, as in real sets.
  const weight = (rule) => rule[1] + rule[3] + (rule[9] > 0 ? 8 : 0) + below(24);
  return rules
    .map((rule) => [weight(rule), rule])
    .sort((a, b) => b[0] - a[0])
    .map(([, rule]) => rule);
}

/** Headers: each drawn from within a rule; one in eight then changed in one bit. Few rules draw many. */
export function generateHeaders(rules, count, seed = 2) {
  const below = generator(seed);
  const headers = [];
  while (headers.length < count) {
    const rule = rules[Math.floor((below(rules.length) * (1 + below(16))) / 16)];
    const [src, srcLength, dst, dstLength, sl, sh, dl, dh, protocol, mask] = rule;
    const host = (length) => (length === 32 ? 0 : below(65536) * 65537) & (2 ** (32 - length) - 1);
    const header = [
      (src | host(srcLength)) >>> 0,
      (dst | host(dstLength)) >>> 0,
      sl + below(sh - sl + 1),
      dl + below(dh - dl + 1),
      mask === 0 ? [6, 17, 1][below(3)] : protocol,
    ];
    if (below(8) === 0) header[below(2)] = (header[below(2)] ^ (1 << below(32))) >>> 0;
    const times = 1 + Math.floor(4 / (1 + below(4)));
    for (let i = 0; i < times && headers.length < count; i++) headers.push(header);
  }
  return headers;
}

const dotted = (word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
const hex = (byte) => `0x${byte.toString(16).toUpperCase().padStart(2, '0')}`;

export function rulesText(rules) {
  const line = ([src, sn, dst, dn, sl, sh, dl, dh, p, m]) =>
    `@${dotted(src)}/${sn}\t${dotted(dst)}/${dn}\t${sl} : ${sh}\t${dl} : ${dh}\t${hex(p)}/${hex(m)}\t0x0000/0x0000\t\n`;
  return rules.map(line).join('');
}

export function traceText(headers) {
  return headers.map((header) => `${header.join('\t')}\t0\t0\n`).join('');
}

if (process.argv[1] === import.meta.filename) {
  const [kind, count, rulesFile, traceFile, headers = '50000', seed = '1'] = process.argv.slice(2);
  if (traceFile === undefined || !(kind in SHAPES)) {
    console.error(
      'usage: node bench/classbench-like.mjs acl|fw|ipc COUNT RULES TRACE [HEADERS] [SEED]',
    );
    process.exit(2);
  }
  const rules = generateRules(kind, Number(count), Number(seed));
  writeFileSync(rulesFile, rulesText(rules));
  writeFileSync(traceFile, traceText(generateHeaders(rules, Number(headers), Number(seed) + 1)));
}
