// Published figures of TCAM update cost, range expansion and the MediaTek tables against the model
// (V14, V16, V17, V19, V28).

import { EXACT_KEY_WORDS } from '../../hw/parse/key-layout.ts';
import type { PlacementEngine } from '../../hw/table/placement/engine.ts';
import { makePlacement } from '../../hw/table/placement/index.ts';
import { ppeHashIpv4 } from '../../hw/table/ppe-hash.ts';
import { MT7621_PPE, PPE_HIT_UNBIND_RATE_REACHED, PpeTable } from '../../hw/table/ppe-table.ts';
import { countPrefixes, entriesOfRule } from '../../hw/table/ranges.ts';
import type { FieldRange } from '../../hw/table/ranges.ts';
import { PROTO_TCP } from '../../hw/wire/headers.ts';
import { ACL1_PROTOCOLS, ACL1_RANGES } from './seed-ports.ts';
import { row } from './validation-row.ts';
import type { Published } from './validation-row.ts';

export function tableRows(): Published[] {
  return [...moveRows(), ...rangeRows(), expansionRow(), ...ppeRows(), ...shiftRows()];
}

/** Moves of inserting entries of these priorities, one by one, with ids from `firstId` on. */
function movesOf(engine: PlacementEngine, firstId: number, priorities: readonly number[]): number {
  const none = new Uint32Array(1);
  let moves = 0;
  for (const [at, priority] of priorities.entries())
    moves += engine.insert({
      id: firstId + at,
      priority,
      value: none,
      mask: none,
      slices: 1,
    }).moves;
  return moves;
}

const N = 50;
const TRIALS = 400;

function moveRows(): Published[] {
  const parman = (): PlacementEngine => makePlacement({ engine: 'parman', depth: 1024 });
  const rows = (): PlacementEngine =>
    makePlacement({ engine: 'rows-per-priority', depth: 1024, rowSlices: 1, topPriority: -1 });
  const up = Array.from({ length: N }, (_, i) => i);
  const down = [...up].reverse();
  const groups = Array.from({ length: 48 }, (_, i) => 7 - Math.floor(i / 6));
  const shuffled = shuffler();
  let random = 0;
  for (let trial = 0; trial < TRIALS; trial++)
    random += movesOf(parman(), 0, shuffled(up)) / TRIALS;
  const linux = 'Linux lib/parman.c';
  const dpdk = 'DPDK cfa_tcam_mgr.c';
  const moves = 'moves';
  return [
    row('V14', 'parman, 50 priorities, appending', linux, moves, 0, movesOf(parman(), 0, up)),
    row('V14', 'parman, 50 priorities, reverse', linux, moves, 1225, movesOf(parman(), 0, down)),
    row('V14', 'parman, 50 priorities, random, mean', linux, moves, 612.5, random, {
      tolerance: 0.02,
    }),
    row(
      'V14',
      'parman, 48 in 8 priorities, reverse',
      linux,
      moves,
      168,
      movesOf(parman(), 0, groups),
    ),
    row('V14', 'bnxt rows, 50 priorities, lowest first', dpdk, moves, 0, movesOf(rows(), 0, down)),
    row(
      'V14',
      'bnxt rows, 50 priorities, highest first',
      dpdk,
      moves,
      1225,
      movesOf(rows(), 0, up),
    ),
  ];
}

/** Shuffles with a fixed generator, so that the mean is the same in every run. */
function shuffler(): (list: readonly number[]) => number[] {
  let state = 0x2545f491;
  const below = (limit: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  return (list) => {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  };
}

function rangeRows(): Published[] {
  const range = (lo: number, hi: number, widthBits = 16): FieldRange => ({ lo, hi, widthBits });
  const wide = range(1, 65534);
  const four = (lo: number, hi: number): FieldRange => range(lo, hi, 4);
  const example =
    entriesOfRule([four(1, 14), four(5, 14)], 'prefix') +
    entriesOfRule([four(7, 10), four(2, 3)], 'prefix');
  let gray = 0;
  for (let lo = 0; lo < 64; lo++)
    for (let hi = lo; hi < 64; hi++)
      gray = Math.max(gray, entriesOfRule([range(lo, hi, 6)], 'srge'));
  const app = 'Rottenstreich and Keslassy, appendix';
  const entries = 'entries';
  const memory = { gated: false, bound: 'most' } as const;
  return [
    row('V16', 'range [1, 65534] as prefixes', app, entries, 30, countPrefixes(wide)),
    row('V16', 'two such ranges', 'computed', entries, 900, entriesOfRule([wide, wide], 'prefix')),
    row('V16', 'range [1024, 65535]', 'computed', entries, 6, countPrefixes(range(1024, 65535))),
    row('V16', 'worked example of four bits', app, entries, 33, example),
    row(
      'V16',
      'SRGE, 6 bits, worst case 2W - 4',
      'Bremler-Barr, Hendler (memory)',
      entries,
      8,
      gray,
      memory,
    ),
  ];
}

/** Entries per rule of the seed's distribution of port ranges, each range expanded by the model. */
function expansionRow(): Published {
  const perRange = ACL1_RANGES.reduce(
    (sum, [share, lo, hi]) => sum + share * countPrefixes({ lo, hi, widthBits: 16 }),
    0,
  );
  const factor = ACL1_PROTOCOLS.reduce(
    (sum, { share, withRange }) => sum + share * (1 - withRange + withRange * perRange),
    0,
  );
  const source = 'ClassBench seed acl1; Taylor, WUCSE-2004-24';
  return row('V17', 'seed acl1: entries per rule', source, '', 1.3602, factor, {
    tolerance: 0.0001 / 1.3602,
  });
}

/** A list in order of priority, free space at its end, the new rule first: the published fit is linear in occupancy. */
function shiftRows(): Published[] {
  const source = 'Hermes, Kuźniar et al. (memory)';
  const published = [
    [200, 114],
    [1000, 23],
    [2000, 12],
  ];
  return published.map(([occupancy, perS]) => {
    const engine = makePlacement({ engine: 'shifting-array', depth: occupancy + 1 });
    for (let i = 0; i < occupancy; i++) movesOf(engine, i, [i + 1]);
    const rate = 1e6 / (PICA8_MOVE_US * movesOf(engine, occupancy, [0]));
    return row('V28', `Pica8: updates with ${occupancy} rules`, source, '1/s', perS, rate, {
      tolerance: 0.15,
      basis: 'calibrated',
      gated: false,
    });
  });
}

/** Published fit of the same measurements, us a rule in the table (spec 3.2). */
const PICA8_MOVE_US = 43;

function ppeRows(): Published[] {
  const source = 'Linux mtk_ppe.c @03a3180, mtk_ppe.h @03c6019';
  const table = new PpeTable(MT7621_PPE);
  const hash = (bucketEntries: number): number =>
    ppeHashIpv4(0xc0a8010a, 0x01010101, ((40000 << 16) | 443) >>> 0, bucketEntries);
  const key = new Uint32Array(EXACT_KEY_WORDS).fill(1);
  let packets = 1;
  while (
    table.packet(hash(2), key, PROTO_TCP, false, 1) !== PPE_HIT_UNBIND_RATE_REACHED &&
    packets < 1000
  )
    packets++;
  const what = '192.168.1.10:40000 to 1.1.1.1:443';
  return [
    row(
      'V19',
      'MT7621: usable entries of 8192',
      source,
      entriesUnit,
      7744,
      new PpeTable(MT7621_PPE).usable,
    ),
    row('V19', `MT7621: hash of ${what}`, source, '', 2608, hash(2)),
    row('V19', `MT7986: hash of ${what}`, source, '', 5216, hash(4)),
    row('V19', 'MT7621: packets of a flow before it is bound', source, 'packets', 30, packets, {
      basis: 'calibrated',
    }),
  ];
}

const entriesUnit = 'entries';
