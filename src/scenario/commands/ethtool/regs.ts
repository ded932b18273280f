// `ethtool -d DEV [raw on|off] [hex on|off]`: the register dump in the form that ethtool prints for ixgbe's 82599, line by line; then what
// only a model can add: registers that were accessed and are not modelled, and faults of queues (nothing when there were none). The
// binary and hex forms show the driver's buffer, which the model does not have: refused.

import { ENODEV, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { EthtoolRegs } from '../../../../driver/ethtool.ts';
import { ethtoolDrvInfo } from '../../../../driver/ethtool-core.ts';
import { failed, ok } from '../command.ts';
import type { CommandContext, CommandResult } from '../command.ts';
import { badArguments } from './args.ts';
import type { Target } from './args.ts';
import { DECODED, DUMPED } from './regs-table.ts';

/** Column at which values begin. */
const VALUE_COLUMN = 54;

/** Exit status of `ethtool -d` on a device without registers to dump, and without a driver's information. */
const NO_DUMP_STATUS = 74;
const NO_INFO_STATUS = 72;

/** `ethtool -d`, `--register-dump`. */
export function registerDump(
  { dev }: Target,
  words: string[],
  _json: boolean,
  ctx: CommandContext,
): CommandResult {
  for (let i = 0; i < words.length; i += 2)
    if (!['raw', 'hex'].includes(words[i]) || !['on', 'off'].includes(words[i + 1] ?? ''))
      return badArguments();
  if (dev === null || ethtoolDrvInfo(dev, ctx.kernel.devlinks) === null) {
    const error = strerror(dev === null ? ENODEV : EOPNOTSUPP);
    return failed(NO_INFO_STATUS, `Cannot get driver information: ${error}\n`);
  }
  const regs = dev.ethtoolOps?.get_regs?.(dev);
  if (regs === undefined)
    return failed(NO_DUMP_STATUS, `Cannot get register dump: ${strerror(EOPNOTSUPP)}\n`);
  if (words.includes('on'))
    return failed(1, 'ethtool: raw and hex dumps are not modelled, only the decoded one\n');
  return ok(
    [...decoded(regs), ...plain(regs), ...counted(regs)].map((line) => `${line}\n`).join(''),
  );
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(digits, '0')}`;
}

function line(offset: number, text: string, value: number): string {
  return `${hex(offset, 5)}: ${text}`.padEnd(VALUE_COLUMN) + hex(value, 8);
}

/** Registers with their bits in words. */
function decoded(regs: EthtoolRegs): string[] {
  return DECODED.flatMap(({ offset, title, fields }) => {
    const value = regs.read32(offset);
    const rows = fields.map(([name, text]) => `       ${name}:`.padEnd(VALUE_COLUMN) + text(value));
    return [line(offset, title, value), ...rows];
  });
}

function plain(regs: EthtoolRegs): string[] {
  return DUMPED.flatMap(([offset, name, label, count = 1, stride = 4, readStride = stride]) =>
    Array.from({ length: count }, (_, i) => {
      const number = name.includes('%02d') ? String(i).padStart(2, '0') : String(i);
      const numbered = (text: string): string => text.replace(/%(02)?d/, number);
      const text = `${numbered(name).padEnd(11)} (${numbered(label)})`;
      return line(offset + i * stride, text, regs.read32(offset + i * readStride));
    }),
  );
}

function counted({ unmodelled, faults }: EthtoolRegs): string[] {
  const lines: string[] = [];
  if (unmodelled.length > 0) lines.push('', 'Accesses to registers that the model does not have:');
  for (const { offset, name, count } of unmodelled) {
    const where =
      offset < 0 ? 'unaligned or outside BAR0' : `${hex(offset, 5)}: ${name ?? 'no register'}`;
    lines.push(`       ${where}`.padEnd(VALUE_COLUMN) + String(count));
  }
  if (faults.length > 0) lines.push('', 'Faults of queues:');
  for (const { queue, name, text, count } of faults)
    lines.push(`       ${queue}: ${name}`.padEnd(VALUE_COLUMN) + `${count} (${text})`);
  return lines;
}
