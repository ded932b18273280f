// Prints docs/registers.md from the register map and the admin queue's format. A test keeps the committed file current.

import { DETAIL_NAMES, Detail, Opcode, Status } from './admin/format.ts';
import * as F from './admin/format.ts';
import { REGISTERS, type RegisterDef } from './register-map.ts';

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

function place(def: RegisterDef): string {
  const at = (p: { offset: number; stride: number; count: number }): string =>
    p.count === 1 ? hex(p.offset, 5) : `${hex(p.offset, 5)} + ${hex(p.stride, 2)}·n`;
  return [def, ...def.aliases].map(at).join(', ');
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
    'Generated from `hw/register-map.ts` and `hw/admin/format.ts` by `hw/register-doc.ts`; do not edit.',
    '',
    '## BAR0: Intel 82599',
    '',
    'Access: rw is kept and read back, ro ignores writes, rc is cleared by reading, hook does what the meaning says.',
    'Offsets not listed read 0, keep nothing and are counted. Queues and vectors that the configuration lacks do nothing.',
    '',
    ...table(['register', 'offset', 'number', 'access', 'reset', 'meaning', 'fields'], registers),
    '',
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
  ];
  return lines.join('\n') + '\n';
}
