// `node bench/classifier.mjs`: the software classifier (hw/table/classifier) on built output, one core, no result cache.
//
// Per filter set: million lookups per second (median of the passes; best slices), p50 and p99 of single lookups in ns (the
// clock's own cost taken off, each header's best of the passes, so that a busy machine's pauses stay out), insert and remove
// of one rule in the loaded table in us (best of five runs of one sequence, and the longest with the machine's own pauses).
// Yardsticks of the same run: plain tuple space search (a hash table per distinct mask, best priority first) and a linear
// scan. Then loading a large set: time and memory.
// Every answer is checked against the tuple space search, every 50th against the scan. Asserts nothing else.
//
//   npm run build && node bench/classifier.mjs [--set RULES,TRACE]... [--passes 5] [--large 100000]
//
// Without --set: 10,000 rules of each shape of bench/classbench-like.mjs. TRACE may be gzipped.

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { generateHeaders, generateRules, rulesText, traceText } from './classbench-like.mjs';

const { values } = parseArgs({
  options: {
    set: { type: 'string', multiple: true, default: [] },
    passes: { type: 'string', default: '5' },
    large: { type: 'string', default: '100000' },
    dist: { type: 'string', default: join(import.meta.dirname, '../dist') },
  },
});
const { FiveTupleClassifier } = await import(
  join(values.dist, 'hw/table/classifier/five-tuple.js')
);
const { FiveTupleList, readClassbench } = await import(
  join(values.dist, 'src/rules/classbench.js')
);
const { TraceReader } = await import(join(values.dist, 'src/rules/classbench-trace.js'));

const PASSES = Number(values.passes);
const UPDATE_RUNS = 5;
const SLICE = 1000;

function measure(name, rulesBytes, traceBytes) {
  const list = new FiveTupleList();
  readClassbench(rulesBytes, name, list);
  const reader = new TraceReader(name);
  let count = reader.feed(traceBytes);
  if (count === 0) count = reader.finish();
  const keys = reader.keys;
  const classifier = new FiveTupleClassifier();
  list.loadInto(classifier);
  const winners = new Int32Array(count);
  const rate = rateOf(classifier, keys, count, winners);
  const singles = singleNs(classifier, keys, count);
  const tuples = new TupleSpace(list);
  const tupleWinners = new Int32Array(count);
  const tupleRate = rateOf(tuples, keys, count, tupleWinners);
  const scanRate = scanAndCheck(list, keys, count, winners, name);
  const unlike = winners.findIndex((winner, at) => winner !== tupleWinners[at]);
  if (unlike >= 0) console.log(`${name}: header ${unlike}: WRONG ANSWER`);
  console.log(
    `${name}: ${list.count} rules, ${count} headers\n` +
      `  lookup       ${rate}; p50 ${at(singles, 0.5).toFixed(0)} ns, ` +
      `p99 ${at(singles, 0.99).toFixed(0)} ns; ` +
      `tree ${((classifier.memoryWords * 4) / 1e6).toFixed(1)} MB\n` +
      `  yardsticks   tuple space search ${tupleRate}, ${tuples.tables.length} tables, ` +
      `linear scan ${scanRate.toFixed(4)} M/s`,
  );
  for (const changed of [updates(list), oneByOne(list)])
    console.log(`               then lookup ${rateOf(changed, keys, count, tupleWinners)}`);
}

/**
 * Million lookups per second: median of the passes, and with the best time of every slice of SLICE headers, which is what the
 * passes come to when nobody else uses the machine.
 */
function rateOf(classifier, keys, count, winners) {
  const rates = [];
  const best = new Float64Array(Math.ceil(count / SLICE)).fill(Infinity);
  // A pass is the trace several times over, half a million lookups; the first three compile and do not count.
  const rounds = Math.ceil(500000 / count);
  for (let pass = 0; pass < PASSES + 3; pass++) {
    const start = performance.now();
    for (let round = 0; round < rounds; round++) lookUp(classifier, keys, count, winners, best);
    if (pass > 2) rates.push((rounds * count) / (performance.now() - start) / 1000);
  }
  const quiet = count / best.reduce((a, b) => a + b) / 1000;
  return `${at(rates, 0.5).toFixed(2)} M/s (best slices ${quiet.toFixed(2)})`;
}

function lookUp(classifier, keys, count, winners, best) {
  for (let from = 0; from < count; from += SLICE) {
    const to = Math.min(count, from + SLICE);
    const start = performance.now();
    for (let i = from, k = from * 4; i < to; i++, k += 4)
      winners[i] = classifier.lookup(keys[k], keys[k + 1], keys[k + 2], keys[k + 3]);
    const slice = from / SLICE;
    best[slice] = Math.min(best[slice], performance.now() - start);
  }
}

function singleNs(classifier, keys, count) {
  const best = new Float64Array(count).fill(Infinity);
  const clock = [];
  for (let pass = 0; pass < PASSES; pass++)
    for (let i = 0, k = 0; i < count; i++, k += 4) {
      const start = process.hrtime.bigint();
      classifier.lookup(keys[k], keys[k + 1], keys[k + 2], keys[k + 3]);
      const end = process.hrtime.bigint();
      best[i] = Math.min(best[i], Number(end - start));
      if (i % 16 === 0) clock.push(Number(process.hrtime.bigint() - end));
    }
  const clockNs = at(clock, 0.1);
  return best.map((ns) => Math.max(0, ns - clockNs));
}

/**
 * Removes and inserts again rules all over a loaded table: twice as many updates as rules, so rebuilds are among them.
 * Returns the classifier.
 */
function updates(list) {
  const inserts = new Best();
  const removes = new Best();
  let classifier = null;
  for (let run = 0; run < UPDATE_RUNS; run++) {
    classifier = new FiveTupleClassifier();
    list.loadInto(classifier);
    inserts.again();
    removes.again();
    let state = 1;
    for (let i = 0; i < list.count; i++) {
      state = (state * 48271) % 2147483647;
      const id = state % list.count;
      const rule = list.rule(id);
      removes.time(() => classifier.remove(id));
      inserts.time(() => classifier.insert(id, id, rule));
    }
  }
  console.log(`  update       insert us ${inserts}; remove us ${removes}`);
  return classifier;
}

/** Inserts all rules into an empty table, without a load. Returns the classifier. */
function oneByOne(list) {
  const inserts = new Best();
  let classifier = null;
  for (let run = 0; run < UPDATE_RUNS; run++) {
    classifier = new FiveTupleClassifier();
    inserts.again();
    for (let i = 0; i < list.count; i++) {
      const rule = list.rule(i);
      inserts.time(() => classifier.insert(i, i, rule));
    }
  }
  console.log(`  one by one   insert us ${inserts}`);
  return classifier;
}

/**
 * Times of the steps of a deterministic sequence that is run several times: the best of each step. What the algorithm does
 * at a step it does every time; what the machine does (another process, the compiler, the collector) it does elsewhere.
 */
class Best {
  times = [];
  worst = 0;
  step = 0;

  again() {
    this.step = 0;
  }

  time(run) {
    const start = performance.now();
    run();
    const us = (performance.now() - start) * 1000;
    this.worst = Math.max(this.worst, us);
    this.times[this.step] = Math.min(this.times[this.step] ?? Infinity, us);
    this.step++;
  }

  toString() {
    const [p50, p99, max] = [0.5, 0.99, 1].map((part) => at(this.times, part).toFixed(1));
    return `p50 ${p50}, p99 ${p99}, max ${max} (with the machine's pauses ${this.worst.toFixed(0)})`;
  }
}

/** The value below which `part` of the numbers are. */
function at(numbers, part) {
  const sorted = Float64Array.from(numbers).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/** Every 50th header by a scan of all rules; compares and returns the rate. */
function scanAndCheck(list, keys, count, winners, name) {
  const rules = Array.from({ length: list.count }, (_, index) => list.rule(index));
  let lookups = 0;
  const start = performance.now();
  for (let i = 0; i < count; i += 50, lookups++) {
    const winner = rules.findIndex((rule) => matches(rule, keys, i * 4));
    if (winner !== winners[i]) console.log(`${name}: header ${i}: WRONG ANSWER`);
  }
  return lookups / (performance.now() - start) / 1000;
}

function matches(rule, keys, k) {
  const srcPort = keys[k + 2] >>> 16;
  const dstPort = keys[k + 2] & 0xffff;
  return (
    ((keys[k] ^ rule.src) & rule.srcMask) === 0 &&
    ((keys[k + 1] ^ rule.dst) & rule.dstMask) === 0 &&
    srcPort >= rule.srcPortLow &&
    srcPort <= rule.srcPortHigh &&
    dstPort >= rule.dstPortLow &&
    dstPort <= rule.dstPortHigh &&
    ((keys[k + 3] ^ rule.protocol) & rule.protocolMask) === 0
  );
}

/** Tuple space search as it is usually written: a hash table per pair of prefix lengths and protocol mask, chains in order. */
class TupleSpace {
  constructor(list) {
    this.rules = Array.from({ length: list.count }, (_, index) => list.rule(index));
    const byMask = new Map();
    this.rules.forEach((rule, index) => {
      const mask = `${rule.srcMask} ${rule.dstMask} ${rule.protocolMask}`;
      if (!byMask.has(mask)) byMask.set(mask, []);
      byMask.get(mask).push(index);
    });
    this.tables = [...byMask.values()].map((indexes) => {
      const { srcMask, dstMask, protocolMask } = this.rules[indexes[0]];
      const bits = Math.max(2, 33 - Math.clz32(indexes.length));
      const table = { srcMask, dstMask, protocolMask, shift: 32 - bits, best: indexes[0] };
      table.heads = new Int32Array(2 ** bits).fill(-1);
      for (const index of indexes.reverse()) {
        const rule = this.rules[index];
        const slot = hash(rule.src & srcMask, rule.dst & dstMask, rule.protocol) >>> table.shift;
        rule.next = table.heads[slot];
        table.heads[slot] = index;
      }
      return table;
    });
    this.tables.sort((a, b) => a.best - b.best);
    this.key = new Int32Array(4);
  }

  lookup(src, dst, ports, protocol) {
    const { key, rules } = this;
    key[0] = src;
    key[1] = dst;
    key[2] = ports;
    key[3] = protocol;
    let best = 0x7fffffff;
    for (const table of this.tables) {
      if (table.best > best) break;
      const { srcMask, dstMask, protocolMask } = table;
      const slot = hash(src & srcMask, dst & dstMask, protocol & protocolMask) >>> table.shift;
      for (let i = table.heads[slot]; i >= 0 && i < best; i = rules[i].next)
        if (matches(rules[i], key, 0)) best = i;
    }
    return best === 0x7fffffff ? -1 : best;
  }
}

function hash(a, b, c) {
  return Math.imul(
    Math.imul(a ^ (a >>> 16), 0x9e3779b1) + Math.imul(b ^ (b >>> 15), 0x85ebca77) + c,
    0xc2b2ae3d,
  );
}

function loadLarge(kind, count) {
  const bytes = Buffer.from(rulesText(generateRules(kind, count, 7)));
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const list = new FiveTupleList();
  readClassbench(bytes, kind, list);
  const parsed = performance.now();
  const classifier = new FiveTupleClassifier();
  list.loadInto(classifier);
  const end = performance.now();
  const grown = process.memoryUsage().rss - before;
  console.log(
    `${kind}-like ${count}: read ${(parsed - start).toFixed(0)} ms, load ${(end - parsed).toFixed(0)} ms, ` +
      `${((classifier.memoryWords * 4) / 1e6).toFixed(0)} MB of tables, ` +
      `resident +${(grown / 1e6).toFixed(0)} MB (whole process ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB)`,
  );
  updates(list);
}

console.log(`node ${process.version}, ${PASSES} passes`);
for (const set of values.set) {
  const [rulesFile, traceFile] = set.split(',');
  const trace = readFileSync(traceFile);
  const plain = trace[0] === 0x1f ? gunzipSync(trace) : trace;
  measure(basename(rulesFile), readFileSync(rulesFile), plain);
}
for (const kind of values.set.length > 0 ? [] : ['acl', 'fw', 'ipc']) {
  const rules = generateRules(kind, 10000);
  const trace = traceText(generateHeaders(rules, 50000));
  measure(`${kind}-like 10000`, Buffer.from(rulesText(rules)), Buffer.from(trace));
}
if (Number(values.large) > 0)
  for (const kind of ['acl', 'fw', 'ipc']) loadLarge(kind, Number(values.large));
