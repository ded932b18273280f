// Prints docs/registers.md from the register map and the admin queue's format. A test keeps the committed file current.

import { DETAIL_NAMES, Detail, Opcode, Status } from './admin/format.ts';
import * as F from './admin/format.ts';
import * as S from './admin/switch-format.ts';
import { QUEUE_FAULTS } from './dma/queue-fault.ts';
import { DOCUMENTED } from './register-map-documented.ts';
import { ACTION_NAMES } from './switch/actions.ts';
import { PHV_FIELDS, type PhvField } from './switch/phv.ts';
import { placesOf, type RegisterDef } from './register-def.ts';
import { REGISTERS } from './register-map.ts';

const ADMIN_REGISTERS: readonly [name: string, offset: number, access: string, meaning: string][] =
  [
    ['ADM_VERSION', F.ADM_VERSION, 'ro', 'Version of this format'],
    ['ADM_CAP_FLOW_ENTRIES', F.ADM_CAP_FLOW_ENTRIES, 'ro', 'Exact-match entries'],
    ['ADM_CAP_TCAM_ENTRIES', F.ADM_CAP_TCAM_ENTRIES, 'ro', 'TCAM entries'],
    ['ADM_CAP_TCAM_KEY_BITS', F.ADM_CAP_TCAM_KEY_BITS, 'ro', 'Bits of a TCAM key'],
    [
      'ADM_CAP_PORTS',
      F.ADM_CAP_PORTS,
      'ro',
      'Ports 7:0, own port 15:8, queues 23:16, vectors 31:24',
    ],
    ['ADM_CAP_MAX_SLOTS', F.ADM_CAP_MAX_SLOTS, 'ro', 'Largest ADM_SLOTS'],
    ['ADM_CAP_TCAM_MODE', F.ADM_CAP_TCAM_MODE, 'ro', 'TCAM_ADD takes 0 a position, 1 a priority'],
    ['ADM_LINK_MBPS', F.ADM_LINK_MBPS, 'ro', 'Line rate of the port, Mb/s'],
    [
      'ADM_CAP_STAGES',
      F.ADM_CAP_STAGES,
      'ro',
      'Staged tables: stages 7:0, tables 15:8, range registers 23:16',
    ],
    ['ADM_BASE_LO', F.ADM_BASE_LO, 'rw', 'Command ring, low'],
    ['ADM_BASE_HI', F.ADM_BASE_HI, 'rw', 'Command ring, high'],
    ['ADM_SLOTS', F.ADM_SLOTS, 'rw', 'Slots of both rings, a power of two'],
    ['ADM_COMPLETION_LO', F.ADM_COMPLETION_LO, 'rw', 'Completion ring, low'],
    ['ADM_COMPLETION_HI', F.ADM_COMPLETION_HI, 'rw', 'Completion ring, high'],
    ['ADM_VECTOR', F.ADM_VECTOR, 'rw', 'MSI-X vector of completions'],
    ['ADM_ENABLE', F.ADM_ENABLE, 'rw', 'Bit 0: start at slot 0, phase 1; clear: stop'],
    ['ADM_HEAD', F.ADM_HEAD, 'ro', 'Slot of the next command to execute'],
    ['ADM_TAIL', F.ADM_TAIL, 'rw', 'Doorbell: slot after the last command'],
    ['ADM_ERROR', F.ADM_ERROR, 'ro', '1 bad setup, 2 bad tail, 3 DMA fault; cleared by enabling'],
  ];

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** Offset, count and reset value of what the data sheet has and the model does not. */
function unmodelled(): string[][] {
  const taken = new Set<number>();
  for (const def of REGISTERS) for (const { offset } of placesOf(def)) taken.add(offset);
  return DOCUMENTED.filter((def) => !taken.has(def.offset)).map((def) => [
    def.name,
    hex(def.offset, 5),
    String(def.count),
    hex(def.reset >>> 0, 1),
  ]);
}

function place(def: RegisterDef): string {
  const at = (p: { offset: number; stride: number; count: number }): string =>
    p.count === 1 ? hex(p.offset, 5) : `${hex(p.offset, 5)} + ${hex(p.stride, 2)}·n`;
  const pieces = [def, ...def.aliases].map(at);
  if (def.upper !== null) {
    const { from, offset } = def.upper;
    pieces.splice(1, 0, `${hex(offset, 5)} + ${hex(def.stride, 2)}·(n − ${from}) from ${from} on`);
  }
  return pieces.join(', ');
}

/** A Markdown table with aligned columns, as prettier writes it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, i) =>
    Math.max(3, cell.length, ...rows.map((row) => (row[i] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), `| ${widths.map((w) => '-'.repeat(w)).join(' | ')} |`, ...rows.map(line)];
}

function numbers(entries: Readonly<Record<string, number>>): string[][] {
  return Object.entries(entries).map(([name, number]) => [name, String(number)]);
}

const RECORDS: readonly (readonly [string, string])[] = [
  ['entry (ENTRY_ADD, ENTRY_MOD)', String(S.ENTRY_BYTES)],
  ['table (TABLE_SET, DEFAULT_SET; TABLE_QUERY writes)', String(S.TABLE_BYTES)],
  ['group (GROUP_SET) with n buckets', `${S.GROUP_LIST} + ${S.BUCKET_BYTES}·n`],
];

function fieldRows(): string[][] {
  return Object.entries(PHV_FIELDS).map(([name, field]: [string, PhvField]) => {
    const high = 31 - Math.clz32(field.mask);
    const words = field.words === 1 ? `${field.word}` : `${field.word} to ${field.word + 3}`;
    return [name, words, `${high}:${field.shift}`];
  });
}

/** What the model does not have, and what it does not take. */
function limits(): string[] {
  return [
    '## BAR0: not modelled',
    '',
    'These read as documented, keep nothing and are counted, as are offsets in neither table, which',
    'read 0. `ethtool -d DEV` lists what was accessed.',
    '',
    ...table(['register', 'offset', 'number', 'reset'], unmodelled()),
    '',
    '## What stops a queue',
    '',
    'A queue that stopped takes no more packets until its ENABLE bit was cleared and set again.',
    '`ethtool -d DEV` lists these too, per queue.',
    '',
    ...table(
      ['fault', 'meaning'],
      QUEUE_FAULTS.slice(1).map(({ name, text }) => [name, text]),
    ),
    '',
  ];
}

/** Text of docs/registers.md. */
export function registerDocument(): string {
  const registers = REGISTERS.map((def) => [
    def.name,
    place(def),
    String(def.count),
    def.access,
    hex(def.reset >>> 0, 1),
    def.meaning,
    def.bits,
  ]);
  const admin = ADMIN_REGISTERS.map(([name, offset, access, meaning]) => [
    name,
    hex(offset, 2),
    access,
    meaning,
  ]);
  const details = numbers(Detail).map(([name, number]) => [
    name ?? '',
    number ?? '',
    DETAIL_NAMES[Number(number)] ?? '',
  ]);
  const lines = [
    '# Registers',
    '',
    'Generated by `hw/register-doc.ts` from the register map and the admin format; do not edit.',
    '',
    '## BAR0: Intel 82599',
    '',
    'Access: rw is kept and read back, ro ignores writes, rc is cleared by reading, hook does what',
    'the meaning says. Queues and vectors that the configuration lacks do nothing. Accesses are 32',
    'bits wide, or 64 for a pair of registers (the low one first).',
    '',
    ...table(['register', 'offset', 'number', 'access', 'reset', 'meaning', 'fields'], registers),
    '',
    ...limits(),
    '## BAR2: admin queue',
    '',
    'Commands are 128 bytes, completions 32 bytes; their fields are in `hw/admin/format.ts`.',
    '',
    ...table(['register', 'offset', 'access', 'meaning'], admin),
    '',
    ...table(['opcode', 'number'], numbers(Opcode)),
    '',
    ...table(['status', 'number'], numbers(Status)),
    '',
    ...table(['detail', 'number', 'reason'], details),
    '',
    '## Staged tables',
    '',
    'Commands from TABLE_SET on (docs/switch.md). Fields of commands and records: `hw/admin/switch-format.ts`.',
    '',
    ...table(['record', 'bytes'], RECORDS),
    '',
    'Keys are words of 32 bits, a value and a care mask for each; SET writes the same words.',
    '',
    ...table(['field', 'word', 'bits'], fieldRows()),
    '',
    ...table(['action', 'number'], ACTION_NAMES.map((name, kind) => [name, String(kind)]).slice(1)),
  ];
  return lines.join('\n') + '\n';
}
