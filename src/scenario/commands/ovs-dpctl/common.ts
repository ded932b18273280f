// What the commands of ovs-dpctl share: how a call looks, names of datapaths and ports, the tool's log.

import { ENODEV, strerror } from '../../../../driver/errno.ts';
import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Datapath } from '../../../stack/openvswitch/datapath.ts';
import type { Datapaths } from '../../../stack/openvswitch/datapaths.ts';
import type { PortNames } from '../../../stack/openvswitch/odp-key.ts';
import type { CommandContext } from '../command.ts';

/** A line for stderr, and exit status 1. */
export class DpctlError extends Error {
  override readonly name = 'DpctlError';
}

export interface Call {
  readonly ctx: CommandContext;
  readonly datapaths: Datapaths;
  readonly args: string[];
  readonly options: ReadonlySet<string>;
}

/** `system@NAME` or `NAME`. */
export function bare(name: string): string {
  return name.replace(/^system@/, '');
}

export function named(datapaths: Datapaths, name: string): Datapath {
  const datapath = datapaths.get(bare(name));
  if (datapath === null) throw new DpctlError(noDatapath());
  return datapath;
}

export function only(datapaths: Datapaths): Datapath {
  const all = datapaths.list();
  if (all.length === 1) return all[0];
  throw new DpctlError(all.length === 0 ? 'no datapaths exist' : 'multiple datapaths, specify one');
}

export function noDatapath(): string {
  return `opening datapath (${strerror(ENODEV)})`;
}

export function namesOf(datapath: Datapath): PortNames {
  const ports = [...datapath.ports.values()];
  return {
    numberOf: (name) => ports.find(({ dev }) => dev.name === name)?.number ?? null,
    nameOf: (number) => datapath.ports.get(number)?.dev.name ?? null,
  };
}

export function nowPs({ ctx }: Call): number {
  return ctx.stack.scheduler.nowPs;
}

/** A line of the tool's log, at simulated time from 1970 on. */
export function logLine(call: Call, sequence: number, text: string): string {
  const seconds = Math.floor(nowPs(call) / PS_PER_S);
  const two = (number: number): string => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const time = `1970-01-01T${two(hours % 24)}:${two(minutes)}:${two(seconds % 60)}Z`;
  return `${time}|${String(sequence).padStart(5, '0')}|${text}\n`;
}

/** A locally administered address from a name: the kernel draws a random one. */
export function macOf(name: string): Uint8Array {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return Uint8Array.of(2, 0x0d, hash >>> 24, hash >>> 16, hash >>> 8, hash);
}
