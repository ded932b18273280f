// ovs-dpctl: limits of connections per zone: ct-set-limits, ct-get-limits, ct-del-limits.

import { ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { bare, DpctlError } from './common.ts';
import type { Call } from './common.ts';

export function setLimits({ datapaths, args }: Call): CommandResult {
  const { ctLimits } = datapaths;
  const settings = args.slice(datapaths.get(bare(args[0])) === null ? 0 : 1);
  const changes: (() => void)[] = [];
  for (const one of settings) {
    const found = /^(?:default=(\d+)|zone=(\d+),limit=(\d+))$/.exec(one);
    if (found === null || Number(found[2] ?? 0) > 0xffff)
      throw new DpctlError(`invalid argument: ${one}`);
    const [, base, zone, limit] = found as (string | undefined)[];
    changes.push(() => {
      if (base !== undefined) ctLimits.defaultLimit = Number(base);
      else ctLimits.zones.set(Number(zone), Number(limit));
    });
  }
  for (const change of changes) change();
  return ok();
}

export function getLimits({ datapaths, args }: Call): CommandResult {
  const { ctLimits } = datapaths;
  const asked = args
    .map((one) => /^zone=([\d,]+)$/.exec(one)?.[1])
    .find((one) => one !== undefined);
  const zones = asked === undefined ? [...ctLimits.zones.keys()] : asked.split(',').map(Number);
  const lines = [`default limit=${ctLimits.defaultLimit}`];
  for (const zone of zones.sort((a, b) => a - b))
    lines.push(`zone=${zone},limit=${ctLimits.limitOf(zone)},count=${ctLimits.count(zone)}`);
  return ok(lines.map((line) => `${line}\n`).join(''));
}

export function delLimits({ datapaths, args }: Call): CommandResult {
  const zones = args
    .map((one) => /^zone=([\d,]+)$/.exec(one)?.[1])
    .find((one) => one !== undefined);
  if (zones === undefined) throw new DpctlError('invalid argument: zone=ZONE[,ZONE...] expected');
  for (const zone of zones.split(',')) datapaths.ctLimits.zones.delete(Number(zone));
  return ok();
}
